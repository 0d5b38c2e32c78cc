//! Gramian of a few long rows: the first of the two passes over a Jacobian.
//!
//!   G_ij = sum_c J_ic J_jc
//!
//! Products of f32 are exact in f64, so their sum is rounded in f64 alone. The order of the sum
//! is fixed by the shape: interleaved lanes along the columns of a task (of many rows: of a block
//! of it, then block after block), then task after task.
//! Cost O(m^2 d); memory O(m^2) for each task.

use super::tiles::{Folded, Keep, Sum, add_block, packed};
use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel, Level};
use crate::engine::threads;
use std::any::TypeId;
use std::ops::Range;

/// Lanes of a sum over columns.
pub(super) const LANES: usize = 8;
/// Tasks take multiples of so many columns.
pub(super) const BLOCK: usize = 512;
/// Rows whose block, and the one asked for ahead, fit the first cache.
pub(super) const FEW: usize = 8;
/// Columns in which every pair of rows meets, of few rows and of many, which share the second cache.
const COLUMNS: [usize; 2] = [192, 1024];
/// Rows of a tile of sums, and those they meet, where there are 32 vector registers.
const TILE: usize = 4;
const WIDE: usize = 6;

/// Adds J J^T to `gram` (m x m, row-major, symmetric), for m rows of equal length.
pub fn add_gramian<F: Float>(rows: &[&[F]], gram: &mut [f64]) {
    let m = rows.len();
    assert_eq!(gram.len(), m * m, "the Gramian of {m} rows is {m} x {m}");
    let d = rows.first().map_or(0, |row| row.len());
    assert!(rows.iter().all(|row| row.len() == d), "rows of unequal length");
    // Up to 32 tasks, each of whole blocks; a function of the shape alone. Where the result is
    // large, a task takes enough columns to be worth it.
    let least = if m > 64 { 2 } else { 1 };
    let columns = d.div_ceil(32 * BLOCK).max(least) * BLOCK;
    // A fused multiply-add changes no bit when the product is exact.
    let fused = TypeId::of::<F>() == TypeId::of::<f32>();
    let level = Level::current();
    let parts = threads::map(d.div_ceil(columns), |task| {
        let range = task * columns..d.min((task + 1) * columns);
        match (level, fused) {
            // One or two rows have too few sums to keep the multipliers busy with eight lanes.
            (Level::Avx2 | Level::Avx512, true) if m <= 2 => part::<F, 2, 2, 16, true>(rows, range),
            _ if m <= 2 => part::<F, 2, 2, 16, false>(rows, range),
            (Level::Avx512, true) => part::<F, TILE, WIDE, LANES, true>(rows, range),
            (Level::Avx512, false) => part::<F, TILE, WIDE, LANES, false>(rows, range),
            (Level::Avx2, true) => part::<F, 2, 2, LANES, true>(rows, range),
            _ => part::<F, 2, 2, LANES, false>(rows, range),
        }
    });
    for i in 0..m {
        for j in 0..=i {
            let sum: f64 = parts.iter().map(|part| part[packed(i) + j]).sum();
            gram[i * m + j] += sum;
            if i != j {
                gram[j * m + i] += sum;
            }
        }
    }
}

fn part<F: Float, const T: usize, const W: usize, const N: usize, const FUSED: bool>(
    rows: &[&[F]],
    range: Range<usize>,
) -> Vec<f64> {
    simd::dispatch(Part::<F, T, W, N, FUSED> { rows, range })
}

/// The lower triangle of the Gramian of a range of columns, packed: tiles of `T` rows by `W`, sums
/// of `N` lanes.
struct Part<'a, F, const T: usize, const W: usize, const N: usize, const FUSED: bool> {
    rows: &'a [&'a [F]],
    range: Range<usize>,
}

impl<F: Float, const T: usize, const W: usize, const N: usize, const FUSED: bool> Kernel
    for Part<'_, F, T, W, N, FUSED>
{
    type Output = Vec<f64>;

    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let m = self.rows.len();
        if m <= FEW {
            let mut sums = vec![Sum([0.0; N]); packed(m)];
            self.add(&mut sums);
            sums.iter().map(|sum| simd::fold(&sum.0)).collect()
        } else {
            let mut sums = Folded::new(m, T);
            self.add(&mut sums);
            sums.sums
        }
    }
}

impl<F: Float, const T: usize, const W: usize, const N: usize, const FUSED: bool>
    Part<'_, F, T, W, N, FUSED>
{
    #[inline(always)]
    fn add<K: Keep<N>>(&self, sums: &mut K) {
        let m = self.rows.len();
        let mut views: Vec<&[[F; N]]> = Vec::with_capacity(m);
        let columns = COLUMNS[usize::from(m > FEW)];
        // One tile reads every row once, however long.
        let block = if m <= T { self.range.len().max(1) } else { columns };
        let ahead = if m <= T { COLUMNS[1] } else { columns } / N;
        let whole = self.range.end - self.range.len() % N;
        for start in (self.range.start..whole).step_by(block) {
            let end = whole.min(start + block);
            views.clear();
            views.extend(self.rows.iter().map(|row| row[start..end].as_chunks().0));
            add_block::<F, K, T, W, N, FUSED>(sums, &views, ahead);
        }
        if whole < self.range.end {
            // The columns that do not fill a vector, with zeros behind them.
            let mut rest = vec![[F::default(); N]; m];
            for (rest, row) in rest.iter_mut().zip(self.rows) {
                rest[..self.range.end - whole].copy_from_slice(&row[whole..self.range.end]);
            }
            let tails: Vec<&[[F; N]]> = rest.iter().map(std::slice::from_ref).collect();
            add_block::<F, K, T, W, N, FUSED>(sums, &tails, ahead);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jacobian(m: usize, d: usize) -> Vec<f32> {
        (0..m * d).map(|k| ((k * k % 1013) as f32 * 0.37).sin()).collect()
    }

    #[test]
    fn agrees_with_its_definition() {
        for m in [1, 2, 3, 4, 5, 6, 7, 8, 13, 19] {
            for d in [0, 1, 7, 8, 15, 16, 511, 512, 1500] {
                let data = jacobian(m, d);
                let rows: Vec<&[f32]> = (0..m).map(|i| &data[i * d..(i + 1) * d]).collect();
                let mut gram = vec![0.0; m * m];
                add_gramian(&rows, &mut gram);
                for i in 0..m {
                    for j in 0..m {
                        let pairs = rows[i].iter().zip(rows[j]);
                        let want: f64 = pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
                        let got = gram[i * m + j];
                        assert!((got - want).abs() < 1e-14 * (1.0 + d as f64), "{m} {d}");
                    }
                }
            }
        }
    }

    #[test]
    fn bits_depend_on_neither_threads_nor_features() {
        let (m, d) = (9, 70_001);
        let data = jacobian(m, d);
        let rows: Vec<&[f32]> = (0..m).map(|i| &data[i * d..(i + 1) * d]).collect();
        let run = |threads| {
            threads::set(threads);
            let mut gram = vec![0.0; m * m];
            add_gramian(&rows, &mut gram);
            threads::set(0);
            gram
        };
        assert!(run(1) == run(2) && run(1) == run(7));
        let range = 0..1500;
        for level in Level::available() {
            let at = |level, rows| {
                let range = range.clone();
                simd::dispatch_at(level, Part::<f32, TILE, WIDE, LANES, true> { rows, range })
            };
            let plain = |level, rows| {
                let range = range.clone();
                simd::dispatch_at(level, Part::<f32, 2, 2, LANES, false> { rows, range })
            };
            for m in 3..=9 {
                let rows = &rows[..m];
                assert!(at(*level, rows) == plain(*level, rows), "{level:?} {m}");
                assert!(at(*level, rows) == at(Level::Baseline, rows), "{level:?} {m}");
            }
        }
    }
}
