//! Grams: the size of Adam's step with the sign of the gradient.
//!
//! Cao, Li, Song 2024, "Grams: gradient descent with adaptive momentum scaling", arXiv:2412.17107.
//!
//!   g gradient   m, v running moments (states)   lr, beta1, beta2, eps
//!   m = beta1 m + (1 - beta1) g          bc1 = 1 - beta1^t
//!   v = beta2 v + (1 - beta2) g^2        bc2 = 1 - beta2^t
//!   step = lr sign(g) |m / bc1 / (sqrt(v) / sqrt(bc2) + eps)|
//!
//! Memory: two buffers. Deviations: epsilon stands as in torch; the authors' code adds it to
//! sqrt(v), which `eps_mode = "early"` reproduces.

use super::adam::bias_corrections;
use super::prelude::*;

rule! {
    /// The size of Adam's step with the sign of the gradient.
    "grams" => Grams {
        lr: NonNegative = 1e-3,
        beta1: Decay = 0.9,
        beta2: Decay = 0.999,
        eps: NonNegative = 1e-6,
        correct_bias: Flag = true,
        eps_mode: EpsMode = EpsMode::Torch,
    }
    decay Decoupled 0.0
}

impl Rule for Grams {
    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let [bc1, bc2] = match self.correct_bias {
            true => bias_corrections([self.beta1, self.beta2], step.t),
            false => [1.0, 1.0],
        };
        let [beta1, fresh1] = [self.beta1, 1.0 - self.beta1].map(T::of);
        let [beta2, fresh2] = [self.beta2, 1.0 - self.beta2].map(T::of);
        // Early: lr sqrt(bc2) / bc1 m / (sqrt(v) + eps).
        let (rate, correct) = match self.eps_mode {
            EpsMode::Torch => (self.lr / bc1, 1.0 / bc2.sqrt()),
            EpsMode::Early => (self.lr * bc2.sqrt() / bc1, 1.0),
        };
        let [rate, correct, eps] = [rate, correct, self.eps].map(T::of);
        launch.run([zeros("exp_avg"), zeros("exp_avg_sq")], move |_, g, [m, v]| {
            *m = beta1 * *m + fresh1 * g;
            *v = beta2 * *v + fresh2 * (g * g);
            g.sign() * (rate * *m / (v.sqrt() * correct + eps)).abs()
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
