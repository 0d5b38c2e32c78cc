//! CLASSP: weights that learned much move little; small gradients move nothing.
//!
//! Ludwig 2024, "CLASSP: a biologically-inspired approach to continual learning through adjustment
//! suppression and sparsity promotion".
//!
//!   g gradient   s sum of powers, kept across tasks (state)   lr, threshold, power p, eps
//!   where g^2 > threshold:  s = s + |g|^p;  step = lr g / (eps + s)^(1/p)
//!   elsewhere: nothing
//!   apply_scaling = False: step = lr g there, while s grows all the same
//!
//! Memory: one buffer. Deviations: none from the paper's rule. `gate = "tensor"` opens, as the
//! authors' code does, for the whole tensor where it has any gradient and the threshold is below 1.

use super::prelude::*;

choice! {
    /// What the threshold decides on.
    Gate {
        /// Each weight alone.
        Element = "element",
        /// The whole tensor, as the released code.
        Tensor = "tensor",
    }
}

rule! {
    /// Weights that learned much move little; small gradients move nothing.
    "classp" => CLASSP {
        lr: NonNegative = 0.2,
        threshold: NonNegative = 0.5,
        power: Positive = 1.0,
        eps: Positive = 1e-5,
        apply_scaling: Flag = true,
        gate: Gate = Gate::Element,
    }
    decay Coupled 0.0
    uncounted
}

impl CLASSP {
    /// The formula: gradients beyond `limit` add their `size` to the sum, whose `root` divides them
    /// if they are scaled at all.
    fn gated<T: Real, L: Launch<T>>(
        &self,
        limit: f64,
        launch: L,
        size: impl Fn(T) -> T + Send + Sync + 'static,
        root: impl Fn(T) -> T + Send + Sync + 'static,
    ) -> L::Output {
        let [lr, limit, eps, zero] = [self.lr, limit, self.eps, 0.0].map(T::of);
        let state = [zeros("grad_sum")];
        if !self.apply_scaling {
            return launch.run(state, move |_, g, [s]| {
                let closed = (g * g).le(limit);
                *s = *s + T::select(closed, zero, size(g));
                T::select(closed, zero, lr * g)
            });
        }
        launch.run(state, move |_, g, [s]| {
            let closed = (g * g).le(limit);
            *s = *s + T::select(closed, zero, size(g));
            T::select(closed, zero, lr / root(eps + *s) * g)
        })
    }
}

impl Rule for CLASSP {
    fn measure<T: Real, P: Probe<T>>(&self, probe: P) -> P::Output {
        match self.gate {
            Gate::Element => probe.run([], |_, _, []| []),
            Gate::Tensor => probe.run([Reduce::MaxAbs], |_, g, []| [g]),
        }
    }

    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        // A gradient of NaN opens the gate, so that it shows.
        let limit = match self.gate {
            Gate::Element => self.threshold,
            Gate::Tensor if step.measured[0] != 0.0 && self.threshold < 1.0 => -1.0,
            Gate::Tensor => f64::INFINITY,
        };
        let [p, inverse] = [self.power, 1.0 / self.power].map(T::of);
        match self.power {
            1.0 => self.gated(limit, launch, |g: T| g.abs(), |sum| sum),
            2.0 => self.gated(limit, launch, |g: T| g * g, |sum: T| sum.sqrt()),
            // A root is cheaper than a power.
            1.5 => {
                let size = |g: T| g.abs() * g.abs().sqrt();
                self.gated(limit, launch, size, move |sum| sum.pow(inverse))
            }
            _ => self.gated(limit, launch, move |g: T| g.abs().pow(p), move |sum| sum.pow(inverse)),
        }
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
