//! Normalized gradient descent: the gradient over a power of its norm.
//!
//! Chen, Zhou, Liang, Lu 2023, "Generalized-smooth nonconvex optimization is as efficient as smooth
//! nonconvex optimization", ICML, arXiv:2303.02854.
//!
//!   g gradient   |g| norm over all parameters of the call   lr, beta
//!   step = lr g / |g|^beta               0 where the gradient is 0
//!
//! Memory: none, and a pass over the gradients. Deviations: none.

use super::prelude::*;

rule! {
    /// The gradient over a power of its norm.
    "normalizedgd" => NormalizedGD {
        lr: NonNegative = 1e-2,
        /// 1 makes steps of length lr, 0 is gradient descent.
        beta: Fraction = 1.0,
    }
    decay Decoupled 0.0
    uncounted
}

impl Rule for NormalizedGD {
    fn measure<T: Real, P: Probe<T>>(&self, probe: P) -> P::Output {
        probe.run([Reduce::Sum], |_, g, []| [g * g])
    }

    fn scope(&self) -> Scope {
        Scope::Call
    }

    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let norm = step.measured[0].sqrt();
        let factor = if norm == 0.0 { 0.0 } else { norm.powf(-self.beta) };
        let rate = T::of(self.lr * factor);
        launch.run([], move |_, g, []| rate * g)
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
