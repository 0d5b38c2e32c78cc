//! Curl descent: SGD in which some neurons learn with the opposite sign.
//!
//! Ninou, Kadmon, Cayco-Gajic 2025, "Curl descent: non-gradient learning dynamics with sign-diverse
//! plasticity", NeurIPS, arXiv:2510.02765.
//!
//!   g gradient   b momentum buffer (with momentum), d signs (states)   lr, momentum, fraction, seed
//!   d = -1 in a share `fraction` of the columns (presynaptic neurons) of a matrix, else 1
//!   b = momentum b + g
//!   step = lr d b
//!
//! Fixed points are those of gradient descent; their stability is not. Vectors keep d = 1. Memory:
//! one or two buffers. Deviations: momentum, which the paper does not use.

use super::prelude::*;

rule! {
    /// SGD in which some neurons learn with the opposite sign.
    "curlsgd" => CurlSGD {
        lr: NonNegative = 1e-2,
        momentum: NonNegative = 0.0,
        fraction: Fraction = 0.1,
        /// Seed of the signs.
        seed: Seed = 0.0,
    }
    decay Decoupled 0.0
    uncounted
}

impl Rule for CurlSGD {
    fn kernel<T: Real, L: Launch<T>>(&self, _: &Step, launch: L) -> L::Output {
        let [lr, momentum] = [self.lr, self.momentum].map(T::of);
        let signs = State { name: "update_sign", start: Start::Columns(self.fraction) };
        if self.momentum == 0.0 {
            launch.run([signs], move |_, g, [d]| *d * (lr * g))
        } else {
            launch.run([signs, zeros("momentum_buffer")], move |_, g, [d, b]| {
                *b = momentum * *b + g;
                *d * (lr * *b)
            })
        }
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
