//! Linear support vector machine by coordinate descent in the dual.
//!
//! Hsieh et al. 2008, "A dual coordinate descent method for large-scale linear SVM", ICML.
//!
//!   min 1/2 (||w||^2 + b^2) + sum C_i max(0, 1 - y_i (x_i . w + s b))^k,   k = 1 or 2
//!   dual in a:  0 <= a_i <= U_i,  w = sum y_i a_i x_i,  b = s sum y_i a_i
//!   k = 1: U_i = C_i, D_i = 0        k = 2: U_i = inf, D_i = 1 / (2 C_i)
//!   G = y_i (x_i . w + s b) - 1 + D_i a_i,   a_i <- clip(a_i - G / (||x_i||^2 + s^2 + D_i), 0, U_i)
//!
//! With `s` infinite the constant is not regularised; see `pairs`.
//!
//! A sample leaves the passes while its gradient points out of the box by more than any gradient
//! of the pass before (shrinking); a gap check brings all of them back.

mod pairs;

use super::design::{Design, Moments};
use super::solver::Status;
use crate::engine::rng::Philox;
use crate::engine::{Error, Result};
use crate::linalg::cholesky;

/// A problem: samples are the columns of `samples`.
pub struct Problem<'a> {
    /// The transposed feature matrix.
    pub samples: &'a dyn Design,
    /// Labels, -1 or 1.
    pub y: &'a [f64],
    /// Cost of each sample, > 0 or infinity; zero leaves it out.
    pub cost: &'a [f64],
    /// Whether violations are squared.
    pub squared: bool,
    /// Value of the constant feature; 0 for no constant, infinity for one that is not regularised.
    pub scaling: f64,
}

impl Problem<'_> {
    /// D_i
    fn diagonal(&self, i: usize) -> f64 {
        if self.squared { 0.5 / self.cost[i] } else { 0.0 }
    }

    /// U_i
    fn upper(&self, i: usize) -> f64 {
        if self.squared { f64::INFINITY } else { self.cost[i] }
    }

    /// The objective at zero, which `tol` refers to; 1 for a hard margin.
    fn scale(&self) -> f64 {
        let sum: f64 = self.cost.iter().filter(|c| c.is_finite()).sum();
        if sum > 0.0 { sum } else { 1.0 }
    }

    /// Cost of sample `i` at `margin`, the value of the predictor.
    fn loss(&self, i: usize, margin: f64) -> f64 {
        let slack = (1.0 - self.y[i] * margin).max(0.0);
        // Rounding of a hard margin is not a violation.
        if slack <= 1e-12 && self.cost[i].is_infinite() {
            return 0.0;
        }
        self.cost[i] * if self.squared { slack * slack } else { slack }
    }
}

/// Squared norms of the samples.
fn curvatures(problem: &Problem<'_>) -> Result<Vec<f64>> {
    let (p, n) = (problem.samples.rows(), problem.samples.cols());
    let all: Vec<usize> = (0..n).collect();
    let mut moments = vec![Moments::default(); n];
    problem.samples.moments(&all, &vec![0.0; p], &vec![1.0; p], &mut moments);
    if moments.iter().any(|m| !m.second.is_finite()) {
        return Err(Error::NonFinite { name: "X".into(), fix: "remove these samples".into() });
    }
    Ok(moments.iter().map(|m| m.second).collect())
}

/// What the solver returns.
#[derive(Debug, Clone)]
pub struct Solution {
    /// Coefficients.
    pub coef: Vec<f64>,
    /// Constant.
    pub intercept: f64,
    /// Dual variables.
    pub dual: Vec<f64>,
    /// Objective.
    pub objective: f64,
    /// Duality gap.
    pub gap: f64,
    /// Passes.
    pub n_iter: usize,
    /// Why it stopped.
    pub status: Status,
}

/// Passes between two checks of the gap.
const CHECK: usize = 10;

/// Solves until the gap is at most `tol` times the objective at zero, or for `max_iter` passes.
///
/// # Errors
/// If the matrix holds NaN or infinity.
pub fn solve(
    problem: &Problem<'_>,
    tol: f64,
    max_iter: usize,
    seed: u64,
    observe: &mut dyn FnMut(&[f64]) -> bool,
) -> Result<Solution> {
    if problem.scaling.is_infinite() {
        return pairs::solve(problem, tol, max_iter, observe);
    }
    let (p, n) = (problem.samples.rows(), problem.samples.cols());
    let all: Vec<usize> = (0..n).filter(|&i| problem.cost[i] > 0.0).collect();
    let squares = curvatures(problem)?;
    let (mut w, mut b, mut a) = (vec![0.0; p], 0.0, vec![0.0; n]);
    let rng = Philox::new(seed);
    let target = tol * problem.scale();
    let mut live = all.clone();
    let mut n_iter = 0;
    loop {
        let (mut objective, mut gap) = measure(problem, &all, &w, b, &a);
        let go_on = observe(&[objective, gap, n_iter as f64]);
        let unbounded = a.iter().any(|a| *a > 1e12);
        let status = if !go_on {
            Status::Interrupted
        } else if gap <= target && !unbounded {
            Status::Converged
        } else if unbounded {
            Status::Unbounded
        } else if n_iter >= max_iter {
            Status::Limit
        } else {
            live.clone_from(&all);
            let mut range = (f64::NEG_INFINITY, f64::INFINITY);
            for _ in 0..CHECK.min(max_iter - n_iter) {
                n_iter += 1;
                for k in (1..live.len()).rev() {
                    live.swap(k, rng.below(n_iter as u64, k as u64, k as u64 + 1) as usize);
                }
                let mut seen = (f64::INFINITY, f64::NEG_INFINITY);
                live.retain(|&i| {
                    let (y, d, upper) = (problem.y[i], problem.diagonal(i), problem.upper(i));
                    let margin = problem.samples.dot(i, &w) + problem.scaling * b;
                    let gradient = y * margin - 1.0 + d * a[i];
                    let projected = if a[i] <= 0.0 {
                        if gradient > range.1 {
                            return false;
                        }
                        gradient.min(0.0)
                    } else if a[i] >= upper {
                        if gradient < range.0 {
                            return false;
                        }
                        gradient.max(0.0)
                    } else {
                        gradient
                    };
                    seen = (seen.0.min(projected), seen.1.max(projected));
                    let curvature = squares[i] + problem.scaling * problem.scaling + d;
                    if projected != 0.0 {
                        let new = if curvature > 0.0 {
                            (a[i] - gradient / curvature).clamp(0.0, upper)
                        } else {
                            // A sample of zeros: the dual is linear in its variable.
                            upper.min(1e13)
                        };
                        let step = (new - a[i]) * y;
                        problem.samples.add(i, step, &mut w);
                        b += problem.scaling * step;
                        a[i] = new;
                    }
                    true
                });
                range = (
                    if seen.0 < 0.0 { seen.0 } else { f64::NEG_INFINITY },
                    if seen.1 > 0.0 { seen.1 } else { f64::INFINITY },
                );
                if seen.1 - seen.0 <= 0.0 {
                    break;
                }
            }
            continue;
        };
        let exact = (status == Status::Converged && problem.squared && p < SMALL)
            .then(|| polish(problem, &all, &w, b));
        if let Some(exact) = exact.flatten() {
            let (value, left) = measure(problem, &all, &exact.0, exact.1, &exact.2);
            if left < gap {
                (w, b, a) = exact;
                (objective, gap) = (value, left);
            }
        }
        let intercept = problem.scaling * b;
        return Ok(Solution { coef: w, intercept, dual: a, objective, gap, n_iter, status });
    }
}

/// Features up to which the primal's normal equations finish the work.
const SMALL: usize = 256;

/// Newton steps on the primal of the squared loss: exact once the set of violated margins rests.
fn polish(
    problem: &Problem<'_>,
    all: &[usize],
    w: &[f64],
    b: f64,
) -> Option<(Vec<f64>, f64, Vec<f64>)> {
    let (p, s) = (problem.samples.rows(), problem.scaling);
    let size = p + 1;
    let mut u = [w, &[b]].concat();
    let mut sample = vec![0.0; size];
    let mut before: Vec<usize> = Vec::new();
    for _ in 0..20 {
        let mut margins = vec![0.0; all.len()];
        problem.samples.dots(all, &u[..p], &mut margins);
        let violated: Vec<usize> = all
            .iter()
            .zip(&margins)
            .filter(|(i, m)| problem.y[**i] * (*m + s * u[p]) < 1.0)
            .map(|(&i, _)| i)
            .collect();
        if violated == before {
            let mut a = vec![0.0; problem.y.len()];
            for (&i, m) in all.iter().zip(&margins) {
                let slack = (1.0 - problem.y[i] * (m + s * u[p])).max(0.0);
                a[i] = 2.0 * problem.cost[i] * slack;
            }
            let b = u[p];
            u.truncate(p);
            return Some((u, b, a));
        }
        let (mut h, mut right) = (vec![0.0; size * size], vec![0.0; size]);
        (0..size).for_each(|k| h[k * size + k] = 1.0);
        for &i in &violated {
            problem.samples.read(i, 0..p, &mut sample[..p]);
            sample[p] = s;
            let c = 2.0 * problem.cost[i];
            for (k, row) in h.chunks_exact_mut(size).enumerate() {
                right[k] += c * problem.y[i] * sample[k];
                row.iter_mut().zip(&sample).for_each(|(h, x)| *h += c * sample[k] * x);
            }
        }
        if !cholesky::factor(&mut h, size, 1e-13) {
            return None;
        }
        cholesky::substitute(&h, size, &mut right);
        u = right;
        before = violated;
    }
    None
}

/// Objective and duality gap.
fn measure(problem: &Problem<'_>, all: &[usize], w: &[f64], b: f64, a: &[f64]) -> (f64, f64) {
    let mut margins = vec![0.0; all.len()];
    problem.samples.dots(all, w, &mut margins);
    let norm = w.iter().map(|w| w * w).sum::<f64>() + b * b;
    let (mut losses, mut dual) = (0.0, -0.5 * norm);
    for (&i, margin) in all.iter().zip(margins) {
        losses += problem.loss(i, margin + problem.scaling * b);
        dual += a[i] - 0.5 * problem.diagonal(i) * a[i] * a[i];
    }
    let objective = 0.5 * norm + losses;
    (objective, (objective - dual).max(0.0))
}

/// Checks lengths, labels and costs.
///
/// # Errors
/// Names the argument that does not fit.
pub fn check(samples: &dyn Design, y: &[f64], cost: &[f64]) -> Result<()> {
    let n = samples.cols();
    for (name, length) in [("y", y.len()), ("sample_weight", cost.len())] {
        if length != n {
            return Err(Error::Shape {
                name: name.into(),
                given: format!("({length},)"),
                other: "X".into(),
                expected: format!("({n}, {})", samples.rows()),
                fix: "pass one entry a sample".into(),
            });
        }
    }
    if let Some(bad) = y.iter().find(|y| **y != 1.0 && **y != -1.0) {
        return Err(Error::value("y", "-1 or 1", bad, "recode the labels"));
    }
    if let Some(bad) = cost.iter().find(|c| c.is_nan() || **c < 0.0) {
        return Err(Error::value("C", "> 0", bad, "a usual value is 1.0"));
    }
    Ok(())
}
