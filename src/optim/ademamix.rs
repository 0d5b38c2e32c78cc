//! AdEMAMix: Adam with a second, much slower average of gradients.
//!
//! Pagliardini, Ablin, Grangier 2024, "The AdEMAMix optimizer: better, faster, older",
//! arXiv:2409.03137, Alg. 1.
//!
//!   g gradient   m1 fast, m2 slow average, v second moment (states)
//!   lr, beta1, beta2, beta3, alpha, eps; beta3 and alpha rise over their warm-ups
//!   m1 = beta1 m1 + (1 - beta1) g        bc1 = 1 - beta1^t
//!   m2 = beta3 m2 + (1 - beta3) g        (no bias correction)
//!   v = beta2 v + (1 - beta2) g^2        bc2 = 1 - beta2^t
//!   step = lr (m1 / bc1 + alpha m2) / (sqrt(v) / sqrt(bc2) + eps)
//!
//! Memory: three buffers, two when beta1 = 0. Deviations: none from the authors' code, whose
//! default alpha is 2; 5 to 10 is common for language models.

use super::adam::bias_corrections;
use super::prelude::*;

rule! {
    /// Adam with a second, much slower average of gradients.
    "ademamix" => AdEMAMix {
        lr: NonNegative = 1e-3,
        beta1: Decay = 0.9,
        beta2: Decay = 0.999,
        beta3: Decay = 0.9999,
        alpha: NonNegative = 2.0,
        /// Steps over which the half-life of the slow average rises from that of beta1.
        beta3_warmup: Optional<Count> = None,
        /// Steps over which alpha rises linearly from 0.
        alpha_warmup: Optional<Count> = None,
        eps: NonNegative = 1e-8,
    }
    decay Decoupled 0.0
}

impl AdEMAMix {
    fn alpha(&self, t: f64) -> f64 {
        match self.alpha_warmup {
            Some(warmup) if t < warmup => self.alpha * t / warmup,
            _ => self.alpha,
        }
    }

    /// Linear in the half-life of the average.
    fn beta3(&self, t: f64) -> f64 {
        // The 1e-8 keeps beta1 = 0 finite.
        let half_life = |beta: f64| 0.5f64.ln() / (beta + 1e-8).ln() - 1.0;
        match self.beta3_warmup {
            Some(warmup) if t < warmup => {
                let done = t / warmup;
                let life = (1.0 - done) * half_life(self.beta1) + done * half_life(self.beta3);
                0.5f64.powf(1.0 / (life + 1.0))
            }
            _ => self.beta3,
        }
    }
}

impl Rule for AdEMAMix {
    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let [bc1, bc2] = bias_corrections([self.beta1, self.beta2], step.t);
        let (alpha, beta3) = (self.alpha(step.t as f64), self.beta3(step.t as f64));
        let [beta1, fresh1] = [self.beta1, 1.0 - self.beta1].map(T::of);
        let [beta2, fresh2] = [self.beta2, 1.0 - self.beta2].map(T::of);
        let [beta3, fresh3, alpha] = [beta3, 1.0 - beta3, alpha].map(T::of);
        let [lr, correct1, correct2, eps] =
            [self.lr, 1.0 / bc1, 1.0 / bc2.sqrt(), self.eps].map(T::of);
        let [fast, slow, square] =
            ["exp_avg_fast", "exp_avg_slow", "exp_avg_sq"].map(zeros);
        if self.beta1 == 0.0 {
            launch.run([slow, square], move |_, g, [m2, v]| {
                *m2 = beta3 * *m2 + fresh3 * g;
                *v = beta2 * *v + fresh2 * (g * g);
                lr * (g + alpha * *m2) / (v.sqrt() * correct2 + eps)
            })
        } else {
            launch.run([fast, slow, square], move |_, g, [m1, m2, v]| {
                *m1 = beta1 * *m1 + fresh1 * g;
                *m2 = beta3 * *m2 + fresh3 * g;
                *v = beta2 * *v + fresh2 * (g * g);
                lr * (*m1 * correct1 + alpha * *m2) / (v.sqrt() * correct2 + eps)
            })
        }
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_of_beta3_takes_the_published_values() {
        let rule = AdEMAMix { beta3_warmup: Some(100.0), ..AdEMAMix::default() };
        let published =
            [(1.0, 0.990901), (10.0, 0.999009), (50.0, 0.9998002), (99.0, 0.9998990), (100.0, 0.9999)];
        for (t, value) in published {
            assert!((rule.beta3(t) - value).abs() < 1e-6, "{t}");
        }
    }
}
