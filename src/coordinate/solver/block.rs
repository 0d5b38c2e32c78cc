//! Least squares with penalties on blocks: groups of features, several tasks, or both.
//!
//! Yuan and Lin 2006, "Model selection and estimation in regression with grouped variables", JRSS B
//! 68; Simon et al. 2013, "A sparse-group lasso", JCGS 22; Obozinski et al. 2010, multi-task.
//!
//!   min sum_t sum_i W_i (Y_it - z_it)^2 / 2 + sum_g (a_g ||w_g|| + l1 |w_g| + b_g ||w_g||^2 / 2)
//!
//! w_g has a row for each feature of the group and a column for each task. Steps use the inner
//! products of the working set: w_g <- prox(w_g + Q_g / c_g), c_g the largest eigenvalue of their
//! block, Q minus the gradient.

use super::anderson::Anderson;
use super::{Cache, Observer, Progress, Settings, Status};
use crate::coordinate::design::{Design, Moments};
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
    /// Strength of the norm of each group; infinity removes it.
    pub norm: &'a [f64],
    /// Strength of half the squared norm of each group.
    pub ridge: &'a [f64],
    /// Strength of the l1 norm.
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
    /// What the norm penalty sees of `x`: the rest after l1 and the sign constraint.
    fn rest(&self, x: f64) -> f64 {
        if self.positive { (x - self.l1).max(0.0) } else { soft(x, self.l1) }
    }

    fn value(&self, g: usize, w: &[f64]) -> f64 {
        let size = norm(w);
        if size == 0.0 {
            return 0.0;
        }
        let l1: f64 = w.iter().map(|w| w.abs()).sum();
        self.norm[g] * size + self.l1 * l1 + 0.5 * self.ridge[g] * size * size
    }

    fn prox(&self, g: usize, z: &mut [f64], step: f64) {
        for z in z.iter_mut() {
            *z = if self.positive {
                (*z - step * self.l1).max(0.0)
            } else {
                soft(*z, step * self.l1)
            };
        }
        let size = norm(z);
        let kept = size - step * self.norm[g];
        let factor = if kept > 0.0 { kept / size / (1.0 + step * self.ridge[g]) } else { 0.0 };
        z.iter_mut().for_each(|z| *z *= factor);
    }

    /// Largest `k <= 1` for which the conjugate at `k x` is finite when there is no ridge.
    fn reach(&self, g: usize, x: &[f64]) -> f64 {
        let excess =
            |k: f64| norm(&x.iter().map(|x| self.rest(k * x)).collect::<Vec<_>>()) - self.norm[g];
        let slack = 1e-14 * self.norm[g];
        if excess(1.0) <= slack {
            return 1.0;
        }
        if self.l1 == 0.0 {
            return self.norm[g] / (excess(1.0) + self.norm[g]);
        }
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if excess(middle) <= slack { low = middle } else { high = middle }
        }
        low
    }

    fn conjugate(&self, g: usize, x: &[f64], k: f64) -> f64 {
        let rest: Vec<f64> = x.iter().map(|x| self.rest(k * x)).collect();
        let excess = norm(&rest) - self.norm[g];
        if excess <= 1e-13 * self.norm[g] {
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

/// Minimises the problem from zero.
///
/// # Errors
/// If the matrix holds NaN or infinity.
pub fn solve(
    problem: &Problem<'_>,
    settings: &Settings,
    cache: &mut Cache,
    observe: Observer<'_>,
) -> Result<Solution> {
    let (design, tasks) = (problem.design, problem.tasks);
    let (n, p) = (design.rows(), design.cols());
    let all: Vec<usize> = (0..p).collect();
    let mut v: Vec<Vec<f64>> = vec![vec![0.0; n]; tasks];
    let mut intercept = vec![0.0; tasks];
    let mut z = vec![vec![0.0; n]; tasks];
    let target_scale: f64 = problem
        .y
        .chunks_exact(n)
        .flat_map(|y| y.iter().zip(problem.weights))
        .map(|(y, s)| s * y * y)
        .sum();
    let target = settings.tol * target_scale;
    let mut moments = vec![Moments::default(); p];
    design.moments(&all, &vec![0.0; n], problem.weights, &mut moments);
    if moments.iter().any(|m| !m.second.is_finite()) {
        return Err(Error::NonFinite {
            name: "X".into(),
            fix: "remove or impute these entries (squares must not overflow either)".into(),
        });
    }
    // Frobenius norm: an upper bound on the operator norm that screening needs.
    let sizes: Vec<f64> = problem
        .groups
        .iter()
        .map(|g| g.iter().map(|&j| moments[j].second).sum::<f64>().sqrt())
        .collect();
    cache.gram.reset(problem.weights);
    let mut slots: Vec<usize> = vec![usize::MAX; p];
    let mut known = vec![false; problem.groups.len()];
    let mut set: Vec<usize> = Vec::new();
    let mut live: Vec<usize> =
        (0..problem.groups.len()).filter(|&g| problem.norm[g] < f64::INFINITY).collect();
    let mut w: Vec<Vec<f64>> = problem.groups.iter().map(|g| vec![0.0; g.len() * tasks]).collect();
    let mut x = w.clone();
    let mut history: Vec<Progress> = Vec::new();
    let (mut bound, mut epochs, mut stalled, mut steepest) = (f64::NEG_INFINITY, 0, 0, 0.0f64);
    let status = loop {
        for t in 0..tasks {
            let y = &problem.y[t * n..(t + 1) * n];
            if problem.intercept {
                let mean: f64 = (0..n).map(|i| problem.weights[i] * (y[i] - z[t][i])).sum();
                intercept[t] += mean;
                z[t].iter_mut().for_each(|z| *z += mean);
            }
            for i in 0..n {
                v[t][i] = problem.weights[i] * (y[i] - z[t][i]);
            }
            let features: Vec<usize> =
                live.iter().flat_map(|&g| problem.groups[g].iter().copied()).collect();
            let mut products = vec![0.0; features.len()];
            design.dots(&features, &v[t], &mut products);
            let mut k = 0;
            for &g in &live {
                for i in 0..problem.groups[g].len() {
                    x[g][i * tasks + t] = products[k];
                    k += 1;
                }
            }
        }
        let energy = |k: f64| -> f64 {
            let pairs = v.iter().flat_map(|v| v.iter().zip(problem.weights));
            pairs.map(|(v, s)| if *s > 0.0 { k * v * v / s } else { 0.0 }).sum()
        };
        let residual = energy(1.0);
        let penalty: f64 = live.iter().map(|&g| problem.value(g, &w[g])).sum();
        let objective = 0.5 * residual + penalty;
        let product: f64 = v
            .iter()
            .enumerate()
            .map(|(t, v)| {
                let y = &problem.y[t * n..(t + 1) * n];
                v.iter().zip(y).map(|(v, y)| v * y).sum::<f64>()
            })
            .sum();
        let mut scale = 0.0;
        for k in problem.scales(&live, &w, &x) {
            let conjugates: f64 = live.iter().map(|&g| problem.conjugate(g, &x[g], k)).sum();
            let dual = k * product - 0.5 * k * k * residual - conjugates;
            if dual > bound {
                (bound, scale) = (dual, k);
            }
        }
        let mut violation = 0.0f64;
        for &g in &live {
            let mut moved: Vec<f64> = w[g].iter().zip(&x[g]).map(|(w, x)| w + x).collect();
            problem.prox(g, &mut moved, 1.0);
            violation = moved.iter().zip(&w[g]).fold(violation, |m, (a, b)| m.max((a - b).abs()));
            steepest = if history.is_empty() { steepest.max(norm(&x[g])) } else { steepest };
        }
        let gap = (objective - bound).max(0.0);
        let support = live.iter().filter(|&&g| w[g].iter().any(|w| *w != 0.0)).count();
        let before: Option<Progress> = history.last().copied();
        let progress =
            Progress { objective, gap, violation, remaining: live.len(), support, epochs };
        history.push(progress);
        if !observe(&progress) {
            break Status::Interrupted;
        }
        let certain = gap.is_finite();
        if (certain && gap <= target) || (!certain && violation <= settings.tol * steepest) {
            break Status::Converged;
        }
        if let Some(before) = before {
            let falls = gap < 0.9 * before.gap
                || violation < 0.9 * before.violation
                || objective < before.objective - 1e-15 * before.objective.abs();
            stalled = if falls { 0 } else { stalled + 1 };
        }
        if stalled >= 4 {
            break Status::Precision;
        }
        if history.len() > settings.max_iter || epochs >= settings.max_epochs {
            break Status::Limit;
        }
        if certain && scale > 0.0 && settings.working_set {
            // Only groups at zero: one with coefficients is left to the passes.
            let radius = (2.0 * (objective - bound).max(0.0)).sqrt();
            live.retain(|&g| {
                let zero = w[g].iter().all(|w| *w == 0.0);
                let rest: Vec<f64> = x[g].iter().map(|x| problem.rest(scale * x)).collect();
                !(zero && norm(&rest) + radius * sizes[g] < problem.norm[g] * (1.0 - 1e-12))
            });
        }
        // The working set grows by the groups that violate most.
        let mut ranked: Vec<(f64, usize)> = live
            .iter()
            .filter(|&&g| !known[g])
            .map(|&g| {
                let rest: Vec<f64> = x[g].iter().map(|&x| problem.rest(x)).collect();
                ((problem.norm[g] - norm(&rest)) / sizes[g].max(1e-300), g)
            })
            .filter(|&(slack, _)| slack <= 0.0 || !settings.working_set)
            .collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        if settings.working_set {
            ranked.truncate(settings.p0.min(100).max(2 * support));
        }
        let mut new: Vec<usize> = ranked.iter().map(|&(_, g)| g).collect();
        new.sort_unstable();
        let features: Vec<usize> =
            new.iter().flat_map(|&g| problem.groups[g].iter().copied()).collect();
        for (k, &j) in features.iter().enumerate() {
            slots[j] = cache.gram.cols.len() + k;
        }
        new.iter().for_each(|&g| known[g] = true);
        if !features.is_empty() {
            cache.gram.extend(design, &features, problem.intercept);
        }
        set.extend(new);
        set.retain(|g| live.contains(g));
        let goal = if certain {
            (0.3 * target).max(0.1 * gap)
        } else {
            (0.3 * settings.tol * steepest).max(0.1 * violation)
        };
        // Small problems are finished to rounding: it costs nothing worth saving.
        let small = n * p * tasks <= 20_000;
        let goal = if small && certain { 1e-10 * target } else { goal };
        let goal = goal * 0.1f64.powi(stalled);
        let old: Vec<Vec<f64>> = set.iter().map(|&g| w[g].clone()).collect();
        let mut inner = Inner { problem, cache, slots: &slots, set: &set, settings, certain };
        epochs += inner.minimise(&mut w, &x, residual, goal);
        for (&g, old) in set.iter().zip(&old) {
            for (i, &j) in problem.groups[g].iter().enumerate() {
                for t in 0..tasks {
                    let d = w[g][i * tasks + t] - old[i * tasks + t];
                    if d != 0.0 {
                        design.add(j, d, &mut z[t]);
                    }
                }
            }
        }
    };
    let mut coef = vec![0.0; p * tasks];
    for (g, features) in problem.groups.iter().enumerate() {
        for (i, &j) in features.iter().enumerate() {
            coef[j * tasks..(j + 1) * tasks].copy_from_slice(&w[g][i * tasks..(i + 1) * tasks]);
        }
    }
    Ok(Solution { coef, intercept, target, status, history })
}

struct Inner<'a> {
    problem: &'a Problem<'a>,
    cache: &'a Cache,
    slots: &'a [usize],
    set: &'a [usize],
    settings: &'a Settings,
    certain: bool,
}

impl Inner<'_> {
    /// Passes over the groups of the set until the gap of the model, or the violation without a
    /// certificate, is at most `goal`. Returns the passes.
    fn minimise(&mut self, w: &mut [Vec<f64>], x: &[Vec<f64>], energy: f64, goal: f64) -> usize {
        let (problem, tasks, gram) = (self.problem, self.problem.tasks, &self.cache.gram);
        let count = gram.cols.len();
        let mut q = vec![0.0; count * tasks];
        let mut flat = vec![0.0; count * tasks];
        let slots = |g: usize| problem.groups[g].iter().map(|&j| self.slots[j]);
        for &g in self.set {
            for (i, k) in slots(g).enumerate() {
                q[k * tasks..(k + 1) * tasks].copy_from_slice(&x[g][i * tasks..(i + 1) * tasks]);
                flat[k * tasks..(k + 1) * tasks].copy_from_slice(&w[g][i * tasks..(i + 1) * tasks]);
            }
        }
        let curvature: Vec<f64> = self
            .set
            .iter()
            .map(|&g| largest_eigenvalue(&slots(g).collect::<Vec<_>>(), gram))
            .collect();
        let (w0, q0) = (flat.clone(), q.clone());
        let block = |flat: &[f64], g: usize| -> Vec<f64> {
            slots(g).flat_map(|k| flat[k * tasks..(k + 1) * tasks].iter().copied()).collect()
        };
        let energy_at = |flat: &[f64], q: &[f64]| {
            let moved: f64 = (0..flat.len()).map(|k| (flat[k] - w0[k]) * (q0[k] + q[k])).sum();
            (energy - moved).max(0.0)
        };
        let value = |flat: &[f64], q: &[f64]| {
            0.5 * energy_at(flat, q)
                + self.set.iter().map(|&g| problem.value(g, &block(flat, g))).sum::<f64>()
        };
        let mut anderson = Anderson::default();
        let (mut epochs, mut best, mut stalled) = (0, f64::INFINITY, 0);
        loop {
            for _ in 0..10 {
                for (&g, &c) in self.set.iter().zip(&curvature) {
                    if c <= 0.0 {
                        continue;
                    }
                    let old = block(&flat, g);
                    let mut new: Vec<f64> =
                        old.iter().zip(block(&q, g)).map(|(w, q)| w + q / c).collect();
                    problem.prox(g, &mut new, 1.0 / c);
                    if new == old {
                        continue;
                    }
                    for (i, k) in slots(g).enumerate() {
                        let range = i * tasks..(i + 1) * tasks;
                        flat[k * tasks..(k + 1) * tasks].copy_from_slice(&new[range.clone()]);
                        let d: Vec<f64> = new[range.clone()]
                            .iter()
                            .zip(&old[range])
                            .map(|(a, b)| a - b)
                            .collect();
                        for (row, &inner) in q.chunks_exact_mut(tasks).zip(gram.row(k)) {
                            for (q, d) in row.iter_mut().zip(&d) {
                                *q -= inner * d;
                            }
                        }
                    }
                }
                epochs += 1;
                if !self.settings.accelerate {
                    continue;
                }
                if let Some(candidate) = anderson.push([&flat, &q]) {
                    let (cw, cq) = candidate.split_at(flat.len());
                    let allowed = !problem.positive || cw.iter().all(|w| *w >= 0.0);
                    if allowed && value(cw, cq) < value(&flat, &q) {
                        flat.copy_from_slice(cw);
                        q.copy_from_slice(cq);
                    }
                }
            }
            let (mut ws, mut xs) = (w.to_vec(), x.to_vec());
            for &g in self.set {
                (ws[g], xs[g]) = (block(&flat, g), block(&q, g));
            }
            let now = value(&flat, &q);
            stalled = if now < best { 0 } else { stalled + 1 };
            best = best.min(now);
            let measure = if self.certain {
                let energy = energy_at(&flat, &q);
                let product: f64 = flat.iter().zip(&q).map(|(w, q)| w * q).sum();
                let gaps = problem.scales(self.set, &ws, &xs).map(|k| {
                    let conjugates: f64 =
                        self.set.iter().map(|&g| problem.conjugate(g, &xs[g], k)).sum();
                    0.5 * (1.0 - k) * (1.0 - k) * energy + (now - 0.5 * energy) - k * product
                        + conjugates
                });
                gaps[0].min(gaps[1])
            } else {
                q.iter().fold(0.0, |m: f64, q| m.max(q.abs()))
            };
            if measure <= goal || epochs >= self.settings.max_epochs || stalled >= 3 {
                for &g in self.set {
                    w[g].clone_from(&ws[g]);
                }
                return epochs;
            }
        }
    }
}

/// Of the block of inner products at `slots`: power iteration, with a margin for what it misses.
fn largest_eigenvalue(slots: &[usize], gram: &super::Gram) -> f64 {
    let entry = |i: usize, j: usize| gram.row(slots[i])[slots[j]];
    let trace: f64 = (0..slots.len()).map(|i| entry(i, i)).sum();
    if slots.len() == 1 || trace == 0.0 {
        return trace;
    }
    let mut u: Vec<f64> = (0..slots.len()).map(|i| 1.0 + 0.01 * i as f64).collect();
    let mut value = 0.0;
    for _ in 0..50 {
        let next: Vec<f64> =
            (0..slots.len()).map(|i| (0..slots.len()).map(|j| entry(i, j) * u[j]).sum()).collect();
        value = norm(&next) / norm(&u);
        let size = norm(&next);
        if size == 0.0 {
            return trace;
        }
        u = next.iter().map(|x| x / size).collect();
    }
    (1.02 * value).min(trace)
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
) -> Result<()> {
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
