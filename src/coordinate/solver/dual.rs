//! The best lower bound so far, and dual points extrapolated from the residuals of several passes.
//!
//! Massias et al. 2020, "Dual extrapolation for sparse generalized linear models", JMLR 21. Where
//! the support rests, residuals approach the dual optimum along a few directions; the combination
//! of six of them whose differences cancel best is often much closer to it.
//!
//! Deviation: the residuals themselves are combined, for every loss, since correlations of the
//! combination are the combination of theirs and cost nothing. A combination outside the domain of
//! the dual bounds nothing and is dropped.

use super::anderson::Anderson;
use super::certificate::{Certificate, bound};
use super::state::State;

/// See the module.
pub(super) struct Dual {
    /// Largest lower bound on the optimum.
    pub bound: f64,
    /// The point that proves it.
    pub point: Vec<f64>,
    residuals: Anderson,
    /// Features that the stored correlations belong to.
    count: usize,
}

impl Dual {
    pub fn new(samples: usize) -> Self {
        let (bound, point) = (f64::NEG_INFINITY, vec![0.0; samples]);
        Self { bound, point, residuals: Anderson::default(), count: 0 }
    }

    /// Takes the certificate of a pass, and looks for a better one.
    pub fn observe(&mut self, state: &State<'_, '_>, certificate: &Certificate) {
        self.improve(certificate.bound, certificate.scale, &state.v);
        if !state.settings.accelerate || certificate.bound == f64::NEG_INFINITY {
            return;
        }
        if self.count != state.active.len() {
            self.count = state.active.len();
            self.residuals = Anderson::default();
        }
        if let Some(candidate) = self.residuals.push([&state.v, &state.x]) {
            let (v, x) = candidate.split_at(state.v.len());
            let (bound, scale) = bound(state, x, v);
            self.improve(bound, scale, v);
        }
    }

    fn improve(&mut self, bound: f64, scale: f64, v: &[f64]) {
        if bound > self.bound {
            self.bound = bound;
            self.point.iter_mut().zip(v).for_each(|(point, v)| *point = scale * v);
        }
    }
}
