//! The quadratic model on a working set, and coordinate steps that keep the residual.

use super::anderson::Anderson;
use super::{Order, Settings};
use crate::coordinate::design::{Dense, Design, Moments, Sweep};
use crate::coordinate::penalty::Penalty;
use crate::engine::rng::Philox;

/// Stopping rule and order of the passes over a working set.
pub(crate) struct Model<'a> {
    /// `sum v^2 / h` at the start.
    pub energy: f64,
    /// Gap of the model at which to stop; without certificate, the violation.
    pub tol: f64,
    /// Passes over the support between two over the whole set.
    pub inner: usize,
    /// Passes so far, of all working sets.
    pub epochs: usize,
    pub accelerate: bool,
    pub settings: &'a Settings,
    /// Draws so far.
    pub drawn: u64,
    /// Smallest model objective so far, and how often in a row it has not fallen.
    pub best: f64,
    pub stalled: usize,
}

impl<'a> Model<'a> {
    pub fn new(settings: &'a Settings) -> Self {
        Self {
            energy: 0.0,
            tol: 0.0,
            // Without working sets every pass visits every feature, as the plain method does.
            inner: if settings.working_set { 10 } else { 0 },
            epochs: 0,
            accelerate: settings.accelerate,
            settings,
            drawn: 0,
            best: f64::INFINITY,
            stalled: 0,
        }
    }

    /// Starts a working set.
    pub fn begin(&mut self, energy: f64, tol: f64) {
        (self.energy, self.tol, self.best, self.stalled) = (energy, tol, f64::INFINITY, 0);
    }

    pub fn exhausted(&self) -> bool {
        self.epochs >= self.settings.max_epochs
    }

    /// Writes the positions to visit.
    pub fn arrange(&mut self, positions: &[usize], order: &mut Vec<usize>) {
        order.clear();
        order.extend_from_slice(positions);
        let (rng, len) = (Philox::new(self.settings.seed), positions.len() as u64);
        self.drawn += 1;
        match self.settings.order {
            Order::Cyclic => {}
            Order::Shuffled => {
                for i in (1..positions.len()).rev() {
                    order.swap(i, rng.below(self.drawn, i as u64, i as u64 + 1) as usize);
                }
            }
            Order::Random => {
                for (i, slot) in order.iter_mut().enumerate() {
                    *slot = positions[rng.below(self.drawn, i as u64, len) as usize];
                }
            }
        }
    }

    /// Whether to stop. The gap of the model is, with `E = sum v^2 / h`,
    /// `(1 - k)^2 E / 2 + sum (pen(w) + pen*(k q) - k w q)`.
    pub fn done(
        &mut self,
        penalty: &dyn Penalty,
        cols: &[usize],
        w: &[f64],
        q: &[f64],
        energy: f64,
    ) -> bool {
        let scan = penalty.scan(cols, w, q);
        let value = 0.5 * energy + scan.value;
        let measure = if penalty.convex() {
            let product: f64 = w.iter().zip(q).map(|(w, q)| w * q).sum();
            let gap = |k: f64| {
                0.5 * (1.0 - k) * (1.0 - k) * energy + scan.value - k * product
                    + penalty.conjugates(cols, q, k)
            };
            gap(scan.reach_at).min(gap(scan.reach))
        } else {
            scan.violation
        };
        self.stalled = if value < self.best { 0 } else { self.stalled + 1 };
        self.best = self.best.min(value);
        measure <= self.tol || self.exhausted() || self.stalled >= 3
    }
}

/// Minimises the model over the features `features` with the residual in memory. Returns their new
/// coefficients. `v` is minus the gradient in the predictor, `h` its curvature.
#[allow(clippy::too_many_arguments)]
pub(crate) fn minimise(
    design: &dyn Design,
    penalty: &dyn Penalty,
    features: &[usize],
    w: &mut [f64],
    v: &[f64],
    h: &[f64],
    intercept: bool,
    model: &mut Model<'_>,
) {
    let (n, count) = (design.rows(), features.len());
    let mut copied = Vec::new();
    let positions: Vec<usize> = (0..count).collect();
    let gathered;
    let (design, cols): (&dyn Design, &[usize]) = if design.scattered() {
        copied.resize(n * count, 0.0);
        design.pack(features, 0..n, &mut copied);
        gathered = Dense::new(&copied[..], n, count).expect("n * count entries");
        (&gathered, &positions)
    } else {
        (design, features)
    };
    let mut moments = vec![Moments::default(); count];
    design.moments(cols, v, h, &mut moments);
    let total: f64 = h.iter().sum();
    let (curvature, mean): (Vec<f64>, Vec<f64>) =
        moments.iter().map(|m| centre(m, total, intercept)).unzip();
    let (mut q, mut shift) = (v.to_vec(), 0.0);
    let mut x = vec![0.0; count];
    let mut anderson = Anderson::default();
    let mut order = positions.clone();
    let energy_of = |q: &[f64], shift: f64| -> f64 {
        q.iter().zip(h).map(|(q, h)| if *h > 0.0 { (q + shift * h).powi(2) / h } else { 0.0 }).sum()
    };
    let mut state = vec![0.0; n + 1];
    loop {
        for epoch in 0..model.inner.max(1) {
            if epoch > 0 && model.exhausted() {
                break;
            }
            model.arrange(&positions, &mut order);
            design.sweep(&mut Sweep {
                order: &order,
                features,
                cols,
                curvature: &curvature,
                mean: &mean,
                total,
                h,
                w,
                q: &mut q,
                shift: &mut shift,
                penalty,
            });
            model.epochs += 1;
            if !model.accelerate {
                continue;
            }
            state[..n].copy_from_slice(&q);
            state[n] = shift;
            if let Some(candidate) = anderson.push([w, &state]) {
                let (cw, cq) = candidate.split_at(count);
                let value = |w: &[f64], q: &[f64], shift: f64| {
                    0.5 * energy_of(q, shift) + penalty.scan(features, w, &x).value
                };
                let feasible = cw.iter().zip(features).all(|(&c, &j)| penalty.allows(c, j));
                if feasible && value(cw, &cq[..n], cq[n]) < value(w, &q, shift) {
                    w.copy_from_slice(cw);
                    q.copy_from_slice(&cq[..n]);
                    shift = cq[n];
                }
            }
        }
        let energy = energy_of(&q, shift);
        design.dots(cols, &q, &mut x);
        for (x, mean) in x.iter_mut().zip(&mean) {
            *x += shift * total * mean;
        }
        if model.done(penalty, features, w, &x, energy) {
            return;
        }
    }
}

/// Curvature and mean of a column; a column that is constant up to rounding has no curvature.
fn centre(m: &Moments, total: f64, intercept: bool) -> (f64, f64) {
    if !intercept {
        return (m.second, 0.0);
    }
    let mean = m.first / total;
    let curvature = m.second - total * mean * mean;
    (if curvature <= 1e-13 * m.second { 0.0 } else { curvature }, mean)
}
