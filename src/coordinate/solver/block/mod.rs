//! Least squares with penalties on blocks: groups of features, several tasks, or both.
//!
//! Yuan and Lin 2006, "Model selection and estimation in regression with grouped variables", JRSS B
//! 68; Simon et al. 2013, "A sparse-group lasso", JCGS 22; Obozinski et al. 2010, multi-task.
//!
//!   min sum_t sum_i W_i (Y_it - z_it)^2 / 2
//!       + sum_g (alpha (a_g ||w_g|| + l1 |w_g|) + b_g ||w_g||^2 / 2)
//!
//! w_g has a row for each feature of the group and a column for each task. Steps use the inner
//! products of the working set: the exact minimiser of a group where the penalty is its norm alone,
//! else w_g <- prox(w_g + Q_g / c_g), c_g the largest eigenvalue of their block, Q minus the
//! gradient.

mod exact;
mod passes;
mod state;
mod steps;

pub use passes::path;

use super::{Progress, Status};
use crate::coordinate::design::Design;
use crate::coordinate::penalty::soft;
use crate::engine::{Error, Result};

/// A problem on blocks. Weights sum to one.
pub struct Problem<'a> {
    /// Features.
    pub design: &'a dyn Design,
    /// Targets, one task after another.
    pub y: &'a [f64],
    /// Number of tasks.
    pub tasks: usize,
    /// Weights of the samples.
    pub weights: &'a [f64],
    /// Features of each group; every feature is in one.
    pub groups: &'a [Vec<usize>],
    /// Strength of all norms.
    pub alpha: f64,
    /// Factor of the norm of each group; infinity removes it.
    pub norm: &'a [f64],
    /// Strength of half the squared norm of each group.
    pub ridge: &'a [f64],
    /// Factor of the l1 norm.
    pub l1: f64,
    /// Whether coefficients are kept non-negative.
    pub positive: bool,
    /// Whether there is an unpenalised constant for each task.
    pub intercept: bool,
}

/// What the solver returns.
#[derive(Debug, Clone)]
pub struct Solution {
    /// Coefficients, a row of tasks for each feature.
    pub coef: Vec<f64>,
    /// Constants, one a task.
    pub intercept: Vec<f64>,
    /// Gap that `tol` asked for.
    pub target: f64,
    /// Why it stopped.
    pub status: Status,
    /// One entry for each pass over the features.
    pub history: Vec<Progress>,
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

impl Problem<'_> {
    /// Strength of the norm of group `g`.
    fn norm(&self, g: usize) -> f64 {
        if self.norm[g].is_infinite() { f64::INFINITY } else { self.alpha * self.norm[g] }
    }

    /// What the norm penalty sees of `x`: the rest after l1 and the sign constraint.
    fn rest(&self, x: f64, share: f64) -> f64 {
        let level = share * self.alpha * self.l1;
        if self.positive { (x - level).max(0.0) } else { soft(x, level) }
    }

    fn rests(&self, x: &[f64], k: f64) -> f64 {
        norm(&x.iter().map(|x| self.rest(k * x, 1.0)).collect::<Vec<_>>())
    }

    fn value(&self, g: usize, w: &[f64]) -> f64 {
        let size = norm(w);
        if size == 0.0 {
            return 0.0;
        }
        let l1: f64 = w.iter().map(|w| w.abs()).sum();
        self.norm(g) * size + self.alpha * self.l1 * l1 + 0.5 * self.ridge[g] * size * size
    }

    fn prox(&self, g: usize, z: &mut [f64], step: f64) {
        for z in z.iter_mut() {
            *z = self.rest(*z, step);
        }
        let size = norm(z);
        let kept = size - step * self.norm(g);
        let factor = if kept > 0.0 { kept / size / (1.0 + step * self.ridge[g]) } else { 0.0 };
        z.iter_mut().for_each(|z| *z *= factor);
    }

    /// Largest `k <= 1` for which the conjugate at `k x` is finite when there is no ridge.
    fn reach(&self, g: usize, x: &[f64]) -> f64 {
        let excess = |k: f64| self.rests(x, k) - self.norm(g);
        let slack = 1e-14 * self.norm(g);
        if excess(1.0) <= slack {
            return 1.0;
        }
        if self.l1 == 0.0 {
            return self.norm(g) / (excess(1.0) + self.norm(g));
        }
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if excess(middle) <= slack { low = middle } else { high = middle }
        }
        low
    }

    fn conjugate(&self, g: usize, x: &[f64], k: f64) -> f64 {
        let excess = self.rests(x, k) - self.norm(g);
        if excess <= 1e-13 * self.norm(g) {
            0.0
        } else if self.ridge[g] > 0.0 {
            0.5 * excess * excess / self.ridge[g]
        } else {
            f64::INFINITY
        }
    }

    /// Scales of the dual point worth trying.
    fn scales(&self, live: &[usize], w: &[Vec<f64>], x: &[Vec<f64>]) -> [f64; 2] {
        let mut scales: [f64; 2] = [1.0, 1.0];
        for &g in live {
            scales[0] = scales[0].min(if self.ridge[g] > 0.0 { 1.0 } else { self.reach(g, &x[g]) });
            let moved: Vec<f64> =
                x[g].iter().zip(&w[g]).map(|(x, w)| x - self.ridge[g] * w).collect();
            scales[1] = scales[1].min(self.reach(g, &moved));
        }
        scales
    }
}

/// Checks that groups, strengths and targets fit.
///
/// # Errors
/// Names the argument that does not fit.
pub fn check(
    p: usize,
    groups: &[Vec<usize>],
    norm: &[f64],
    ridge: &[f64],
    y: &[f64],
    start: Option<&[f64]>,
    tasks: usize,
) -> Result<()> {
    if let Some(start) = start {
        if start.len() != p * tasks {
            let given = format!("{} entries", start.len());
            let allowed = "one for each feature and task";
            return Err(Error::value("coef_init", allowed, given, "start from zeros"));
        }
        if start.iter().any(|w| !w.is_finite()) {
            let fix = "start from zeros".into();
            return Err(Error::NonFinite { name: "coef_init".into(), fix });
        }
    }
    let mut seen = vec![false; p];
    for &j in groups.iter().flatten() {
        if j >= p || std::mem::replace(&mut seen[j], true) {
            let fix = "put every feature into one group";
            return Err(Error::value("groups", "a partition of the features", j, fix));
        }
    }
    if !seen.iter().all(|s| *s) {
        let fix = "put every feature into one group";
        return Err(Error::value("groups", "a partition of the features", "a part", fix));
    }
    if norm.len() != groups.len() || ridge.len() != groups.len() {
        return Err(Error::value("weights", "one for each group", norm.len(), "check its length"));
    }
    if let Some(bad) = norm.iter().find(|v| v.is_nan() || **v < 0.0) {
        return Err(Error::value("weights", ">= 0", bad, "use infinity to remove a group"));
    }
    if y.iter().any(|y| !y.is_finite()) {
        return Err(Error::NonFinite { name: "y".into(), fix: "remove these samples".into() });
    }
    Ok(())
}
