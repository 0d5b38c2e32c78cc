//! UPGrad: every gradient projected onto the cone that conflicts with none, then summed.
//!
//! Quinton and Rey 2024, "Jacobian Descent for Multi-Objective Optimization", arXiv:2406.16232.
//!
//!   C* = {x : J x >= 0}     A(J) = sum_i P(p_i g_i),  P the projection onto C*
//!
//! Exact: unit rows, no regularisation. The m projections are independent and share the cosines.
//! Cost O(m |W|^2 (m + |W|)) for active sets W, spread over the threads.

use super::dualproj::Compat;
use super::{Gram, Normalized, Weighting, preferences};
use crate::engine::{Result, threads};
use crate::linalg::{cone, qp::Solver};

/// Projections that one task takes: their solver's memory is shared.
const BATCH: usize = 4;

/// Weights of UPGrad.
#[derive(Debug, Clone, Default)]
pub struct UpGrad {
    /// Preferences p, 1/m each if absent.
    pub preference: Option<Vec<f64>>,
    /// Normalises by the trace and regularises as torchjd does, instead of solving exactly.
    pub compat: Option<Compat>,
}

impl Weighting for UpGrad {
    fn weights(&self, gram: &Gram<'_>) -> Result<Vec<f64>> {
        let m = gram.len();
        let p = preferences(self.preference.as_deref(), m, 1.0 / m as f64)?;
        let regularized = self.compat.map(|compat| compat.regularize(gram));
        let gram = regularized.as_ref().map_or(Ok(*gram), |values| Gram::new(values, m))?;
        let unit = Normalized::new(&gram);
        let n = unit.len();
        // Projection of sign(p_i) h_i for each i, as multipliers of the unit rows.
        let parts = threads::map(n.div_ceil(BATCH), |task| {
            let mut solver = Solver::default();
            let mut start = vec![0.0; n];
            let mut sum = vec![0.0; n];
            for a in task * BATCH..n.min((task + 1) * BATCH) {
                let size = p[unit.rows[a]];
                if size == 0.0 {
                    continue;
                }
                for (y, h) in start.iter_mut().zip(unit.row(a)) {
                    *y = h * size.signum();
                }
                solver.solve_cone(&unit.h, &start, 1.0);
                for (sum, mu) in sum.iter_mut().zip(&solver.mu) {
                    *sum += size.abs() * unit.s[a] * mu;
                }
            }
            sum
        });
        let mut weights = p;
        for part in &parts {
            for ((&row, s), mu) in unit.rows.iter().zip(&unit.s).zip(part) {
                weights[row] += mu / s;
            }
        }
        Ok(weights)
    }
}

impl UpGrad {
    /// The update from the rows themselves, for those that are nearly parallel or opposite.
    pub fn aggregate(&self, rows: &[cone::Row<'_>], out: &mut [f64]) -> Result<()> {
        let m = rows.len();
        let p = preferences(self.preference.as_deref(), m, 1.0 / m as f64)?;
        out.fill(0.0);
        let mut part = vec![0.0; out.len()];
        for (row, p) in rows.iter().zip(p) {
            part.fill(0.0);
            row.add_to(p, &mut part);
            cone::project(rows, &mut part);
            out.iter_mut().zip(&part).for_each(|(out, x)| *out += x);
        }
        // Parts that nearly cancel leave the rounding of the larger ones behind.
        cone::project(rows, out);
        Ok(())
    }
}
