//! NAdam: Adam with Nesterov's look ahead in the mean.
//!
//! Dozat 2016, "Incorporating Nesterov momentum into Adam", ICLR workshop; in the form of
//! torch.optim.NAdam.
//!
//!   g gradient   m, v running moments (states)   lr, beta1, beta2, eps, momentum_decay
//!   mu(t) = beta1 (1 - 0.96^(t momentum_decay) / 2)     p = mu(1) ... mu(t) (scalar)
//!   m = beta1 m + (1 - beta1) g
//!   v = beta2 v + (1 - beta2) g^2        bc2 = 1 - beta2^t
//!   step = lr ((1 - mu(t)) / (1 - p) g + mu(t+1) / (1 - p mu(t+1)) m) / (sqrt(v / bc2) + eps)
//!
//! Memory: two buffers. Deviations: none from torch; the product has the type of torch's.

use super::adam::bias_corrections;
use super::prelude::*;

rule! {
    /// Adam with Nesterov's look ahead in the mean.
    "nadam" => NAdam {
        lr: NonNegative = 2e-3,
        beta1: Decay = 0.9,
        beta2: Decay = 0.999,
        eps: NonNegative = 1e-8,
        momentum_decay: NonNegative = 4e-3,
    }
    decay Coupled 0.0
}

impl NAdam {
    fn mu(&self, t: u64) -> f64 {
        self.beta1 * (1.0 - 0.5 * 0.96f64.powf(t as f64 * self.momentum_decay))
    }
}

impl Rule for NAdam {
    fn scalars(&self) -> Vec<Scalar> {
        vec![Scalar { name: "mu_product", len: 1, start: 1.0, wide: false }]
    }

    fn advance(&self, step: &mut Step) -> Result<()> {
        let (product, mu) = (step.before[0], self.mu(step.t));
        // Rounded as torch rounds the product that it keeps.
        step.scalars[0] =
            if step.single { f64::from(product as f32 * mu as f32) } else { product * mu };
        Ok(())
    }

    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let [bc2] = bias_corrections([self.beta2], step.t);
        let (mu, next, product) = (self.mu(step.t), self.mu(step.t + 1), step.scalars[0]);
        let fresh = self.lr * (1.0 - mu) / (1.0 - product);
        let mean = self.lr * next / (1.0 - product * next);
        let [fresh1, beta2, fresh2] = [1.0 - self.beta1, self.beta2, 1.0 - self.beta2].map(T::of);
        let [fresh, mean, correct, eps] = [fresh, mean, 1.0 / bc2, self.eps].map(T::of);
        launch.run([zeros("exp_avg"), zeros("exp_avg_sq")], move |_, g, [m, v]| {
            *m = *m + fresh1 * (g - *m);
            *v = beta2 * *v + fresh2 * (g * g);
            (fresh * g + mean * *m) / ((*v * correct).sqrt() + eps)
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
