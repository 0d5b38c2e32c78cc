//! RMSprop: the gradient over the root of its running square.
//!
//! Tieleman, Hinton 2012, lecture 6.5 of "Neural networks for machine learning"; Graves 2013,
//! arXiv:1308.0850 (centered); in the form of torch.optim.RMSprop.
//!
//!   g gradient   s running square, a running mean (centered), b sum of steps (momentum) (states)
//!   lr, alpha, eps, momentum
//!   s = alpha s + (1 - alpha) g^2
//!   a = alpha a + (1 - alpha) g                  centered
//!   d = g / (sqrt(s) + eps), or g / (sqrt(s - a^2) + eps) centered
//!   step = lr d, or lr b with b = momentum b + d
//!
//! Memory: one to three buffers. Deviations: the variance s - a^2 is at least 0; rounding can take
//! it below, where torch makes NaN.

use super::prelude::*;

rule! {
    /// The gradient over the root of its running square.
    "rmsprop" => RMSprop {
        lr: NonNegative = 1e-2,
        alpha: NonNegative = 0.99,
        eps: NonNegative = 1e-8,
        momentum: NonNegative = 0.0,
        centered: Flag = false,
    }
    decay Coupled 0.0
}

impl Rule for RMSprop {
    fn kernel<T: Real, L: Launch<T>>(&self, _: &Step, launch: L) -> L::Output {
        let [lr, momentum, eps] = [self.lr, self.momentum, self.eps].map(T::of);
        let [alpha, fresh, zero] = [self.alpha, 1.0 - self.alpha, 0.0].map(T::of);
        let scaled = move |g: T, s: &mut T| {
            *s = alpha * *s + fresh * (g * g);
            g / (s.sqrt() + eps)
        };
        let centered = move |g: T, s: &mut T, a: &mut T| {
            *s = alpha * *s + fresh * (g * g);
            *a = *a + fresh * (g - *a);
            g / ((*s - *a * *a).max(zero).sqrt() + eps)
        };
        let [square, mean, sum] = ["square_avg", "grad_avg", "momentum_buffer"].map(zeros);
        match (self.centered, self.momentum > 0.0) {
            (false, false) => launch.run([square], move |_, g, [s]| lr * scaled(g, s)),
            (true, false) => launch.run([square, mean], move |_, g, [s, a]| lr * centered(g, s, a)),
            (false, true) => launch.run([square, sum], move |_, g, [s, b]| {
                *b = momentum * *b + scaled(g, s);
                lr * *b
            }),
            (true, true) => launch.run([square, sum, mean], move |_, g, [s, b, a]| {
                *b = momentum * *b + centered(g, s, a);
                lr * *b
            }),
        }
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
