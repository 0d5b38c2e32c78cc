//! Normal numbers in bulk: right to single precision, four for each block of [`Philox`].
//!
//! Box, Muller 1958, in f32, sixteen blocks side by side. Words a, b, c, d of a block give
//!
//!   (cos, sin)(2 pi c / 2^32) sqrt(-2 ln((a + 1/2) / 2^32)), and the same of b and d
//!
//! with c and d cut to 24 bits. No number is beyond 6.8. For noise that only has to be noise;
//! [`Philox::fill_normal`] has all digits and takes four times as long.

use super::lanes::{LANES, Lanes, ln};
use super::real::Float;
use super::rng::Philox;
use super::simd::{self, Kernel};

/// Numbers that are drawn side by side.
const GROUP: usize = 4 * LANES;

impl Philox {
    /// Fills `out` with elements `start..` of the noise of a stream: element i comes from block
    /// 16 (i / 64) + i % 16, as its number i % 64 / 16.
    pub fn fill_noise<F: Float>(&self, stream: u64, start: usize, out: &mut [F]) {
        simd::dispatch(Fill { rng: *self, stream, start, out });
    }
}

struct Fill<'a, F> {
    rng: Philox,
    stream: u64,
    start: usize,
    out: &'a mut [F],
}

impl<F: Float> Kernel for Fill<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { rng, stream, start, out } = self;
        let (mut group, mut skip, mut done) = ((start / GROUP) as u64, start % GROUP, 0);
        while done < out.len() {
            let drawn = numbers(&rng, stream, group);
            let drawn = drawn.as_flattened();
            // The rule, and known to the compiler, which else calls a function that copies.
            if skip == 0
                && let Some(whole) = out[done..].first_chunk_mut::<GROUP>()
            {
                for (out, &z) in whole.iter_mut().zip(drawn) {
                    *out = F::from_f64(z.into());
                }
                (group, done) = (group + 1, done + GROUP);
                continue;
            }
            let drawn = &drawn[skip..];
            let n = drawn.len().min(out.len() - done);
            for (out, &z) in out[done..done + n].iter_mut().zip(drawn) {
                *out = F::from_f64(z.into());
            }
            (group, skip, done) = (group + 1, 0, done + n);
        }
    }
}

#[inline(always)]
fn numbers(rng: &Philox, stream: u64, group: u64) -> [Lanes; 4] {
    let mut words = [[0; LANES]; 4];
    let [a, b, c, d] = &mut words;
    for l in 0..LANES {
        [a[l], b[l], c[l], d[l]] = rng.words(stream, group * LANES as u64 + l as u64);
    }
    let [a, b, c, d] = words;
    let ([w, x], [y, z]) = (pairs(&a, &c), pairs(&b, &d));
    [w, x, y, z]
}

#[inline(always)]
fn pairs(lengths: &[u32; LANES], angles: &[u32; LANES]) -> [Lanes; 2] {
    let mut out = [[0.0; LANES]; 2];
    let mut u = [0.0; LANES];
    for l in 0..LANES {
        u[l] = (lengths[l] as f32 + 0.5) * (1.0 / 4_294_967_296.0);
    }
    let logs = ln(u);
    for l in 0..LANES {
        let radius = (-2.0 * logs[l]).sqrt();
        let [cos, sin] = turn((angles[l] >> 8) as i32 as f32 * (1.0 / 16_777_216.0));
        out[0][l] = radius * cos;
        out[1][l] = radius * sin;
    }
    out
}

/// Cosine and sine of `v` turns, for `v` in [0, 1); branch-free, so that it vectorizes.
#[inline(always)]
fn turn(v: f32) -> [f32; 2] {
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer
    let quarter = (4.0 * v + MAGIC) - MAGIC;
    let x = std::f32::consts::TAU * (v - 0.25 * quarter);
    let q = x * x;
    // Taylor series; the first terms left out are below 2e-9.
    let sin = 1.0 / 120.0 + q * (-1.0 / 5_040.0 + q * (1.0 / 362_880.0));
    let sin = x + x * q * (-1.0 / 6.0 + q * sin);
    let cos = -1.0 / 720.0 + q * (1.0 / 40_320.0 - q * (1.0 / 3_628_800.0));
    let cos = 1.0 + q * (-0.5 + q * (1.0 / 24.0 + q * cos));
    let odd = quarter == 1.0 || quarter == 3.0;
    let (c, s) = if odd { (sin, cos) } else { (cos, sin) };
    let c = if quarter == 1.0 || quarter == 2.0 { -c } else { c };
    [c, if quarter == 2.0 || quarter == 3.0 { -s } else { s }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_its_formula_in_double_precision() {
        let rng = Philox::new(11);
        let mut found = vec![0.0f64; 4096];
        rng.fill_noise(5, 0, &mut found);
        let mut single = vec![0.0f32; 4096];
        rng.fill_noise(5, 0, &mut single);
        assert!(single.iter().map(|&z| f64::from(z)).eq(found.iter().copied()));
        for (i, found) in found.iter().enumerate() {
            let words = rng.words(5, (16 * (i / 64) + i % 16) as u64);
            let part = i % 64 / 16;
            let u = (f64::from(words[part / 2]) + 0.5) / 4_294_967_296.0;
            let v = f64::from(words[2 + part / 2] >> 8) / 16_777_216.0;
            let (sin, cos) = (std::f64::consts::TAU * v).sin_cos();
            let z = (-2.0 * u.ln()).sqrt() * if part % 2 == 0 { cos } else { sin };
            assert!((z - found).abs() < 2e-6, "{i}: {found} is not {z}");
        }
    }

    #[test]
    fn does_not_depend_on_how_it_is_cut() {
        let rng = Philox::new(5);
        let mut whole = [0.0f64; 301];
        rng.fill_noise(9, 0, &mut whole);
        for (start, n) in [(0, 1), (1, 64), (63, 2), (64, 64), (70, 200), (300, 1)] {
            let mut part = vec![0.0f64; n];
            rng.fill_noise(9, start, &mut part);
            assert_eq!(part, whole[start..start + n]);
        }
    }

    #[test]
    fn moments_and_tails_are_those_of_the_normal() {
        let (rng, n) = (Philox::new(7), 1 << 20);
        let mut draws = vec![0.0f64; n];
        rng.fill_noise(3, 0, &mut draws);
        let moment = |k: i32| draws.iter().map(|z: &f64| z.powi(k)).sum::<f64>() / n as f64;
        // Four deviations of each mean.
        for (k, expected, variance) in
            [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)]
        {
            let limit = 4.0 * f64::sqrt(variance / n as f64);
            assert!((moment(k) - expected).abs() < limit, "{k}: {}", moment(k));
        }
        let beyond = draws.iter().filter(|z| z.abs() > 3.0).count() as f64;
        assert!((beyond / (n as f64 * 0.0026998) - 1.0).abs() < 0.08, "{beyond}");
    }
}
