//! Limited-memory BFGS for smooth convex functions.
//!
//! Liu and Nocedal 1989, "On the limited memory BFGS method for large scale optimization", Math.
//! Program. 45; the approximate condition on the value is that of Hager and Zhang 2005, SIAM J.
//! Optim. 16.
//!
//!   d = -H grad,  H from the last pairs s = x' - x, y = grad' - grad
//!   x' = x + t d with phi(t) <= phi(0) + c1 t phi'(0) and phi'(t) >= c2 phi'(0)
//!
//! Near the minimum values differ by rounding alone; there the slope at the new point decides.

use crate::engine::reduce::dot;

/// Pairs that are kept.
const PAIRS: usize = 12;
const C1: f64 = 1e-4;
const C2: f64 = 0.9;
/// Evaluations of one line search.
const TRIALS: usize = 40;

/// A smooth convex function.
pub trait Smooth {
    /// The value at `x`; writes the gradient.
    fn evaluate(&mut self, x: &[f64], gradient: &mut [f64]) -> f64;
    /// What `tol` bounds, from a gradient.
    fn residual(&self, gradient: &[f64]) -> f64;
}

/// How a minimization ended.
#[derive(Debug, Clone, Copy)]
pub struct Minimum {
    /// The value.
    pub value: f64,
    /// What is left of the criterion.
    pub residual: f64,
    /// Evaluations.
    pub evaluations: usize,
}

/// Moves `x` until the residual is at most `tol`, no step helps, or `max_iter` steps are made. The
/// last call of `evaluate` is at the `x` that is returned.
pub fn minimize<S: Smooth>(function: &mut S, x: &mut [f64], tol: f64, max_iter: usize) -> Minimum {
    let n = x.len();
    let mut gradient = vec![0.0; n];
    let mut value = function.evaluate(x, &mut gradient);
    let mut residual = function.residual(&gradient);
    let mut evaluations = 1;
    let mut memory = Memory::default();
    let (mut trial, mut next, mut direction) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    for _ in 0..max_iter {
        if residual <= tol {
            break;
        }
        memory.direction(&gradient, &mut direction);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            memory = Memory::default();
            memory.direction(&gradient, &mut direction);
            slope = dot(&direction, &gradient);
        }
        // The first step has no scale of its own: one that moves no entry by more than 1.
        let size = direction.iter().fold(0.0_f64, |a, d| a.max(d.abs()));
        let mut step = if memory.pairs.is_empty() { 1.0 / size.max(1.0) } else { 1.0 };
        let (mut low, mut high) = (0.0_f64, f64::INFINITY);
        let mut found = None;
        for _ in 0..TRIALS {
            for ((trial, x), d) in trial.iter_mut().zip(&*x).zip(&direction) {
                *trial = x + step * d;
            }
            let there = function.evaluate(&trial, &mut next);
            evaluations += 1;
            let slope_there = dot(&direction, &next);
            let noise = 1e-14 * (1.0 + value.abs());
            let falls = there <= value + C1 * step * slope
                || (there <= value + noise && slope_there <= (2.0 * C1 - 1.0) * slope);
            if !falls || !slope_there.is_finite() {
                high = step;
            } else if slope_there < C2 * slope {
                low = step;
            } else {
                found = Some(there);
                break;
            }
            step = if high.is_infinite() { 4.0 * step } else { 0.5 * (low + high) };
        }
        let Some(there) = found else {
            if memory.pairs.is_empty() {
                break;
            }
            // The pairs mislead, or all is rounding: once more along the gradient.
            memory = Memory::default();
            continue;
        };
        memory.push(&trial, x, &next, &gradient);
        x.copy_from_slice(&trial);
        std::mem::swap(&mut gradient, &mut next);
        value = there;
        residual = function.residual(&gradient);
    }
    // A search that failed has left the function at another point.
    if residual > tol {
        value = function.evaluate(x, &mut gradient);
        evaluations += 1;
    }
    Minimum { value, residual, evaluations }
}

#[derive(Default)]
struct Memory {
    /// s, y and 1 / (s . y), oldest first.
    pairs: std::collections::VecDeque<(Vec<f64>, Vec<f64>, f64)>,
}

impl Memory {
    fn push(&mut self, to: &[f64], from: &[f64], new: &[f64], old: &[f64]) {
        let (mut s, mut y) = if self.pairs.len() == PAIRS {
            let (s, y, _) = self.pairs.pop_front().expect("there are PAIRS > 0 pairs");
            (s, y)
        } else {
            (vec![0.0; to.len()], vec![0.0; to.len()])
        };
        for (k, (s, y)) in s.iter_mut().zip(&mut y).enumerate() {
            (*s, *y) = (to[k] - from[k], new[k] - old[k]);
        }
        let curvature = dot(&s, &y);
        if curvature > 1e-300 {
            self.pairs.push_back((s, y, 1.0 / curvature));
        }
    }

    /// The two loops.
    fn direction(&self, gradient: &[f64], out: &mut [f64]) {
        out.copy_from_slice(gradient);
        let mut shares = [0.0; PAIRS];
        for ((s, y, inverse), share) in self.pairs.iter().zip(&mut shares).rev() {
            *share = inverse * dot(s, out);
            out.iter_mut().zip(y).for_each(|(d, y)| *d -= *share * y);
        }
        if let Some((_, y, inverse)) = self.pairs.back() {
            let scale = 1.0 / (inverse * dot(y, y));
            out.iter_mut().for_each(|d| *d *= scale);
        }
        for ((s, y, inverse), share) in self.pairs.iter().zip(&shares) {
            let other = inverse * dot(y, out);
            out.iter_mut().zip(s).for_each(|(d, s)| *d += (share - other) * s);
        }
        out.iter_mut().for_each(|d| *d = -*d);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct LogSum;
    impl Smooth for LogSum {
        /// log sum exp(x) + |x|^2 / 20 - 2 x_0, whose minimum is at no round point.
        fn evaluate(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
            let total: f64 = x.iter().map(|x| x.exp()).sum();
            for (g, x) in gradient.iter_mut().zip(x) {
                *g = x.exp() / total + x / 10.0;
            }
            gradient[0] -= 2.0;
            total.ln() + dot(x, x) / 20.0 - 2.0 * x[0]
        }
        fn residual(&self, gradient: &[f64]) -> f64 {
            gradient.iter().fold(0.0, |a, g| a.max(g.abs()))
        }
    }

    #[test]
    fn it_reaches_rounding_in_few_evaluations() {
        let mut x = vec![0.0; 50];
        let end = minimize(&mut LogSum, &mut x, 1e-12, 200);
        assert!(end.residual <= 1e-12 && end.evaluations < 60, "{end:?}");
    }

    #[test]
    fn a_point_that_is_good_enough_stays() {
        let mut x = vec![0.0; 3];
        let end = minimize(&mut LogSum, &mut x, 10.0, 200);
        assert_eq!((end.evaluations, x), (1, vec![0.0; 3]));
    }
}
