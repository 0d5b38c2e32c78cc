//! CAGrad: near the mean gradient, the direction that improves the worst loss most.
//!
//! Liu et al. 2021, "Conflict-Averse Gradient Descent for Multi-task Learning", arXiv:2110.14048.
//!
//!   g0 = J^T 1 / m     A(J) = argmax_x min_i g_i . x  subject to  |x - g0| <= c |g0|
//!
//! Solved from the other side: r(t) = min |x - g0| subject to g_i . x >= t is one projection onto
//! a polyhedron, convex and rising in t, and between changes of the active set W
//!
//!   r(t)^2 = y^T H_WW^-1 y,  y = t / s_W - H_W g0
//!
//! is a quadratic whose root r = c |g0| is closed form. A few projections find it exactly, where
//! the usual smooth minimisation over the simplex stops early.

use super::{Gram, Normalized, Weighting};
use crate::engine::Result;
use crate::linalg::qp::{Outcome, Solver};

/// Division of the update in the authors' code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rescale {
    /// As the paper's problem defines it.
    #[default]
    None,
    /// By 1 + c^2.
    Square,
    /// By 1 + c.
    Linear,
}

/// Weights of CAGrad.
#[derive(Debug, Clone, Copy)]
pub struct Cagrad {
    /// Radius of the ball, relative to the mean gradient, >= 0.
    pub c: f64,
    /// Division of the update.
    pub rescale: Rescale,
    /// Whether rows of zeros count in the mean.
    pub count_zero_rows: bool,
    /// torchjd's cut-offs, if wanted: zero weights where the trace of the Gramian, or the length of
    /// the worst combination relative to its root, is below this.
    pub norm_eps: Option<f64>,
}

impl Weighting for Cagrad {
    fn weights(&self, gram: &Gram<'_>) -> Result<Vec<f64>> {
        let m = gram.len();
        let unit = Normalized::new(gram);
        if unit.is_empty() {
            return Ok(vec![0.0; m]);
        }
        let share = 1.0 / if self.count_zero_rows { m } else { unit.len() } as f64;
        let mut multipliers = self.multipliers(&unit);
        if self.norm_eps.is_some_and(|eps| self.is_cut(gram, &unit, multipliers.as_deref(), eps)) {
            multipliers = None;
        }
        let factor = match self.rescale {
            Rescale::None => 1.0,
            Rescale::Square => 1.0 / (1.0 + self.c * self.c),
            Rescale::Linear => 1.0 / (1.0 + self.c),
        };
        Ok(match multipliers {
            Some(mu) => unit.scatter(m, |a| factor * share * (1.0 + mu[a] / unit.s[a])),
            None => vec![0.0; m],
        })
    }
}

impl Cagrad {
    /// Whether torchjd answers with zeros.
    fn is_cut(&self, gram: &Gram<'_>, unit: &Normalized, mu: Option<&[f64]>, eps: f64) -> bool {
        let m = gram.len();
        let trace: f64 = (0..m).map(|i| gram.at(i, i)).sum();
        let Some(mu) = mu.filter(|_| trace >= eps) else { return true };
        let worst = unit.scatter(m, |a| mu[a] / unit.s[a]);
        let total: f64 = worst.iter().sum();
        if total == 0.0 {
            return false;
        }
        // A zero row is the worst combination itself unless some loss must rise.
        let share = 1.0 / m as f64;
        let x: Vec<f64> = worst.iter().map(|w| share * (1.0 + w)).collect();
        let gains = gram.times(&x);
        let least = unit.rows.iter().map(|&row| gains[row]).fold(f64::INFINITY, f64::min);
        if unit.len() < m && least > 0.0 {
            return true;
        }
        let square: f64 = gram.times(&worst).iter().zip(&worst).map(|(g, w)| g * w).sum();
        square.max(0.0).sqrt() < eps * total * trace.sqrt()
    }

    /// What the best point adds to the sum of the rows, as coefficients of the unit rows; None
    /// where no direction improves every loss.
    fn multipliers(&self, unit: &Normalized) -> Option<Vec<f64>> {
        let n = unit.len();
        let sum: f64 = unit.s.iter().sum();
        let pulled: Vec<f64> = unit.s.iter().map(|s| s / sum).collect();
        // Lengths in units of the summed lengths, so that |g0| <= 1.
        let along = unit.times(&pulled);
        let mean = pulled.iter().zip(&along).map(|(p, a)| p * a).sum::<f64>().max(0.0).sqrt();
        let radius = self.c * mean;
        let nothing = Some(vec![0.0; n]);
        if radius <= 1e-12 {
            return nothing;
        }
        let shortest = unit.s.iter().copied().fold(f64::INFINITY, f64::min);
        let reach: Vec<f64> = unit.s.iter().map(|s| shortest / s).collect();
        // Below `low` the mean itself satisfies every constraint.
        let ratios = along.iter().zip(&reach).map(|(a, b)| a / b);
        let mut low = ratios.fold(f64::INFINITY, f64::min);
        let mut high = f64::INFINITY;
        let mut solver = Solver::default();
        let mut best = vec![0.0; n];
        let mut t = low + radius;
        for _ in 0..100 {
            let start: Vec<f64> = along.iter().zip(&reach).map(|(a, b)| a - t * b).collect();
            let scale = start.iter().fold(1.0, |a: f64, y| a.max(y.abs()));
            if solver.solve(&unit.h, &start, scale) != Outcome::Optimal {
                high = t;
                t = between(low, high);
            } else {
                let moved: f64 = solver.mu.iter().zip(&start).map(|(mu, y)| -mu * y).sum();
                let distance = moved.max(0.0).sqrt();
                if distance <= radius {
                    low = t;
                    best.copy_from_slice(&solver.mu);
                } else {
                    high = t;
                }
                if (distance - radius).abs() <= 1e-14 * radius {
                    return certified(unit, &solver.mu, radius);
                }
                t = next_root(unit, &solver.mu, &reach, t, radius)
                    .filter(|next| *next > low && *next < high)
                    .unwrap_or_else(|| between(low, high));
            }
            if high - low <= 1e-15 * low.abs().max(radius) {
                break;
            }
        }
        certified(unit, &best, radius)
    }
}

/// The shift has length `radius` unless every convex combination that could give it vanishes.
fn certified(unit: &Normalized, mu: &[f64], radius: f64) -> Option<Vec<f64>> {
    let square: f64 = unit.times(mu).iter().zip(mu).map(|(h, mu)| h * mu).sum();
    let length = square.max(0.0).sqrt();
    if length < (1.0 - 1e-6) * radius {
        return None;
    }
    let sum: f64 = unit.s.iter().sum();
    Some(mu.iter().map(|mu| mu * (radius / length) * sum).collect())
}

fn between(low: f64, high: f64) -> f64 {
    if high == f64::INFINITY { low.abs().max(1.0) * 2.0 + low } else { 0.5 * (low + high) }
}

/// The t at which the quadratic of the active set of `mu` reaches the radius.
fn next_root(unit: &Normalized, mu: &[f64], reach: &[f64], t: f64, radius: f64) -> Option<f64> {
    let active: Vec<usize> = (0..mu.len()).filter(|&a| mu[a] > 0.0).collect();
    let k = active.len();
    let n = unit.len();
    let h: Vec<f64> = (0..k * k).map(|i| unit.h[active[i / k] * n + active[i % k]]).collect();
    let b: Vec<f64> = active.iter().map(|&a| reach[a]).collect();
    let slope = crate::linalg::cholesky::solve(&h, &b, 1e-14)?;
    // r^2(t + step) = mu^T H mu + 2 step mu . b + step^2 b . slope
    let moved: f64 = active
        .iter()
        .map(|&a| mu[a] * active.iter().map(|&c| unit.h[a * n + c] * mu[c]).sum::<f64>())
        .sum();
    let linear: f64 = active.iter().map(|&a| mu[a] * reach[a]).sum();
    let square: f64 = b.iter().zip(&slope).map(|(b, s)| b * s).sum();
    let gap = moved - radius * radius;
    let root = (linear * linear - square * gap).max(0.0).sqrt();
    // The larger root, written without cancellation.
    let step = if linear + root > 0.0 { -gap / (linear + root) } else { return None };
    Some(t + step)
}
