//! The iterate and the passes over all features.

use super::certificate::Certificate;
use super::{Cache, Problem, Settings};
use crate::coordinate::datafit::Datafit;
use crate::coordinate::design::Moments;
use crate::coordinate::penalty::Penalty;
use crate::engine::{Error, Result};

/// An iterate, what follows from it, and what is known of the features.
pub(super) struct State<'a, 'f> {
    pub problem: &'a Problem<'a, 'f>,
    pub datafit: Datafit<'a>,
    pub settings: &'a Settings,
    pub penalty: Box<dyn Penalty + 'f>,
    pub w: Vec<f64>,
    pub b: f64,
    pub z: Vec<f64>,
    pub v: Vec<f64>,
    /// Features that screening has left.
    pub active: Vec<usize>,
    /// Correlations of the active features with `v`.
    pub x: Vec<f64>,
    /// Largest correlation at the start: the unit of the violation.
    pub steepest: f64,
    /// Objective of the null model.
    pub null: f64,
    /// Features this close to their threshold, relative to it, enter the working set although they
    /// do not violate yet: along a path, those that the strong rule expects.
    pub margin: f64,
    /// Factor of the model's curvature: above 1 after a model that promised too much.
    pub damping: f64,
}

impl<'a, 'f> State<'a, 'f> {
    pub fn new(
        problem: &'a Problem<'a, 'f>,
        settings: &'a Settings,
        start: Option<(&[f64], f64)>,
        alpha: f64,
    ) -> Self {
        let (n, p) = (problem.design.rows(), problem.design.cols());
        let datafit = Datafit { loss: problem.loss, y: problem.y, weights: problem.weights };
        let penalty = (problem.penalty)(alpha);
        let active = (0..p).filter(|&j| penalty.threshold(j) < f64::INFINITY).collect();
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
            margin: 0.0,
            damping: 1.0,
            penalty,
        };
        state.z.fill(state.b);
        state.fit_intercept();
        state.null = state.datafit.value(&state.z);
        let support: Vec<usize> = state.active.iter().copied().filter(|&j| w[j] != 0.0).collect();
        if !support.is_empty() {
            let coef: Vec<f64> = support.iter().map(|&j| w[j]).collect();
            problem.design.combine(&support, &coef, &mut state.z);
            support.iter().for_each(|&j| state.w[j] = w[j]);
            state.fit_intercept();
        }
        state
    }

    /// Whether one more step costs nothing worth saving: small problems are finished to rounding.
    pub fn small(&self) -> bool {
        self.z.len() * self.w.len() <= 20_000
    }

    pub fn scale(&self) -> f64 {
        self.problem.loss.scale(self.problem.y, self.problem.weights, self.null)
    }

    /// One-dimensional Newton steps on the constant, halved while the slope grows; leaves `v`.
    pub fn fit_intercept(&mut self) {
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

    pub fn first_pass(&mut self, cache: &mut Cache) -> Result<()> {
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

    /// Takes back the features that screening dropped for the strength before; only their
    /// correlations are not known.
    pub fn restore(&mut self) {
        self.damping = 1.0;
        let mut kept = self.active.iter().copied().zip(self.x.iter().copied()).peekable();
        let (mut all, mut x, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
        for j in (0..self.w.len()).filter(|&j| self.penalty.threshold(j) < f64::INFINITY) {
            let known = kept.next_if(|&(active, _)| active == j);
            if known.is_none() {
                dropped.push(all.len());
            }
            all.push(j);
            x.push(known.map_or(0.0, |(_, x)| x));
        }
        if !dropped.is_empty() {
            let features: Vec<usize> = dropped.iter().map(|&at| all[at]).collect();
            let mut products = vec![0.0; features.len()];
            self.problem.design.dots(&features, &self.v, &mut products);
            dropped.iter().zip(products).for_each(|(&at, product)| x[at] = product);
            (self.active, self.x) = (all, x);
        }
    }

    pub fn satisfied(&self, gap: f64, certificate: &Certificate, target: f64) -> bool {
        if gap.is_finite() {
            return gap <= target;
        }
        certificate.violation <= self.settings.tol * self.steepest
    }

    /// Drops features that the gap proves to be zero at the optimum: `|x_j| + r |X_j|` below the
    /// threshold, with `r = sqrt(2 L gap)` the radius in which the dual optimum lies.
    pub fn screen(&mut self, certificate: &Certificate, cache: &Cache) {
        let gap = certificate.objective - certificate.bound;
        let Some(lipschitz) = self.problem.loss.lipschitz() else { return };
        if !gap.is_finite() || !self.settings.working_set {
            return;
        }
        let radius = (2.0 * lipschitz * gap.max(0.0)).sqrt();
        let scale = certificate.scale;
        let mut dropped = (Vec::new(), Vec::new());
        let mut kept = 0;
        for k in 0..self.active.len() {
            let j = self.active[k];
            let reach = (scale * self.x[k]).abs() + radius * cache.norms[j];
            if reach < self.penalty.threshold(j) * (1.0 - 1e-12) {
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
}
