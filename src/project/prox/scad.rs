//! The smoothly clipped absolute deviation (Fan and Li 2001), of weight lam and shape a > 2.
//!
//!   y = soft(x, lam) | ((a - 1) x - sign(x) a lam) / (a - 2) | x
//!       at |x| <= 2 lam | <= a lam | beyond

use super::super::{Params, params};
use super::{Entrywise, soft};
use crate::engine::Result;

/// Strength and shape.
#[derive(Debug, Clone, Copy)]
pub struct Scad {
    lam: f64,
    a: f64,
}

impl Scad {
    /// From the numbers `lam` and `a`.
    pub fn new(given: &Params<'_>) -> Result<Self> {
        let lam = given.non_negative(0, "lam")?;
        let convex = |x: f64| x > 2.0 && x.is_finite();
        Ok(Self { lam, a: params::number(given.scalar(1)?, "a", "finite and > 2", convex)? })
    }
}

impl Entrywise for Scad {
    fn image(&self, x: f64, _: usize) -> f64 {
        let Self { lam, a } = *self;
        if x.abs() <= 2.0 * lam {
            soft(x, lam)
        } else if x.abs() <= a * lam {
            // (a - 1) / (a - 2) = 1 + 1 / (a - 2), arranged so that no large terms cancel.
            x - (a * lam - x.abs()).copysign(x) / (a - 2.0)
        } else {
            x
        }
    }

    fn slope(&self, x: f64, _: usize) -> f64 {
        let Self { lam, a } = *self;
        if x.abs() <= 2.0 * lam {
            f64::from(u8::from(x.abs() > lam || lam == 0.0))
        } else if x.abs() <= a * lam {
            (a - 1.0) / (a - 2.0)
        } else {
            1.0
        }
    }
}
