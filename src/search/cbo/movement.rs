//! The move of a step: drift, noise, personal bests, bounds.

use super::settings::{Correction, Noise};
use super::shift::{self, Adam, Shift};
use super::{ALPHA, Cbo};
use crate::engine::gemm::{Matrix, gemm};
use crate::engine::threads;
use crate::search::ask_tell::{Point, Purpose, cheapest, stream};

/// Numbers that are moved at once, about, so that they stay in the cache, and how often a task does
/// that: less is not worth waking a thread.
const BLOCK: usize = 2048;
const BLOCKS: usize = 32;
/// Particles of fewer dimensions are moved several as one.
const SHORT: usize = 64;

impl Cbo {
    /// Moves the particles and opens the next step; `told` are the costs at their consensus, where a
    /// correction asked them.
    pub(super) fn shift(&mut self, at: &mut Point, told: &[f64]) {
        let (dim, moving) = (self.dim, self.moving());
        let factors: Vec<f64> = match self.set.correction {
            None => vec![1.0; moving.len()],
            Some(_) => (0..)
                .zip(&moving)
                .map(|(k, &i)| self.factor(i, told.get(k).or(told.first()).copied()))
                .collect(),
        };
        match self.set.kappa {
            None => at.x.copy_from_slice(&self.consensus),
            Some(_) => at.x.copy_from_slice(self.site(cheapest(&self.costs))),
        }
        let adam = self.set.betas.map(|betas| Adam { betas, lam: self.set.lam });
        let moments = self.note_drifts(adam, &moving, &factors);
        let ([towards, back], roots) = (self.shifts(), self.roots(&factors));
        let whole = self.set.move_all || self.batches.whole();
        let mut moved = match whole {
            true => std::mem::take(&mut self.particles.members),
            false => moving.iter().flat_map(|&i| self.particles.row(i)).copied().collect(),
        };
        let (this, point, rows) = (&*self, &*at, (BLOCK / dim).max(1));
        // Where all move alike, row by row or several in one makes no difference.
        let alike = this.set.kappa.is_none() && this.set.correction.is_none();
        let together =
            if alike && towards.noise != Noise::Isotropic { (SHORT / dim).max(1) } else { 1 };
        let targets = if together > 1 { this.consensus.repeat(together) } else { Vec::new() };
        threads::for_each_chunk(&mut moved, BLOCKS * rows * dim, |task, moved| {
            let mut z = vec![0.0; moved.len().min(rows * dim)];
            for (block, moved) in moved.chunks_mut(rows * dim).enumerate() {
                let first = (task * BLOCKS + block) * rows;
                let z = &mut z[..moved.len()];
                this.draw(point, first, &roots, z);
                let most = moved.len() - moved.len() % targets.len().max(1);
                let (many, few) = moved.split_at_mut(if together > 1 { most } else { 0 });
                towards.apply(many, together * dim, |_| &targets, |_| 1.0, z);
                let begin = first + many.len() / dim;
                let z = &z[many.len()..];
                towards.apply(few, dim, |k| this.target(begin + k), |k| factors[begin + k], z);
                if let Some(adam) = adam {
                    for (k, x) in (first..).zip(moved.chunks_exact_mut(dim)) {
                        let moments = &moments[2 * k * dim..][..2 * dim];
                        adam.step(x, moments, this.drifts[moving[k]]);
                    }
                }
                if this.set.memory.is_some() {
                    let mut z = vec![0.0; moved.len()];
                    let key = stream(Purpose::Candidates, point.number(1));
                    point.rng.fill_noise(key, first * dim, &mut z);
                    back.apply(moved, dim, |k| this.site(moving[first + k]), |_| 1.0, &z);
                }
                if point.bounds.is_some() || !shift::finite(moved) {
                    for (k, x) in (first..).zip(moved.chunks_exact_mut(dim)) {
                        point.admit(point.number(this.set.population + k), x);
                    }
                }
            }
        });
        if whole {
            self.particles.members = moved;
        } else {
            for (i, row) in moving.iter().zip(moved.chunks_exact(dim)) {
                self.particles.members[i * dim..][..dim].copy_from_slice(row);
            }
        }
        self.control[ALPHA] = (self.control[ALPHA] * self.set.alpha_factor).min(self.set.alpha_max);
        self.next(at);
    }

    /// The factor of the drift of a particle, `told` being the cost at its consensus.
    fn factor(&self, particle: usize, told: Option<f64>) -> f64 {
        let gap = |told: f64| self.costs[particle] - told;
        match (self.set.correction, told) {
            (None, _) | (_, None) => 1.0,
            // A consensus that costs infinitely much draws nobody.
            (_, Some(told)) if told.is_infinite() => 0.0,
            (Some(Correction::Heaviside), Some(told)) => f64::from(u8::from(gap(told) > 0.0)),
            (Some(Correction::Tanh), Some(told)) => 0.5 + 0.5 * (gap(told) / self.set.eps).tanh(),
        }
    }

    /// Towards the consensus, and back to the personal best.
    fn shifts(&self) -> [Shift; 2] {
        let (set, noise, root) = (&self.set, self.set.noise, self.set.dt.sqrt());
        let mut strength = set.sigma * root;
        if noise == Noise::Covariance {
            strength *= (2.0 * (1.0 + self.control[ALPHA])).sqrt();
        }
        let pull = if set.betas.is_some() { 0.0 } else { set.lam * set.dt };
        let [lam, sigma] = set.memory.map_or([0.0; 2], |memory| [memory.lam, memory.sigma]);
        let back = Shift { pull: lam * set.dt, strength: sigma * root, noise };
        [Shift { pull, strength, noise }, back]
    }

    /// Takes drifts into the means of Adam; returns a row for each particle that moves.
    fn note_drifts(&mut self, adam: Option<Adam>, moving: &[usize], factors: &[f64]) -> Vec<f64> {
        let Some(adam) = adam else { return Vec::new() };
        let width = 2 * self.dim;
        let mut out = vec![0.0; moving.len() * width];
        threads::for_each_chunk(&mut out, width, |k, out| {
            let i = moving[k];
            out.copy_from_slice(&self.moments[i * width..][..width]);
            adam.note(out, self.particles.row(i), self.target(k), factors[k]);
        });
        let before = self.drifts.clone();
        for (&i, row) in moving.iter().zip(out.chunks_exact(width)) {
            self.moments[i * width..][..width].copy_from_slice(row);
            self.drifts[i] = before[i] + 1.0;
        }
        out
    }

    /// Rows sqrt(w_j) D_j, of which sums with normal coefficients have covariance C.
    fn roots(&self, factors: &[f64]) -> Vec<f64> {
        if self.set.noise != Noise::Covariance {
            return Vec::new();
        }
        let (dim, weights) = (self.dim, self.weights(&self.batch_costs()).unwrap_or_default());
        let mut out = Vec::with_capacity(weights.len() * dim);
        for ((k, i), w) in self.batches.particles().into_iter().enumerate().zip(&weights) {
            let scale = w.sqrt() * factors[if self.set.move_all { i } else { k }];
            let pairs = self.particles.row(i).iter().zip(self.target(0));
            out.extend(pairs.map(|(x, c)| scale * (x - c)));
        }
        out
    }

    /// Noise from the `first`-th particle that moves on.
    fn draw(&self, at: &Point, first: usize, roots: &[f64], out: &mut [f64]) {
        let key = stream(Purpose::Candidates, at.number(0));
        if self.set.noise != Noise::Covariance {
            return at.rng.fill_noise(key, first * self.dim, out);
        }
        let (rows, batch) = (out.len() / self.dim, roots.len() / self.dim);
        let mut z = vec![0.0; rows * batch];
        at.rng.fill_noise(key, first * batch, &mut z);
        let (z, roots) = (Matrix::new(&z, rows, batch), Matrix::new(roots, batch, self.dim));
        gemm(1.0, z, roots, 0.0, out);
    }
}
