//! Priority-Constrained Descent: follow the first gradient, let every other loss make progress.
//!
//! "Not All Objectives Are Born Equal: Priority-Constrained Descent for Hierarchical
//! Multi-Objective Optimization", TMLR 2026, arXiv:2606.29521.
//!
//!   d = argmin |d - c_1 g_1|^2 / 2  subject to  (c_j g_j) . d >= tau_j |c_j g_j|^2,  j >= 2
//!   A(J) = |g_1| d / |d|
//!
//! `scales` holds c_i = 1 / sqrt(v_i + eps), with v_i the running mean of |g_i|^2 that the caller
//! keeps. Constraints that contradict one another are dropped: the update is then g_1.

use super::{Gram, Normalized, Weighting};
use crate::engine::{Error, Result};
use crate::linalg::qp::{Outcome, Solver};

/// Weights of PCD.
#[derive(Debug, Clone)]
pub struct Pcd {
    /// Progress asked of each secondary loss, m - 1 values in [0, 1].
    pub tau: Vec<f64>,
    /// The scale c_i of each gradient.
    pub scales: Vec<f64>,
}

impl Weighting for Pcd {
    fn weights(&self, gram: &Gram<'_>) -> Result<Vec<f64>> {
        let m = gram.len();
        if self.tau.len() + 1 != m || self.scales.len() != m {
            return Err(Error::value(
                "tau",
                format!("a number or {} values, one for each secondary loss", m - 1),
                format!("{} values", self.tau.len()),
                "the first row of the Jacobian is the primary loss",
            ));
        }
        let zero = Ok(vec![0.0; m]);
        let unit = Normalized::new(gram);
        if unit.rows.first() != Some(&0) || self.scales[0] == 0.0 {
            return zero;
        }
        let n = unit.len();
        // The secondary rows, and lengths in units of the scaled primary gradient.
        let k = n - 1;
        let h: Vec<f64> = (0..k * k).map(|i| unit.h[(i / k + 1) * n + i % k + 1]).collect();
        let first = self.scales[0] * unit.s[0];
        let start: Vec<f64> = (1..n)
            .map(|a| {
                let size = self.scales[unit.rows[a]] * unit.s[a] / first;
                unit.h[a] - self.tau[unit.rows[a] - 1] * size
            })
            .collect();
        let largest = start.iter().fold(1.0, |a: f64, y| a.max(y.abs()));
        let mut solver = Solver::default();
        let feasible = solver.solve(&h, &start, largest) == Outcome::Optimal;
        // d in units of `first`, as coefficients of the unit rows.
        let mut x = vec![0.0; n];
        x[0] = 1.0;
        if feasible {
            x[1..].copy_from_slice(&solver.mu);
        }
        let square: f64 = unit.times(&x).iter().zip(&x).map(|(h, x)| h * x).sum();
        let size: f64 = x.iter().map(|x| x.abs()).sum();
        if square <= 10.0 * f64::EPSILON * size * size {
            return zero;
        }
        let length = unit.s[0] / square.sqrt();
        Ok(unit.scatter(m, |a| length * x[a] / unit.s[a]))
    }
}
