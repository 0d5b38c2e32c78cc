//! A sequence of strengths, each solved from the solution before it.
//!
//! Tibshirani et al. 2012, "Strong rules for discarding predictors in lasso-type problems", JRSS B
//! 74: a feature enters the first working set at `alpha` if `|x_j| >= v_j (2 alpha - previous)`.
//! The rule may err, so every solution ends with a pass over all features that screening has left,
//! and its gap is a certificate.

use super::{Cache, Observer, Problem, Settings, Solution, Status, solve};
use crate::engine::Result;

/// Solves `problem(k)` for every `alphas[k]`, stopping where the observer says so.
///
/// # Errors
/// As [`solve`].
pub fn path<'a>(
    problem: &dyn Fn(usize) -> Problem<'a>,
    alphas: &[f64],
    settings: &Settings,
    start: Option<(&[f64], f64)>,
    cache: &mut Cache,
    observe: Observer<'_>,
) -> Result<Vec<Solution>> {
    let mut solutions: Vec<Solution> = Vec::with_capacity(alphas.len());
    for (k, &alpha) in alphas.iter().enumerate() {
        let margin = match k {
            0 => 0.0,
            _ if alpha > 0.0 => (alphas[k - 1] / alpha - 1.0).clamp(0.0, 1.0),
            _ => 1.0,
        };
        let settings = Settings { margin, ..*settings };
        let from = solutions.last().map(|s| (&s.coef[..], s.intercept)).or(start);
        let solution = solve(&problem(k), &settings, from, cache, observe)?;
        let stop = solution.status == Status::Interrupted;
        solutions.push(solution);
        if stop {
            break;
        }
    }
    Ok(solutions)
}
