//! The box: lo_i <= x_i <= hi_i. Also the ball of the largest absolute value.
//!
//!   y = min(max(x, lo), hi)     pull: v inside, 0 at the sides

use super::{Memory, Params, Set, Spread};
use crate::engine::{Error, Result};

/// Bounds, infinite ones allowed.
#[derive(Debug, Clone, Copy)]
pub struct Boxed<'a> {
    pub(super) lo: Spread<'a>,
    pub(super) hi: Spread<'a>,
}

impl<'a> Boxed<'a> {
    /// From the vectors `lo` and `hi`.
    pub fn new(params: &Params<'a>) -> Result<Self> {
        let lo = params.spread(0, "lo")?.all("lo", "no NaN", |x| !x.is_nan())?;
        let hi = params.spread(1, "hi")?.all("hi", "no NaN", |x| !x.is_nan())?;
        let bounds = Self { lo, hi };
        let size = if lo.same().and(hi.same()).is_some() { 1 } else { params.n };
        match (0..size).find(|&i| lo.at(i) > hi.at(i)) {
            Some(i) => Err(Error::value(
                "hi",
                format!("at least lo = {}", lo.at(i)),
                hi.at(i),
                "the box is empty",
            )),
            None => Ok(bounds),
        }
    }
}

impl Set for Boxed<'_> {
    fn project(&self, x: &mut [f64], _: &mut Memory) -> f64 {
        if let (Some(lo), Some(hi)) = (self.lo.same(), self.hi.same()) {
            x.iter_mut().for_each(|x| *x = x.clamp(lo, hi));
        } else {
            for (i, x) in x.iter_mut().enumerate() {
                *x = x.clamp(self.lo.at(i), self.hi.at(i));
            }
        }
        0.0
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], _: &mut Memory) {
        for (i, (v, &x)) in v.iter_mut().zip(x).enumerate() {
            if !(self.lo.at(i) < x && x < self.hi.at(i)) {
                *v = 0.0;
            }
        }
    }
}
