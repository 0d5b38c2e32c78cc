//! One step of the outer loop: working set, model, line search.

use super::residual::{self, Model};
use super::state::State;
use super::{Cache, Gram};

impl State<'_, '_> {
    /// Solves the model on a working set and steps towards its minimiser.
    pub fn improve(&mut self, cache: &mut Cache, model: &mut Model<'_>, goal: f64, stalled: usize) {
        let problem = self.problem;
        let mut h = vec![0.0; self.z.len()];
        self.datafit.curvature(&self.z, &mut h);
        let energy = |v: &[f64], h: &[f64]| -> f64 {
            v.iter().zip(h).map(|(v, h)| if *h > 0.0 { v * v / h } else { 0.0 }).sum()
        };
        let goal = goal * 0.1f64.powi(stalled as i32);
        let support: Vec<usize> =
            self.active.iter().copied().filter(|&j| self.w[j] != 0.0).collect();
        if self.fits(cache, &support) {
            self.refresh(cache, &h);
            let gram = &mut cache.gram;
            self.admit(gram, &cache.norms, &support);
            let cols = gram.cols.clone();
            let mut w: Vec<f64> = cols.iter().map(|&j| self.w[j]).collect();
            let mut q = vec![0.0; cols.len()];
            problem.design.dots(&cols, &self.v, &mut q);
            model.begin(energy(&self.v, &gram.h), goal);
            let mut left = vec![false; self.w.len()];
            self.active.iter().for_each(|&j| left[j] = true);
            let positions: Vec<usize> = (0..cols.len()).filter(|&k| left[cols[k]]).collect();
            gram.minimise(self.penalty.as_ref(), &positions, &mut w, &mut q, model);
            let mean = gram.mean.clone();
            self.step(&cols, &w, &mean);
            self.set_size = positions.len();
        } else {
            self.choose(&cache.norms, &support);
            let set = std::mem::take(&mut self.set);
            let mut w: Vec<f64> = set.iter().map(|&j| self.w[j]).collect();
            model.begin(energy(&self.v, &h), goal);
            residual::minimise(
                problem.design,
                self.penalty.as_ref(),
                &set,
                &mut w,
                &self.v,
                &h,
                problem.intercept,
                model,
            );
            self.step(&set, &w, &[]);
            self.set_size = set.len();
            self.set = set;
        }
    }

    /// Whether the next working set is worked on through inner products.
    fn fits(&self, cache: &Cache, support: &[usize]) -> bool {
        let design = self.problem.design;
        let (n, p) = (design.rows(), design.cols());
        let next = cache.gram.cols.len().max(support.len()) + self.grow(support.len());
        let next = next.min(p);
        match design.stored(&self.active) {
            None => next <= 4096 && next <= 4 * n.max(64),
            Some(stored) => {
                let each = stored / self.active.len().max(1);
                next <= 1024 && each * next * next <= 40_000_000
            }
        }
    }

    fn grow(&self, support: usize) -> usize {
        // A set that was used up was too small; inner products of dense columns cost more than
        // another pass.
        let spent = 10 * support >= 7 * self.set_size && self.problem.design.stored(&[]).is_some();
        self.settings.p0.max(if spent { 3 * support } else { support })
    }

    /// Takes new weights for the inner products when the old ones have become poor.
    fn refresh(&self, cache: &mut Cache, h: &[f64]) {
        let gram = &mut cache.gram;
        let change: f64 = if gram.h.len() == h.len() {
            h.iter().zip(&gram.h).map(|(a, b)| (a - b).abs()).sum::<f64>()
        } else {
            f64::INFINITY
        };
        let total: f64 = h.iter().sum();
        if change > if self.problem.loss.quadratic() { 0.0 } else { 0.05 * total } {
            gram.reset(h);
            gram.single = !self.problem.loss.quadratic();
        }
    }

    /// Adds to the inner products the support and the features that violate most.
    fn admit(&mut self, gram: &mut Gram, norms: &[f64], support: &[usize]) {
        let p = self.w.len();
        let mut known = vec![false; p];
        gram.cols.iter().for_each(|&j| known[j] = true);
        let mut new: Vec<usize> = support.iter().copied().filter(|&j| !known[j]).collect();
        new.iter().for_each(|&j| known[j] = true);
        let count = if self.settings.working_set { self.grow(support.len()) } else { p };
        let everything = !self.settings.working_set;
        let penalty = &self.penalty;
        let mut ranked: Vec<(f64, usize)> = self
            .active
            .iter()
            .zip(&self.x)
            .filter(|&(&j, _)| !known[j])
            .map(|(&j, x)| ((penalty.threshold(j) - x.abs()) / norms[j].max(1e-300), j))
            .filter(|&(slack, j)| {
                everything || slack * norms[j] < self.margin * penalty.threshold(j)
            })
            .collect();
        if ranked.len() > count {
            ranked.select_nth_unstable_by(count, |a, b| a.0.total_cmp(&b.0));
            ranked.truncate(count);
        }
        new.extend(ranked.iter().map(|&(_, j)| j));
        new.sort_unstable();
        if !new.is_empty() {
            gram.extend(self.problem.design, &new, self.problem.intercept);
        }
    }

    /// The working set of the residual solver: the support and the features closest to it.
    fn choose(&mut self, norms: &[f64], support: &[usize]) {
        self.set.clear();
        if !self.settings.working_set {
            self.set.extend_from_slice(&self.active);
            return;
        }
        let penalty = &self.penalty;
        // A sparse set is cheap to work on: take what violates, and some that nearly do.
        let violators = self
            .active
            .iter()
            .zip(&self.x)
            .filter(|&(&j, x)| x.abs() > penalty.threshold(j))
            .count();
        let most = self.grow(support.len()).max(self.z.len() / 10);
        let size = support.len() + violators.clamp(self.settings.p0, most.max(self.settings.p0));
        let size = size.min(self.active.len());
        let priority = |j: usize, x: f64| {
            if self.w[j] != 0.0 || penalty.threshold(j) == 0.0 {
                return f64::NEG_INFINITY;
            }
            (penalty.threshold(j) - x.abs()) / norms[j].max(1e-300)
        };
        let mut ranked: Vec<(f64, usize)> =
            self.active.iter().zip(&self.x).map(|(&j, &x)| (priority(j, x), j)).collect();
        if size < ranked.len() {
            ranked.select_nth_unstable_by(size, |a, b| a.0.total_cmp(&b.0));
            ranked.truncate(size);
        }
        self.set.extend(ranked.iter().map(|&(_, j)| j));
        self.set.sort_unstable();
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
            self.search(&moved, &delta, drop);
        }
        self.fit_intercept();
        self.x.resize(self.active.len(), 0.0);
        design.dots(&self.active, &self.v, &mut self.x);
    }

    fn search(&mut self, moved: &[usize], delta: &[f64], drop: f64) {
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
                return;
            }
            t *= 0.5;
        }
        self.z = from;
    }
}
