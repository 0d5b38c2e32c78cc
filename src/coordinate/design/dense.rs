//! Dense columns, each contiguous (Fortran order).

use super::{BLOCK, Design, Moments, Sweep, equal, kernel};
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

/// Inner products of the columns `cols` with `v`. A type of its own, as all loops here: a closure
/// would be compiled for the baseline alone.
struct Dots<'a, 'b, F> {
    x: Dense<'a, F>,
    cols: &'b [usize],
    v: &'b [f64],
    out: &'b mut [f64],
}
impl<F: Float> Kernel for Dots<'_, '_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        for (out, &j) in self.out.iter_mut().zip(self.cols) {
            *out = kernel::dot(self.x.column(j), self.v);
        }
    }
}

struct Sums<'a, 'b, F> {
    x: Dense<'a, F>,
    cols: &'b [usize],
    v: &'b [f64],
    h: &'b [f64],
    /// The weight of all samples where they are equal.
    equal: Option<f64>,
    out: &'b mut [Moments],
}
impl<F: Float> Kernel for Sums<'_, '_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        for (out, &j) in self.out.iter_mut().zip(self.cols) {
            let x = self.x.column(j);
            *out = match self.equal {
                Some(h) => kernel::moments_equal(x, self.v, h),
                None => kernel::moments(x, self.v, self.h),
            };
        }
    }
}

struct Combine<'a, 'b, F> {
    x: Dense<'a, F>,
    cols: &'b [usize],
    coef: &'b [f64],
    out: &'b mut [f64],
}
impl<F: Float> Kernel for Combine<'_, '_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        for (&j, &a) in self.cols.iter().zip(self.coef) {
            if a != 0.0 {
                kernel::axpy(a, self.x.column(j), self.out);
            }
        }
    }
}

struct Steps<'a, 'b, 'c, F> {
    x: Dense<'a, F>,
    sweep: &'b mut Sweep<'c>,
}
impl<F: Float> Kernel for Steps<'_, '_, '_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let x = self.x;
        self.sweep.run(
            #[inline(always)]
            |j, q| kernel::dot(x.column(j), q),
            #[inline(always)]
            |j, d, h, q| kernel::axpy_weighted(-d, h, x.column(j), q),
        );
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
            simd::dispatch(Dots { x: *self, cols: &cols[block * BLOCK..], v, out });
        });
    }

    fn moments(&self, cols: &[usize], v: &[f64], h: &[f64], out: &mut [Moments]) {
        let equal = equal(h);
        threads::for_each_chunk(&mut out[..cols.len()], BLOCK, |block, out| {
            simd::dispatch(Sums { x: *self, cols: &cols[block * BLOCK..], v, h, equal, out });
        });
    }

    fn combine(&self, cols: &[usize], coef: &[f64], out: &mut [f64]) {
        simd::dispatch(Combine { x: *self, cols, coef, out });
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
        simd::dispatch(Steps { x: *self, sweep });
    }
}
