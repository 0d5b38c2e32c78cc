//! Gravity: a velocity fed by gradients that are damped where they are large.
//!
//! Bahrami, Pouriyan Zadeh 2021, "Gravity optimizer: a kinematic approach on optimization in deep
//! learning", arXiv:2101.09192.
//!
//!   g gradient   v velocity (state), at first normal with deviation alpha / lr   lr, alpha, beta
//!   z = g / (1 + (g max|g|)^2)          the maximum is over the tensor
//!   b = (beta t + 1) / (t + 2)
//!   v = b v + (1 - b) z
//!   step = lr v
//!
//! Memory: one buffer, and a pass over the gradient for its maximum. Deviations: none from the
//! authors' PyTorch file, which counts t from 1; `v0 = "zeros"` is ours.

use super::prelude::*;

choice! {
    /// How the velocity starts.
    V0 {
        /// Normally distributed, with standard deviation alpha / lr.
        Normal = "normal",
        /// From rest.
        Zeros = "zeros",
    }
}

rule! {
    /// A velocity fed by gradients that are damped where they are large.
    "gravity" => Gravity {
        lr: Positive = 0.1,
        alpha: NonNegative = 0.01,
        beta: Decay = 0.9,
        v0: V0 = V0::Normal,
        /// Seed of the first velocity.
        seed: Seed = 0.0,
    }
    decay Decoupled 0.0
}

impl Rule for Gravity {
    fn measure<T: Real, P: Probe<T>>(&self, probe: P) -> P::Output {
        probe.run([Reduce::MaxAbs], |_, g, []| [g])
    }

    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let t = step.t as f64;
        let b = (self.beta * t + 1.0) / (t + 2.0);
        let [largest, ..] = step.measured;
        let [lr, b, fresh, largest, one] = [self.lr, b, 1.0 - b, largest, 1.0].map(T::of);
        let start = match self.v0 {
            V0::Normal => Start::Normal(self.alpha / self.lr),
            V0::Zeros => Start::Constant(0.0),
        };
        launch.run([State { name: "velocity", start }], move |_, g, [v]| {
            let pull = g * largest;
            *v = b * *v + fresh * (g / (one + pull * pull));
            lr * *v
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
