//! The duality gap, and what it proves about features.
//!
//! For a dual point u with W-weighted mean zero where there is an intercept,
//!
//!   D(k) = sum W (-f*(-k u)) - sum_j pen_j*(k x_j),   x = X'(W u) = X'v
//!
//! is a lower bound on the optimum for every k at which the conjugates are finite.

use super::Problem;
use crate::coordinate::datafit::Datafit;
use crate::coordinate::penalty::Penalty;

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

/// Evaluates the certificate; `cols`, `w` and `x` describe the features that are left.
pub fn certify(
    problem: &Problem<'_, '_>,
    penalty: &dyn Penalty,
    cols: &[usize],
    w: &[f64],
    x: &[f64],
    z: &[f64],
    v: &[f64],
) -> Certificate {
    let datafit = Datafit { loss: problem.loss, y: problem.y, weights: problem.weights };
    let scan = penalty.scan(cols, w, x);
    let objective = datafit.value(z) + scan.value;
    let mut best =
        Certificate { objective, bound: f64::NEG_INFINITY, scale: 0.0, violation: scan.violation };
    if !penalty.convex() || !centred(problem, v) {
        return best;
    }
    for scale in [scan.reach_at, scan.reach] {
        // Without a penalty on some direction zero is the only scale left: a bound, not a certificate.
        if scale == 0.0 {
            continue;
        }
        let bound = datafit.dual(v, scale) - penalty.conjugates(cols, x, scale);
        if bound > best.bound {
            (best.bound, best.scale) = (bound, scale);
        }
    }
    best
}

/// With an intercept the dual point must sum to zero; a larger sum certifies nothing.
fn centred(problem: &Problem<'_, '_>, v: &[f64]) -> bool {
    let (sum, size) = v.iter().fold((0.0f64, 0.0f64), |(sum, size), v| (sum + v, size + v.abs()));
    !problem.intercept || sum.abs() <= 1e-12 * size || size <= 1e-300
}
