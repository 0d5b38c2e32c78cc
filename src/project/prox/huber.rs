//! lam times Huber's function of width delta: x^2 / (2 delta) up to delta, then |x| - delta / 2.
//!
//!   y = x / (1 + lam / delta) if |x| <= delta + lam, else x - lam sign(x)

use super::super::{Params, params};
use super::Entrywise;
use crate::engine::Result;

/// Strength and width.
#[derive(Debug, Clone, Copy)]
pub struct Huber {
    lam: f64,
    delta: f64,
}

impl Huber {
    /// From the numbers `lam` and `delta`.
    pub fn new(given: &Params<'_>) -> Result<Self> {
        let lam = given.strength(0, "lam")?;
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let delta = params::number(given.scalar(1)?, "delta", "positive", positive)?;
        Ok(Self { lam, delta })
    }
}

impl Entrywise for Huber {
    fn image(&self, x: f64, _: usize) -> f64 {
        if x.abs() <= self.delta + self.lam {
            x / (1.0 + self.lam / self.delta)
        } else {
            x - self.lam.copysign(x)
        }
    }

    fn slope(&self, x: f64, _: usize) -> f64 {
        if x.abs() <= self.delta + self.lam { 1.0 / (1.0 + self.lam / self.delta) } else { 1.0 }
    }
}
