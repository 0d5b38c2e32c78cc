//! Adamax: Adam with the largest recent gradient in place of the second moment.
//!
//! Kingma, Ba 2015, "Adam: a method for stochastic optimization", arXiv:1412.6980, Alg. 2.
//!
//!   g gradient   m running mean, u decayed maximum (states)   lr, beta1, beta2, eps
//!   m = beta1 m + (1 - beta1) g          bc1 = 1 - beta1^t
//!   u = max(beta2 u, |g| + eps)
//!   step = lr / bc1 m / u
//!
//! Memory: two buffers. Deviations: epsilon, which the paper leaves out, stands as in
//! torch.optim.Adamax.

use super::adam::bias_corrections;
use super::prelude::*;

rule! {
    /// Adam with the largest recent gradient in place of the second moment.
    "adamax" => Adamax {
        lr: NonNegative = 2e-3,
        beta1: Decay = 0.9,
        beta2: Decay = 0.999,
        eps: NonNegative = 1e-8,
    }
    decay Coupled 0.0
}

impl Rule for Adamax {
    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let [bc1] = bias_corrections([self.beta1], step.t);
        let [fresh, beta2] = [1.0 - self.beta1, self.beta2].map(T::of);
        let [rate, eps] = [self.lr / bc1, self.eps].map(T::of);
        launch.run([zeros("exp_avg"), zeros("exp_inf")], move |_, g, [m, u]| {
            *m = *m + fresh * (g - *m);
            *u = (beta2 * *u).max(g.abs() + eps);
            rate * (*m / *u)
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
