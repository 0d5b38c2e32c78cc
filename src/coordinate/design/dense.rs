//! Dense columns, each contiguous (Fortran order).

use super::{BLOCK, Design, Moments, Sweep, kernel};
use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};
use crate::engine::threads;
use crate::engine::{Error, Result};
use std::ops::Range;

/// A dense matrix whose columns are contiguous, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Dense<'a, F> {
    data: &'a [F],
    rows: usize,
    cols: usize,
}

impl<'a, F: Float> Dense<'a, F> {
    /// Columns one after another.
    ///
    /// # Errors
    /// If `data` does not hold `rows * cols` entries.
    pub fn new(data: &'a [F], rows: usize, cols: usize) -> Result<Self> {
        if rows.checked_mul(cols) != Some(data.len()) {
            return Err(Error::value("X", "of rows * cols entries", data.len(), "check its shape"));
        }
        Ok(Self { data, rows, cols })
    }

    #[inline(always)]
    fn column(&self, j: usize) -> &'a [F] {
        &self.data[j * self.rows..(j + 1) * self.rows]
    }
}

/// Runs a closure at the SIMD level in use; mark the closure `#[inline(always)]`.
struct Each<C>(C);
impl<C: FnOnce()> Kernel for Each<C> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        (self.0)();
    }
}

impl<F: Float> Design for Dense<'_, F> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn cols(&self) -> usize {
        self.cols
    }

    fn dots(&self, cols: &[usize], v: &[f64], out: &mut [f64]) {
        threads::for_each_chunk(&mut out[..cols.len()], BLOCK, |block, out| {
            simd::dispatch(Each(
                #[inline(always)]
                || {
                    for (out, &j) in out.iter_mut().zip(&cols[block * BLOCK..]) {
                        *out = kernel::dot(self.column(j), v);
                    }
                },
            ));
        });
    }

    fn moments(&self, cols: &[usize], v: &[f64], h: &[f64], out: &mut [Moments]) {
        threads::for_each_chunk(&mut out[..cols.len()], BLOCK, |block, out| {
            simd::dispatch(Each(
                #[inline(always)]
                || {
                    for (out, &j) in out.iter_mut().zip(&cols[block * BLOCK..]) {
                        *out = kernel::moments(self.column(j), v, h);
                    }
                },
            ));
        });
    }

    fn combine(&self, cols: &[usize], coef: &[f64], out: &mut [f64]) {
        simd::dispatch(Each(
            #[inline(always)]
            || {
                for (&j, &a) in cols.iter().zip(coef) {
                    if a != 0.0 {
                        kernel::axpy(a, self.column(j), out);
                    }
                }
            },
        ));
    }

    fn read(&self, j: usize, rows: Range<usize>, out: &mut [f64]) {
        for (out, x) in out.iter_mut().zip(&self.column(j)[rows]) {
            *out = x.to_f64();
        }
    }

    fn stored(&self, _cols: &[usize]) -> Option<usize> {
        None
    }

    fn entries(&self, j: usize, take: &mut dyn FnMut(usize, f64)) {
        self.column(j).iter().enumerate().for_each(|(i, x)| take(i, x.to_f64()));
    }

    fn sweep(&self, sweep: &mut Sweep<'_>) {
        simd::dispatch(Each(
            #[inline(always)]
            || {
                sweep.run(
                    #[inline(always)]
                    |j, q| kernel::dot(self.column(j), q),
                    #[inline(always)]
                    |j, d, h, q| kernel::axpy_weighted(-d, h, self.column(j), q),
                );
            },
        ));
    }
}
