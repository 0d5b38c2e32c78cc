//! Rotations drawn uniformly from SO(p), a pure function of (generator, stream).
//!
//! Stewart 1980, "The efficient generation of random orthogonal matrices", SIAM J. Numer. Anal. 17:
//! a chain of Householder reflections of growing size, 4/3 p^3 flops and no factorisation. p = 2 is
//! one angle, p = 1 the identity.
//!
//! A rotation is stored as its columns, one after the other: `out[j * p + i]` is entry i of R e_j,
//! the direction that axis j is turned to.

use crate::engine::rng::Philox;
use crate::engine::simd::{self, Kernel};

/// Writes a rotation of dimension p, where `out` holds p * p numbers.
pub fn random(rng: &Philox, stream: u64, p: usize, out: &mut [f64]) {
    match p {
        0 => {}
        1 => out[0] = 1.0,
        2 => {
            let (sin, cos) = (std::f64::consts::TAU * rng.uniform(stream, 0)[0]).sin_cos();
            out[..4].copy_from_slice(&[cos, sin, -sin, cos]);
        }
        // A vector unit does not pay for its dispatch below this.
        3..8 => chain(rng, stream, p, out),
        _ => simd::dispatch(Chain { rng, stream, p, out }),
    }
}

/// Writes a rotation whose column 0 is the unit vector along `direction`, the rest uniform around
/// it; an unbiased one where `direction` is zero or not finite.
pub fn biased(rng: &Philox, stream: u64, direction: &[f64], out: &mut [f64]) {
    let p = direction.len();
    random(rng, stream, p, out);
    let norm = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
    if p < 2 || norm == 0.0 || !norm.is_finite() {
        return;
    }
    // The reflection that takes column 0 to the direction; it mirrors, so one column turns round.
    let mut v: Vec<f64> = out[..p].iter().zip(direction).map(|(c, d)| c - d / norm).collect();
    let length = v.iter().map(|v| v * v).sum::<f64>().sqrt();
    if length < 1e-14 {
        return;
    }
    v.iter_mut().for_each(|v| *v /= length);
    out.chunks_exact_mut(p).for_each(|column| reflect(&v, column));
    out[p * (p - 1)..].iter_mut().for_each(|entry| *entry = -*entry);
}

struct Chain<'a> {
    rng: &'a Philox,
    stream: u64,
    p: usize,
    out: &'a mut [f64],
}

impl Kernel for Chain<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        chain(self.rng, self.stream, self.p, self.out);
    }
}

#[inline(always)]
fn chain(rng: &Philox, stream: u64, p: usize, out: &mut [f64]) {
    out.fill(0.0);
    out[p * p - 1] = 1.0;
    let mut v = vec![0.0; p + 1];
    let (mut mirrored, mut index) = (false, 0);
    for k in 2..=p {
        for pair in v[..k + k % 2].chunks_exact_mut(2) {
            pair.copy_from_slice(&rng.normal(stream, index));
            index += 1;
        }
        let v = &mut v[..k];
        let norm = v.iter().map(|z| z * z).sum::<f64>().sqrt();
        if norm == 0.0 {
            v[0] = 1.0; // probability zero; any direction will do
        }
        let sign = if v[0] < 0.0 { -1.0 } else { 1.0 };
        v[0] += sign * norm.max(f64::MIN_POSITIVE);
        let length = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        v.iter_mut().for_each(|v| *v /= length);
        // The block so far acts on the last k - 1 axes; put 1 before it and reflect.
        let start = p - k;
        out[start * p + start] = 1.0;
        for column in out.chunks_exact_mut(p).skip(start) {
            reflect(v, &mut column[start..]);
        }
        // H e_1 = -sign z / |z|: turned round, the first column is uniform on the sphere.
        out[start * p..][start..p].iter_mut().for_each(|entry| *entry *= -sign);
        mirrored ^= sign < 0.0;
    }
    // The last column is the one whose sign is still free: it settles the determinant.
    if mirrored {
        out[p * (p - 1)..].iter_mut().for_each(|entry| *entry = -*entry);
    }
}

/// x -= 2 v (v . x), in eight lanes.
#[inline(always)]
fn reflect(v: &[f64], x: &mut [f64]) {
    let mut lanes = [0.0; 8];
    let (head, tail) = (v.chunks_exact(8), v.chunks_exact(8).remainder());
    for (a, b) in head.zip(x.chunks_exact(8)) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    let rest = &x[x.len() - tail.len()..];
    let tail: f64 = tail.iter().zip(rest).map(|(a, b)| a * b).sum();
    let twice = 2.0 * (lanes.iter().sum::<f64>() + tail);
    for (x, v) in x.iter_mut().zip(v) {
        *x -= twice * v;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn determinant(mut a: Vec<f64>, p: usize) -> f64 {
        let mut det = 1.0;
        for k in 0..p {
            let pivot = (k..p).max_by(|&i, &j| a[i * p + k].abs().total_cmp(&a[j * p + k].abs()));
            let pivot = pivot.unwrap_or(k);
            if pivot != k {
                (0..p).for_each(|j| a.swap(k * p + j, pivot * p + j));
                det = -det;
            }
            det *= a[k * p + k];
            for i in k + 1..p {
                let factor = a[i * p + k] / a[k * p + k];
                (k..p).for_each(|j| a[i * p + j] -= factor * a[k * p + j]);
            }
        }
        det
    }

    fn assert_rotation(r: &[f64], p: usize) {
        for a in 0..p {
            for b in 0..p {
                let dot: f64 = (0..p).map(|i| r[a * p + i] * r[b * p + i]).sum();
                assert!((dot - f64::from(a == b)).abs() < 1e-12, "{p} {a} {b} {dot}");
            }
        }
        assert!((determinant(r.to_vec(), p) - 1.0).abs() < 1e-10, "{p}");
    }

    #[test]
    fn columns_are_orthonormal_and_turn_without_mirroring() {
        let rng = Philox::new(3);
        for p in [1, 2, 3, 4, 7, 8, 9, 20] {
            for stream in 0..5 {
                let mut r = vec![f64::NAN; p * p];
                random(&rng, stream, p, &mut r);
                assert_rotation(&r, p);
            }
        }
    }

    #[test]
    fn every_entry_has_the_moments_of_the_uniform_rotation() {
        let (rng, p, n) = (Philox::new(5), 4, 20_000);
        let mut sums = vec![[0.0; 3]; p * p];
        let mut r = vec![0.0; p * p];
        for stream in 0..n {
            random(&rng, stream, p, &mut r);
            for (sum, r) in sums.iter_mut().zip(&r) {
                *sum = [sum[0] + r, sum[1] + r * r, sum[2] + r.powi(4)];
            }
        }
        for [mean, square, fourth] in sums.iter().map(|s| s.map(|s| s / n as f64)) {
            // Var = 1/p and E r^4 = 3 / (p (p + 2)).
            assert!(mean.abs() < 0.016 && (square - 0.25).abs() < 0.01, "{mean} {square}");
            assert!((fourth - 0.125).abs() < 0.01, "{fourth}");
        }
    }

    #[test]
    fn a_biased_rotation_starts_with_its_direction() {
        let rng = Philox::new(9);
        for p in [2, 3, 8] {
            let direction: Vec<f64> = (0..p).map(|i| i as f64 - 1.3).collect();
            let norm = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
            let mut r = vec![0.0; p * p];
            biased(&rng, 1, &direction, &mut r);
            assert_rotation(&r, p);
            assert!(r.iter().zip(&direction).all(|(r, d)| (r - d / norm).abs() < 1e-12));
            let mut plain = vec![0.0; p * p];
            random(&rng, 1, p, &mut plain);
            biased(&rng, 1, &vec![f64::NAN; p], &mut r);
            assert_eq!(r, plain);
        }
    }
}
