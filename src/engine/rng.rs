//! Counter-based random numbers: Philox 4x32-10.
//!
//! Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
//!
//! A value is a function of (seed, stream, index) alone, so it does not depend on the order of
//! work, the number of threads or what was drawn before.

use super::real::Float;
use super::simd::{self, Kernel};

/// A random function of (stream, index), keyed by a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
}

impl Philox {
    /// The generator of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32] }
    }

    /// Four independent uniform words for one index of one stream.
    #[inline(always)]
    pub fn words(&self, stream: u64, index: u64) -> [u32; 4] {
        let mut c = [index as u32, (index >> 32) as u32, stream as u32, (stream >> 32) as u32];
        let mut k = self.key;
        for _ in 0..10 {
            let a = u64::from(c[0]) * 0xD251_1F53;
            let b = u64::from(c[2]) * 0xCD9E_8D57;
            c = [
                (b >> 32) as u32 ^ c[1] ^ k[0],
                b as u32,
                (a >> 32) as u32 ^ c[3] ^ k[1],
                a as u32,
            ];
            k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
        }
        c
    }

    /// Two uniform numbers in [0, 1), 53 bits each.
    #[inline(always)]
    pub fn uniform(&self, stream: u64, index: u64) -> [f64; 2] {
        let [a, b, c, d] = self.words(stream, index);
        [unit(a, b), unit(c, d)]
    }

    /// Two independent standard normal numbers (Box-Muller).
    #[inline(always)]
    pub fn normal(&self, stream: u64, index: u64) -> [f64; 2] {
        let [u, v] = self.uniform(stream, index);
        // 1 - u lies in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * Float::ln(1.0 - u)).sqrt();
        let [cos, sin] = turn(v);
        [radius * cos, radius * sin]
    }

    /// Fills `out` with elements `start..` of the sequence of standard normal numbers of a stream;
    /// element i is one half of pair i / 2.
    pub fn fill_normal<F: Float>(&self, stream: u64, start: usize, out: &mut [F]) {
        simd::dispatch(FillNormal { rng: *self, stream, start, out });
    }

    /// A uniform integer in 0..bound, `bound` > 0 (multiply-shift; bias below 2^-32 for small bounds).
    #[inline]
    pub fn below(&self, stream: u64, index: u64, bound: u64) -> u64 {
        let [a, b, ..] = self.words(stream, index);
        let word = u64::from(a) | u64::from(b) << 32;
        ((u128::from(word) * u128::from(bound)) >> 64) as u64
    }
}

struct FillNormal<'a, F> {
    rng: Philox,
    stream: u64,
    start: usize,
    out: &'a mut [F],
}

impl<F: Float> Kernel for FillNormal<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        /// Pairs that are drawn side by side.
        const PAIRS: usize = 16;
        let Self { rng, stream, start, out } = self;
        let mut pairs = [[0.0; 2]; PAIRS];
        let (mut done, mut index) = (0, start as u64 / 2);
        // The first element may be the second half of its pair.
        let mut skip = start % 2;
        while done < out.len() {
            for (pair, index) in pairs.iter_mut().zip(index..) {
                *pair = rng.normal(stream, index);
            }
            let drawn = &pairs.as_flattened()[skip..];
            let n = drawn.len().min(out.len() - done);
            for (out, &z) in out[done..done + n].iter_mut().zip(drawn) {
                *out = F::from_f64(z);
            }
            (done, index, skip) = (done + n, index + PAIRS as u64, 0);
        }
    }
}

/// Cosine and sine of `v` turns, for `v` in [0, 1); branch-free, so that it vectorizes.
#[inline(always)]
fn turn(v: f64) -> [f64; 2] {
    const MAGIC: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52: adding it rounds to an integer
    let quarter = (4.0 * v + MAGIC) - MAGIC;
    // At most an eighth of a turn; the difference is exact.
    let x = std::f64::consts::TAU * (v - 0.25 * quarter);
    let square = x * x;
    // Taylor series; the first terms left out, x^17 / 17! and x^18 / 18!, are below 2^-54.
    let (mut sin, mut cos) = (1.0, 1.0);
    for n in [15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        sin = 1.0 - square / (n * (n - 1.0)) * sin;
    }
    for n in [16.0, 14.0, 12.0, 10.0, 8.0, 6.0, 4.0, 2.0] {
        cos = 1.0 - square / (n * (n - 1.0)) * cos;
    }
    let sin = x * sin;
    let odd = quarter == 1.0 || quarter == 3.0;
    let (c, s) = if odd { (sin, cos) } else { (cos, sin) };
    let c = if quarter == 1.0 || quarter == 2.0 { -c } else { c };
    [c, if quarter == 2.0 || quarter == 3.0 { -s } else { s }]
}

/// A random word for each element of a tensor, cheap enough to round every number with: a function
/// of (key, index), the key drawn by [`Philox`] from a stream and a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dither {
    key: [u32; 2],
}

impl Dither {
    /// The words of one tensor (`stream`) in one step.
    pub fn new(stream: u64, step: u64) -> Self {
        let [a, b, ..] = Philox::new(0).words(stream, step);
        Self { key: [a, b] }
    }

    /// The key, from which another device can make the same words.
    pub fn key(self) -> [u32; 2] {
        self.key
    }

    /// The words from element `start` on.
    #[inline(always)]
    pub fn from(self, start: usize) -> Words {
        let (low, high) = (start as u32, (start as u64 >> 32) as u32);
        let [first, second] = self.key;
        Words { start: low, key: [first, second.wrapping_add(high.wrapping_mul(0x9E37_79B9))] }
    }
}

/// The words of a [`Dither`] from some element on.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    start: u32,
    key: [u32; 2],
}

impl Words {
    /// A uniform word for the `index`-th element from the start, on this side of the next multiple
    /// of 2^32; high bits are the better ones.
    ///
    /// A 32-bit mixer (xor-shift and multiply, twice), with the second half of the key between its
    /// rounds so that tensors and steps do not see shifted copies of one sequence.
    #[inline(always)]
    pub fn word(self, index: usize) -> u32 {
        let mut x = self.start.wrapping_add(index as u32) ^ self.key[0];
        x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D);
        x = (x ^ (x >> 15)).wrapping_add(self.key[1]).wrapping_mul(0x846C_A68B);
        x ^ (x >> 16)
    }
}

fn unit(low: u32, high: u32) -> f64 {
    let word = u64::from(low) | u64::from(high) << 32;
    (word >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_the_random123_distribution() {
        let zero = Philox { key: [0, 0] };
        assert_eq!(zero.words(0, 0), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
        let ones = Philox { key: [u32::MAX; 2] };
        assert_eq!(
            ones.words(u64::MAX, u64::MAX),
            [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]
        );
    }

    #[test]
    fn turns_agree_with_the_standard_library() {
        for i in 0..100_000 {
            let v = f64::from(i) / 100_000.0;
            let (sin, cos) = (std::f64::consts::TAU * v).sin_cos();
            let [c, s] = turn(v);
            // The standard library sees a rounded angle.
            assert!((c - cos).abs() < 2e-15 && (s - sin).abs() < 2e-15, "{v}");
        }
        assert_eq!(
            [0.0, 0.25, 0.5, 0.75].map(turn),
            [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]
        );
    }

    #[test]
    fn a_sequence_does_not_depend_on_how_it_is_cut() {
        let rng = Philox::new(5);
        let mut whole = [0.0f64; 101];
        rng.fill_normal(9, 0, &mut whole);
        assert_eq!(whole[6..8], rng.normal(9, 3));
        for (start, n) in [(0, 1), (1, 40), (7, 33), (32, 64), (100, 1)] {
            let mut part = vec![0.0f64; n];
            rng.fill_normal(9, start, &mut part);
            assert_eq!(part, whole[start..start + n]);
        }
    }

    #[test]
    fn moments_of_the_normal() {
        let rng = Philox::new(7);
        let n = 100_000;
        let draws: Vec<f64> = (0..n / 2).flat_map(|i| rng.normal(3, i)).collect();
        let mean = draws.iter().sum::<f64>() / n as f64;
        let variance = draws.iter().map(|z| z * z).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.015 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn dither_is_uniform_and_uncorrelated_over_elements_and_steps() {
        let n = 1u32 << 16;
        let unit = |word: u32| f64::from(word) / 4_294_967_296.0 - 0.5;
        // 1 / sqrt(12 n): the deviation of the mean of n uniform numbers.
        let deviation = (1.0 / (12.0 * f64::from(n))).sqrt();
        let [first, second] = [7, 8].map(|step| all(Dither::new(3, step), n as usize));
        let over_elements: f64 = first.iter().map(|&word| unit(word)).sum();
        let over_steps: f64 = (0..n).map(|t| unit(Dither::new(3, t.into()).from(5).word(0))).sum();
        assert!((over_elements / f64::from(n)).abs() < 4.0 * deviation);
        assert!((over_steps / f64::from(n)).abs() < 4.0 * deviation);
        for (shift, other) in
            [(0, &second), (1, &second), (1, &first), (16, &first), (48, &first), (256, &first)]
        {
            let pairs = first.iter().zip(&other[shift..]);
            let products: f64 = pairs.map(|(&a, &b)| unit(a) * unit(b)).sum();
            let covariance = products / f64::from(n);
            // The product of two uniform numbers has deviation 1 / 12.
            assert!(covariance.abs() < 4.0 / 12.0 / f64::from(n).sqrt(), "{shift} {covariance}");
        }
        let bits = first.iter().fold([0u32; 32], |mut counts, word| {
            counts.iter_mut().enumerate().for_each(|(k, count)| *count += word >> k & 1);
            counts
        });
        // Four deviations of a fair coin; the high 20 bits are those that rounding uses.
        let limit = 2.0 * f64::from(n).sqrt();
        assert!(bits[12..].iter().all(|&c| (f64::from(c) - f64::from(n) / 2.0).abs() < limit));
    }

    fn all(dither: Dither, n: usize) -> Vec<u32> {
        (0..n).map(|i| dither.from(0).word(i)).collect()
    }

    #[test]
    fn dither_continues_where_a_stretch_begins() {
        let dither = Dither::new(1, 2);
        assert_eq!(dither.from(1000).word(24), dither.from(0).word(1024));
        assert_ne!(dither.from(1 << 32).word(0), dither.from(0).word(0));
    }
}
