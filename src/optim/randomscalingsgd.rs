//! Random-scaling SGD: momentum whose every step is scaled by an exponential random number.
//!
//! Zhang, Cutkosky 2024, "Random scaling and momentum for non-smooth non-convex optimization", ICML,
//! arXiv:2405.09742.
//!
//!   g gradient   m running mean, a average (states)   lr, momentum, seed
//!   m = momentum m + (1 - momentum) g
//!   step = lr s m,  s ~ Exp(1), one number for all parameters of a step
//!   a = (momentum - momentum^t) / (1 - momentum^t) a + (1 - momentum) / (1 - momentum^t) x
//!
//! E s = 1, so that lr carries over from SGD. Memory: one buffer, two with the average that the
//! guarantee is about. Deviations: the average takes x before the step, where g was taken.

use super::prelude::*;
use crate::engine::rng::Philox;

rule! {
    /// Momentum whose every step is scaled by an exponential random number.
    "randomscalingsgd" => RandomScalingSGD {
        lr: NonNegative = 1e-2,
        momentum: Decay = 0.9,
        /// Seed of the scales, which depend on it and on the number of the step alone.
        seed: Seed = 0.0,
        average: Flag = false,
        /// Whether the parameter holds the iterate, not the average.
        train_mode: Flag = true,
    }
    decay Decoupled 0.0
}

impl Rule for RandomScalingSGD {
    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let [draw, _] = Philox::new(self.seed as u64).uniform(step.call, 0);
        let scale = -(-draw).ln_1p();
        let old = self.momentum.powf(step.t as f64);
        let keep = (self.momentum - old) / (1.0 - old);
        let [rate, beta, fresh] =
            [self.lr * scale, self.momentum, 1.0 - self.momentum].map(T::of);
        let [keep, add] = [keep, 1.0 - keep].map(T::of);
        if self.average {
            launch.run([zeros("exp_avg"), zeros("average")], move |x, g, [m, a]| {
                *m = beta * *m + fresh * g;
                *a = keep * *a + add * x;
                rate * *m
            })
        } else {
            launch.run([zeros("exp_avg")], move |_, g, [m]| {
                *m = beta * *m + fresh * g;
                rate * *m
            })
        }
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }

    fn views(&self) -> Option<Views> {
        self.average.then(|| Views::exchange("average"))
    }
}
