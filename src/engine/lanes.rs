//! Sixteen floats side by side: fixed-size arrays that the compiler packs into vectors.
//!
//! Everything here is `#[inline(always)]`, for use inside a [`Kernel`](super::simd::Kernel).

use super::real::Float;

/// Number of floats in [`Lanes`].
pub const LANES: usize = 16;

/// One value for each of sixteen samples or units.
pub type Lanes = [f32; LANES];

/// Number of [`Lanes`] that hold `n` values.
pub fn blocks(n: usize) -> usize {
    n.div_ceil(LANES)
}

/// Applies `f` lane by lane.
#[inline(always)]
pub fn map(x: Lanes, f: impl Fn(f32) -> f32) -> Lanes {
    let mut out = [0.0; LANES];
    for l in 0..LANES {
        out[l] = f(x[l]);
    }
    out
}

/// Applies `f` to pairs of lanes.
#[inline(always)]
pub fn zip(x: Lanes, y: Lanes, f: impl Fn(f32, f32) -> f32) -> Lanes {
    let mut out = [0.0; LANES];
    for l in 0..LANES {
        out[l] = f(x[l], y[l]);
    }
    out
}

/// Exponential, lane by lane.
#[inline(always)]
pub fn exp(x: Lanes) -> Lanes {
    map(x, Float::exp)
}

/// Natural logarithm of positive normal numbers, within 2e-7 relative or 1e-7 absolute.
///
/// x = 2^e m with m in [sqrt(1/2), sqrt(2)); ln m = 2 atanh(s), s = (m - 1) / (m + 1), by its
/// series: the first dropped term, 2 s^11 / 11, is below 7e-10.
#[inline(always)]
pub fn ln(x: Lanes) -> Lanes {
    let mut out = [0.0; LANES];
    // Not `map(x, ln_of)`: the compiler left that a call for each lane.
    for l in 0..LANES {
        out[l] = ln_of(x[l]);
    }
    out
}

#[inline(always)]
fn ln_of(x: f32) -> f32 {
    const ROOT_HALF: u32 = 0x3f35_04f3;
    let shifted = x.to_bits().wrapping_sub(ROOT_HALF);
    let exponent = (shifted as i32 >> 23) as f32;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(ROOT_HALF));
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let series = 1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0)));
    exponent * std::f32::consts::LN_2 + (2.0 * s + 2.0 * s * (q * series))
}

/// Sum of a slice in f64: sixteen f32 lanes first, then the lanes in order.
#[inline(always)]
pub fn sum(x: &[f32]) -> f64 {
    let (chunks, tail) = x.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for chunk in chunks {
        for l in 0..LANES {
            lanes[l] += chunk[l];
        }
    }
    let mut total = 0.0;
    for lane in lanes {
        total += f64::from(lane);
    }
    for &value in tail {
        total += f64::from(value);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_agrees_with_the_standard_library() {
        for i in 1..200_000u32 {
            let x = f32::from_bits(i * 10_000 + 0x0080_0000);
            if x.is_finite() {
                let want = f64::from(x).ln();
                let error = (f64::from(ln_of(x)) - want).abs();
                assert!(error <= 1e-7 + 2e-7 * want.abs(), "{x} {} {want}", ln_of(x));
            }
        }
        assert_eq!(ln([1.0; LANES]), [0.0; LANES]);
    }

    #[test]
    fn sum_is_the_sum() {
        let x: Vec<f32> = (0..1003).map(|i| (i % 7) as f32).collect();
        assert_eq!(sum(&x), x.iter().map(|&v| f64::from(v)).sum::<f64>());
    }
}
