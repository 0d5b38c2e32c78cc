//! How a step moves a parameter.
//!
//!   x parameter, already decayed   u step, after mask and decay have seen it
//!   additive: x - u;  multiplicative: x exp(-sign(x) u);  frozen: x - u, stopped short of 0
//!
//! In every geometry a positive step lowers x > 0, so that masks and cautious decay mean the same.

use super::modifiers::clipped;
use crate::engine::real::{Float, Lane, Real};
use crate::engine::simd::{self, Kernel};

/// How a step moves the parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Geometry {
    /// `x - u`.
    Additive,
    /// `x exp(-sign(x) u)`: a relative step, which keeps the sign. The exponent is clipped.
    Multiplicative {
        /// Largest absolute value of the exponent.
        limit: f64,
    },
    /// `x - u`, where a coordinate that would change its sign stops at 1e-18 with the old one.
    Frozen,
}

impl Geometry {
    /// Moves `x`; decay multiplies it by `keep`, and by `1 - cautious` where the step lowers |x|.
    #[inline]
    pub(crate) fn apply<F: Float>(self, x: &mut [F], u: &[F], keep: f64, cautious: f64) {
        let limit = match self {
            Self::Multiplicative { limit } => Some(limit),
            _ => None,
        };
        simd::dispatch(Move { limit, keep, cautious, x, u });
    }
}

struct Move<'a, F> {
    /// Of the exponent; none where the sign is frozen.
    limit: Option<f64>,
    keep: f64,
    cautious: f64,
    x: &'a mut [F],
    u: &'a [F],
}

impl<F: Float> Kernel for Move<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        type T<F> = Lane<F>;
        let decay = [self.keep, self.cautious].map(T::<F>::of);
        if let Some(limit) = self.limit {
            let limit = T::<F>::of(limit);
            if self.cautious == 0.0 {
                for (x, &u) in self.x.iter_mut().zip(self.u) {
                    let old = Lane(*x);
                    *x = (old * decay[0] * factor(old, Lane(u), limit)).0;
                }
            } else {
                for (x, &u) in self.x.iter_mut().zip(self.u) {
                    *x = multiplied(Lane(*x), Lane(u), limit, decay).0;
                }
            }
            return;
        }
        for (x, &u) in self.x.iter_mut().zip(self.u) {
            *x = frozen(Lane(*x), Lane(u), decay).0;
        }
    }
}

#[inline(always)]
fn decayed<T: Real>(x: T, u: T, [keep, cautious]: [T; 2]) -> T {
    let zero = T::of(0.0);
    let towards = (u.ge(zero) & x.ge(zero)) | (u.le(zero) & x.le(zero));
    x * keep * (T::of(1.0) - T::select(towards, cautious, zero))
}

/// `x exp(-sign(x) u)`, decayed.
#[inline(always)]
pub(crate) fn multiplied<T: Real>(x: T, u: T, limit: T, decay: [T; 2]) -> T {
    decayed(x, u, decay) * factor(x, u, limit)
}

#[inline(always)]
fn factor<T: Real>(x: T, u: T, limit: T) -> T {
    clipped(-(x.sign() * u), limit).exp()
}

/// `x - u`, decayed, which stops at 1e-18 instead of changing its sign.
#[inline(always)]
pub(crate) fn frozen<T: Real>(x: T, u: T, decay: [T; 2]) -> T {
    let (sign, zero) = (x.sign(), T::of(0.0));
    let moved = decayed(x, u, decay) - u;
    let crossed = (moved * sign).le(zero) & !sign.eq(zero);
    T::select(crossed, sign * T::of(1e-18), moved)
}
