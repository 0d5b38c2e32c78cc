//! Reductions in f64 and in a fixed order: interleaved lanes, a tree over the lanes, the tail.

use super::real::{Float, Lane};
use super::simd::{self, Kernel};
use std::ops::Range;

/// Independent accumulators: enough to hide the latency of additions. One array: split in two, the
/// compiler no longer keeps them in registers.
const LANES: usize = 64;

/// Slices that are read side by side.
pub trait Columns: Copy {
    /// One element of each.
    type Row;
    /// Number of rows.
    ///
    /// # Panics
    /// If lengths differ.
    fn rows(self) -> usize;
    /// Consecutive rows.
    fn part(self, range: Range<usize>) -> Self;
    /// One row.
    fn row(self, i: usize) -> Self::Row;
    /// Asks for the memory two pages after that of rows `i..i + LANES`: a loop that only reads waits
    /// for memory at the start of each page, where the processor does not look ahead by itself.
    fn prefetch(self, i: usize);
}

impl<F: Float, const K: usize> Columns for [&[F]; K] {
    type Row = [F; K];
    #[inline(always)]
    fn rows(self) -> usize {
        let rows = self.first().map_or(0, |column| column.len());
        assert!(self.iter().all(|column| column.len() == rows), "columns of one length");
        rows
    }
    #[inline(always)]
    fn part(self, range: Range<usize>) -> Self {
        self.map(|column| &column[range.start..range.end])
    }
    #[inline(always)]
    fn row(self, i: usize) -> [F; K] {
        self.map(|column| column[i])
    }
    #[inline(always)]
    fn prefetch(self, i: usize) {
        const AHEAD: usize = 2 * 4096;
        for column in self {
            let after = column.as_ptr().wrapping_add(i).cast::<u8>().wrapping_add(AHEAD);
            for line in 0..LANES * size_of::<F>() / 64 {
                simd::prefetch(after.wrapping_add(64 * line));
            }
        }
    }
}

impl<A: Columns, B: Columns> Columns for (A, B) {
    type Row = (A::Row, B::Row);
    #[inline(always)]
    fn rows(self) -> usize {
        let rows = self.0.rows();
        assert_eq!(self.1.rows().max(rows), rows, "columns of one length");
        rows
    }
    #[inline(always)]
    fn part(self, range: Range<usize>) -> Self {
        (self.0.part(range.clone()), self.1.part(range))
    }
    #[inline(always)]
    fn row(self, i: usize) -> Self::Row {
        (self.0.row(i), self.1.row(i))
    }
    #[inline(always)]
    fn prefetch(self, i: usize) {
        self.0.prefetch(i);
        self.1.prefetch(i);
    }
}

/// Columns that need not be read, for which no memory is asked ahead.
#[derive(Debug, Clone, Copy)]
pub struct Quiet<C>(pub C);

impl<C: Columns> Columns for Quiet<C> {
    type Row = C::Row;
    #[inline(always)]
    fn rows(self) -> usize {
        self.0.rows()
    }
    #[inline(always)]
    fn part(self, range: Range<usize>) -> Self {
        Self(self.0.part(range))
    }
    #[inline(always)]
    fn row(self, i: usize) -> Self::Row {
        self.0.row(i)
    }
    #[inline(always)]
    fn prefetch(self, _: usize) {}
}

/// Sum of squares, accumulated in f64.
pub fn sum_of_squares<F: Float>(data: &[F]) -> f64 {
    sum([data], |[x]| x.to_f64() * x.to_f64())
}

/// Sum of absolute values, accumulated in f64.
pub fn sum_of_abs<F: Float>(data: &[F]) -> f64 {
    sum([data], |[x]| x.to_f64().abs())
}

/// Inner product, accumulated in f64; the longer slice is cut.
pub fn dot<F: Float>(a: &[F], b: &[F]) -> f64 {
    let n = a.len().min(b.len());
    sum([&a[..n], &b[..n]], |[x, y]| x.to_f64() * y.to_f64())
}

/// Largest absolute value, NaN if any element is NaN, 0 for an empty slice.
pub fn max_abs<F: Float>(data: &[F]) -> f64 {
    max_abs_of([data], |[x]| Lane(x))
}

/// Sum of a function of rows.
#[inline]
pub fn sum<C: Columns>(columns: C, of: impl Fn(C::Row) -> f64) -> f64 {
    fold(columns, 0.0, |acc: f64, row| acc + of(row), |a, b| a + b)
}

/// Largest absolute value of a function of rows, NaN if one is NaN, 0 without rows.
#[inline]
pub fn max_abs_of<F: Float, C: Columns>(columns: C, of: impl Fn(C::Row) -> Lane<F>) -> f64 {
    let start = F::Bits::default();
    let bits = fold(columns, start, |acc, row| acc.max(of(row).0.magnitude()), Ord::max);
    F::from_magnitude(bits).to_f64()
}

/// Folds rows into accumulators that begin at `start`, and joins these.
#[inline]
fn fold<C: Columns, A: Copy>(
    columns: C,
    start: A,
    step: impl Fn(A, C::Row) -> A,
    join: impl Fn(A, A) -> A,
) -> A {
    struct Fold<C, A, S, J>(C, A, S, J);
    impl<C: Columns, A: Copy, S: Fn(A, C::Row) -> A, J: Fn(A, A) -> A> Kernel for Fold<C, A, S, J> {
        type Output = A;
        #[inline(always)]
        fn run(self) -> A {
            let Self(columns, start, step, join) = self;
            let rows = columns.rows();
            let blocks = rows / LANES * LANES;
            let mut lanes = [start; LANES];
            for i in (0..blocks).step_by(LANES) {
                columns.prefetch(i);
                let block = columns.part(i..i + LANES);
                for (k, lane) in lanes.iter_mut().enumerate() {
                    *lane = step(*lane, block.row(k));
                }
            }
            let tail = (blocks..rows).fold(start, |acc, i| step(acc, columns.row(i)));
            let mut width = LANES / 2;
            while width > 0 {
                for k in 0..width {
                    lanes[k] = join(lanes[k], lanes[k + width]);
                }
                width /= 2;
            }
            join(lanes[0], tail)
        }
    }
    simd::dispatch(Fold(columns, start, step, join))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reductions_agree_with_their_definition() {
        for n in [0usize, 1, 63, 64, 65, 127, 128, 1000] {
            let data: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
            let squares: f64 = data.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            assert!((sum_of_squares(&data) - squares).abs() <= 1e-12 * (1.0 + squares));
            let magnitudes: f64 = data.iter().map(|&x| f64::from(x).abs()).sum();
            assert!((sum_of_abs(&data) - magnitudes).abs() <= 1e-12 * (1.0 + magnitudes));
            assert!((dot(&data, &data) - squares).abs() <= 1e-12 * (1.0 + squares));
            let total: f64 = data.iter().map(|&x| f64::from(x).abs()).sum();
            assert!((sum_of_abs(&data) - total).abs() <= 1e-12 * (1.0 + total));
            assert_eq!(max_abs(&data), data.iter().fold(0.0, |a, &x| f64::max(a, x.abs().into())));
        }
        assert!(max_abs(&[1.0, f64::NAN, 2.0]).is_nan());
    }
}
