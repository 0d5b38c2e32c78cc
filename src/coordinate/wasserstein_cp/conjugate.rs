//! The conjugate of the entropic transport cost in its second argument.
//!
//!   W(x, q) = min <C, T> + gamma sum T log T   over T >= 0, T 1 = x, T^T 1 = q
//!   H(g) = sup_q <g, q> - W(x, q) = gamma sum_i x_i (log (K e^{g / gamma})_i - log x_i)
//!   grad H = e^{g / gamma} * K^T (x / (K e^{g / gamma})),   K = exp(-C / gamma)
//!
//! The gradient is the second marginal of the best plan: its sum is that of x.

use super::gibbs::{Gibbs, Scratch};
use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};

/// Buffers of [`conjugate`].
#[derive(Debug, Clone, Default)]
pub struct Memory {
    log: Vec<f64>,
    scratch: Scratch,
}

/// H(g) for the masses x whose logarithms are `log_x`; writes its gradient.
pub fn conjugate(
    gibbs: &Gibbs,
    gamma: f64,
    log_x: &[f64],
    g: &[f64],
    gradient: &mut [f64],
    memory: &mut Memory,
) -> f64 {
    let Memory { log, scratch } = memory;
    log.clear();
    log.extend(g.iter().map(|g| g / gamma));
    gibbs.apply(false, log, scratch);
    let value = simd::dispatch(Ratio { log_x, log });
    gibbs.apply(true, log, scratch);
    simd::dispatch(Marginal { g, gamma, log, gradient });
    gamma * value
}

/// Replaces log K a by log(x / K a); returns sum x log(K a / x).
struct Ratio<'a> {
    log_x: &'a [f64],
    log: &'a mut [f64],
}

impl Kernel for Ratio<'_> {
    type Output = f64;
    #[inline(always)]
    fn run(self) -> f64 {
        let mut total = 0.0;
        for (log, &log_x) in self.log.iter_mut().zip(self.log_x) {
            let ratio = log_x - *log;
            // 0 log 0 = 0.
            total -= if log_x == f64::NEG_INFINITY { 0.0 } else { Float::exp(log_x) * ratio };
            *log = ratio;
        }
        total
    }
}

struct Marginal<'a> {
    g: &'a [f64],
    gamma: f64,
    log: &'a [f64],
    gradient: &'a mut [f64],
}

impl Kernel for Marginal<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { g, gamma, log, gradient } = self;
        for ((out, g), log) in gradient.iter_mut().zip(g).zip(log) {
            *out = Float::exp(g / gamma + log);
        }
    }
}
