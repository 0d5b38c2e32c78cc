//! How a particle moves towards a point and how it is shaken on the way.

use super::settings::Noise;
use crate::engine::simd::{self, Kernel};

/// A pull towards a target with its noise: D = factor (x - target),
/// x += -pull D + strength z (D | |D| | 1).
#[derive(Debug, Clone, Copy)]
pub struct Shift {
    pub pull: f64,
    pub strength: f64,
    pub noise: Noise,
}

impl Shift {
    /// Moves particles, rows of `dim` numbers: `target` and the factor of a row by its index, `z`
    /// the noise of all.
    pub fn apply<'a>(
        &self,
        rows: &mut [f64],
        dim: usize,
        target: impl Fn(usize) -> &'a [f64],
        factor: impl Fn(usize) -> f64,
        z: &[f64],
    ) {
        simd::dispatch(Apply { shift: self, rows, dim, target, factor, z });
    }
}

struct Apply<'s, T, F> {
    shift: &'s Shift,
    rows: &'s mut [f64],
    dim: usize,
    target: T,
    factor: F,
    z: &'s [f64],
}

impl<'a, T: Fn(usize) -> &'a [f64], F: Fn(usize) -> f64> Kernel for Apply<'_, T, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { shift, rows, dim, target, factor, z } = self;
        let &Shift { pull, strength, noise } = shift;
        for (k, (x, z)) in rows.chunks_exact_mut(dim).zip(z.chunks_exact(dim)).enumerate() {
            let (target, factor) = (target(k), factor(k));
            // Noise is z (slope D + level).
            let (slope, level) = match noise {
                Noise::Anisotropic => (strength, 0.0),
                Noise::Isotropic => {
                    let (mut lanes, mut rest) = ([0.0; 8], 0.0);
                    let ((xs, x_rest), (ts, t_rest)) =
                        (x.as_chunks::<8>(), target.as_chunks::<8>());
                    for (x, t) in xs.iter().zip(ts) {
                        for l in 0..8 {
                            lanes[l] += (x[l] - t[l]) * (x[l] - t[l]);
                        }
                    }
                    for (x, t) in x_rest.iter().zip(t_rest) {
                        rest += (x - t) * (x - t);
                    }
                    (0.0, strength * factor * (simd::fold(&lanes) + rest).sqrt())
                }
                Noise::Constant | Noise::Covariance => (0.0, strength),
            };
            for ((x, target), z) in x.iter_mut().zip(target).zip(z) {
                let d = factor * (*x - target);
                *x += z * (slope * d + level) - pull * d;
            }
        }
    }
}

/// Whether no number is NaN or infinite.
pub fn finite(x: &[f64]) -> bool {
    struct Finite<'a>(&'a [f64]);
    impl Kernel for Finite<'_> {
        type Output = bool;
        #[inline(always)]
        fn run(self) -> bool {
            // Without a branch, unlike `all`, so that it vectorises.
            self.0.iter().fold(true, |finite, x| finite & x.is_finite())
        }
    }
    simd::dispatch(Finite(x))
}

/// Exponential means of drift and squared drift, and the step they make (Adam).
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    pub betas: [f64; 2],
    pub lam: f64,
}

const EPS: f64 = 1e-8;

impl Adam {
    /// Takes a drift into the two halves of `moments`.
    pub fn note(&self, moments: &mut [f64], x: &[f64], target: &[f64], factor: f64) {
        let [b1, b2] = self.betas;
        let (first, second) = moments.split_at_mut(x.len());
        for (j, (m, v)) in first.iter_mut().zip(second).enumerate() {
            let d = factor * (x[j] - target[j]);
            *m = b1 * *m + (1.0 - b1) * d;
            *v = b2 * *v + (1.0 - b2) * d * d;
        }
    }

    /// Steps along the means after the `count`-th drift.
    pub fn step(&self, x: &mut [f64], moments: &[f64], count: f64) {
        let [first, second] = self.betas.map(|beta| 1.0 - beta.powf(count));
        let (m, v) = moments.split_at(x.len());
        for ((x, m), v) in x.iter_mut().zip(m).zip(v) {
            *x -= self.lam * (m / first) / ((v / second).sqrt() + EPS);
        }
    }
}
