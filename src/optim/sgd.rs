//! SGD: the gradient, or a running sum of it.
//!
//! Polyak 1964 (heavy ball), Nesterov 1983; in the form of torch.optim.SGD.
//!
//!   g gradient   b momentum buffer (state, absent without momentum)   lr, momentum, dampening
//!   b = momentum b + (1 - dampening) g     (first step: b = g)
//!   step = lr b, or lr (g + momentum b) with nesterov
//!
//! Memory: one buffer with momentum, else none. Deviations: none.

use super::prelude::*;

rule! {
    /// The gradient, or a running sum of it.
    "sgd" => SGD {
        lr: NonNegative = 1e-3,
        momentum: NonNegative = 0.0,
        dampening: NonNegative = 0.0,
        nesterov: Flag = false,
    }
    decay Coupled 0.0
    uncounted
}

impl Rule for SGD {
    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let fresh = if step.t == 1 { 1.0 } else { 1.0 - self.dampening };
        let [lr, momentum, fresh] = [self.lr, self.momentum, fresh].map(T::of);
        if self.momentum == 0.0 {
            launch.run([], move |_, g, []| lr * g)
        } else if self.nesterov {
            launch.run([zeros("momentum_buffer")], move |_, g, [b]| {
                *b = momentum * *b + fresh * g;
                lr * (g + momentum * *b)
            })
        } else {
            launch.run([zeros("momentum_buffer")], move |_, g, [b]| {
                *b = momentum * *b + fresh * g;
                lr * *b
            })
        }
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }

    fn check(&self) -> Result<()> {
        if self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            let given = format!("momentum={:?}, dampening={:?}", self.momentum, self.dampening);
            let allowed = "False unless momentum > 0 and dampening = 0";
            return Err(Error::value("nesterov", allowed, given, "set momentum=0.9, dampening=0"));
        }
        Ok(())
    }
}
