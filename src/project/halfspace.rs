//! The slab lo <= a.x <= hi: a half-space where one side is infinite, a hyperplane where lo = hi.
//!
//!   y = x - a (a.x - clip(a.x, lo, hi)) / |a|^2
//!   pull: v - a (a.v) / |a|^2 where x was moved (always for a hyperplane), else v

use super::l2_ball::length;
use super::{Memory, Params, Set};
use crate::engine::{Error, Result};
use crate::linalg::cholesky::dot;

/// Unit normal and sides.
#[derive(Debug, Clone)]
pub struct Slab {
    normal: Vec<f64>,
    lo: f64,
    hi: f64,
}

impl Slab {
    /// From the vector `a` and the numbers `lo` and `hi`.
    pub fn new(params: &Params<'_>) -> Result<Self> {
        let a = params.vector(0)?;
        if a.len() != params.n {
            return Err(Error::value(
                "a",
                format!("of length {}", params.n),
                format!("length {}", a.len()),
                "give one coefficient for each entry along the axis",
            ));
        }
        let size = length(a.iter().copied());
        if !size.is_finite() || (size == 0.0 && params.n > 0) {
            let given = if size == 0.0 { "zeros" } else { "NaN or infinity" };
            return Err(Error::value("a", "finite and not zero", given, "give a normal"));
        }
        let (lo, hi) = (params.scalar(0)? / size, params.scalar(1)? / size);
        let open = lo == f64::INFINITY || hi == f64::NEG_INFINITY;
        if lo.is_nan() || hi.is_nan() || lo > hi || open {
            let (lo, hi) = (params.scalar(0)?, params.scalar(1)?);
            let given = format!("{lo} and {hi}");
            return Err(Error::value("the sides", "lo <= hi, not NaN", given, "the set is empty"));
        }
        Ok(Self { normal: a.iter().map(|a| a / size).collect(), lo, hi })
    }
}

impl Set for Slab {
    fn project(&self, x: &mut [f64], _: &mut Memory) -> f64 {
        let height = dot(&self.normal, x);
        let over = height - height.clamp(self.lo, self.hi);
        if over != 0.0 {
            for (x, a) in x.iter_mut().zip(&self.normal) {
                *x -= over * a;
            }
        }
        0.0
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], _: &mut Memory) {
        let height = dot(&self.normal, x);
        if height < self.lo || height > self.hi || self.lo == self.hi {
            let along = dot(&self.normal, v);
            for (v, a) in v.iter_mut().zip(&self.normal) {
                *v -= along * a;
            }
        }
    }
}
