//! The solver: working sets, gap-safe screening, acceleration, certified gaps.
//!
//! Massias, Gramfort, Salmon 2018, "Celer: a fast solver for the lasso with dual extrapolation",
//! ICML; Bertrand et al. 2022, "Beyond L1: faster and better sparse models with skglm", NeurIPS;
//! Ndiaye et al. 2017, "Gap safe screening rules for sparsity enforcing penalties", JMLR 18.
//!
//!   F(w, b) = sum_i W_i f(x_i . w + b; y_i) + sum_j pen_j(w_j),   sum W = 1
//!   z = X w + b     v_i = -W_i f'(z_i)     x = X' v     h_i = W_i f''(z_i)
//!
//! A pass over the features gives x, from it the duality gap and the working set; on that set the
//! quadratic model of the datafit (itself, for least squares) is minimised by coordinate steps,
//! either on the matrix of inner products or on the residual; a line search follows where the
//! model is not exact.
//!
//! Deviations: inner products are kept from one working set to the next and along a path; for
//! losses that are not quadratic they are kept while the weights h change little.

mod anderson;
pub mod block;
mod certificate;
mod check;
mod compact;
mod dual;
mod gram;
mod improve;
mod model;
mod newton;
mod packed;
mod path;
mod residual;
mod state;
mod sweeps;
mod working_set;

pub use check::check;
pub use path::path;

use crate::coordinate::datafit::Loss;
use crate::coordinate::design::Design;
use crate::coordinate::penalty::Penalty;
use working_set::WorkingSet;

/// A problem to solve.
pub struct Problem<'a, 'f> {
    /// Features.
    pub design: &'a dyn Design,
    /// The loss of a sample.
    pub loss: &'a dyn Loss,
    /// Targets.
    pub y: &'a [f64],
    /// Weights of the samples, normalised.
    pub weights: &'a [f64],
    /// The penalty of a coefficient, by strength.
    pub penalty: &'a (dyn Fn(f64) -> Box<dyn Penalty + 'f> + Sync),
    /// Whether there is an unpenalised constant.
    pub intercept: bool,
}

/// The order in which coordinates are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As numbered.
    #[default]
    Cyclic,
    /// A new permutation for each pass.
    Shuffled,
    /// Independent draws.
    Random,
    /// The one that lowers the model most; keeps the inner products of the working set.
    Greedy,
}

/// How to solve.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Gap to reach, relative to the scale of the loss.
    pub tol: f64,
    /// Passes over all features.
    pub max_iter: usize,
    /// Passes over the working set, in total.
    pub max_epochs: usize,
    /// Least size by which a working set grows.
    pub p0: usize,
    /// Whether to use working sets; without them every pass visits every feature.
    pub working_set: bool,
    /// Whether to extrapolate.
    pub accelerate: bool,
    /// The order of the coordinates.
    pub order: Order,
    /// Seed of the order.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tol: 1e-4,
            max_iter: 100,
            max_epochs: 100_000,
            p0: 100,
            working_set: true,
            accelerate: true,
            order: Order::Cyclic,
            seed: 0,
        }
    }
}

/// Why the solver stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The criterion is met.
    Converged,
    /// `max_iter` or `max_epochs` is used up.
    Limit,
    /// The gap no longer falls: rounding has the last word.
    Precision,
    /// The observer asked to stop.
    Interrupted,
    /// The dual grows without bound: the constraints cannot be met.
    Unbounded,
}

impl Status {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Limit => "limit",
            Self::Precision => "precision",
            Self::Interrupted => "interrupted",
            Self::Unbounded => "unbounded",
        }
    }
}

/// The state after one pass over the features.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Objective.
    pub objective: f64,
    /// Duality gap; infinity where there is no certificate.
    pub gap: f64,
    /// Largest distance of the gradient to the subdifferential.
    pub violation: f64,
    /// Features that screening has left.
    pub remaining: usize,
    /// Nonzero coefficients.
    pub support: usize,
    /// Coordinate passes so far.
    pub epochs: usize,
}

/// What the solver returns.
#[derive(Debug, Clone)]
pub struct Solution {
    /// Coefficients.
    pub coef: Vec<f64>,
    /// Constant, 0 without one.
    pub intercept: f64,
    /// Dual point `k v`, one entry a sample.
    pub dual: Vec<f64>,
    /// Gap that `tol` asked for.
    pub target: f64,
    /// Why it stopped.
    pub status: Status,
    /// One entry for each pass over the features.
    pub history: Vec<Progress>,
}

/// Receives the progress and says whether to go on.
pub type Observer<'a> = &'a mut dyn FnMut(&Progress) -> bool;

/// What one solve leaves for the next with the same matrix and weights.
#[derive(Debug, Default)]
pub struct Cache {
    /// Weighted norms of the columns, centred where there is an intercept.
    pub(crate) norms: Vec<f64>,
    pub(crate) set: WorkingSet,
    /// Whether passes over copied columns were slow: inner products are used from then on.
    pub(crate) slow: bool,
}
