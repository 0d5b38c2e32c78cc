//! The duality gap, and what it proves about features.
//!
//! For a dual point u with W-weighted mean zero where there is an intercept,
//!
//!   D(k) = sum W (-f*(-k u)) - sum_j pen_j*(k x_j),   x = X'(W u) = X'v
//!
//! is a lower bound on the optimum for every k at which the conjugates are finite.

use super::Problem;
use super::state::State;
use crate::coordinate::penalty::Scan;

/// Duality gap at an iterate.
#[derive(Debug, Clone, Copy)]
pub struct Certificate {
    /// Objective.
    pub objective: f64,
    /// Lower bound on the optimum; minus infinity where there is none.
    pub bound: f64,
    /// Scale of the dual point that gives it.
    pub scale: f64,
    /// Largest distance to stationarity.
    pub violation: f64,
}

impl State<'_, '_> {
    /// Evaluates the certificate of the iterate.
    pub fn certify(&self) -> Certificate {
        let w: Vec<f64> = self.active.iter().map(|&j| self.w[j]).collect();
        let scan = self.penalty.scan(&self.active, &w, &self.x);
        let objective = self.datafit.value(&self.z) + scan.value;
        let (bound, scale) = best(self, &self.active, &scan, &self.x, &self.v);
        Certificate { objective, bound, scale, violation: scan.violation }
    }

    /// How far the iterate is from the optimum over `features` alone, whose correlations are `x`:
    /// the gap, or the violation where there is none.
    pub fn distance(&self, features: &[usize], x: &[f64]) -> f64 {
        let w: Vec<f64> = features.iter().map(|&j| self.w[j]).collect();
        let scan = self.penalty.scan(features, &w, x);
        let (bound, _) = best(self, features, &scan, x, &self.v);
        let gap = self.datafit.value(&self.z) + scan.value - bound;
        if gap.is_finite() { gap } else { scan.violation }
    }
}

/// The lower bound from the dual point `v` with correlations `x`, and the scale that gives it.
pub fn bound(state: &State<'_, '_>, x: &[f64], v: &[f64]) -> (f64, f64) {
    let w: Vec<f64> = state.active.iter().map(|&j| state.w[j]).collect();
    best(state, &state.active, &state.penalty.scan(&state.active, &w, x), x, v)
}

fn best(
    state: &State<'_, '_>,
    features: &[usize],
    scan: &Scan,
    x: &[f64],
    v: &[f64],
) -> (f64, f64) {
    let mut best = (f64::NEG_INFINITY, 0.0);
    if !state.penalty.convex() || !centred(state.problem, v) {
        return best;
    }
    let scales = [scan.reach_at, scan.reach];
    for &scale in if scales[0] == scales[1] { &scales[..1] } else { &scales[..] } {
        // Without a penalty on some direction zero is the only scale left: a bound, not a certificate.
        if scale == 0.0 {
            continue;
        }
        let conjugates = state.penalty.conjugates(features, x, scale);
        let bound = state.datafit.dual(v, scale) - conjugates;
        if bound > best.0 {
            best = (bound, scale);
        }
    }
    best
}

/// With an intercept the dual point must sum to zero; a larger sum certifies nothing.
fn centred(problem: &Problem<'_, '_>, v: &[f64]) -> bool {
    let (sum, size) = v.iter().fold((0.0f64, 0.0f64), |(sum, size), v| (sum + v, size + v.abs()));
    !problem.intercept || sum.abs() <= 1e-12 * size || size <= 1e-300
}
