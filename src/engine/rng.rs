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
}
