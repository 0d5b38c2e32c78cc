//! Multiplicative Langevin sampling of data that keeps its sign: exponentiated gradients with noise.
//!
//! "Dale meets Langevin", the reverse process of geometric Brownian motion; in the form of the
//! authors' code.
//!
//!   x sample   g = -score, the gradient of -log p   z standard normal noise
//!   lr = delta, sigma, mu drift, kappa anneals the noise (0 denoises)
//!   e = lr (sigma^2 x g + mu - 3/2 sigma^2) - kappa sqrt(lr) sigma z
//!   "dale": x = x exp(-e)
//!   "linear": x = x (1 - e + lr sigma^2 / 2), which may change the sign
//!
//! Memory: none. Deviations: none; mu is sigma^2 / 2 where it is not given.

use super::geometry::Geometry;
use super::prelude::*;

choice! {
    /// How a sample moves.
    Sampler {
        /// By a factor exp: the sign stays.
        Dale = "dale",
        /// By the first terms of it.
        Linear = "linear",
    }
}

rule! {
    /// Exponentiated gradients with noise: samples that keep their sign.
    "dalelangevin" => DaleLangevin {
        lr: NonNegative = 1e-3,
        sigma: NonNegative = 1.0,
        mu: Optional<Finite> = None,
        kappa: NonNegative = 1.0,
        sampler: Sampler = Sampler::Dale,
        max_log_step: Positive = 80.0,
        /// Seed of the noise.
        seed: Seed = 0.0,
    }
    decay Decoupled 0.0
}

impl Rule for DaleLangevin {
    fn kernel<T: Real, L: Launch<T>>(&self, _: &Step, launch: L) -> L::Output {
        let square = self.sigma * self.sigma;
        let mu = self.mu.unwrap_or(0.5 * square);
        let dale = self.sampler == Sampler::Dale;
        let drift = self.lr * (mu - if dale { 1.5 } else { 2.0 } * square);
        let amplitude = self.kappa * self.lr.sqrt() * self.sigma;
        let [pull, drift, amplitude] = [self.lr * square, drift, amplitude].map(T::of);
        launch.run([NOISE], move |x, g, [z]| {
            let e = pull * (x * g) + drift - amplitude * *z;
            // The geometry turns the sign of negative samples back.
            if dale { x.sign() * e } else { x * e }
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }

    fn geometry(&self) -> Geometry {
        match self.sampler {
            Sampler::Dale => Geometry::Multiplicative { limit: self.max_log_step },
            Sampler::Linear => Geometry::Additive,
        }
    }

    fn seed(&self) -> u64 {
        self.seed as u64
    }
}
