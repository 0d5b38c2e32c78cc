//! Lion: the sign of an interpolated momentum.
//!
//! Chen et al. 2023, "Symbolic discovery of optimization algorithms", arXiv:2302.06675, Alg. 2.
//!
//!   g gradient   m momentum (state)   lr, beta1, beta2
//!   c = beta1 m + (1 - beta1) g
//!   m = beta2 m + (1 - beta2) g
//!   step = lr sign(c)
//!
//! Memory: one buffer. Deviations: none (the paper's weight decay is the engine's, decoupled).

use super::prelude::*;

rule! {
    /// The sign of an interpolated momentum.
    "lion" => Lion { lr: NonNegative = 1e-4, beta1: Decay = 0.9, beta2: Decay = 0.99 }
    decay Decoupled 0.0
    uncounted
}

impl Rule for Lion {
    fn kernel<T: Real, L: Launch<T>>(&self, _: &Step, launch: L) -> L::Output {
        let [beta1, fresh1, beta2, fresh2] =
            [self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2].map(T::of);
        let lr = T::of(self.lr);
        launch.run([zeros("exp_avg")], move |_, g, [m]| {
            let c = beta1 * *m + fresh1 * g;
            *m = beta2 * *m + fresh2 * g;
            lr * c.sign()
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
