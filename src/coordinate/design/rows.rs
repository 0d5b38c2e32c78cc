//! Dense rows, each contiguous (C order), read row by row and never transposed as a whole.

use super::{Design, Moments, Sweep, kernel};
use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};
use crate::engine::threads;
use crate::engine::{Error, Result};
use std::ops::Range;

/// A dense matrix whose rows are contiguous, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a, F> {
    data: &'a [F],
    rows: usize,
    cols: usize,
}

/// Columns that one task sums over all rows: long enough for memory to stream, short enough for the
/// sums to stay in cache.
const STRIP: usize = 2048;

impl<'a, F: Float> Rows<'a, F> {
    /// Rows one after another.
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
    fn row(&self, i: usize, cols: Range<usize>) -> &'a [F] {
        &self.data[i * self.cols + cols.start..i * self.cols + cols.end]
    }
}

struct Dots<'a, 'b, F> {
    x: &'b Rows<'a, F>,
    start: usize,
    v: &'b [f64],
    out: &'b mut [f64],
}
impl<F: Float> Kernel for Dots<'_, '_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        self.out.fill(0.0);
        let range = self.start..self.start + self.out.len();
        // Four rows a pass: a quarter of the traffic on the sums.
        let mut i = 0;
        while i + 4 <= self.x.rows {
            let x: [&[F]; 4] = std::array::from_fn(|t| self.x.row(i + t, range.clone()));
            let v: [f64; 4] = std::array::from_fn(|t| self.v[i + t]);
            let rows = x[0].iter().zip(x[1]).zip(x[2]).zip(x[3]);
            for (out, (((a, b), c), d)) in self.out.iter_mut().zip(rows) {
                *out += (v[0] * a.to_f64() + v[1] * b.to_f64())
                    + (v[2] * c.to_f64() + v[3] * d.to_f64());
            }
            i += 4;
        }
        for i in i..self.x.rows {
            kernel::axpy(self.v[i], self.x.row(i, range.clone()), self.out);
        }
    }
}

struct Sums<'a, 'b, F> {
    x: &'b Rows<'a, F>,
    start: usize,
    v: &'b [f64],
    h: &'b [f64],
    out: &'b mut [Moments],
}
impl<F: Float> Kernel for Sums<'_, '_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let len = self.out.len();
        let mut sums = vec![[0.0; STRIP]; 3];
        let [dot, first, second] = &mut sums[..] else { unreachable!("three arrays") };
        let (dot, first, second) = (&mut dot[..len], &mut first[..len], &mut second[..len]);
        // Two rows a pass: half of the traffic on the sums.
        for i in (0..self.x.rows).step_by(2) {
            let last = i + 1 == self.x.rows;
            let row = |i| &self.x.row(i, self.start..self.start + len)[..len];
            let (x, y) = (row(i), row(if last { i } else { i + 1 }));
            let (v, h) = (self.v[i], self.h[i]);
            let (u, g) = if last { (0.0, 0.0) } else { (self.v[i + 1], self.h[i + 1]) };
            for k in 0..len {
                let (x, y) = (x[k].to_f64(), y[k].to_f64());
                let (hx, gy) = (h * x, g * y);
                dot[k] += v * x + u * y;
                first[k] += hx + gy;
                second[k] += hx * x + gy * y;
            }
        }
        for (k, out) in self.out.iter_mut().enumerate() {
            *out = Moments { dot: dot[k], first: first[k], second: second[k] };
        }
    }
}

impl<F: Float> Rows<'_, F> {
    /// Whether a pass over all columns is cheaper than one over `count` scattered ones.
    fn mostly(&self, count: usize) -> bool {
        8 * count >= self.cols
    }
}

impl<F: Float> Design for Rows<'_, F> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn cols(&self) -> usize {
        self.cols
    }

    fn dots(&self, cols: &[usize], v: &[f64], out: &mut [f64]) {
        if self.mostly(cols.len()) {
            let mut all = vec![0.0; self.cols];
            threads::for_each_chunk(&mut all, STRIP, |strip, out| {
                simd::dispatch(Dots { x: self, start: strip * STRIP, v, out });
            });
            for (out, &j) in out.iter_mut().zip(cols) {
                *out = all[j];
            }
            return;
        }
        let out = &mut out[..cols.len()];
        out.fill(0.0);
        for (i, &v) in v.iter().enumerate() {
            let row = self.row(i, 0..self.cols);
            for (out, &j) in out.iter_mut().zip(cols) {
                *out += v * row[j].to_f64();
            }
        }
    }

    fn moments(&self, cols: &[usize], v: &[f64], h: &[f64], out: &mut [Moments]) {
        if self.mostly(cols.len()) {
            let mut all = vec![Moments::default(); self.cols];
            threads::for_each_chunk(&mut all, STRIP, |strip, out| {
                simd::dispatch(Sums { x: self, start: strip * STRIP, v, h, out });
            });
            for (out, &j) in out.iter_mut().zip(cols) {
                *out = all[j];
            }
            return;
        }
        let out = &mut out[..cols.len()];
        out.fill(Moments::default());
        for i in 0..self.rows {
            let row = self.row(i, 0..self.cols);
            for (out, &j) in out.iter_mut().zip(cols) {
                let x = row[j].to_f64();
                out.dot += v[i] * x;
                out.first += h[i] * x;
                out.second += h[i] * x * x;
            }
        }
    }

    fn combine(&self, cols: &[usize], coef: &[f64], out: &mut [f64]) {
        for (i, out) in out.iter_mut().enumerate() {
            let row = self.row(i, 0..self.cols);
            *out += cols.iter().zip(coef).map(|(&j, a)| a * row[j].to_f64()).sum::<f64>();
        }
    }

    fn read(&self, j: usize, rows: Range<usize>, out: &mut [f64]) {
        for (out, i) in out.iter_mut().zip(rows) {
            *out = self.data[i * self.cols + j].to_f64();
        }
    }

    fn pack(&self, cols: &[usize], rows: Range<usize>, out: &mut [f64]) {
        let len = rows.len();
        for (k, i) in rows.enumerate() {
            let row = self.row(i, 0..self.cols);
            for (c, &j) in cols.iter().enumerate() {
                out[c * len + k] = row[j].to_f64();
            }
        }
    }

    fn stored(&self, _cols: &[usize]) -> Option<usize> {
        None
    }

    fn entries(&self, j: usize, take: &mut dyn FnMut(usize, f64)) {
        (0..self.rows).for_each(|i| take(i, self.data[i * self.cols + j].to_f64()));
    }

    fn scattered(&self) -> bool {
        true
    }

    fn sweep(&self, sweep: &mut Sweep<'_>) {
        let mut column = vec![0.0; self.rows];
        let column = std::cell::RefCell::new(&mut column);
        sweep.run(
            |j, q| {
                let mut column = column.borrow_mut();
                self.read(j, 0..self.rows, &mut column);
                kernel::dot(&column, q)
            },
            // The step follows the product with the same column, which is still in the buffer.
            |_, d, h, q| kernel::axpy_weighted(-d, h, &column.borrow(), q),
        );
    }
}
