//! Adadelta: steps as large as recent steps were.
//!
//! Zeiler 2012, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701, Alg. 1; in the form
//! of torch.optim.Adadelta.
//!
//!   g gradient   s running square of it, a running square of the steps (states)   lr, rho, eps
//!   s = rho s + (1 - rho) g^2
//!   d = sqrt(a + eps) / sqrt(s + eps) g
//!   a = rho a + (1 - rho) d^2
//!   step = lr d
//!
//! Memory: two buffers. Deviations: none from torch.

use super::prelude::*;

rule! {
    /// Steps as large as recent steps were.
    "adadelta" => Adadelta {
        lr: NonNegative = 1.0,
        rho: Fraction = 0.9,
        eps: NonNegative = 1e-6,
    }
    decay Coupled 0.0
}

impl Rule for Adadelta {
    fn kernel<T: Real, L: Launch<T>>(&self, _: &Step, launch: L) -> L::Output {
        let [lr, rho, fresh, eps] = [self.lr, self.rho, 1.0 - self.rho, self.eps].map(T::of);
        launch.run([zeros("square_avg"), zeros("acc_delta")], move |_, g, [s, a]| {
            *s = rho * *s + fresh * (g * g);
            let d = (*a + eps).sqrt() / (*s + eps).sqrt() * g;
            *a = rho * *a + fresh * (d * d);
            lr * d
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
