//! Counter-based random numbers: Philox 4x32-10.
//!
//! Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
//!
//! A value is a function of (seed, stream, index) alone, so it does not depend on the order of
//! work, the number of threads or what was drawn before.

use super::real::Float;

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
    #[inline]
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
    #[inline]
    pub fn uniform(&self, stream: u64, index: u64) -> [f64; 2] {
        let [a, b, c, d] = self.words(stream, index);
        [unit(a, b), unit(c, d)]
    }

    /// Two independent standard normal numbers (Box-Muller).
    #[inline]
    pub fn normal(&self, stream: u64, index: u64) -> [f64; 2] {
        let [u, v] = self.uniform(stream, index);
        // 1 - u lies in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * (1.0 - u).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * v).sin_cos();
        [radius * cos, radius * sin]
    }

    /// Fills `out` with elements `start..` of the sequence of standard normal numbers of a stream;
    /// element i is one half of pair i / 2.
    pub fn fill_normal<F: Float>(&self, stream: u64, start: usize, out: &mut [F]) {
        let mut out = out.iter_mut();
        let mut index = start;
        while let Some(first) = out.next() {
            let pair = self.normal(stream, index as u64 / 2);
            *first = F::from_f64(pair[index % 2]);
            index += 1;
            if index % 2 == 1
                && let Some(second) = out.next()
            {
                *second = F::from_f64(pair[1]);
                index += 1;
            }
        }
    }

    /// A uniform integer in 0..bound, `bound` > 0 (multiply-shift; bias below 2^-32 for small bounds).
    #[inline]
    pub fn below(&self, stream: u64, index: u64, bound: u64) -> u64 {
        let [a, b, ..] = self.words(stream, index);
        let word = u64::from(a) | u64::from(b) << 32;
        ((u128::from(word) * u128::from(bound)) >> 64) as u64
    }
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
