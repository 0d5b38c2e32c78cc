//! How a step moves a parameter.
//!
//!   x parameter, already decayed   u step, after mask and decay have seen it
//!   additive: x - u;  multiplicative: x exp(-sign(x) u);  frozen: x - u, stopped short of 0
//!
//! In every geometry a positive step lowers x > 0, so that masks and cautious decay mean the same.

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
        let [keep, cautious, zero, one] = [self.keep, self.cautious, 0.0, 1.0].map(T::<F>::of);
        let decayed = |x: T<F>, u: T<F>| {
            let towards = (u.ge(zero) & x.ge(zero)) | (u.le(zero) & x.le(zero));
            x * keep * (one - Real::select(towards, cautious, zero))
        };
        if let Some(limit) = self.limit {
            let limit = T::<F>::of(limit);
            let factor = |x: T<F>, u: T<F>| {
                let exponent = -(x.sign() * u);
                // Neither comparison holds for NaN, which stays.
                let exponent = Real::select(exponent.gt(limit), limit, exponent);
                Real::select(exponent.lt(-limit), -limit, exponent).exp()
            };
            if self.cautious == 0.0 {
                for (x, &u) in self.x.iter_mut().zip(self.u) {
                    let (old, u) = (Lane(*x), Lane(u));
                    *x = (old * keep * factor(old, u)).0;
                }
            } else {
                for (x, &u) in self.x.iter_mut().zip(self.u) {
                    let (old, u) = (Lane(*x), Lane(u));
                    *x = (decayed(old, u) * factor(old, u)).0;
                }
            }
            return;
        }
        let edge = T::<F>::of(1e-18);
        for (x, &u) in self.x.iter_mut().zip(self.u) {
            let (old, u) = (Lane(*x), Lane(u));
            let sign = old.sign();
            let moved = decayed(old, u) - u;
            let crossed = (moved * sign).le(zero) & !sign.eq(zero);
            *x = Real::select(crossed, sign * edge, moved).0;
        }
    }
}
