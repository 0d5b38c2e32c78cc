//! diffGrad: Adam with a brake on coordinates whose gradient hardly changes.
//!
//! Dubey et al. 2020, "diffGrad: an optimization method for convolutional neural networks", IEEE
//! TNNLS 31, arXiv:1909.11015.
//!
//!   g gradient   m, v running moments, p previous gradient (states)   lr, beta1, beta2, eps
//!   m = beta1 m + (1 - beta1) g          bc1 = 1 - beta1^t
//!   v = beta2 v + (1 - beta2) g^2        bc2 = 1 - beta2^t
//!   xi = 1 / (1 + exp(-|p - g|));  p = g
//!   step = lr sqrt(bc2) / bc1 xi m / (sqrt(v) + eps)
//!
//! Memory: three buffers, four with amsgrad. Deviations: follows the authors' second release; the
//! first kept a reference to the gradient instead of a copy, so that xi was 1/2 throughout.

use super::adam::bias_corrections;
use super::prelude::*;

rule! {
    /// Adam with a brake on coordinates whose gradient hardly changes.
    "diffgrad" => DiffGrad {
        lr: NonNegative = 1e-3,
        beta1: Decay = 0.9,
        beta2: Decay = 0.999,
        eps: NonNegative = 1e-8,
        amsgrad: Flag = false,
    }
    decay Coupled 0.0
}

impl Rule for DiffGrad {
    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let [bc1, bc2] = bias_corrections([self.beta1, self.beta2], step.t);
        let [beta1, fresh1] = [self.beta1, 1.0 - self.beta1].map(T::of);
        let [beta2, fresh2] = [self.beta2, 1.0 - self.beta2].map(T::of);
        let [rate, eps, one] = [self.lr * bc2.sqrt() / bc1, self.eps, 1.0].map(T::of);
        let state = [zeros("exp_avg"), zeros("exp_avg_sq"), zeros("previous_grad")];
        // The friction coefficient, from the change of the gradient.
        let xi = move |p: T, g: T| one / (one + (-(p - g).abs()).exp());
        if self.amsgrad {
            let [m, v, p] = state;
            launch.run([m, v, p, zeros("max_exp_avg_sq")], move |_, g, [m, v, p, w]| {
                *m = beta1 * *m + fresh1 * g;
                *v = beta2 * *v + fresh2 * (g * g);
                *w = w.max(*v);
                let friction = xi(*p, g);
                *p = g;
                rate * (*m * friction) / (w.sqrt() + eps)
            })
        } else {
            launch.run(state, move |_, g, [m, v, p]| {
                *m = beta1 * *m + fresh1 * g;
                *v = beta2 * *v + fresh2 * (g * g);
                let friction = xi(*p, g);
                *p = g;
                rate * (*m * friction) / (v.sqrt() + eps)
            })
        }
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
