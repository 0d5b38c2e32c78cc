//! One step of the outer loop: working set, model, line search.

use super::model::Model;
use super::state::State;
use super::working_set::WorkingSet;
use super::{Cache, Order, residual, sweeps};

/// Passes over copied columns after which inner products are worth their cost.
const PATIENCE: usize = 40;
/// A working set that grows by less than this part of the support has settled.
const SETTLED: usize = 32;
/// Models of one settled set, at most, between two passes over all features.
const ROUNDS: usize = 5;
/// A step that ends before this part of the way asks for a model with more curvature.
const SHORT: f64 = 0.1;

/// What to reach before the next pass over all features.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    /// While the working set grows.
    pub now: f64,
    /// Once it has settled.
    pub end: f64,
    /// Passes in a row without progress.
    pub stalled: usize,
}

impl State<'_, '_> {
    /// Solves models on a working set and steps towards their minimisers.
    pub fn improve(&mut self, cache: &mut Cache, model: &mut Model<'_>, goal: Goal) {
        let mut h = vec![0.0; self.z.len()];
        self.curvature(&mut h);
        let support: Vec<usize> =
            self.active.iter().copied().filter(|&j| self.w[j] != 0.0).collect();
        self.refresh(cache, &h);
        let new = self.admit(&mut cache.set, &cache.norms, &support);
        let settled = new * SETTLED <= support.len() && self.settings.working_set;
        let sooner = 0.1f64.powi(goal.stalled as i32);
        (model.end, model.now) = (goal.end * sooner, goal.now * sooner);
        let saved = if settled { 2 * self.w.len() / support.len().max(1) } else { 0 };
        model.cheap = model.epochs + saved;
        // Minus the gradient; features that screening dropped are not visited.
        let mut x = vec![0.0; cache.set.cols.len()];
        let (mut positions, mut features) = (Vec::new(), Vec::new());
        for (k, &j) in cache.set.cols.iter().enumerate() {
            if let Ok(at) = self.active.binary_search(&j) {
                x[k] = self.x[at];
                positions.push(k);
                features.push(j);
            }
        }
        let rounds = if self.problem.loss.quadratic() { 1 } else { ROUNDS };
        for round in 1..=rounds {
            self.solve(cache, model, &h, &positions, &mut x);
            if round == rounds || !model.cheap() || model.exhausted() {
                break;
            }
            self.curvature(&mut h);
            if self.outdated(&cache.set.h, &h) {
                break;
            }
            let mut part = vec![0.0; features.len()];
            self.problem.design.dots(&features, &self.v, &mut part);
            if self.distance(&features, &part) <= model.end {
                break;
            }
            positions.iter().zip(part).for_each(|(&k, part)| x[k] = part);
        }
        self.x.resize(self.active.len(), 0.0);
        self.problem.design.dots(&self.active, &self.v, &mut self.x);
    }

    /// Solves one model over the positions `positions` of the working set, where `x` is minus its
    /// gradient, and steps.
    fn solve(
        &mut self,
        cache: &mut Cache,
        model: &mut Model<'_>,
        h: &[f64],
        positions: &[usize],
        x: &mut [f64],
    ) {
        let (problem, Cache { set, slow, .. }) = (self.problem, cache);
        let mut w: Vec<f64> = set.cols.iter().map(|&j| self.w[j]).collect();
        let sparse = problem.design.stored(&[]).is_some();
        let (copied, products) = (self.copied(set), self.fits(set, sparse));
        let penalty = self.penalty.as_ref();
        let terms = self.v.iter().zip(&set.h);
        let energy = terms.map(|(v, h)| if *h > 0.0 { v * v / h } else { 0.0 }).sum();
        model.begin(energy);
        let mut done = false;
        if copied && !(*slow && products) {
            let most = if products { PATIENCE } else { usize::MAX };
            set.copy(problem.design);
            done = sweeps::minimise(set, sparse, penalty, positions, &mut w, x, model, most);
            *slow = !done;
        }
        if !done && (products || copied) {
            set.multiply(problem.design);
            set.gram.minimise(penalty, &set.cols, positions, &mut w, x, model);
        } else if !done {
            let features: Vec<usize> = positions.iter().map(|&k| set.cols[k]).collect();
            let mut part: Vec<f64> = positions.iter().map(|&k| w[k]).collect();
            let (v, intercept) = (&self.v, problem.intercept);
            let design = problem.design;
            residual::minimise(design, penalty, &features, &mut part, v, h, intercept, model);
            positions.iter().zip(part).for_each(|(&k, new)| w[k] = new);
        }
        self.step(&set.cols, &w, &set.mean);
    }

    /// Second derivatives of the model.
    fn curvature(&self, h: &mut [f64]) {
        self.datafit.curvature(&self.z, h);
        if self.damping != 1.0 {
            h.iter_mut().for_each(|h| *h *= self.damping);
        }
    }

    /// Whether passes work on copies of the columns.
    fn copied(&self, set: &WorkingSet) -> bool {
        self.settings.working_set && self.settings.order != Order::Greedy && !set.exact
    }

    /// Whether inner products of the working set may be kept.
    fn fits(&self, set: &WorkingSet, sparse: bool) -> bool {
        let (n, count) = (self.z.len(), set.cols.len());
        if self.settings.order == Order::Greedy {
            return true;
        }
        if sparse {
            let each = self.problem.design.stored(&set.cols).unwrap_or(0) / count.max(1);
            return count <= 1024 && each * count * count <= 40_000_000;
        }
        // Weights that change cost a new set of inner products each time: only small sets pay.
        let most = if self.problem.loss.quadratic() { 4096 } else { 600 };
        count <= most && count <= 4 * n.max(64)
    }

    /// Features by which a working set grows at most.
    fn grow(&self, support: usize, sparse: bool) -> usize {
        // Inner products of dense columns cost more than another pass, sparse columns next to none.
        let least = self.settings.p0.max(support);
        if sparse { least.max(self.z.len() / 10) } else { least }
    }

    /// Takes new weights when the old ones have become poor.
    fn refresh(&self, cache: &mut Cache, h: &[f64]) {
        if self.outdated(&cache.set.h, h) {
            cache.set.reset(h);
        }
    }

    /// Whether the weights `old` of a model have become poor.
    fn outdated(&self, old: &[f64], h: &[f64]) -> bool {
        if old.len() != h.len() {
            return true;
        }
        let (change, total) = h
            .iter()
            .zip(old)
            .fold((0.0, 0.0), |(change, total), (a, b)| (change + (a - b).abs(), total + a));
        change > if self.problem.loss.quadratic() { 0.0 } else { 0.05 * total }
    }

    /// Adds the support and the features that violate most to the working set; returns how many of
    /// these were new.
    fn admit(&mut self, set: &mut WorkingSet, norms: &[f64], support: &[usize]) -> usize {
        let p = self.w.len();
        let mut known = vec![false; p];
        set.cols.iter().for_each(|&j| known[j] = true);
        let mut new: Vec<usize> = support.iter().copied().filter(|&j| !known[j]).collect();
        new.iter().for_each(|&j| known[j] = true);
        let everything = !self.settings.working_set;
        let sparse = self.problem.design.stored(&[]).is_some();
        let count = if everything { p } else { self.grow(support.len(), sparse) };
        let (penalty, margin) = (&self.penalty, 1.0 - self.margin);
        let mut ranked: Vec<(f64, usize)> = Vec::new();
        for (&j, x) in self.active.iter().zip(&self.x) {
            let threshold = penalty.threshold(j);
            if (x.abs() > margin * threshold || everything) && !known[j] {
                ranked.push(((threshold - x.abs()) / norms[j].max(1e-300), j));
            }
        }
        if ranked.len() > count {
            ranked.select_nth_unstable_by(count, |a, b| a.0.total_cmp(&b.0));
            ranked.truncate(count);
        }
        new.extend(ranked.iter().map(|&(_, j)| j));
        new.sort_unstable();
        if !new.is_empty() {
            set.extend(self.problem.design, &new, self.problem.intercept);
        }
        ranked.len()
    }

    /// Moves to the new coefficients `to` of the features `cols`, or part of the way when the model
    /// promised too much (Armijo, factor 1e-4, halving).
    fn step(&mut self, cols: &[usize], to: &[f64], mean: &[f64]) {
        let (mut moved, mut delta, mut drop) = (Vec::new(), Vec::new(), 0.0);
        for (k, (&j, &to)) in cols.iter().zip(to).enumerate() {
            if to != self.w[j] {
                moved.push(j);
                delta.push(to - self.w[j]);
                drop -= mean.get(k).unwrap_or(&0.0) * (to - self.w[j]);
            }
        }
        let design = self.problem.design;
        if self.problem.loss.quadratic() {
            design.combine(&moved, &delta, &mut self.z);
            moved.iter().zip(&delta).for_each(|(&j, d)| self.w[j] += d);
            cols.iter().zip(to).for_each(|(&j, &to)| self.w[j] = to);
        } else if !moved.is_empty() {
            let taken = self.search(&moved, &delta, drop);
            self.damping =
                if taken < SHORT { 8.0 * self.damping } else { self.damping.max(2.0) / 2.0 };
        }
        self.fit_intercept();
    }

    /// Returns the part of the way that was taken.
    fn search(&mut self, moved: &[usize], delta: &[f64], drop: f64) -> f64 {
        let mut direction = vec![if self.problem.intercept { drop } else { 0.0 }; self.z.len()];
        self.problem.design.combine(moved, delta, &mut direction);
        let penalty = &self.penalty;
        let cost = |w: &[f64], t: f64| -> f64 {
            moved.iter().zip(delta).map(|(&j, d)| penalty.value(w[j] + t * d, j)).sum()
        };
        let here = cost(&self.w, 0.0);
        let slope = -self.v.iter().zip(&direction).map(|(v, d)| v * d).sum::<f64>()
            + cost(&self.w, 1.0)
            - here;
        let start = self.datafit.value(&self.z) + here;
        let from = self.z.clone();
        let mut t = 1.0;
        for _ in 0..30 {
            self.z.iter_mut().zip(&from).zip(&direction).for_each(|((z, f), d)| *z = f + t * d);
            let value = self.datafit.value(&self.z) + cost(&self.w, t);
            if value <= start + 1e-4 * t * slope.min(0.0) + 1e-15 * start.abs() {
                moved.iter().zip(delta).for_each(|(&j, d)| self.w[j] += t * d);
                self.b += t * if self.problem.intercept { drop } else { 0.0 };
                return t;
            }
            t *= 0.5;
        }
        self.z = from;
        0.0
    }
}
