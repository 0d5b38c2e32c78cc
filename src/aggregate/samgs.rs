//! SAM-GS: running means of the gradients, and the gradients modulated by them.
//!
//! Borsani et al. 2025, "Gradient Similarity Surgery in Multi-Task Deep Learning",
//! arXiv:2506.06130.
//!
//!   M = beta M + (1 - beta) J     out_c = factor sum_i J_ic |M_ic|
//!
//! One pass over J and M.

use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};
use crate::engine::threads;
use std::sync::Mutex;

const COLUMNS: usize = 1 << 12;

/// Moves the means (m x d, row-major); writes the modulated sum where there is a `factor`.
pub fn modulate<F: Float>(
    rows: &[&[F]],
    means: &mut [F],
    beta: f64,
    factor: Option<f64>,
    out: &mut [F],
) {
    let d = out.len();
    assert_eq!(means.len(), rows.len() * d, "a mean for each entry");
    if d == 0 {
        return;
    }
    // What one task owns: the same columns of every mean and of the result.
    let mut tasks: Vec<(Vec<&mut [F]>, &mut [F])> =
        out.chunks_mut(COLUMNS).map(|out| (Vec::with_capacity(rows.len()), out)).collect();
    for mean in means.chunks_mut(d) {
        for (task, mean) in tasks.iter_mut().zip(mean.chunks_mut(COLUMNS)) {
            task.0.push(mean);
        }
    }
    let tasks: Vec<_> = tasks.into_iter().map(Mutex::new).collect();
    threads::for_each(tasks.len(), |task| {
        // Each task is locked once; a panic elsewhere says nothing about it.
        let mut own = tasks[task].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (means, out) = &mut *own;
        simd::dispatch(Modulate { rows, means, start: task * COLUMNS, beta, factor, out });
    });
}

struct Modulate<'a, 'b, F> {
    rows: &'a [&'a [F]],
    means: &'a mut [&'b mut [F]],
    start: usize,
    beta: f64,
    factor: Option<f64>,
    out: &'a mut [F],
}

impl<F: Float> Kernel for Modulate<'_, '_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (old, new) = (self.beta, 1.0 - self.beta);
        let mut sums = vec![0.0; self.out.len()];
        for (row, mean) in self.rows.iter().zip(self.means) {
            let row = &row[self.start..][..self.out.len()];
            for ((sum, g), m) in sums.iter_mut().zip(row).zip(mean.iter_mut()) {
                let moved = F::from_f64(old * m.to_f64() + new * g.to_f64());
                *m = moved;
                *sum += g.to_f64() * moved.to_f64().abs();
            }
        }
        if let Some(factor) = self.factor {
            for (to, sum) in self.out.iter_mut().zip(&sums) {
                *to = F::from_f64(factor * sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition() {
        for d in [0, 1, 5, COLUMNS, COLUMNS + 3] {
            let row = |k: f64| (0..d).map(|c| (c as f64 * 0.7 + k).sin()).collect::<Vec<f64>>();
            let (a, b) = (row(0.0), row(1.0));
            let mut means = [row(2.0), row(3.0)].concat();
            let before = means.clone();
            let mut out = vec![0.0; d];
            modulate(&[&a, &b], &mut means, 0.9, Some(2.0), &mut out);
            for c in 0..d {
                let first = 0.9 * before[c] + (1.0 - 0.9) * a[c];
                let second = 0.9 * before[d + c] + (1.0 - 0.9) * b[c];
                assert_eq!((means[c], means[d + c]), (first, second));
                assert_eq!(out[c], 2.0 * (a[c] * first.abs() + b[c] * second.abs()));
            }
            modulate(&[&a, &b], &mut means, 0.9, None, &mut out.clone());
        }
    }
}
