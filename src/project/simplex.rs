//! The simplex: x >= 0, sum x = s.
//!
//!   y = max(x - tau, 0)     pull: v - mean_S(v) on S = {y > 0}, 0 elsewhere

use super::params::not_empty;
use super::threshold;
use super::{Memory, Params, Set};
use crate::engine::Result;
use crate::engine::simd::{self, Kernel};

/// Sum of the entries.
#[derive(Debug, Clone, Copy)]
pub struct Simplex {
    radius: f64,
}

impl Simplex {
    /// From the number `radius`.
    pub fn new(params: &Params<'_>) -> Result<Self> {
        not_empty(params.n)?;
        Ok(Self { radius: params.non_negative(0, "radius")? })
    }
}

struct Shrink<'a>(&'a mut [f64], f64, f64);
impl Kernel for Shrink<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self(x, top, tau) = self;
        for x in x {
            let y = (*x - top) - tau;
            *x = if y > 0.0 { y } else { 0.0 };
        }
    }
}

/// Subtracts from `v` its mean over the entries where `sign(i)` is not 0, measured with that sign,
/// and clears the rest.
pub fn center(v: &mut [f64], sign: impl Fn(usize) -> f64) {
    let (mut total, mut count) = (0.0, 0.0);
    for (i, v) in v.iter().enumerate() {
        let s = sign(i);
        total += s * v;
        count += s.abs();
    }
    let mean = if count > 0.0 { total / count } else { 0.0 };
    for (i, v) in v.iter_mut().enumerate() {
        let s = sign(i);
        *v = if s == 0.0 { 0.0 } else { *v - s * mean };
    }
}

impl Set for Simplex {
    fn project(&self, x: &mut [f64], memory: &mut Memory) -> f64 {
        if self.radius == 0.0 {
            x.fill(0.0);
            return 0.0;
        }
        let (top, tau) = threshold::simplex::<false>(x, self.radius, &mut memory.values);
        simd::dispatch(Shrink(x, top, tau));
        0.0
    }

    fn pull(&self, _: &[f64], y: &[f64], v: &mut [f64], _: &mut Memory) {
        center(v, |i| f64::from(u8::from(y[i] > 0.0)));
    }
}
