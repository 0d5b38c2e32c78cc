//! RAdam: Adam that waits until its second moment can be trusted.
//!
//! Liu et al. 2020, "On the variance of the adaptive learning rate and beyond", arXiv:1908.03265,
//! Alg. 2; in the form of torch.optim.RAdam.
//!
//!   g gradient   m, v running moments (states)   lr, beta1, beta2, eps
//!   m = beta1 m + (1 - beta1) g          bc1 = 1 - beta1^t
//!   v = beta2 v + (1 - beta2) g^2        bc2 = 1 - beta2^t
//!   q = 2 / (1 - beta2) - 1              rho = q - 2 t beta2^t / bc2
//!   r = sqrt((rho - 4) (rho - 2) q / ((q - 4) (q - 2) rho))
//!   step = lr / bc1 r sqrt(bc2) m / (sqrt(v) + eps) if rho > 5, else lr / bc1 m
//!
//! Memory: two buffers. Deviations: none from torch.

use super::adam::bias_corrections;
use super::prelude::*;

rule! {
    /// Adam that waits until its second moment can be trusted.
    "radam" => RAdam {
        lr: NonNegative = 1e-3,
        beta1: Decay = 0.9,
        beta2: Decay = 0.999,
        eps: NonNegative = 1e-8,
    }
    decay Coupled 0.0
}

impl Rule for RAdam {
    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let [bc1, bc2] = bias_corrections([self.beta1, self.beta2], step.t);
        let q = 2.0 / (1.0 - self.beta2) - 1.0;
        let rho = q - 2.0 * step.t as f64 * (1.0 - bc2) / bc2;
        let rate = self.lr / bc1;
        // Both forms divide by `root sqrt(v) + plus`.
        let (rate, root, plus) = if rho > 5.0 {
            let r = ((rho - 4.0) * (rho - 2.0) * q / ((q - 4.0) * (q - 2.0) * rho)).sqrt();
            (rate * r * bc2.sqrt(), 1.0, self.eps)
        } else {
            (rate, 0.0, 1.0)
        };
        let [fresh1, beta2, fresh2] = [1.0 - self.beta1, self.beta2, 1.0 - self.beta2].map(T::of);
        let [rate, root, plus] = [rate, root, plus].map(T::of);
        launch.run([zeros("exp_avg"), zeros("exp_avg_sq")], move |_, g, [m, v]| {
            *m = *m + fresh1 * (g - *m);
            *v = beta2 * *v + fresh2 * (g * g);
            rate * *m / (root * v.sqrt() + plus)
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
