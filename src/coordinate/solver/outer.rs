//! The outer loop: certificate, screening, working set, model, line search.

use super::certificate::{Certificate, certify};
use super::residual::{self, Model};
use super::{Cache, Observer, Problem, Progress, Settings, Solution, Status};
use crate::coordinate::datafit::Datafit;
use crate::coordinate::design::Moments;
use crate::engine::{Error, Result};

/// Minimises the problem from `start` (coefficients and constant), or from zero.
///
/// # Errors
/// If the matrix holds NaN or infinity, or values whose squares overflow.
pub fn solve(
    problem: &Problem<'_>,
    settings: &Settings,
    start: Option<(&[f64], f64)>,
    cache: &mut Cache,
    observe: Observer<'_>,
) -> Result<Solution> {
    let mut state = State::new(problem, settings, start);
    state.first_pass(cache)?;
    let target = settings.tol * state.scale();
    let mut model = Model::new(settings);
    let mut history: Vec<Progress> = Vec::new();
    let mut bound = f64::NEG_INFINITY;
    let mut stalled = 0;
    let (status, certificate) = loop {
        let certificate = state.certify();
        bound = bound.max(certificate.bound);
        // Rounding can put the bound above the objective by some units in the last place.
        let gap = (certificate.objective - bound).max(0.0);
        let progress = Progress {
            objective: certificate.objective,
            gap,
            violation: certificate.violation,
            remaining: state.active.len(),
            support: state.w.iter().filter(|w| **w != 0.0).count(),
            epochs: model.epochs,
        };
        let before = history.last().copied();
        history.push(progress);
        if !observe(&progress) {
            break (Status::Interrupted, certificate);
        }
        if state.satisfied(gap, &certificate, target) {
            break (Status::Converged, certificate);
        }
        if let Some(before) = before {
            let falls = gap < 0.9 * before.gap
                || progress.violation < 0.9 * before.violation
                || progress.objective < before.objective - 1e-15 * before.objective.abs();
            stalled = if falls { 0 } else { stalled + 1 };
        }
        if stalled >= 4 {
            break (Status::Precision, certificate);
        }
        if history.len() > settings.max_iter || model.exhausted() {
            break (Status::Limit, certificate);
        }
        state.screen(&certificate, cache);
        let goal = if gap.is_finite() {
            (0.3 * target).max(state.haste * gap)
        } else {
            (0.3 * settings.tol * state.steepest).max(0.1 * certificate.violation)
        };
        state.improve(cache, &mut model, goal, stalled);
    };
    let State { w, b, v, .. } = state;
    let dual = v.iter().map(|v| certificate.scale * v).collect();
    Ok(Solution { coef: w, intercept: b, dual, target, status, history })
}

struct State<'a> {
    problem: &'a Problem<'a>,
    datafit: Datafit<'a>,
    settings: &'a Settings,
    w: Vec<f64>,
    b: f64,
    z: Vec<f64>,
    v: Vec<f64>,
    /// Features that screening has left.
    active: Vec<usize>,
    /// Correlations of the active features with `v`.
    x: Vec<f64>,
    /// Largest correlation at the start: the unit of the violation.
    steepest: f64,
    /// Objective of the null model.
    null: f64,
    /// How far below the gap a working set is solved.
    haste: f64,
    set: Vec<usize>,
    set_size: usize,
}

impl<'a> State<'a> {
    fn new(problem: &'a Problem<'a>, settings: &'a Settings, start: Option<(&[f64], f64)>) -> Self {
        let (n, p) = (problem.design.rows(), problem.design.cols());
        let datafit = Datafit { loss: problem.loss, y: problem.y, weights: problem.weights };
        let active = (0..p).filter(|&j| problem.penalty.threshold(j) < f64::INFINITY).collect();
        let (w, b) = start.map_or((vec![0.0; p], 0.0), |(w, b)| (w.to_vec(), b));
        let mut state = Self {
            problem,
            datafit,
            settings,
            w: vec![0.0; p],
            b: if problem.intercept { b } else { 0.0 },
            z: vec![0.0; n],
            v: vec![0.0; n],
            active,
            x: Vec::new(),
            steepest: 0.0,
            null: 0.0,
            haste: 0.1,
            set: Vec::new(),
            set_size: 0,
        };
        state.z.fill(state.b);
        state.fit_intercept();
        state.null = state.datafit.value(&state.z);
        let support: Vec<usize> =
            state.active.iter().copied().filter(|&j| w[j] != 0.0).collect();
        if !support.is_empty() {
            let coef: Vec<f64> = support.iter().map(|&j| w[j]).collect();
            problem.design.combine(&support, &coef, &mut state.z);
            support.iter().for_each(|&j| state.w[j] = w[j]);
            state.fit_intercept();
        }
        state
    }

    fn scale(&self) -> f64 {
        self.problem.loss.scale(self.problem.y, self.problem.weights, self.null)
    }

    /// One-dimensional Newton steps on the constant, halved while the slope grows; leaves `v`.
    fn fit_intercept(&mut self) {
        self.datafit.residual(&self.z, &mut self.v);
        if !self.problem.intercept {
            return;
        }
        let mut h = vec![0.0; self.z.len()];
        let mut slope: f64 = self.v.iter().sum();
        for _ in 0..100 {
            let size: f64 = self.v.iter().map(|v| v.abs()).sum();
            if slope.abs() <= 1e-15 * size {
                break;
            }
            self.datafit.curvature(&self.z, &mut h);
            let mut step = slope / h.iter().sum::<f64>();
            let from = (self.z.clone(), self.b);
            let mut better = false;
            for _ in 0..60 {
                self.z.iter_mut().zip(&from.0).for_each(|(z, old)| *z = old + step);
                self.datafit.residual(&self.z, &mut self.v);
                let new: f64 = self.v.iter().sum();
                if new.abs() < slope.abs() {
                    (slope, better) = (new, true);
                    self.b = from.1 + step;
                    break;
                }
                step *= 0.5;
            }
            if !better {
                (self.z, self.b) = from;
                self.datafit.residual(&self.z, &mut self.v);
                break;
            }
        }
    }

    fn first_pass(&mut self, cache: &mut Cache) -> Result<()> {
        let (design, p) = (self.problem.design, self.w.len());
        self.x = vec![0.0; self.active.len()];
        if cache.norms.len() == p {
            design.dots(&self.active, &self.v, &mut self.x);
        } else {
            let all: Vec<usize> = (0..p).collect();
            let mut moments = vec![Moments::default(); p];
            design.moments(&all, &self.v, self.problem.weights, &mut moments);
            if moments.iter().any(|m| !m.second.is_finite() || !m.dot.is_finite()) {
                return Err(Error::NonFinite {
                    name: "X".into(),
                    fix: "remove or impute these entries (squares must not overflow either)".into(),
                });
            }
            let centred = |m: &Moments| {
                let mean = if self.problem.intercept { m.first } else { 0.0 };
                // Never below the truth by rounding: screening relies on it.
                (m.second - mean * mean).max(1e-14 * m.second).sqrt()
            };
            cache.norms = moments.iter().map(centred).collect();
            for (x, &j) in self.x.iter_mut().zip(&self.active) {
                *x = moments[j].dot;
            }
        }
        self.steepest = self.x.iter().fold(0.0, |a, x| f64::max(a, x.abs()));
        Ok(())
    }

    fn certify(&self) -> Certificate {
        let w: Vec<f64> = self.active.iter().map(|&j| self.w[j]).collect();
        certify(self.problem, &self.active, &w, &self.x, &self.z, &self.v)
    }

    fn satisfied(&self, gap: f64, certificate: &Certificate, target: f64) -> bool {
        if gap.is_finite() {
            return gap <= target;
        }
        certificate.violation <= self.settings.tol * self.steepest
    }

    /// Drops features that the gap proves to be zero at the optimum: `|x_j| + r |X_j|` below the
    /// threshold, with `r = sqrt(2 L gap)` the radius in which the dual optimum lies.
    fn screen(&mut self, certificate: &Certificate, cache: &Cache) {
        let gap = certificate.objective - certificate.bound;
        let Some(lipschitz) = self.problem.loss.lipschitz() else { return };
        if !gap.is_finite() || !self.settings.working_set {
            return;
        }
        let radius = (2.0 * lipschitz * gap.max(0.0)).sqrt();
        let (penalty, scale) = (self.problem.penalty, certificate.scale);
        let mut dropped = (Vec::new(), Vec::new());
        let mut kept = 0;
        for k in 0..self.active.len() {
            let j = self.active[k];
            let reach = (scale * self.x[k]).abs() + radius * cache.norms[j];
            if reach < penalty.threshold(j) * (1.0 - 1e-12) {
                if self.w[j] != 0.0 {
                    dropped.0.push(j);
                    dropped.1.push(-self.w[j]);
                    self.w[j] = 0.0;
                }
            } else {
                (self.active[kept], self.x[kept]) = (j, self.x[k]);
                kept += 1;
            }
        }
        self.active.truncate(kept);
        self.x.truncate(kept);
        if !dropped.0.is_empty() {
            self.problem.design.combine(&dropped.0, &dropped.1, &mut self.z);
            self.fit_intercept();
            self.problem.design.dots(&self.active, &self.v, &mut self.x);
        }
    }

    /// Solves the model on a working set and steps towards its minimiser.
    fn improve(&mut self, cache: &mut Cache, model: &mut Model<'_>, goal: f64, stalled: usize) {
        let problem = self.problem;
        let mut h = vec![0.0; self.z.len()];
        self.datafit.curvature(&self.z, &mut h);
        let energy = |v: &[f64], h: &[f64]| -> f64 {
            v.iter().zip(h).map(|(v, h)| if *h > 0.0 { v * v / h } else { 0.0 }).sum()
        };
        let goal = goal * 0.1f64.powi(stalled as i32);
        let support: Vec<usize> = self.active.iter().copied().filter(|&j| self.w[j] != 0.0).collect();
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
            gram.minimise(problem.penalty, &positions, &mut w, &mut q, model);
            let mean = gram.mean.clone();
            self.step(&cols, &w, &mean);
            self.set_size = positions.len();
            if std::env::var("DBG").is_ok(){eprintln!("gram {} pos {}", cols.len(), positions.len());}
        } else {
            self.choose(&cache.norms, &support);
            let set = std::mem::take(&mut self.set);
            let mut w: Vec<f64> = set.iter().map(|&j| self.w[j]).collect();
            model.begin(energy(&self.v, &h), goal);
            residual::minimise(
                problem.design,
                problem.penalty,
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
        // A set that was used up was too small.
        let spent = 10 * support >= 7 * self.set_size;
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
        if change > if self.problem.loss.quadratic() { 0.0 } else { std::env::var("STALE").map_or(0.05, |v| v.parse().unwrap()) * total } {
            gram.reset(h);
        }
    }

    /// Adds to the inner products the support and the features that violate most.
    fn admit(&mut self, gram: &mut super::Gram, norms: &[f64], support: &[usize]) {
        let p = self.w.len();
        let mut known = vec![false; p];
        gram.cols.iter().for_each(|&j| known[j] = true);
        let mut new: Vec<usize> = support.iter().copied().filter(|&j| !known[j]).collect();
        new.iter().for_each(|&j| known[j] = true);
        let count = if self.settings.working_set { self.grow(support.len()) } else { p };
        let everything = !self.settings.working_set;
        let penalty = self.problem.penalty;
        let mut ranked: Vec<(f64, usize)> = self
            .active
            .iter()
            .zip(&self.x)
            .filter(|&(&j, _)| !known[j])
            .map(|(&j, x)| ((penalty.threshold(j) - x.abs()) / norms[j].max(1e-300), j))
            .filter(|&(slack, j)| everything || slack * norms[j] < self.settings.margin * penalty.threshold(j))
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
        let size = (support.len() + self.grow(support.len())).min(self.active.len());
        let penalty = self.problem.penalty;
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
        let penalty = self.problem.penalty;
        let cost = |w: &[f64], t: f64| -> f64 {
            moved.iter().zip(delta).map(|(&j, d)| penalty.value(w[j] + t * d, j)).sum()
        };
        let here = cost(&self.w, 0.0);
        let slope = -self.v.iter().zip(&direction).map(|(v, d)| v * d).sum::<f64>()
            + cost(&self.w, 1.0) - here;
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
