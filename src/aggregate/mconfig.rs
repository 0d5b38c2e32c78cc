//! M-ConFIG: the running mean of one gradient, and the scaled update.
//!
//! Liu, Chu, Thuerey 2025, "ConFIG", ICLR, arXiv:2408.11104, Alg. 2.
//!
//!   m = beta m + (1 - beta) g
//!   F = c1 u    v = (F - beta1 f) / (1 - beta1)    f = F
//!   s = beta2 s + (1 - beta2) v^2                  u = u / (sqrt(s / c2) + eps)
//!
//! with u the direction from the means, c1 = 1 - beta1^t and c2 = 1 - beta2^t.

use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};
use crate::engine::threads;
use std::sync::Mutex;

const COLUMNS: usize = 1 << 13;

/// Moves a running mean towards `row`.
pub fn average<F: Float>(row: &[F], mean: &mut [F], beta: f64) {
    assert_eq!(row.len(), mean.len(), "a mean of the length of the row");
    threads::for_each_chunk(mean, COLUMNS, |task, mean| {
        let row = &row[task * COLUMNS..][..mean.len()];
        simd::dispatch(Average { row, mean, beta });
    });
}

struct Average<'a, F> {
    row: &'a [F],
    mean: &'a mut [F],
    beta: f64,
}

impl<F: Float> Kernel for Average<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (old, new) = (self.beta, 1.0 - self.beta);
        for (m, g) in self.mean.iter_mut().zip(self.row) {
            *m = F::from_f64(old * m.to_f64() + new * g.to_f64());
        }
    }
}

/// The scaling of step `step`, >= 1.
#[derive(Debug, Clone, Copy)]
pub struct MConfig {
    /// Decays of the means and of the squares.
    pub betas: [f64; 2],
    /// Against division by zero.
    pub eps: f64,
    /// Which step this is.
    pub step: i32,
}

impl MConfig {
    /// Replaces the direction by the update; moves `previous` (f) and `squares` (s).
    pub fn scale<F: Float>(&self, direction: &mut [F], previous: &mut [F], squares: &mut [F]) {
        assert!(previous.len() == direction.len() && squares.len() == direction.len());
        let parts = direction.chunks_mut(COLUMNS).zip(previous.chunks_mut(COLUMNS));
        let tasks: Vec<_> = parts.zip(squares.chunks_mut(COLUMNS)).map(Mutex::new).collect();
        threads::for_each(tasks.len(), |task| {
            // Each task is locked once; a panic elsewhere says nothing about it.
            let mut own = tasks[task].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let ((direction, previous), squares) = &mut *own;
            simd::dispatch(Scale { settings: *self, direction, previous, squares });
        });
    }
}

struct Scale<'a, F> {
    settings: MConfig,
    direction: &'a mut [F],
    previous: &'a mut [F],
    squares: &'a mut [F],
}

impl<F: Float> Kernel for Scale<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let MConfig { betas: [beta1, beta2], eps, step } = self.settings;
        let (c1, c2) = (1.0 - beta1.powi(step), 1.0 - beta2.powi(step));
        let state = self.previous.iter_mut().zip(self.squares);
        for (u, (f, s)) in self.direction.iter_mut().zip(state) {
            let full = c1 * u.to_f64();
            let v = (full - beta1 * f.to_f64()) / (1.0 - beta1);
            let square = beta2 * s.to_f64() + (1.0 - beta2) * v * v;
            *f = F::from_f64(full);
            *s = F::from_f64(square);
            *u = F::from_f64(u.to_f64() / ((square / c2).sqrt() + eps));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition() {
        for d in [0, 1, COLUMNS + 3] {
            let row = |k: f64| (0..d).map(|c| (c as f64 * 0.7 + k).sin()).collect::<Vec<f64>>();
            let (mut u, mut f, mut s) = (row(0.0), row(1.0), vec![0.25; d]);
            let settings = MConfig { betas: [0.9, 0.99], eps: 1e-8, step: 3 };
            settings.scale(&mut u, &mut f, &mut s);
            for c in 0..d {
                let (u0, f0) = (row(0.0)[c], row(1.0)[c]);
                let full = u0 * (1.0 - 0.9_f64.powi(3));
                let v = (full - 0.9 * f0) / (1.0 - 0.9);
                let square = 0.99 * 0.25 + 0.01 * v * v;
                let want = u0 / ((square / (1.0 - 0.99_f64.powi(3))).sqrt() + 1e-8);
                assert!((u[c] - want).abs() < 1e-14 && (f[c] - full).abs() < 1e-15);
                assert!((s[c] - square).abs() < 1e-12);
                if c > 10 {
                    break;
                }
            }
            let mut mean = row(1.0);
            average(&row(0.0), &mut mean, 0.5);
            let both = row(0.0).into_iter().zip(row(1.0));
            assert!(mean.iter().zip(both).all(|(m, (a, b))| *m == 0.5 * a + 0.5 * b));
        }
    }
}
