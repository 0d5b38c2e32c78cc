//! Adagrad: the gradient over the root of the sum of its squares.
//!
//! Duchi, Hazan, Singer 2011, "Adaptive subgradient methods for online learning and stochastic
//! optimization", JMLR 12; in the form of torch.optim.Adagrad.
//!
//!   g gradient   s sum of squares (state)   lr, lr_decay, initial_accumulator_value, eps
//!   s = s + g^2
//!   step = lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)
//!
//! Memory: one buffer. Deviations: none from torch.

use super::prelude::*;

rule! {
    /// The gradient over the root of the sum of its squares.
    "adagrad" => Adagrad {
        lr: NonNegative = 1e-2,
        lr_decay: NonNegative = 0.0,
        initial_accumulator_value: NonNegative = 0.0,
        eps: NonNegative = 1e-10,
    }
    decay Coupled 0.0
}

impl Rule for Adagrad {
    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let rate = self.lr / (1.0 + (step.t as f64 - 1.0) * self.lr_decay);
        let [rate, eps] = [rate, self.eps].map(T::of);
        let start = Start::Constant(self.initial_accumulator_value);
        launch.run([State { name: "sum", start }], move |_, g, [s]| {
            *s = *s + g * g;
            rate * (g / (s.sqrt() + eps))
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
