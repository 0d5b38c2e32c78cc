//! Adaptive Braking: momentum that weighs a gradient down the more it agrees with the velocity.
//!
//! Venigalla, Kosson, Chiley, Koester 2020, "Adaptive braking for mitigating gradient delay",
//! arXiv:2007.01397.
//!
//!   g gradient   v velocity (state)   lr, momentum, rho, eps
//!   cos = <g, v> / max(|g| |v|, eps)     over the tensor or filter, with v before the step
//!   v = momentum v + (1 - rho cos) g
//!   step = lr v
//!
//! Memory: one buffer, and a pass for three sums. Deviations: none known; whether the authors' norms
//! are over tensors or over filters (slices along the first axis) is a choice here.

use super::prelude::*;

choice! {
    /// What norms and the angle are over.
    Granularity {
        /// A tensor.
        Tensor = "tensor",
        /// A slice along the first axis; a tensor of fewer than two axes is one.
        Filter = "filter",
    }
}

rule! {
    /// Momentum that weighs a gradient down the more it agrees with the velocity.
    "adaptivebraking" => AdaptiveBraking {
        lr: NonNegative = 1e-2,
        momentum: Decay = 0.9,
        rho: Braking = 1.0,
        eps: Positive = 1e-12,
        granularity: Granularity = Granularity::Tensor,
    }
    decay Coupled 0.0
    uncounted
}

impl Rule for AdaptiveBraking {
    fn measure<T: Real, P: Probe<T>>(&self, probe: P) -> P::Output {
        probe.run([Reduce::Sum; 3], |_, g, [v]| [g * v, g * g, v * v])
    }

    fn scope(&self) -> Scope {
        match self.granularity {
            Granularity::Tensor => Scope::Tensor,
            Granularity::Filter => Scope::Filter,
        }
    }

    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let [along, g2, v2, ..] = step.measured;
        let cos = along / (g2.sqrt() * v2.sqrt()).max(self.eps);
        let [lr, momentum, brake] = [self.lr, self.momentum, 1.0 - self.rho * cos].map(T::of);
        launch.run([zeros("momentum_buffer")], move |_, g, [v]| {
            *v = momentum * *v + brake * g;
            lr * *v
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
