//! AdaMomentum: Adam whose second moment is that of the momentum.
//!
//! Wang et al. 2021, "Rethinking Adam: a twofold exponential moving average approach",
//! arXiv:2106.11514.
//!
//!   g gradient   m, v running moments (states)   lr, beta1, beta2, eps
//!   m = beta1 m + (1 - beta1) g              bc1 = 1 - beta1^t
//!   v = beta2 v + (1 - beta2) m^2 + eps      bc2 = 1 - beta2^t
//!   step = lr / bc1 m / (sqrt(v) / sqrt(bc2))
//!
//! Epsilon is added into v at every step, and nowhere else; the first step is 1 / (1 - beta1) times
//! that of Adam, so warm up. Memory: two buffers. Deviations: none known (the authors' code was not
//! at hand; two independent implementations agree on these lines).

use super::adam::bias_corrections;
use super::prelude::*;

rule! {
    /// Adam whose second moment is that of the momentum.
    "adamomentum" => AdaMomentum {
        lr: NonNegative = 1e-3,
        beta1: Decay = 0.9,
        beta2: Decay = 0.999,
        eps: Positive = 1e-8,
    }
    decay Decoupled 0.0
}

impl Rule for AdaMomentum {
    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let [bc1, bc2] = bias_corrections([self.beta1, self.beta2], step.t);
        let [beta1, fresh1] = [self.beta1, 1.0 - self.beta1].map(T::of);
        let [beta2, fresh2, eps] = [self.beta2, 1.0 - self.beta2, self.eps].map(T::of);
        let rate = T::of(self.lr * bc2.sqrt() / bc1);
        launch.run([zeros("exp_avg"), zeros("exp_avg_sq")], move |_, g, [m, v]| {
            *m = beta1 * *m + fresh1 * g;
            *v = beta2 * *v + fresh2 * (*m * *m) + eps;
            rate * *m / v.sqrt()
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
