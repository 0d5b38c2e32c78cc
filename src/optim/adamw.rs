//! AdamW: Adam with decoupled weight decay.
//!
//! Loshchilov, Hutter 2019, "Decoupled weight decay regularization", Alg. 2.
//!
//!   x = x (1 - lr weight_decay), then the step of Adam
//!
//! Memory: two buffers, three with amsgrad. Deviations: none from torch.optim.AdamW.

use super::adam::Adam;
use super::prelude::*;

rule! {
    /// Adam with decoupled weight decay.
    "adamw" => AdamW {
        lr: NonNegative = 1e-3,
        beta1: Decay = 0.9,
        beta2: Decay = 0.999,
        eps: NonNegative = 1e-8,
        amsgrad: Flag = false,
    }
    decay Decoupled 1e-2
}

impl Rule for AdamW {
    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let Self { lr, beta1, beta2, eps, amsgrad } = *self;
        Adam { lr, beta1, beta2, eps, amsgrad }.kernel(step, launch)
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
