//! Coordinate steps on groups, with the inner products of the working set.

use super::exact::Exact;
use super::{Problem, norm};
use crate::coordinate::solver::Settings;
use crate::coordinate::solver::anderson::Anderson;
use crate::coordinate::solver::gram::Gram;

/// How the model is minimised over one group.
#[derive(Debug)]
pub(super) enum Minimiser {
    /// A proximal step; holds a bound on the curvature. Exact for a single feature.
    Step(f64),
    /// Where the penalty is a norm alone.
    Exact(Exact),
}

impl Minimiser {
    /// For the group of features that `gram` holds at `slots`.
    pub fn new(problem: &Problem<'_>, slots: &[usize], gram: &Gram) -> Self {
        if slots.len() > 1 && problem.l1 == 0.0 && !problem.positive {
            let block: Vec<f64> =
                slots.iter().flat_map(|&i| slots.iter().map(move |&j| gram.row(i)[j])).collect();
            return Self::Exact(Exact::new(&block, slots.len()));
        }
        Self::Step(largest_eigenvalue(slots, gram))
    }

    /// The new coefficients of group `g`, given minus the gradient `q`.
    fn minimise(&self, problem: &Problem<'_>, g: usize, w: &[f64], q: &[f64]) -> Vec<f64> {
        match self {
            Self::Exact(exact) => exact.minimise(w, q, problem.norm(g), problem.ridge[g]),
            Self::Step(c) if *c > 0.0 => {
                let mut new: Vec<f64> = w.iter().zip(q).map(|(w, q)| w + q / c).collect();
                problem.prox(g, &mut new, 1.0 / c);
                new
            }
            Self::Step(_) => w.to_vec(),
        }
    }
}

/// What the steps work on.
pub(super) struct Steps<'a> {
    pub problem: &'a Problem<'a>,
    pub gram: &'a Gram,
    /// Features that `gram` holds.
    pub count: usize,
    /// Where it holds each feature.
    pub slots: &'a [usize],
    /// Groups to work on.
    pub set: &'a [usize],
    /// For each group of the set.
    pub minimisers: &'a [Option<Minimiser>],
    pub settings: &'a Settings,
    /// Whether the dual bounds the optimum.
    pub certain: bool,
}

impl Steps<'_> {
    /// Passes over the groups of the set until the gap of the model, or the violation without a
    /// certificate, is at most `goal`. Returns the passes.
    pub fn minimise(&self, w: &mut [Vec<f64>], x: &[Vec<f64>], energy: f64, goal: f64) -> usize {
        let (problem, tasks, gram, count) =
            (self.problem, self.problem.tasks, self.gram, self.count);
        let mut q = vec![0.0; count * tasks];
        let mut flat = vec![0.0; count * tasks];
        let slots = |g: usize| problem.groups[g].iter().map(|&j| self.slots[j]);
        for &g in self.set {
            for (i, k) in slots(g).enumerate() {
                q[k * tasks..(k + 1) * tasks].copy_from_slice(&x[g][i * tasks..(i + 1) * tasks]);
                flat[k * tasks..(k + 1) * tasks].copy_from_slice(&w[g][i * tasks..(i + 1) * tasks]);
            }
        }
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
                for &g in self.set {
                    let old = block(&flat, g);
                    let Some(minimiser) = &self.minimisers[g] else { continue };
                    let new = minimiser.minimise(problem, g, &old, &block(&q, g));
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
fn largest_eigenvalue(slots: &[usize], gram: &Gram) -> f64 {
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
