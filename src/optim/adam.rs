//! Adam: the gradient's running mean over the root of its running square.
//!
//! Kingma, Ba 2015, "Adam: a method for stochastic optimization", Alg. 1; Reddi, Kale, Kumar 2018,
//! "On the convergence of Adam and beyond" (amsgrad).
//!
//!   g gradient   m, v running moments, w running maximum of v (states)   lr, beta1, beta2, eps
//!   m = beta1 m + (1 - beta1) g          bc1 = 1 - beta1^t
//!   v = beta2 v + (1 - beta2) g^2        bc2 = 1 - beta2^t
//!   step = lr / bc1 m / (sqrt(v) / sqrt(bc2) + eps)
//!   amsgrad: w = max(w, v) instead of v in the step; the maximum is over uncorrected moments
//!
//! Memory: two buffers, three with amsgrad. Deviations: none from torch.optim.Adam.

use super::prelude::*;

rule! {
    /// The gradient's running mean over the root of its running square.
    "adam" => Adam {
        lr: NonNegative = 1e-3,
        beta1: Decay = 0.9,
        beta2: Decay = 0.999,
        eps: NonNegative = 1e-8,
        amsgrad: Flag = false,
    }
    decay Coupled 0.0
}

impl Rule for Adam {
    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let [bc1, bc2] = bias_corrections([self.beta1, self.beta2], step.t);
        let [fresh1, beta2, fresh2] = [1.0 - self.beta1, self.beta2, 1.0 - self.beta2].map(T::of);
        let [rate, correct, eps] = [self.lr / bc1, 1.0 / bc2.sqrt(), self.eps].map(T::of);
        if self.amsgrad {
            let state = [zeros("exp_avg"), zeros("exp_avg_sq"), zeros("max_exp_avg_sq")];
            launch.run(state, move |_, g, [m, v, w]| {
                *m = *m + fresh1 * (g - *m);
                *v = beta2 * *v + fresh2 * (g * g);
                *w = w.max(*v);
                rate * (*m / (w.sqrt() * correct + eps))
            })
        } else {
            launch.run([zeros("exp_avg"), zeros("exp_avg_sq")], move |_, g, [m, v]| {
                *m = *m + fresh1 * (g - *m);
                *v = beta2 * *v + fresh2 * (g * g);
                rate * (*m / (v.sqrt() * correct + eps))
            })
        }
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}

/// `1 - beta^t` for each rate, in f64: f32 loses it at small t.
pub(super) fn bias_corrections<const N: usize>(betas: [f64; N], t: u64) -> [f64; N] {
    betas.map(|beta| 1.0 - beta.powf(t as f64))
}
