//! lam sum w_i |x_i| + lam ridge |x|^2 / 2, with x >= 0 on request: l1, ridge and elastic net.
//!
//!   y = soft(x, lam w) / (1 + lam ridge);   x >= 0: max(x - lam w, 0) / (1 + lam ridge)

use super::super::{Params, Spread};
use super::{Entrywise, soft};
use crate::engine::Result;

/// Strengths of the parts.
#[derive(Debug, Clone, Copy)]
pub struct L1<'a> {
    lam: f64,
    scale: f64,
    positive: bool,
    weights: Spread<'a>,
}

impl<'a> L1<'a> {
    /// From the numbers `lam`, `ridge`, `positive` (1 or 0) and the vector `weights`.
    pub fn new(params: &Params<'a>) -> Result<Self> {
        let allowed = |x: f64| x >= 0.0 && x.is_finite();
        let weights = params.spread(0, "weights")?.all("weights", ">= 0", allowed)?;
        let (lam, ridge) = (params.strength(0, "lam")?, params.non_negative(1, "gamma")?);
        let scale = if ridge == 0.0 { 1.0 } else { 1.0 / (1.0 + lam * ridge) };
        Ok(Self { lam, scale, positive: params.scalar(2)? != 0.0, weights })
    }

    fn threshold(&self, i: usize) -> f64 {
        let w = self.weights.at(i);
        // An infinite strength leaves alone what carries no weight.
        if w == 0.0 { 0.0 } else { self.lam * w }
    }
}

impl Entrywise for L1<'_> {
    fn image(&self, x: f64, i: usize) -> f64 {
        let t = self.threshold(i);
        let y = if self.positive { (x - t).max(0.0) } else { soft(x, t) };
        y * self.scale
    }

    fn slope(&self, x: f64, i: usize) -> f64 {
        let t = self.threshold(i);
        let kept = x > t || (!self.positive && (x < -t || t == 0.0));
        if kept { self.scale } else { 0.0 }
    }
}
