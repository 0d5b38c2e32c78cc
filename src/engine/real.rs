//! The scalar that update formulas are written in.
//!
//! A formula sees arithmetic, comparisons that yield masks, and [`Real::select`]: no branches. So
//! one and the same function runs on [`Lane`]s of f32 and f64, which the compiler packs into
//! vectors, and on [`Trace`](super::trace::Trace), which records it as an expression.

use super::tensor::Dtype;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

/// Arithmetic on one coordinate.
pub trait Real:
    Copy
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The outcome of a comparison.
    type Mask: Copy
        + BitAnd<Output = Self::Mask>
        + BitOr<Output = Self::Mask>
        + Not<Output = Self::Mask>;

    /// A constant, rounded once.
    fn of(value: f64) -> Self;
    /// Square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// Exponential, within 2 units in the last place.
    fn exp(self) -> Self;
    /// Natural logarithm, within 2 units in the last place; NaN below 0.
    fn ln(self) -> Self;
    /// `self` to the power of `exponent`, for `self` >= 0.
    #[inline(always)]
    fn pow(self, exponent: Self) -> Self {
        (self.ln() * exponent).exp()
    }
    /// `self < other`; false for NaN.
    fn lt(self, other: Self) -> Self::Mask;
    /// `self <= other`; false for NaN.
    fn le(self, other: Self) -> Self::Mask;
    /// `self == other`; false for NaN.
    fn eq(self, other: Self) -> Self::Mask;
    /// `yes` where the mask holds, else `no`; both are evaluated.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;

    /// `self > other`.
    #[inline(always)]
    fn gt(self, other: Self) -> Self::Mask {
        other.lt(self)
    }
    /// `self >= other`.
    #[inline(always)]
    fn ge(self, other: Self) -> Self::Mask {
        other.le(self)
    }
    /// -1, 0 or 1; 0 for NaN, as in torch.
    #[inline(always)]
    fn sign(self) -> Self {
        let zero = Self::of(0.0);
        Self::select(
            self.gt(zero),
            Self::of(1.0),
            Self::select(self.lt(zero), Self::of(-1.0), zero),
        )
    }
    /// The larger one; NaN when either is, as in torch.
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self::select(!self.eq(self) | self.gt(other), self, other)
    }
    /// The smaller one; NaN when either is.
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self::select(!self.eq(self) | self.lt(other), self, other)
    }
}

/// A machine float that kernels compute in.
pub trait Float: Copy + Default + PartialOrd + Send + Sync + std::fmt::Debug + 'static {
    /// How it is stored.
    const DTYPE: Dtype;
    /// Rounds once.
    fn from_f64(value: f64) -> Self;
    /// Widens.
    fn to_f64(self) -> f64;
    /// An integer as wide.
    type Bits: Copy + Ord + Default + Send + Sync;
    /// The bits of the absolute value: they are ordered as the values are, with NaN above all.
    fn magnitude(self) -> Self::Bits;
    /// The number of these bits.
    fn from_magnitude(bits: Self::Bits) -> Self;
    #[doc(hidden)]
    fn add(self, other: Self) -> Self;
    #[doc(hidden)]
    fn sub(self, other: Self) -> Self;
    #[doc(hidden)]
    fn mul(self, other: Self) -> Self;
    #[doc(hidden)]
    fn div(self, other: Self) -> Self;
    #[doc(hidden)]
    fn neg(self) -> Self;
    #[doc(hidden)]
    fn sqrt(self) -> Self;
    #[doc(hidden)]
    fn abs(self) -> Self;
    #[doc(hidden)]
    fn exp(self) -> Self;
    #[doc(hidden)]
    fn ln(self) -> Self;
}

macro_rules! float {
    ($float:ident, $bits:ident, $dtype:expr, $exp:path, $ln:path) => {
        impl Float for $float {
            const DTYPE: Dtype = $dtype;
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as Self
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }
            type Bits = $bits;
            #[inline(always)]
            fn magnitude(self) -> $bits {
                self.to_bits() & ($bits::MAX >> 1)
            }
            #[inline(always)]
            fn from_magnitude(bits: $bits) -> Self {
                Self::from_bits(bits)
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self - other
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self * other
            }
            #[inline(always)]
            fn div(self, other: Self) -> Self {
                self / other
            }
            #[inline(always)]
            fn neg(self) -> Self {
                -self
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn abs(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                $ln(self)
            }
        }
    };
}
float!(f32, u32, Dtype::F32, exp_f32, ln_f32);
float!(f64, u64, Dtype::F64, exp_f64, ln_f64);

/// Splits `x` into `k ln 2 + r` with |r| <= ln 2 / 2, sums the series of exp(r) and scales by 2^k.
/// Branch-free, so that it vectorizes, unlike the C library's.
#[inline(always)]
fn exp_f64(x: f64) -> f64 {
    // Beyond these the result is 0 or infinity; `clamp` keeps NaN.
    let y = x.clamp(-746.0, 710.0);
    const MAGIC: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52: adding it rounds to an integer
    let shifted = y * std::f64::consts::LOG2_E + MAGIC;
    let k = shifted - MAGIC;
    // ln 2 in two parts, the high one with trailing zeros so that k times it is exact.
    let r = (y - k * 6.931_471_803_691_238e-1) - k * 1.908_214_929_270_587_7e-10;
    // 1/n!, highest first; the remainder after r^13 is below 2^-57.
    let mut sum = 1.0 / 6_227_020_800.0;
    for factorial in [
        479_001_600.0,
        39_916_800.0,
        3_628_800.0,
        362_880.0,
        40_320.0,
        5_040.0,
        720.0,
        120.0,
        24.0,
        6.0,
        2.0,
        1.0,
        1.0,
    ] {
        sum = sum * r + 1.0 / factorial;
    }
    // 2^k in two factors, so that neither overflows nor loses a subnormal result too early. The
    // low bits of `shifted` hold k.
    let k = shifted.to_bits().wrapping_sub(MAGIC.to_bits()) as i64 as i32;
    let half = k >> 1;
    let power = |n: i32| f64::from_bits(((i64::from(n) + 1023) as u64) << 52);
    let scaled = sum * power(half) * power(k - half);
    if x.is_nan() { x } else { scaled }
}

/// As [`exp_f64`], in single precision.
#[inline(always)]
fn exp_f32(x: f32) -> f32 {
    let y = x.clamp(-104.0, 89.0);
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23
    let shifted = y * std::f32::consts::LOG2_E + MAGIC;
    let k = shifted - MAGIC;
    let r = (y - k * 0.693_359_4) - k * -2.121_944_4e-4;
    // The terms of r^2 and above in pairs, which do not wait for each other.
    let square = r * r;
    let pair = |low: f32, high: f32| 1.0 / low + r * (1.0 / high);
    let rest = pair(24.0, 120.0) + square * pair(720.0, 5_040.0);
    let sum = 1.0 + (r + square * (pair(2.0, 6.0) + square * rest));
    let k = shifted.to_bits().wrapping_sub(MAGIC.to_bits()) as i32;
    let half = k >> 1;
    let power = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    // NaN stays: `sum` is NaN then.
    sum * power(half) * power(k.wrapping_sub(half))
}

/// Splits `x` into `m 2^k` with m in [sqrt(1/2), sqrt(2)) and sums the series of
/// ln m = 2 artanh((m - 1) / (m + 1)). Branch-free, as [`exp_f64`].
#[inline(always)]
fn ln_f64(x: f64) -> f64 {
    // Subnormal numbers are scaled into range.
    let small = x < f64::MIN_POSITIVE;
    let y = if small { x * 18_014_398_509_481_984.0 } else { x };
    let shift = if small { 54.0 } else { 0.0 };
    let bits = y.to_bits().wrapping_sub(0x3FE6_A09E_667F_3BCD);
    let k = (bits as i64 >> 52) as i32;
    let m = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF).wrapping_add(0x3FE6_A09E_667F_3BCD));
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let mut sum = 1.0 / 23.0;
    for odd in [21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        sum = sum * square + 1.0 / odd;
    }
    let k = f64::from(k) - shift;
    // ln 2 in two parts, as in `exp_f64`; small terms first.
    let low = k * 1.908_214_929_270_587_7e-10 + 2.0 * s * square * sum;
    let value = k * 6.931_471_803_691_238e-1 + (2.0 * s + low);
    let value = if x == f64::INFINITY { x } else { value };
    let value = if x == 0.0 { f64::NEG_INFINITY } else { value };
    if x >= 0.0 { value } else { f64::NAN }
}

/// As [`ln_f64`], in single precision.
#[inline(always)]
fn ln_f32(x: f32) -> f32 {
    let small = x < f32::MIN_POSITIVE;
    let y = if small { x * 33_554_432.0 } else { x };
    let shift = if small { 25.0 } else { 0.0 };
    let bits = y.to_bits().wrapping_sub(0x3F35_04F3);
    let k = bits as i32 >> 23;
    let m = f32::from_bits((bits & 0x007F_FFFF).wrapping_add(0x3F35_04F3));
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let mut sum = 1.0 / 9.0;
    for odd in [7.0, 5.0, 3.0] {
        sum = sum * square + 1.0 / odd;
    }
    let k = k as f32 - shift;
    let low = k * -2.121_944_4e-4 + 2.0 * s * square * sum;
    let value = k * 0.693_359_4 + (2.0 * s + low);
    let value = if x == f32::INFINITY { x } else { value };
    let value = if x == 0.0 { f32::NEG_INFINITY } else { value };
    if x >= 0.0 { value } else { f32::NAN }
}

/// A float inside code that is inlined at `SITE`.
///
/// The [site](super::sweep::site) is part of the type so that each gets its own copy of a formula,
/// compiled for the SIMD level of its one caller; a shared copy would stay at the baseline.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(transparent)]
pub struct Lane<F, const SITE: u8 = 0>(pub F);

macro_rules! binary {
    ($($trait:ident $name:ident),*) => {$(
        impl<F: Float, const SITE: u8> $trait for Lane<F, SITE> {
            type Output = Self;
            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                Self(self.0.$name(other.0))
            }
        }
    )*};
}
binary!(Add add, Sub sub, Mul mul, Div div);

impl<F: Float, const SITE: u8> Neg for Lane<F, SITE> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(self.0.neg())
    }
}

impl<F: Float, const SITE: u8> Real for Lane<F, SITE> {
    type Mask = bool;

    #[inline(always)]
    fn of(value: f64) -> Self {
        Self(F::from_f64(value))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.sqrt())
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Self(self.0.abs())
    }
    #[inline(always)]
    fn exp(self) -> Self {
        Self(self.0.exp())
    }
    #[inline(always)]
    fn ln(self) -> Self {
        Self(self.0.ln())
    }
    #[inline(always)]
    fn lt(self, other: Self) -> bool {
        self.0 < other.0
    }
    #[inline(always)]
    fn le(self, other: Self) -> bool {
        self.0 <= other.0
    }
    #[inline(always)]
    fn eq(self, other: Self) -> bool {
        self.0 == other.0
    }
    #[inline(always)]
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_standard_library() {
        for i in -74_000..71_000 {
            let x = f64::from(i) * 0.01 + 0.001_3;
            let (ours, std) = (exp_f64(x), x.exp());
            assert!(
                ours == std || (ours - std).abs() <= 4.5e-16 * std + f64::MIN_POSITIVE * 1e-15,
                "{x} {ours} {std}"
            );
        }
        for i in -10_300..8_870 {
            let x = i as f32 * 0.01 + 0.001_3;
            let (ours, std) = (exp_f32(x), x.exp());
            assert!(ours == std || (ours - std).abs() <= 2.5e-7 * std + 3e-45, "{x} {ours} {std}");
        }
        assert_eq!((exp_f64(0.0), exp_f32(0.0)), (1.0, 1.0));
        assert_eq!((exp_f64(f64::INFINITY), exp_f64(f64::NEG_INFINITY)), (f64::INFINITY, 0.0));
        assert_eq!((exp_f32(f32::INFINITY), exp_f32(f32::NEG_INFINITY)), (f32::INFINITY, 0.0));
        assert!(exp_f64(f64::NAN).is_nan() && exp_f32(f32::NAN).is_nan());
    }

    #[test]
    fn ln_agrees_with_the_standard_library() {
        for i in 1..200_000 {
            let x = (f64::from(i - 100_000) * 7.09e-3).exp();
            let (ours, std) = (ln_f64(x), f64::ln(x));
            assert!((ours - std).abs() <= 4.5e-16 * std.abs(), "{x} {ours} {std}");
            let x = (f64::from(i - 100_000) * 8.8e-4) as f32;
            let x = f32::exp(x);
            let (ours, std) = (ln_f32(x), f32::ln(x));
            assert!((ours - std).abs() <= 2.5e-7 * std.abs(), "{x} {ours} {std}");
        }
        for x in [5e-324, 1e-310, f64::MIN_POSITIVE, 1.0, 1.0 + f64::EPSILON, f64::MAX] {
            assert!((ln_f64(x) - f64::ln(x)).abs() <= 4.5e-16 * f64::ln(x).abs(), "{x}");
        }
        for x in [1e-45, 1e-40, f32::MIN_POSITIVE, 1.0, 1.0 + f32::EPSILON, f32::MAX] {
            assert!((ln_f32(x) - f32::ln(x)).abs() <= 2.5e-7 * f32::ln(x).abs(), "{x}");
        }
        assert_eq!((ln_f64(0.0), ln_f64(f64::INFINITY)), (f64::NEG_INFINITY, f64::INFINITY));
        assert_eq!((ln_f32(0.0), ln_f32(f32::INFINITY)), (f32::NEG_INFINITY, f32::INFINITY));
        assert!(ln_f64(-1.0).is_nan() && ln_f64(f64::NAN).is_nan() && ln_f32(-1.0).is_nan());
    }

    #[test]
    fn extrema_keep_nan_and_sign_drops_it() {
        type L = Lane<f64>;
        let (one, nan) = (Lane::<f64>(1.0), Lane::<f64>(f64::NAN));
        assert!(Real::max(one, nan).0.is_nan() && Real::max(nan, one).0.is_nan());
        assert!(Real::min(one, nan).0.is_nan() && Real::min(nan, one).0.is_nan());
        assert_eq!((nan.sign().0, L::of(-0.0).sign().0), (0.0, 0.0));
    }
}
