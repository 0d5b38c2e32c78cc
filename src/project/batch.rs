//! Many problems side by side: rows of a matrix, each projected on its own, in parallel.

use super::{Memory, Set};
use crate::engine::{Error, Result, reduce, threads};

/// Elements that one task works on, at least.
const TASK: usize = 1 << 14;

/// An element type of batches.
pub trait Batch: crate::engine::real::Float {
    /// Runs `work` on a row in f64 and rounds the result once into `out`.
    fn through<R>(row: &[Self], out: &mut [Self], work: impl FnOnce(&mut [f64]) -> R) -> R;
    /// Runs `work` on a row in f64, to read.
    fn read<R>(row: &[Self], wide: &mut Vec<f64>, work: impl FnOnce(&[f64]) -> R) -> R;
    /// Whether images were rounded, so that they no longer tell which constraints bind.
    const ROUNDED: bool;
}

impl Batch for f64 {
    fn through<R>(row: &[f64], out: &mut [f64], work: impl FnOnce(&mut [f64]) -> R) -> R {
        out.copy_from_slice(row);
        work(out)
    }
    fn read<R>(row: &[f64], _: &mut Vec<f64>, work: impl FnOnce(&[f64]) -> R) -> R {
        work(row)
    }
    const ROUNDED: bool = false;
}

impl Batch for f32 {
    fn through<R>(row: &[f32], out: &mut [f32], work: impl FnOnce(&mut [f64]) -> R) -> R {
        let mut wide: Vec<f64> = row.iter().map(|&x| x.into()).collect();
        let result = work(&mut wide);
        for (out, wide) in out.iter_mut().zip(&wide) {
            *out = *wide as f32;
        }
        result
    }
    fn read<R>(row: &[f32], wide: &mut Vec<f64>, work: impl FnOnce(&[f64]) -> R) -> R {
        wide.clear();
        wide.extend(row.iter().map(|&x| f64::from(x)));
        work(wide)
    }
    const ROUNDED: bool = true;
}

fn rows_of_a_task(n: usize) -> usize {
    (TASK / n.max(1)).max(1)
}

fn check<F: Batch>(x: &[F], n: usize, name: &str) -> Result<()> {
    let finite = threads::map(x.len().div_ceil(1 << 18), |task| {
        let start = task << 18;
        reduce::max_abs(&x[start..x.len().min(start + (1 << 18))]).is_finite()
    });
    if finite.contains(&false) {
        let fix = "replace such entries before the call";
        return Err(Error::NonFinite { name: name.into(), fix: fix.into() });
    }
    debug_assert!(n == 0 || x.len().is_multiple_of(n));
    Ok(())
}

/// Writes the image of every row of `x` (rows of `n`) to `out`; returns the largest residual.
/// Nothing is written when `x` holds NaN or infinity.
pub fn apply<F: Batch>(set: &dyn Set, x: &[F], out: &mut [F], n: usize) -> Result<f64> {
    check(x, n, "x")?;
    if n == 0 {
        return Ok(0.0);
    }
    let rows = rows_of_a_task(n);
    let mut chunks: Vec<(&mut [F], f64)> = out.chunks_mut(rows * n).map(|c| (c, 0.0)).collect();
    threads::for_each_chunk(&mut chunks, 1, |task, slot| {
        let (out, residual) = &mut slot[0];
        let x = &x[task * rows * n..];
        let mut memory = Memory::default();
        for (row, out) in x.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
            let left = F::through(row, out, |x| set.project(x, &mut memory));
            *residual = if left.is_nan() || left > *residual { left } else { *residual };
        }
    });
    let worst = |a: f64, &(_, b): &(&mut [F], f64)| if b.is_nan() || b > a { b } else { a };
    Ok(chunks.iter().fold(0.0, worst))
}

/// Writes the vector-Jacobian product of every row to `out`: `y` images of `x`, `v` cotangents.
pub fn pull<F: Batch>(set: &dyn Set, x: &[F], y: &[F], v: &[F], out: &mut [F], n: usize) {
    if n == 0 {
        return;
    }
    let rows = rows_of_a_task(n);
    threads::for_each_chunk(out, rows * n, |task, out| {
        let at = task * rows * n;
        let mut memory = Memory::default();
        let (mut wide_x, mut wide_y) = (Vec::new(), Vec::new());
        for (k, out) in out.chunks_exact_mut(n).enumerate() {
            let span = at + k * n..at + (k + 1) * n;
            F::read(&x[span.clone()], &mut wide_x, |x| {
                let y = &y[span.clone()];
                if F::ROUNDED {
                    wide_y.clear();
                    wide_y.extend_from_slice(x);
                    set.project(&mut wide_y, &mut memory);
                    let v = &v[span.clone()];
                    F::through(v, out, |v| set.pull(x, &wide_y, v, &mut memory));
                } else {
                    F::read(y, &mut wide_y, |y| {
                        F::through(&v[span.clone()], out, |v| set.pull(x, y, v, &mut memory));
                    });
                }
            });
        }
    });
}
