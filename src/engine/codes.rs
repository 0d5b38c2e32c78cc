//! Eight bits a number: blocks of 256 that share a power of two.
//!
//! A block is stored as one scale and a byte for each number. Bytes are small floats with three
//! bits of mantissa, so neighbouring levels differ by 6 to 12 %, whatever the size:
//!
//!   all numbers >= 0   scale = -2^e   eight bits of magnitude: 2^e * 5.2e-10 to 2^e * 1.875
//!   else               scale = 2^e    a sign and seven bits:   2^e * 3.4e-5 to 2^e * 1.875
//!
//! with the least e that covers the largest number; byte 0 is 0, and a scale of 0 means zeros.
//! Why so: second moments of one block spread over many orders of magnitude, and a small one that
//! becomes 0 turns the next step into a division by epsilon. Their block needs no sign, so it
//! gets 31 powers of two, and a positive number never becomes 0. Rounding is stochastic where a
//! [`Dither`] is given: an average that moves by a thousandth of its value a step would never
//! leave its level otherwise. Powers of two make levels of different scales coincide, so that
//! decoding and encoding again changes nothing.
//!
//! A block that holds NaN or infinity becomes NaN.

use super::real::Float;
use super::rng::Dither;
use super::simd::{self, Kernel};

/// Numbers that share a scale.
pub const BLOCK: usize = 256;

/// Mantissa bits of a single that a code leaves out.
const DROPPED: u32 = 20;
/// The largest magnitude, 1.875, without the bits left out.
const TOP: u32 = 0x3ff0_0000 >> DROPPED;
const SIGN: u32 = 0x80;

/// Levels of the two maps: number of the largest.
const fn largest(signed: bool) -> u32 {
    if signed { 127 } else { 255 }
}

/// Rounds `values` to `codes`; a scale for each [`BLOCK`] goes to `scales`.
///
/// `start` is the place of the first value in its tensor, which chooses its random word; it must be
/// a multiple of [`BLOCK`].
///
/// # Panics
/// If lengths do not fit.
pub fn encode<F: Float>(
    values: &[F],
    codes: &mut [u8],
    scales: &mut [f32],
    dither: Option<Dither>,
    start: usize,
) {
    assert!(codes.len() == values.len() && scales.len() == values.len().div_ceil(BLOCK));
    simd::dispatch(Encode { values, codes, scales, dither, start });
}

/// The values of `codes`.
///
/// # Panics
/// If lengths do not fit.
pub fn decode<F: Float>(codes: &[u8], scales: &[f32], values: &mut [F]) {
    assert!(codes.len() == values.len() && scales.len() == values.len().div_ceil(BLOCK));
    simd::dispatch(Decode { codes, scales, values });
}

struct Encode<'a, F> {
    values: &'a [F],
    codes: &'a mut [u8],
    scales: &'a mut [f32],
    dither: Option<Dither>,
    start: usize,
}

impl<F: Float> Kernel for Encode<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { values, codes, scales, dither, start } = self;
        let blocks = values.chunks(BLOCK).zip(codes.chunks_mut(BLOCK)).zip(scales);
        for (number, ((values, codes), scale)) in blocks.enumerate() {
            *scale = match dither.map(|dither| dither.from(start + number * BLOCK)) {
                Some(words) => encode_block(values, codes, |i| words.word(i)),
                // The middle word rounds to nearest.
                None => encode_block(values, codes, |_| 1 << 31),
            };
        }
    }
}

#[inline(always)]
fn encode_block<F: Float>(values: &[F], codes: &mut [u8], word: impl Fn(usize) -> u32) -> f32 {
    let (mut top, mut raw) = (0, 0);
    for &value in values {
        let bits = single(value).to_bits();
        top = top.max(bits & 0x7fff_ffff);
        raw = raw.max(bits);
    }
    if top == 0 || top >= 0x7f80_0000 {
        codes.fill(0);
        return if top == 0 { 0.0 } else { f32::NAN };
    }
    // Up to the next power of two above 1.875; a subnormal block counts from the least normal.
    let exponent = ((top + 0x000f_ffff) & 0x7f80_0000).clamp(0x0080_0000, 0x7f00_0000);
    let scale = f32::from_bits(exponent);
    // Bits of negative numbers are above those of -0.
    if raw > 0x8000_0000 {
        encode_as::<F, true>(values, codes, 1.0 / scale, word);
        scale
    } else {
        encode_as::<F, false>(values, codes, 1.0 / scale, word);
        -scale
    }
}

#[inline(always)]
fn encode_as<F: Float, const SIGNED: bool>(
    values: &[F],
    codes: &mut [u8],
    inverse: f32,
    word: impl Fn(usize) -> u32,
) {
    let base = (TOP - largest(SIGNED)) as i32;
    let smallest = f32::from_bits((base as u32 + 1) << DROPPED);
    // Numbers below the smallest level, in parts of it.
    let odds = (1u32 << DROPPED) as f32 / smallest;
    for (i, (&value, code)) in values.iter().zip(codes).enumerate() {
        let bits = single(value).to_bits();
        let y = f32::from_bits(bits & 0x7fff_ffff) * inverse;
        // Adding below the kept bits rounds up as often as the rest asks for.
        let part = (word(i) >> (32 - DROPPED)) as i32;
        let level = ((y.to_bits() as i32 + part) >> DROPPED) - base;
        let level = level.min(largest(SIGNED) as i32);
        *code = if SIGNED {
            let below = i32::from((part as f32) < y * odds);
            let magnitude = if y >= smallest { level } else { below };
            (magnitude as u32 | ((bits >> 24) & SIGN)) as u8
        } else {
            // Anything but 0 has a level.
            (if bits & 0x7fff_ffff == 0 { 0 } else { level.max(1) }) as u8
        };
    }
}

struct Decode<'a, F> {
    codes: &'a [u8],
    scales: &'a [f32],
    values: &'a mut [F],
}

impl<F: Float> Kernel for Decode<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let blocks = self.codes.chunks(BLOCK).zip(self.values.chunks_mut(BLOCK));
        for ((codes, values), &scale) in blocks.zip(self.scales) {
            if scale < 0.0 {
                decode_as::<F, false>(codes, values, -scale);
            } else {
                decode_as::<F, true>(codes, values, scale);
            }
        }
    }
}

#[inline(always)]
fn decode_as<F: Float, const SIGNED: bool>(codes: &[u8], values: &mut [F], scale: f32) {
    let base = TOP - largest(SIGNED);
    for (&code, value) in codes.iter().zip(values) {
        let code = u32::from(code);
        let level = code & largest(SIGNED);
        let magnitude = if level == 0 { 0 } else { (level + base) << DROPPED };
        let sign = if SIGNED { (code & SIGN) << 24 } else { 0 };
        *value = F::from_f64((f32::from_bits(magnitude | sign) * scale).into());
    }
}

#[inline(always)]
fn single<F: Float>(value: F) -> f32 {
    value.to_f64() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn coded(values: &[f32], dither: Option<Dither>) -> (Vec<u8>, Vec<f32>) {
        let mut codes = vec![0; values.len()];
        let mut scales = vec![0.0; values.len().div_ceil(BLOCK)];
        encode(values, &mut codes, &mut scales, dither, 0);
        (codes, scales)
    }

    fn round_trip(values: &[f32], dither: Option<Dither>) -> Vec<f32> {
        let (codes, scales) = coded(values, dither);
        let mut out = vec![0.0; values.len()];
        decode(&codes, &scales, &mut out);
        out
    }

    /// Numbers of any sign and of sizes between 2^-40 and 2^40.
    fn numbers(signed: bool) -> impl Strategy<Value = Vec<f32>> {
        let number = (0.5f32..1.0, -40i32..40, any::<bool>()).prop_map(move |(m, e, minus)| {
            let x = m * (e as f32).exp2();
            if signed && minus { -x } else { x }
        });
        proptest::collection::vec(prop_oneof![9 => number, 1 => Just(0.0f32)], 1..700)
    }

    proptest! {
        #[test]
        fn the_nearest_level_is_within_a_sixteenth(signed in any::<bool>(), values in numbers(true)) {
            let values: Vec<f32> =
                values.iter().map(|x| if signed { *x } else { x.abs() }).collect();
            let got = round_trip(&values, None);
            for (block, got) in values.chunks(BLOCK).zip(got.chunks(BLOCK)) {
                let top = block.iter().fold(0.0f32, |acc, x| acc.max(x.abs()));
                let minus = block.iter().any(|&x| x < 0.0);
                // The smallest level, for a scale of at most twice the largest number.
                let least = top * if minus { 7e-5 } else { 1.1e-9 };
                for (&x, &y) in block.iter().zip(got) {
                    prop_assert!((y - x).abs() <= (x.abs() / 16.0).max(least), "{x} {y}");
                    prop_assert!(x * y >= 0.0);
                    prop_assert!(minus || x == 0.0 || y > 0.0, "{x} vanished");
                }
            }
        }

        #[test]
        fn what_was_decoded_stays(values in numbers(true), seed in any::<u64>()) {
            let once = round_trip(&values, Some(Dither::new(seed, 1)));
            prop_assert_eq!(&round_trip(&once, None), &once);
            prop_assert_eq!(&round_trip(&once, Some(Dither::new(seed, 2))), &once);
        }

        #[test]
        fn a_random_level_is_one_of_the_two_neighbours(values in numbers(true), seed in any::<u64>()) {
            let got = round_trip(&values, Some(Dither::new(seed, 1)));
            for (block, got) in values.chunks(BLOCK).zip(got.chunks(BLOCK)) {
                let top = block.iter().fold(0.0f32, |acc, x| acc.max(x.abs()));
                for (&x, &y) in block.iter().zip(got) {
                    prop_assert!((y - x).abs() <= (x.abs() / 8.0).max(7e-5 * top), "{x} {y}");
                }
            }
        }
    }

    #[test]
    fn every_code_has_its_value() {
        let codes: Vec<u8> = (0..=255).collect();
        let (mut plain, mut signed) = ([0.0; 256], [0.0; 256]);
        decode(&codes, &[-1.0], &mut plain);
        decode(&codes, &[1.0], &mut signed);
        assert!(plain.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!((plain[0], plain[255]), (0.0, 1.875));
        assert_eq!((signed[127], signed[255]), (1.875, -1.875));
        assert!((0..128).all(|i| signed[i] == -signed[i + 128]));
        assert!(plain[1] < 5.3e-10 && signed[1] < 3.5e-5);
        for (values, scale) in [(plain, -1.0), (signed, 1.0)] {
            let (again, scales) = coded(&values, None);
            assert_eq!(scales, [scale]);
            assert!(again.iter().zip(&codes).all(|(a, b)| a == b));
        }
    }

    #[test]
    fn rounding_is_unbiased_over_steps() {
        // Between two levels, near the top, far below it, and below the smallest level.
        let mut values = vec![1.3, -1.3, 0.71, 1e-2, -3.3e-4, 1.2e-5, -2e-6, 0.0];
        values.resize(200, 0.25);
        let steps = 20_000;
        let mut sums = vec![0.0; values.len()];
        for t in 0..steps {
            let rounded = round_trip(&values, Some(Dither::new(9, t)));
            sums.iter_mut().zip(rounded).for_each(|(sum, y)| *sum += f64::from(y));
        }
        for (&x, sum) in values.iter().zip(sums) {
            // The spread of one rounding is at most half the distance of two levels.
            let deviation = f64::from(x.abs() / 16.0).max(0.5 * 3.5e-5) / (steps as f64).sqrt();
            assert!((sum / steps as f64 - f64::from(x)).abs() < 4.0 * deviation + 1e-12, "{x}");
        }
    }

    #[test]
    fn extremes_of_the_range() {
        for top in [f32::MAX, 1e38, 1.0, f32::MIN_POSITIVE] {
            let got = round_trip(&[top, 0.5 * top], None);
            assert!(
                (got[0] / top - 1.0).abs() < 0.07 && (got[1] / top - 0.5).abs() < 0.04,
                "{top}"
            );
        }
        let least = f32::from_bits(1);
        assert!(round_trip(&[least, 0.0], None)[0] > 0.0);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(round_trip(&[1.0, bad], None).iter().all(|x| x.is_nan()));
        }
        assert!(round_trip(&[], None).is_empty());
        assert_eq!(round_trip(&[0.0, -0.0], None), [0.0, 0.0]);
    }
}
