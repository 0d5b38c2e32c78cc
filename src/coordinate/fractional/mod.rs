//! Ratios by coordinate descent: fractional (FCD) and parametric (PCD) steps.
//!
//! Yuan 2023, "Coordinate descent methods for fractional minimization", ICML, arXiv:2201.12691.
//!
//!   min F(x) = (f(x) + h(x)) / g(x),   h(x) = l1 ||x||_1 + indicator of a box,   f + h >= 0, g > 0
//!   c_i curvature of f along e_i   b = df/dx_i   theta weight of the proximal term
//!   N(eta) = f(x) + b eta + (c_i + theta) / 2 eta^2 + h(x + eta e_i)
//!   FCD: minimise N(eta) / g(x + eta e_i)        PCD: minimise N(eta) - F(x) g(x + eta e_i)
//!
//! Every one-dimensional problem is solved globally. f is quadratic, so N is exact with theta = 0;
//! a denominator along a coordinate is piecewise linear (or the square of that), or a power of a
//! polynomial, and the minimiser is among the roots of low-degree equations.
//!
//! | module | what it holds |
//! |---|---|
//! | `least_squares`, `quadratic` | numerators |
//! | `top_k`, `l1`, `l2`, `l4`, `l_inf`, `lowest` | denominators |
//! | `line`, `pieces`, `power`, `polynomial` | the one-dimensional problem |
//! | `settings`, `run`, `solver` | what is asked; sweeps and certificate; stop rule |
//!
//! Deviations: a sweep that gains less than `tol` is followed by the single move that gains most,
//! found with theta = 0, so the end is stationary for F itself and not for F with a proximal term;
//! where the parametric problem has no minimiser (g grows as fast as N), the fractional step is
//! taken; what is tracked in a sweep is computed anew from x before the next one.

mod check;
mod image;
mod l1;
mod l2;
mod l4;
mod l_inf;
mod least_squares;
mod line;
mod lowest;
mod pieces;
mod polynomial;
mod power;
mod quadratic;
mod ranking;
mod run;
mod settings;
mod solver;
mod top_k;

pub use check::check;
pub use l_inf::LInf;
pub use l1::L1;
pub use l2::L2;
pub use l4::SquaredL4;
pub use least_squares::LeastSquares;
pub use line::{Method, Reach};
pub use lowest::Lowest;
pub use quadratic::Quadratic;
pub use settings::{Problem, Progress, Selection, Settings, Solution, Status};
pub use solver::minimize;
pub use top_k::TopK;

use pieces::Piece;

/// The smooth part of the numerator, at a point that it keeps.
pub trait Numerator {
    /// Moves to `x`.
    fn reset(&mut self, x: &[f64]);
    /// f(x)
    fn value(&self) -> f64;
    /// Partial derivative with respect to coordinate `i`.
    fn slope(&self, i: usize) -> f64;
    /// Second derivative along coordinate `i`, a constant.
    fn curvature(&self, i: usize) -> f64;
    /// Moves coordinate `i`, whose slope is `slope`, by `eta`.
    fn step(&mut self, i: usize, eta: f64, slope: f64);
    /// Number of coordinates.
    fn coordinates(&self) -> usize;
    /// Values of f that rounding may make of 0.
    fn noise(&self) -> f64;
}

/// A denominator, at a point that it keeps.
pub trait Denominator {
    /// Moves to `x`.
    fn reset(&mut self, x: &[f64]);
    /// g(x)
    fn value(&self) -> f64;
    /// g along coordinate `i`, which is at `x`, where a step may lower F.
    fn restrict(&mut self, i: usize, x: f64, reach: Reach) -> Shape<'_>;
    /// Moves coordinate `i`, the last that was restricted, by `eta` to `u`.
    fn step(&mut self, i: usize, eta: f64, u: f64);
    /// Number of coordinates, where the denominator has its own; `None` where any fits.
    fn coordinates(&self) -> Option<usize>;
}

/// A denominator along a line, as a function of the step eta.
#[derive(Debug, Clone, Copy)]
pub enum Shape<'a> {
    /// Linear on each piece.
    Linear {
        /// Pieces from left to right; the last one is unbounded.
        pieces: &'a [Piece],
        /// Whether kinks can be minimisers of the ratio: those of a convex function cannot.
        concave: bool,
        /// Longest step for which the pieces hold, and that can lower F.
        reach: f64,
    },
    /// The square of a function that is convex and linear on each piece.
    Square {
        /// As in [`Shape::Linear`].
        pieces: &'a [Piece],
        /// As in [`Shape::Linear`].
        reach: f64,
    },
    /// The polynomial with these coefficients, constant first.
    Polynomial([f64; 5]),
    /// The square root of that polynomial.
    Root([f64; 5]),
}
