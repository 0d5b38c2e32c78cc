//! Accelerated SGD: Nesterov's acceleration for models that can fit every example.
//!
//! Mishkin, Pilanci, Schmidt 2024, "Faster convergence of stochastic accelerated gradient descent
//! under interpolation", arXiv:2404.02378.
//!
//!   y parameter, where gradients are taken   g gradient at y   o = y - w lead over the iterate w
//!   (state)   a momentum parameter (scalar)   lr = 1 / (rho L), mu strong convexity, alpha first a
//!   w+ = y - lr g
//!   a+ positive root of a+^2 = (1 - a+) a^2 + a+ lr mu
//!   y+ = w+ + a (1 - a) / (a^2 + a+) (w+ - w)
//!   to evaluate: w
//!
//! Memory: one buffer. Deviations: none; without `alpha` it is sqrt(lr mu), which keeps the momentum
//! constant, and 1 for mu = 0.

use super::prelude::*;

rule! {
    /// Nesterov's acceleration for models that can fit every example.
    "acceleratedsgd" => AcceleratedSGD {
        lr: NonNegative = 1e-2,
        mu: NonNegative = 0.0,
        alpha: Optional<Fraction> = None,
        /// Whether the parameter holds y.
        train_mode: Flag = true,
    }
    decay Decoupled 0.0
    uncounted
}

impl Rule for AcceleratedSGD {
    fn scalars(&self) -> Vec<Scalar> {
        let constant = (self.lr * self.mu).sqrt().min(1.0);
        let first = self.alpha.unwrap_or(if constant > 0.0 { constant } else { 1.0 });
        vec![scalar("alpha", first)]
    }

    fn advance(&self, step: &mut Step) -> Result<()> {
        let square = step.before[0].powi(2);
        let p = square - self.lr * self.mu;
        step.scalars[0] = ((p * p + 4.0 * square).sqrt() - p) / 2.0;
        Ok(())
    }

    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let (a, next) = (step.before[0], step.scalars[0]);
        let momentum = if a > 0.0 { a * (1.0 - a) / (a * a + next) } else { 1.0 };
        let [lr, momentum] = [self.lr, momentum].map(T::of);
        launch.run([zeros("lead")], move |_, g, [o]| {
            let step = lr * g;
            *o = momentum * (*o - step);
            step - *o
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }

    fn views(&self) -> Option<Views> {
        let blend = |by: f64| vec![("param", vec![("param", 1.0), ("lead", by)])];
        Some(Views { eval: blend(-1.0), train: blend(1.0) })
    }
}
