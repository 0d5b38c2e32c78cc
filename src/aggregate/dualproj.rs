//! DualProj: the preferred combination, projected onto the cone that conflicts with no gradient.
//!
//! Lopez-Paz and Ranzato 2017, "Gradient Episodic Memory", NeurIPS; Quinton and Rey 2024,
//! arXiv:2406.16232, section 3.
//!
//!   A(J) = P(J^T p),  P the projection onto {x : J x >= 0}
//!   P(J^T u) = J^T v,  v = u + mu / s,  mu >= 0,  J J^T v >= 0,  mu_j (J J^T v)_j = 0
//!
//! Cost O(|W|^2 (m + |W|)) for the active set W.

use super::{Gram, Normalized, Weighting, preferences};
use crate::engine::Result;
use crate::linalg::{cone, qp::Solver};

/// torchjd's approximation: G / tr G (0 if the trace is below `norm_eps`) + `reg_eps` I.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compat {
    /// Traces below this count as zero.
    pub norm_eps: f64,
    /// Added to the diagonal.
    pub reg_eps: f64,
}

impl Compat {
    pub(super) fn regularize(&self, gram: &Gram<'_>) -> Vec<f64> {
        let m = gram.len();
        let trace: f64 = (0..m).map(|i| gram.at(i, i)).sum();
        let scale = if trace < self.norm_eps { 0.0 } else { 1.0 / trace };
        let mut out: Vec<f64> = gram.values().iter().map(|g| g * scale).collect();
        for i in 0..m {
            out[i * m + i] += self.reg_eps;
        }
        out
    }
}

/// Weights of DualProj.
#[derive(Debug, Clone, Default)]
pub struct DualProj {
    /// Preferences p, 1/m each if absent.
    pub preference: Option<Vec<f64>>,
    /// Normalises by the trace and regularises as torchjd does, instead of solving exactly.
    pub compat: Option<Compat>,
}

impl Weighting for DualProj {
    fn weights(&self, gram: &Gram<'_>) -> Result<Vec<f64>> {
        let m = gram.len();
        let mut weights = preferences(self.preference.as_deref(), m, 1.0 / m as f64)?;
        let regularized = self.compat.map(|compat| compat.regularize(gram));
        let gram = regularized.as_ref().map_or(Ok(*gram), |values| Gram::new(values, m))?;
        let unit = Normalized::new(&gram);
        let mut pulled: Vec<f64> =
            unit.rows.iter().zip(&unit.s).map(|(&row, s)| s * weights[row]).collect();
        let size: f64 = pulled.iter().map(|x| x.abs()).sum();
        if size == 0.0 {
            return Ok(weights);
        }
        pulled.iter_mut().for_each(|x| *x /= size);
        let mut solver = Solver::default();
        solver.solve_cone(&unit.h, &unit.times(&pulled), 1.0);
        for ((&row, s), mu) in unit.rows.iter().zip(&unit.s).zip(&solver.mu) {
            weights[row] += size * mu / s;
        }
        Ok(weights)
    }
}

impl DualProj {
    /// The update from the rows themselves, for those that are nearly parallel or opposite.
    pub fn aggregate(&self, rows: &[cone::Row<'_>], out: &mut [f64]) -> Result<()> {
        let m = rows.len();
        let p = preferences(self.preference.as_deref(), m, 1.0 / m as f64)?;
        out.fill(0.0);
        rows.iter().zip(p).for_each(|(row, p)| row.add_to(p, out));
        cone::project(rows, out);
        Ok(())
    }
}
