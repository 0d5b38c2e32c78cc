//! Schedule-Free AdamW: AdamW whose average of iterates takes the place of a schedule.
//!
//! Defazio et al. 2024, "The road less scheduled", arXiv:2405.15682; in the form of the authors'
//! `AdamWScheduleFree`.
//!
//!   y parameter, where gradients are taken   g gradient at y   z iterate, v running square (states)
//!   W sum of weights, M largest rate (scalars)   lr, beta1, beta2, eps, warmup_steps, r, power
//!   l = lr min(1, t / warmup_steps)      M = max(M, l)
//!   w = t^r M^power                      W = W + w            c = w / W
//!   v = beta2 v + (1 - beta2) g^2        bc2 = 1 - beta2^t
//!   n = g / (sqrt(v / bc2) + eps) + weight_decay y
//!   y = y + c (z - y) - l (1 - beta1 (1 - c)) n
//!   z = z - l n
//!   to evaluate: x = y + (1 - 1 / beta1) (z - y), and back y = x + (1 - beta1) (z - x)
//!
//! Memory: two buffers. Deviations: counters, W and M belong to the parameter, not to the group.
//! Decoupled decay is the formula's; cautious decay joins n where n y >= 0. Masks act on the step
//! of y.

use super::adam::bias_corrections;
use super::modifiers::Decay as Form;
use super::prelude::*;

rule! {
    /// AdamW whose average of iterates takes the place of a schedule.
    "schedulefreeadamw" => ScheduleFreeAdamW {
        lr: NonNegative = 2.5e-3,
        beta1: Decay = 0.9,
        beta2: Decay = 0.999,
        eps: NonNegative = 1e-8,
        warmup_steps: Whole = 0.0,
        /// Exponent of the step number in the weights of the average.
        r: NonNegative = 0.0,
        /// Exponent of the largest rate in the weights of the average.
        weight_lr_power: NonNegative = 2.0,
        /// Whether the parameter holds y.
        train_mode: Flag = true,
    }
    decay Decoupled 0.0
}

impl ScheduleFreeAdamW {
    fn weight(&self, step: &Step, largest: f64) -> f64 {
        (step.t as f64).powf(self.r) * largest.powf(self.weight_lr_power)
    }
}

impl Rule for ScheduleFreeAdamW {
    fn scalars(&self) -> Vec<Scalar> {
        vec![scalar("weight_sum", 0.0), scalar("lr_max", 0.0)]
    }

    fn advance(&self, step: &mut Step) -> Result<()> {
        let largest = step.before[1].max(self.rate(step));
        step.scalars = vec![step.before[0] + self.weight(step, largest), largest];
        Ok(())
    }

    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let [bc2] = bias_corrections([self.beta2], step.t);
        let sum = step.scalars[0];
        let c = if sum > 0.0 { self.weight(step, step.scalars[1]) / sum } else { 0.0 };
        let l = self.rate(step);
        let [decoupled, cautious] = [Form::Decoupled, Form::Cautious].map(|f| step.own_decay(f));
        let first = T::of(if step.t == 1 { 1.0 } else { 0.0 });
        let [beta2, fresh2, correct] = [self.beta2, 1.0 - self.beta2, 1.0 / bc2].map(T::of);
        let [eps, zero, one] = [self.eps, 0.0, 1.0].map(T::of);
        let [decoupled, cautious] = [decoupled, cautious].map(T::of);
        let [c, l, rate] = [c, l, l * (1.0 - self.beta1 * (1.0 - c))].map(T::of);
        launch.run([zeros("z"), zeros("exp_avg_sq")], move |y, g, [z, v]| {
            *z = T::select(first.eq(one), y, *z);
            *v = beta2 * *v + fresh2 * (g * g);
            let n = g / ((*v * correct).sqrt() + eps);
            let towards = (n.ge(zero) & y.ge(zero)) | (n.le(zero) & y.le(zero));
            let n = n + (decoupled + T::select(towards, cautious, zero)) * y;
            let step = rate * n - c * (*z - y);
            *z = *z - l * n;
            step
        })
    }

    fn rate(&self, step: &Step) -> f64 {
        let t = step.t as f64;
        if t < self.warmup_steps { self.lr * t / self.warmup_steps } else { self.lr }
    }

    fn decays(&self, form: Form) -> bool {
        form != Form::Coupled
    }

    fn views(&self) -> Option<Views> {
        let blend = |share: f64| vec![("param", vec![("param", share), ("z", 1.0 - share)])];
        Some(Views { eval: blend(1.0 / self.beta1), train: blend(self.beta1) })
    }

    fn check(&self) -> Result<()> {
        if self.beta1 == 0.0 {
            return Err(Error::value("betas[0]", "in (0, 1)", 0.0, "a usual value is 0.9"));
        }
        Ok(())
    }
}
