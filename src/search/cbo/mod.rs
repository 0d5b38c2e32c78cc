//! Consensus-based optimisation: particles drift to a weighted mean of all, shaken in proportion.
//!
//! Pinnau, Totzeck, Tse, Martin 2017, Math. Models Methods Appl. Sci. 27; anisotropic noise and
//! batches: Carrillo, Jin, Li, Zhu 2021, ESAIM COCV 27; memory: Grassi, Pareschi 2021, M3AS 31;
//! Adam: Chen, Jin, Lyu 2022, arXiv:2012.04827; polarised: Bungert, Roith, Wacker 2022,
//! arXiv:2211.05238; effective sample size: Carrillo, Hoffmann, Stuart, Vaes 2022, Stud. Appl.
//! Math. 148.
//!
//!   x_i particles   f_i costs   y_i personal bests, where there is memory   z, z' normal noise
//!   w_i ~ exp(-alpha f_i)   c = sum w_i x_i   D_i = (x_i - c) h_i
//!   h_i = 1, or 1{f_i > f(c)}, or (1 + tanh((f_i - f(c)) / eps)) / 2
//!   x_i += -lam dt D_i + sigma sqrt(dt) n(D_i, z_i)
//!   n(D, z) = D z (anisotropic), |D| z (isotropic), z (constant),
//!             sqrt(2 (1 + alpha)) C^(1/2) z with C = sum w_i D_i D_i' (covariance)
//!   memory: costs are those of y, the mean is over y, and then
//!           x_i += -lam_memory dt (x_i - y_i) + sigma_memory sqrt(dt) n(x_i - y_i, z'_i)
//!   polarised: each x_i its own mean, weights ~ exp(-alpha (f_j + |x_i - x_j|^2 / (2 kappa^2)))
//!   Adam: the drift is lam m' / (sqrt(v') + 1e-8), without dt; m, v means of D and D^2
//!
//! A step asks the particles of a batch; a correction then asks f(c), a step of its own.
//! Noise is in single precision. C^(1/2) z is drawn as sum_j sqrt(w_j) D_j z_j, which has the same
//! law without a d x d matrix.
//! Without a finite cost nothing moves. Time: O(n d) a step; polarised and covariance O(n^2 d).

use super::ask_tell::{Method, Point};
use super::ensemble::Ensemble;
use super::setting::Setting;
use crate::engine::{Result, threads};
use batches::Batches;
use settings::Settings;
use std::borrow::Cow;

mod batches;
mod consensus;
mod movement;
mod settings;
mod shift;

/// The method and its particles.
#[derive(Debug, Clone)]
pub struct Cbo {
    set: Settings,
    dim: usize,
    particles: Ensemble,
    costs: Vec<f64>,
    /// Personal bests; empty without memory.
    best: Vec<f64>,
    /// Means of drift and squared drift, a row of both for each particle, and how many drifts.
    moments: Vec<f64>,
    drifts: Vec<f64>,
    /// One row, or one for each particle that moves.
    consensus: Vec<f64>,
    batches: Batches,
    /// Whether the open step asks f(c); alpha of the next weights.
    control: Vec<f64>,
}

const CORRECTING: usize = 0;
const ALPHA: usize = 1;

impl Cbo {
    /// The method in `dim` dimensions.
    ///
    /// # Errors
    /// [`Error::Value`](crate::engine::Error::Value) or
    /// [`Error::Type`](crate::engine::Error::Type) for a setting out of range.
    pub fn new(dim: usize, settings: &[(String, Setting)]) -> Result<Self> {
        let set = Settings::new(settings)?;
        let n = set.population;
        let (adam, moving) = (set.betas.is_some(), if set.move_all { n } else { set.batch_size });
        Ok(Self {
            dim,
            particles: Ensemble::new(n, dim, set.spread),
            costs: vec![f64::INFINITY; n],
            best: vec![0.0; if set.memory.is_some() { n * dim } else { 0 }],
            moments: vec![0.0; if adam { 2 * n * dim } else { 0 }],
            drifts: vec![0.0; if adam { n } else { 0 }],
            consensus: vec![0.0; dim * if set.kappa.is_some() { moving } else { 1 }],
            batches: Batches::new(n, set.batch_size, set.batch_join),
            control: vec![0.0, set.alpha.min(set.alpha_max)],
            set,
        })
    }

    fn correcting(&self) -> bool {
        self.control[CORRECTING] != 0.0
    }

    /// Where the costs are taken that the consensus weighs.
    fn site(&self, particle: usize) -> &[f64] {
        match self.set.memory {
            Some(_) => &self.best[particle * self.dim..][..self.dim],
            None => self.particles.row(particle),
        }
    }

    /// Particles that move; one that stands twice in a batch moves once, the second time.
    fn moving(&self) -> Vec<usize> {
        match self.set.move_all {
            true => (0..self.set.population).collect(),
            false => self.batches.particles(),
        }
    }

    /// The consensus of the `k`-th particle that moves.
    fn target(&self, k: usize) -> &[f64] {
        let row = if self.set.kappa.is_some() { k } else { 0 };
        &self.consensus[row * self.dim..][..self.dim]
    }

    /// Takes the costs of the batch.
    fn note(&mut self, costs: &[f64]) {
        for (i, &cost) in self.batches.particles().into_iter().zip(costs) {
            if self.set.memory.is_none() {
                self.costs[i] = cost;
            } else if cost < self.costs[i] {
                self.costs[i] = cost;
                self.best[i * self.dim..][..self.dim].copy_from_slice(self.particles.row(i));
            }
        }
    }

    /// Costs of the batch.
    fn batch_costs(&self) -> Cow<'_, [f64]> {
        match self.batches.whole() {
            true => Cow::Borrowed(&self.costs),
            false => self.batches.particles().into_iter().map(|i| self.costs[i]).collect(),
        }
    }

    /// Weights of the batch; none without a finite cost.
    fn weights(&self, costs: &[f64]) -> Option<Vec<f64>> {
        let mut out: Vec<f64> = costs.iter().map(|cost| self.control[ALPHA] * cost).collect();
        consensus::weigh(&mut out).then_some(out)
    }

    /// Finds the consensus; false without a finite cost.
    fn agree(&mut self) -> bool {
        if let Some(share) = self.set.ess {
            let costs = self.batch_costs();
            if costs.iter().all(|cost| !cost.is_finite()) {
                return false;
            }
            self.control[ALPHA] = consensus::effective_alpha(&costs, share, self.set.alpha_max);
        }
        let mut out = std::mem::take(&mut self.consensus);
        let costs = self.batch_costs();
        let rows: Vec<&[f64]> =
            self.batches.particles().into_iter().map(|i| self.site(i)).collect();
        let agreed = match (self.set.kappa, self.weights(&costs)) {
            (None, Some(weights)) => {
                consensus::mean(&rows, &weights, &mut out);
                true
            }
            (Some(kappa), Some(_)) => {
                let places = [self.control[ALPHA], kappa];
                let moving = self.moving();
                threads::for_each_chunk(&mut out, self.dim, |k, out| {
                    let x = self.particles.row(moving[k]);
                    if !consensus::polarised(x, &rows, &costs, places, out) {
                        out.copy_from_slice(x);
                    }
                });
                true
            }
            (_, None) => false,
        };
        self.consensus = out;
        agreed
    }

    /// Opens the next step.
    fn next(&mut self, at: &Point) {
        self.control[CORRECTING] = 0.0;
        self.batches.next(&at.rng);
    }
}

impl Method for Cbo {
    fn population(&self) -> usize {
        if self.correcting() { self.consensus.len() / self.dim } else { self.set.batch_size }
    }

    fn candidate(&self, at: &Point, index: usize, out: &mut [f64]) {
        let particle = || self.batches.particle(index);
        match (self.correcting(), at.step) {
            (true, _) => out.copy_from_slice(self.target(index)),
            (false, 0) => self.particles.first(at, particle(), out),
            (false, _) => out.copy_from_slice(self.particles.row(particle())),
        }
    }

    fn kept(&self, at: &Point) -> Option<&[f64]> {
        let kept = at.step > 0 && !self.correcting() && self.batches.whole();
        kept.then_some(&self.particles.members)
    }

    fn advance(&mut self, at: &mut Point, costs: &[f64]) {
        if self.correcting() {
            return self.shift(at, costs);
        }
        if at.step == 0 {
            self.particles.settle(at);
            if self.set.memory.is_some() {
                self.best.copy_from_slice(&self.particles.members);
            }
        }
        self.note(costs);
        if !self.agree() {
            return self.next(at);
        }
        if self.set.correction.is_some() {
            self.control[CORRECTING] = 1.0;
            return;
        }
        self.shift(at, &[]);
    }

    /// The largest distance of a coordinate from its consensus.
    fn reach(&self, at: &Point) -> f64 {
        if at.step == 0 {
            return f64::INFINITY;
        }
        let gap = |(x, c): (&f64, &f64)| (x - c).abs();
        let rows = self.moving().into_iter().enumerate();
        rows.flat_map(|(k, i)| self.particles.row(i).iter().zip(self.target(k)).map(gap))
            .fold(0.0, f64::max)
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        vec![
            ("members", &mut self.particles.members),
            ("given", &mut self.particles.given),
            ("costs", &mut self.costs),
            ("best", &mut self.best),
            ("moments", &mut self.moments),
            ("drifts", &mut self.drifts),
            ("consensus", &mut self.consensus),
            ("batch", &mut self.batches.batch),
            ("order", &mut self.batches.order),
            ("used", &mut self.batches.used),
            ("control", &mut self.control),
        ]
    }
}
