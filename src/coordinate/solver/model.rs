//! What every way to minimise the quadratic model shares: when to stop, where to go next.

use super::{Order, Settings};
use crate::coordinate::penalty::Penalty;
use crate::engine::rng::Philox;

/// Stopping rule and order of the passes over a working set.
pub(crate) struct Model<'a> {
    /// `sum v^2 / h` at the start.
    pub energy: f64,
    /// Gap of the model at which to stop; without certificate, the violation. The first while
    /// passes are cheap: until the epoch `cheap`.
    pub end: f64,
    pub now: f64,
    pub cheap: usize,
    /// Passes over the support between two over the whole set.
    pub inner: usize,
    /// Passes so far, of all working sets.
    pub epochs: usize,
    pub accelerate: bool,
    pub settings: &'a Settings,
    /// Draws so far.
    pub drawn: u64,
    /// Smallest objective and gap of the model so far, and how often in a row neither fell.
    pub best: f64,
    pub least: f64,
    pub stalled: usize,
}

impl<'a> Model<'a> {
    pub fn new(settings: &'a Settings) -> Self {
        Self {
            energy: 0.0,
            end: 0.0,
            now: 0.0,
            cheap: 0,
            // Without working sets every pass visits every feature, as the plain method does.
            inner: if settings.working_set { 10 } else { 0 },
            epochs: 0,
            accelerate: settings.accelerate,
            settings,
            drawn: 0,
            best: f64::INFINITY,
            least: f64::INFINITY,
            stalled: 0,
        }
    }

    /// Starts a model.
    pub fn begin(&mut self, energy: f64) {
        (self.energy, self.stalled) = (energy, 0);
        (self.best, self.least) = (f64::INFINITY, f64::INFINITY);
    }

    /// Where to stop, see [`Self::end`].
    pub fn tol(&self) -> f64 {
        if self.cheap() { self.end } else { self.now }
    }

    /// Whether the passes so far cost less than the pass over all features that they may save.
    pub fn cheap(&self) -> bool {
        self.epochs < self.cheap
    }

    /// Whether positions are visited as numbered.
    pub fn ascending(&self) -> bool {
        self.settings.order == Order::Cyclic
    }

    /// Whether each step takes the coordinate that lowers the model most.
    pub fn greedy(&self) -> bool {
        self.settings.order == Order::Greedy
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
            Order::Cyclic | Order::Greedy => {}
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
        // Near the optimum the objective is rounding long before the gap is.
        let falls = value < self.best || measure < 0.99 * self.least;
        self.stalled = if falls { 0 } else { self.stalled + 1 };
        (self.best, self.least) = (self.best.min(value), self.least.min(measure));
        measure <= self.tol() || self.exhausted() || self.stalled >= 3
    }
}
