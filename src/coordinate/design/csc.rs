//! Compressed sparse columns, borrowed; indices in any order, duplicates summed.

use super::{BLOCK, Design, Moments, Sweep, equal};
use crate::engine::Result;
use crate::engine::real::Float;
use crate::engine::sparse::{Columns, Index};
use crate::engine::threads;
use std::ops::Range;

/// A sparse matrix by columns.
#[derive(Debug, Clone, Copy)]
pub struct Csc<'a, F, I>(Columns<'a, F, I>);

impl<'a, F: Float, I: Index> Csc<'a, F, I> {
    /// The three arrays of scipy's `csc_matrix`.
    ///
    /// # Errors
    /// If they do not describe a matrix of `rows` rows.
    pub fn new(data: &'a [F], indices: &'a [I], starts: &'a [I], rows: usize) -> Result<Self> {
        Ok(Self(Columns::new(data, indices, starts, rows)?))
    }
}

/// Sparse columns are short: a task takes more of them.
const MANY: usize = 32 * BLOCK;

impl<F: Float, I: Index> Design for Csc<'_, F, I> {
    fn rows(&self) -> usize {
        self.0.rows()
    }

    fn cols(&self) -> usize {
        self.0.cols()
    }

    fn dot(&self, j: usize, v: &[f64]) -> f64 {
        self.0.dot(j, v)
    }

    fn add(&self, j: usize, a: f64, out: &mut [f64]) {
        self.0.axpy(j, a, None, out);
    }

    fn dots(&self, cols: &[usize], v: &[f64], out: &mut [f64]) {
        threads::for_each_chunk(&mut out[..cols.len()], MANY, |block, out| {
            for (out, &j) in out.iter_mut().zip(&cols[block * MANY..]) {
                *out = self.0.dot(j, v);
            }
        });
    }

    fn moments(&self, cols: &[usize], v: &[f64], h: &[f64], out: &mut [Moments]) {
        // Equal weights need not be gathered.
        let equal = equal(h);
        threads::for_each_chunk(&mut out[..cols.len()], MANY, |block, out| {
            for (out, &j) in out.iter_mut().zip(&cols[block * MANY..]) {
                let scale = equal.unwrap_or(1.0);
                let [dot, first, second] = self.0.moments(j, v, equal.map_or(Some(h), |_| None));
                *out = Moments { dot, first: scale * first, second: scale * second };
            }
        });
    }

    fn combine(&self, cols: &[usize], coef: &[f64], out: &mut [f64]) {
        for (&j, &a) in cols.iter().zip(coef) {
            if a != 0.0 {
                self.0.axpy(j, a, None, out);
            }
        }
    }

    fn read(&self, j: usize, rows: Range<usize>, out: &mut [f64]) {
        out.fill(0.0);
        for (i, x) in self.0.column(j) {
            if rows.contains(&i) {
                out[i - rows.start] += x;
            }
        }
    }

    fn stored(&self, cols: &[usize]) -> Option<usize> {
        Some(cols.iter().map(|&j| self.0.stored(j)).sum())
    }

    fn entries(&self, j: usize, take: &mut dyn FnMut(usize, f64)) {
        let mut next = 0;
        let ordered = self.0.column(j).all(|(i, _)| i >= std::mem::replace(&mut next, i + 1));
        if ordered {
            self.0.column(j).for_each(|(i, x)| take(i, x));
        } else {
            self.0.merged(j).into_iter().for_each(|(i, x)| take(i, x));
        }
    }

    fn sweep(&self, sweep: &mut Sweep<'_>) {
        sweep.run(
            #[inline(always)]
            |j, q| self.0.dot(j, q),
            #[inline(always)]
            |j, d, h, q| self.0.axpy(j, -d, Some(h), q),
        );
    }
}
