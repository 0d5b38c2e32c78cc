//! AdaBelief: Adam whose second moment is that of the surprise, gradient less momentum.
//!
//! Zhuang et al. 2020, "AdaBelief optimizer: adapting stepsizes by the belief in observed
//! gradients", arXiv:2010.07468.
//!
//!   g gradient   m, s running moments (states)   lr, beta1, beta2, eps
//!   m = beta1 m + (1 - beta1) g                    bc1 = 1 - beta1^t
//!   s = beta2 s + (1 - beta2) (g - m)^2 + eps      bc2 = 1 - beta2^t
//!   step = lr / bc1 m / (sqrt(s) / sqrt(bc2) + eps)
//!
//! Epsilon is added into s at every step, and to the root. Memory: two buffers. Deviations: the
//! rectified form of the authors' code is left out (see `radam`).

use super::adam::bias_corrections;
use super::prelude::*;

rule! {
    /// Adam whose second moment is that of gradient less momentum.
    "adabelief" => AdaBelief {
        lr: NonNegative = 1e-3,
        beta1: Decay = 0.9,
        beta2: Decay = 0.999,
        eps: Positive = 1e-16,
    }
    decay Decoupled 0.0
}

impl Rule for AdaBelief {
    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let [bc1, bc2] = bias_corrections([self.beta1, self.beta2], step.t);
        let [fresh1, beta2, fresh2] = [1.0 - self.beta1, self.beta2, 1.0 - self.beta2].map(T::of);
        let [rate, root, eps] = [self.lr / bc1, bc2.sqrt(), self.eps].map(T::of);
        launch.run([zeros("exp_avg"), zeros("exp_avg_var")], move |_, g, [m, s]| {
            *m = *m + fresh1 * (g - *m);
            let surprise = g - *m;
            *s = beta2 * *s + fresh2 * (surprise * surprise) + eps;
            rate * *m / (s.sqrt() / root + eps)
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
