//! Between what is stored and what is computed in: widening, and rounding on the way back.
//!
//! Rounding is to nearest, ties to even; or stochastic, up or down with the odds of the distance,
//! so that small steps survive on average; or to nearest with the remainder kept beside (a
//! compensated or *split* number). NaN stays NaN, and stochastic rounding does not overflow.

use super::real::Float;
use super::rng::Dither;
use super::simd::{self, Kernel};
use half::f16;
use half::slice::HalfFloatSliceExt;

/// Elements that are converted at a time where a format needs singles in between.
const RUN: usize = 256;

/// A format of two bytes.
pub(crate) trait Half {
    /// Widens; exact.
    fn widen<F: Float>(from: &[u16], to: &mut [F]);
    /// Rounds to nearest.
    fn nearest<F: Float>(from: &[F], to: &mut [u16]);
    /// Rounds stochastically, with the words from `start` on.
    fn stochastic<F: Float>(from: &[F], to: &mut [u16], dither: Dither, start: usize);
}

/// The upper half of a single.
pub(crate) struct Bf16;
/// IEEE half precision.
pub(crate) struct F16;

impl Half for Bf16 {
    fn widen<F: Float>(from: &[u16], to: &mut [F]) {
        each(from, to, |bits| F::from_f64(from_bf16(bits).into()));
    }
    fn nearest<F: Float>(from: &[F], to: &mut [u16]) {
        each(from, to, |x| to_bf16(single(x)));
    }
    fn stochastic<F: Float>(from: &[F], to: &mut [u16], dither: Dither, start: usize) {
        simd::dispatch(Stochastic { from, to, dither, start, round: neighbour_bf16 });
    }
}

impl Half for F16 {
    fn widen<F: Float>(from: &[u16], to: &mut [F]) {
        let mut run = [0.0; RUN];
        for (from, to) in from.chunks(RUN).zip(to.chunks_mut(RUN)) {
            let run = &mut run[..from.len()];
            halves(from).convert_to_f32_slice(run);
            each(run, to, |x| F::from_f64(x.into()));
        }
    }
    fn nearest<F: Float>(from: &[F], to: &mut [u16]) {
        let mut run = [0.0; RUN];
        for (from, to) in from.chunks(RUN).zip(to.chunks_mut(RUN)) {
            let run = &mut run[..from.len()];
            each(from, run, single);
            halves_mut(to).convert_from_f32_slice(run);
        }
    }
    fn stochastic<F: Float>(from: &[F], to: &mut [u16], dither: Dither, start: usize) {
        let mut run = [0.0; RUN];
        let runs = from.chunks(RUN).zip(to.chunks_mut(RUN));
        for (start, (from, to)) in (start..).step_by(RUN).zip(runs) {
            let to_single = &mut run[..from.len()];
            simd::dispatch(Stochastic { from, to: to_single, dither, start, round: neighbour_f16 });
            halves_mut(to).convert_from_f32_slice(to_single);
        }
    }
}

/// Rounds each number with its random word.
struct Stochastic<'a, F, B, R> {
    from: &'a [F],
    to: &'a mut [B],
    dither: Dither,
    start: usize,
    round: R,
}

impl<F: Float, B, R: Fn(f32, u32) -> B> Kernel for Stochastic<'_, F, B, R> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let words = self.dither.from(self.start);
        for (i, (&from, to)) in self.from.iter().zip(self.to).enumerate() {
            *to = (self.round)(single(from), words.word(i));
        }
    }
}

/// The upper half of one of the two neighbours of `x`.
#[inline(always)]
fn neighbour_bf16(x: f32, word: u32) -> u16 {
    let bits = x.to_bits();
    // From the largest number on, and for infinities and NaN, the rest is cut off.
    let part = if bits & 0x7fff_ffff >= 0x7f7f_0000 { 0 } else { word >> 16 };
    let quiet = if x.is_nan() { 0x0040_0000 } else { 0 };
    (((bits | quiet) + part) >> 16) as u16
}

/// One of the two neighbours of `x` in half precision.
#[inline(always)]
fn neighbour_f16(x: f32, word: u32) -> f32 {
    const LEAST_NORMAL: f32 = 6.103_515_6e-5;
    const LARGEST: f32 = 65_504.0;
    let size = x.abs();
    let normal = f32::from_bits((size.to_bits() + (word >> 19)) & 0xffff_e000);
    // Below the normal numbers levels are 2^-24 apart; adding the word's fraction and cutting off is
    // the same rounding.
    let place = size * 16_777_216.0 + (word >> 12) as i32 as f32 * (1.0 / 1_048_576.0);
    let subnormal = (place as i32) as f32 * (1.0 / 16_777_216.0);
    let rounded = if size < LEAST_NORMAL { subnormal } else { normal };
    // A finite number stays finite.
    let bounded = if size < f32::INFINITY { rounded.min(LARGEST) } else { size };
    f32::from_bits(bounded.to_bits() | (x.to_bits() & 0x8000_0000))
}

fn halves(bits: &[u16]) -> &[f16] {
    // SAFETY: `f16` is a transparent wrapper of `u16`.
    unsafe { &*(std::ptr::from_ref(bits) as *const [f16]) }
}
fn halves_mut(bits: &mut [u16]) -> &mut [f16] {
    // SAFETY: as above.
    unsafe { &mut *(std::ptr::from_mut(bits) as *mut [f16]) }
}

/// Element by element, at the SIMD level of the machine.
pub(crate) fn each<A: Copy, B: Copy>(from: &[A], to: &mut [B], convert: impl Fn(A) -> B) {
    struct Convert<'a, A, B, C>(&'a [A], &'a mut [B], C);
    impl<A: Copy, B: Copy, C: Fn(A) -> B> Kernel for Convert<'_, A, B, C> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            for (to, &from) in self.1.iter_mut().zip(self.0) {
                *to = self.2(from);
            }
        }
    }
    simd::dispatch(Convert(from, to, convert));
}

#[inline(always)]
fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[inline(always)]
fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
    if x.is_nan() { ((bits >> 16) | 0x40) as u16 } else { rounded }
}

#[inline(always)]
fn single<F: Float>(x: F) -> f32 {
    x.to_f64() as f32
}

/// Sums of both halves of split numbers.
pub(crate) fn join<H: Half, F: Float>(high: &[u16], low: &[u16], to: &mut [F]) {
    let mut run = [F::default(); RUN];
    H::widen(high, to);
    for (low, to) in low.chunks(RUN).zip(to.chunks_mut(RUN)) {
        let run = &mut run[..low.len()];
        H::widen(low, run);
        to.iter_mut().zip(&*run).for_each(|(to, low)| *to = to.add(*low));
    }
}

/// Rounds to nearest, and keeps what rounding left out.
pub(crate) fn split<H: Half, F: Float>(from: &[F], high: &mut [u16], low: &mut [u16]) {
    let (mut run, mut highs) = ([0.0f32; RUN], [0.0f32; RUN]);
    let parts = high.chunks_mut(RUN).zip(low.chunks_mut(RUN));
    for (from, (high, low)) in from.chunks(RUN).zip(parts) {
        let (run, highs) = (&mut run[..from.len()], &mut highs[..from.len()]);
        each(from, run, single);
        H::nearest(run, high);
        H::widen(high, highs);
        for (x, &high) in run.iter_mut().zip(&*highs) {
            // An infinite half leaves nothing that could be added back.
            *x = if high.is_finite() { *x - high } else { 0.0 };
        }
        H::nearest(run, low);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;
    use proptest::prelude::*;

    fn wide<H: Half>(bits: &[u16]) -> Vec<f32> {
        let mut out = vec![0.0; bits.len()];
        H::widen(bits, &mut out);
        out
    }

    fn rounded<H: Half>(values: &[f32], dither: Option<Dither>) -> Vec<f32> {
        let mut bits = vec![0; values.len()];
        match dither {
            Some(dither) => H::stochastic(values, &mut bits, dither, 0),
            None => H::nearest(values, &mut bits),
        }
        wide::<H>(&bits)
    }

    #[test]
    fn bf16_rounds_to_nearest_even_as_the_half_crate() {
        for bits in (0..u32::MAX).step_by(65_521) {
            let x = f32::from_bits(bits);
            let expected = bf16::from_f32(x);
            assert!(to_bf16(x) == expected.to_bits() || x.is_nan(), "{x}");
            assert_eq!(bf16::from_bits(to_bf16(x)).is_nan(), x.is_nan());
        }
    }

    /// What must hold of a stochastic neighbour `y` of `x` with one of distance `ulp` at most.
    fn neighbours<H: Half>(ulp: impl Fn(f32) -> f32) {
        let dither = Dither::new(1, 1);
        let all: Vec<f32> = (0..u32::MAX).step_by(65_521).map(f32::from_bits).collect();
        let nearest = rounded::<H>(&all, None);
        for ((&x, y), nearest) in all.iter().zip(rounded::<H>(&all, Some(dither))).zip(nearest) {
            assert_eq!(x.is_nan(), y.is_nan());
            assert_eq!(x.is_infinite(), y.is_infinite(), "{x} {y}");
            assert!(!nearest.is_finite() || (y - x).abs() <= ulp(x), "{x} {y}");
            assert!(nearest != x || y == x, "{x} is a number of the format");
        }
    }

    #[test]
    fn a_neighbour_is_a_neighbour() {
        neighbours::<Bf16>(|x| (x.abs() / 128.0).max(1e-40));
        neighbours::<F16>(|x| (x.abs() / 1024.0).max(6e-8));
    }

    #[test]
    fn stochastic_rounding_is_unbiased_over_steps() {
        fn check<H: Half>(values: &[f32], ulp: impl Fn(f32) -> f64) {
            let steps = 20_000;
            let mut sums = vec![0.0; values.len()];
            for t in 0..steps {
                let got = rounded::<H>(values, Some(Dither::new(4, t)));
                sums.iter_mut().zip(got).for_each(|(sum, y)| *sum += f64::from(y));
            }
            for (&x, sum) in values.iter().zip(sums) {
                let deviation = 0.5 * ulp(x) / (steps as f64).sqrt();
                assert!((sum / steps as f64 - f64::from(x)).abs() <= 4.0 * deviation, "{x}");
            }
        }
        let values = [1.001f32, -0.333, 7.77e-3, 123.4, -1.0, 0.0];
        check::<Bf16>(&values, |x| f64::from(x.abs()) / 128.0);
        check::<F16>(&values, |x| f64::from(x.abs()) / 1024.0);
        // Subnormal numbers of half precision.
        check::<F16>(&[3.3e-5, -1e-6, 2e-8], |_| 6e-8);
    }

    proptest! {
        #[test]
        fn a_split_number_keeps_sixteen_bits(x in -1e30f32..1e30, small in -1e-3f32..1e-3) {
            for x in [x, small] {
                let (mut high, mut low, mut sum) = ([0], [0], [0.0f32]);
                split::<Bf16, f32>(&[x], &mut high, &mut low);
                join::<Bf16, f32>(&high, &low, &mut sum);
                prop_assert!((sum[0] - x).abs() <= x.abs() / 65_536.0 + 1e-40);
                prop_assert_eq!(wide::<Bf16>(&high), rounded::<Bf16>(&[x], None));
            }
        }
    }

    #[test]
    fn split_numbers_overflow_and_stay_nan() {
        for x in [f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::NAN] {
            let (mut high, mut low, mut sum) = ([0], [0], [0.0f32]);
            split::<Bf16, f32>(&[x], &mut high, &mut low);
            join::<Bf16, f32>(&high, &low, &mut sum);
            let nearest = rounded::<Bf16>(&[x], None)[0];
            assert!(sum[0] == nearest || nearest.is_nan() && sum[0].is_nan(), "{x}");
        }
    }
}
