//! The support vector machine with a constant that is not regularised: steps on pairs of samples.
//!
//! Platt 1998, "Sequential minimal optimization"; Keerthi et al. 2001, "Improvements to Platt's SMO
//! algorithm for SVM classifier design", Neural Computation 13.
//!
//!   dual as in the module above, with sum y_i a_i = 0
//!   f_i = x_i . w - y_i + y_i D_i a_i
//!   a_i += y_i t, a_j -= y_j t,  t = (f_j - f_i) / (||x_i - x_j||^2 + D_i + D_j), kept in the box
//!
//! A round computes every f once and pairs the samples that violate most, best with best, so that
//! each round holds the step on the most violating pair. The constant is the exact minimiser of the
//! primal for the w at hand.

use super::{Problem, Solution, curvatures};
use crate::coordinate::solver::Status;
use crate::engine::Result;

/// As [`super::solve`].
pub(super) fn solve(
    problem: &Problem<'_>,
    tol: f64,
    max_iter: usize,
    observe: &mut dyn FnMut(&[f64]) -> bool,
) -> Result<Solution> {
    let (p, n) = (problem.samples.rows(), problem.samples.cols());
    let all: Vec<usize> = (0..n).filter(|&i| problem.cost[i] > 0.0).collect();
    let squares = curvatures(problem)?;
    let target = tol * problem.scale();
    let (mut w, mut a) = (vec![0.0; p], vec![0.0; n]);
    let (mut margins, mut scratch) = (vec![0.0; all.len()], vec![0.0; p]);
    let mut n_iter = 0;
    loop {
        problem.samples.dots(&all, &w, &mut margins);
        let intercept = best_constant(problem, &all, &margins);
        let (objective, gap) = measure(problem, &all, &w, &margins, intercept, &a);
        let (up, low) = violating(problem, &all, &margins, &a);
        let pairs = up.iter().zip(&low).take_while(|(i, j)| i.0 < j.0).count();
        let status = if !observe(&[objective, gap, n_iter as f64]) {
            Status::Interrupted
        } else if a.iter().any(|a| *a > 1e12) {
            Status::Unbounded
        } else if gap <= target {
            Status::Converged
        } else if pairs == 0 {
            Status::Precision
        } else if n_iter >= max_iter {
            Status::Limit
        } else {
            n_iter += 1;
            for ((_, i), (_, j)) in up.into_iter().zip(low).take(pairs) {
                step(problem, [i, j], &squares, &mut w, &mut a, &mut scratch);
            }
            continue;
        };
        return Ok(Solution { coef: w, intercept, dual: a, objective, gap, n_iter, status });
    }
}

/// The samples that may move up along y, smallest f first, and down, largest first.
#[allow(clippy::type_complexity)]
fn violating(
    problem: &Problem<'_>,
    all: &[usize],
    margins: &[f64],
    a: &[f64],
) -> (Vec<(f64, usize)>, Vec<(f64, usize)>) {
    let (mut up, mut low) = (Vec::new(), Vec::new());
    for (&i, margin) in all.iter().zip(margins) {
        let y = problem.y[i];
        let f = margin - y + y * problem.diagonal(i) * a[i];
        let (rises, falls) = (a[i] < problem.upper(i), a[i] > 0.0);
        if if y > 0.0 { rises } else { falls } {
            up.push((f, i));
        }
        if if y > 0.0 { falls } else { rises } {
            low.push((f, i));
        }
    }
    up.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    low.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    (up, low)
}

/// The best step along one pair, `i` up and `j` down; none when earlier steps have settled it.
fn step(
    problem: &Problem<'_>,
    pair: [usize; 2],
    squares: &[f64],
    w: &mut [f64],
    a: &mut [f64],
    scratch: &mut [f64],
) {
    let [i, j] = pair;
    let (samples, y) = (problem.samples, problem.y);
    let f = |k: usize, w: &[f64], a: &[f64]| {
        samples.dot(k, w) - y[k] + y[k] * problem.diagonal(k) * a[k]
    };
    let slope = f(j, w, a) - f(i, w, a);
    if slope <= 0.0 {
        return;
    }
    samples.add(i, 1.0, scratch);
    let product = samples.dot(j, scratch);
    samples.add(i, -1.0, scratch);
    let distance = (squares[i] + squares[j] - 2.0 * product).max(0.0);
    let curvature = distance + problem.diagonal(i) + problem.diagonal(j);
    let room = |k: usize, up: bool| if up { problem.upper(k) - a[k] } else { a[k] };
    let most = room(i, y[i] > 0.0).min(room(j, y[j] < 0.0));
    // Equal samples of different classes: the dual is linear along the pair.
    let t = if curvature > 0.0 { (slope / curvature).min(most) } else { most.min(1e13) };
    let bounded = |k: usize, change: f64| (a[k] + change).clamp(0.0, problem.upper(k));
    (a[i], a[j]) = (bounded(i, y[i] * t), bounded(j, -y[j] * t));
    samples.add(i, t, w);
    samples.add(j, -t, w);
}

/// The minimiser of the losses over the constant: their slope is followed over the points where
/// samples begin or cease to count.
fn best_constant(problem: &Problem<'_>, all: &[usize], margins: &[f64]) -> f64 {
    let mut breaks: Vec<(f64, f64, f64)> = all
        .iter()
        .zip(margins)
        .map(|(&i, margin)| (problem.y[i] - margin, problem.y[i], problem.cost[i]))
        .collect();
    breaks.sort_by(|a, b| a.0.total_cmp(&b.0));
    let least = breaks.iter().filter(|b| b.1 > 0.0).map(|b| b.0).reduce(f64::max);
    let most = breaks.iter().filter(|b| b.1 < 0.0).map(|b| b.0).reduce(f64::min);
    let (Some(least), Some(most)) = (least, most) else {
        // One class: any constant far enough on its side.
        return least.or(most).unwrap_or(0.0);
    };
    if least <= most || breaks.iter().any(|b| b.2.is_infinite()) {
        return 0.5 * (least + most);
    }
    // Slope of the losses left of every break: all positive samples count.
    let positive = breaks.iter().filter(|b| b.1 > 0.0);
    let (mut size, mut moment) = positive.fold((0.0, 0.0), |s, b| (s.0 + b.2, s.1 + b.2 * b.0));
    let mut slope = -size;
    for &(at, y, cost) in &breaks {
        if problem.squared {
            // The root of size b - moment, if it lies before this break.
            if size > 0.0 && moment <= size * at {
                return moment / size;
            }
            size -= y * cost;
            moment -= y * cost * at;
        } else {
            slope += cost;
            if slope >= 0.0 {
                return at;
            }
        }
    }
    if size > 0.0 { moment / size } else { breaks[breaks.len() - 1].0 }
}

/// Objective and duality gap.
fn measure(
    problem: &Problem<'_>,
    all: &[usize],
    w: &[f64],
    margins: &[f64],
    intercept: f64,
    a: &[f64],
) -> (f64, f64) {
    let norm: f64 = w.iter().map(|w| w * w).sum();
    let (mut losses, mut dual) = (0.0, -0.5 * norm);
    for (&i, margin) in all.iter().zip(margins) {
        losses += problem.loss(i, margin + intercept);
        dual += a[i] - 0.5 * problem.diagonal(i) * a[i] * a[i];
    }
    let objective = 0.5 * norm + losses;
    (objective, (objective - dual).max(0.0))
}
