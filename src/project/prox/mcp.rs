//! The minimax concave penalty (Zhang 2010), of weight lam and concavity gamma > 1.
//!
//!   y = 0 | soft(x, lam) / (1 - 1 / gamma) | x    at |x| <= lam | <= gamma lam | beyond

use super::super::{Params, params};
use super::{Entrywise, soft};
use crate::engine::Result;

/// Strength and concavity.
#[derive(Debug, Clone, Copy)]
pub struct Mcp {
    lam: f64,
    gamma: f64,
}

impl Mcp {
    /// From the numbers `lam` and `gamma`.
    pub fn new(given: &Params<'_>) -> Result<Self> {
        let lam = given.non_negative(0, "lam")?;
        let convex = |x: f64| x > 1.0 && x.is_finite();
        let gamma = params::number(given.scalar(1)?, "gamma", "finite and > 1", convex)?;
        Ok(Self { lam, gamma })
    }
}

impl Entrywise for Mcp {
    fn image(&self, x: f64, _: usize) -> f64 {
        if x.abs() > self.gamma * self.lam {
            x
        } else {
            soft(x, self.lam) / (1.0 - 1.0 / self.gamma)
        }
    }

    fn slope(&self, x: f64, _: usize) -> f64 {
        if x.abs() > self.gamma * self.lam || self.lam == 0.0 {
            1.0
        } else if x.abs() > self.lam {
            1.0 / (1.0 - 1.0 / self.gamma)
        } else {
            0.0
        }
    }
}
