//! What a solve is given and what it returns.

use super::line::Method;
use super::{Denominator, Numerator};
use std::time::Duration;

/// A ratio to minimise.
pub struct Problem<'a> {
    /// Smooth part of the numerator.
    pub numerator: Box<dyn Numerator + 'a>,
    /// Denominator.
    pub denominator: Box<dyn Denominator + 'a>,
    /// Strength of the l1 norm in the numerator.
    pub l1: f64,
    /// Least value of each coordinate.
    pub low: &'a [f64],
    /// Largest value of each coordinate.
    pub high: &'a [f64],
}

/// The order in which coordinates are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// As numbered.
    Cyclic,
    /// A new permutation for each sweep.
    Shuffled,
    /// Independent draws.
    Random,
}

/// How to solve.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Fractional or parametric steps.
    pub method: Method,
    /// Weight of the proximal term theta / 2 eta^2.
    pub theta: f64,
    /// Order of the coordinates.
    pub selection: Selection,
    /// Seed of the order.
    pub seed: u64,
    /// Gain of the best move, relative to F, at which to stop.
    pub tol: f64,
    /// Sweeps to make.
    pub max_iter: usize,
    /// Sweeps made before: the orders drawn go on from there.
    pub first: usize,
    /// Time for the sweeps.
    pub time_limit: Option<Duration>,
}

/// Why the solver stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// No move of a coordinate gains more than `tol`.
    Converged,
    /// `max_iter` is used up.
    Limit,
    /// `time_limit` is used up.
    Time,
    /// Moves that gain more than `tol` are lost in rounding.
    Precision,
    /// The observer asked to stop.
    Stopped,
    /// The user interrupted; there is no certificate.
    Interrupted,
}

impl Status {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Limit => "limit",
            Self::Time => "time",
            Self::Precision => "precision",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The state after a sweep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Sweeps so far, those made before included.
    pub sweep: usize,
    /// F
    pub objective: f64,
    /// Coordinates that moved.
    pub moves: usize,
    /// Relative gain of the best move; NaN where it was not looked for.
    pub certificate: f64,
}

/// What a solve returns.
#[derive(Debug, Clone)]
pub struct Solution {
    /// The point.
    pub x: Vec<f64>,
    /// F there.
    pub objective: f64,
    /// What the best move of one coordinate would gain, relative to F.
    pub certificate: f64,
    /// Sweeps made.
    pub sweeps: usize,
    /// Coordinates moved.
    pub moves: usize,
    /// Why it stopped.
    pub status: Status,
    /// F at the start and after each sweep.
    pub history: Vec<f64>,
}

/// Asked with `None` now and then, with the progress after each sweep; an answer ends the work.
pub type Observe<'a> = dyn FnMut(Option<&Progress>) -> Option<Status> + 'a;
