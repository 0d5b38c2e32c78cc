//! Gramian of a few long rows, and their weighted sum: the two passes over a Jacobian.
//!
//!   G_ij = sum_c J_ic J_jc          out_c = sum_i w_i J_ic
//!
//! Products of f32 are exact in f64, so their sum is rounded in f64 alone. The order of the sum
//! is fixed by the shape: 8 interleaved lanes inside a block of columns, then block after block.
//! Cost O(m^2 d) and O(m d); memory O(m^2) for each task.

use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel, Level};
use crate::engine::threads;
use std::any::TypeId;

const LANES: usize = 8;
/// Columns taken at a time: they stay in cache while every pair of rows meets.
const BLOCK: usize = 1024;
/// Rows of a tile of accumulators where there are 32 vector registers.
const TILE: usize = 4;

/// Adds J J^T to `gram` (m x m, row-major, symmetric), for m rows of equal length.
pub fn add_gramian<F: Float>(rows: &[&[F]], gram: &mut [f64]) {
    let m = rows.len();
    assert_eq!(gram.len(), m * m, "the Gramian of {m} rows is {m} x {m}");
    let d = rows.first().map_or(0, |row| row.len());
    assert!(rows.iter().all(|row| row.len() == d), "rows of unequal length");
    // Up to 32 tasks, each of whole blocks; a function of the shape alone.
    let columns = d.div_ceil(32 * BLOCK).max(1) * BLOCK;
    let single = TypeId::of::<F>() == TypeId::of::<f32>();
    let level = Level::current();
    let parts = threads::map(d.div_ceil(columns), |task| {
        let range = task * columns..d.min((task + 1) * columns);
        match level {
            // A fused multiply-add changes no bit when the product is exact.
            Level::Avx512 if single && m > 2 => {
                simd::dispatch(Part::<F, TILE, true> { rows, range })
            }
            Level::Avx512 if m > 2 => simd::dispatch(Part::<F, TILE, false> { rows, range }),
            Level::Avx2 | Level::Avx512 if single => {
                simd::dispatch(Part::<F, 2, true> { rows, range })
            }
            _ => simd::dispatch(Part::<F, 2, false> { rows, range }),
        }
    });
    for i in 0..m {
        for j in 0..=i {
            let sum: f64 = parts.iter().map(|part| part[i * m + j]).sum();
            gram[i * m + j] += sum;
            if i != j {
                gram[j * m + i] += sum;
            }
        }
    }
}

/// The lower triangle of the Gramian of a range of columns.
struct Part<'a, F, const T: usize, const FUSED: bool> {
    rows: &'a [&'a [F]],
    range: std::ops::Range<usize>,
}

impl<F: Float, const T: usize, const FUSED: bool> Kernel for Part<'_, F, T, FUSED> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let m = self.rows.len();
        let mut gram = vec![0.0; m * m];
        let mut start = self.range.start;
        while start < self.range.end {
            let end = self.range.end.min(start + BLOCK);
            let whole = end - (end - start) % LANES;
            self.add_block(&mut gram, |row| self.rows[row][start..whole].as_chunks().0);
            if whole < end {
                // The columns that do not fill a vector, with zeros behind them.
                let mut rest = vec![[F::default(); LANES]; m];
                for (rest, row) in rest.iter_mut().zip(self.rows) {
                    rest[..end - whole].copy_from_slice(&row[whole..end]);
                }
                self.add_block(&mut gram, |row| &rest[row..=row]);
            }
            start = end;
        }
        gram
    }
}

impl<F: Float, const T: usize, const FUSED: bool> Part<'_, F, T, FUSED> {
    #[inline(always)]
    fn add_block<'b>(&self, gram: &mut [f64], row: impl Fn(usize) -> &'b [[F; LANES]])
    where
        F: 'b,
    {
        let m = self.rows.len();
        // Rows beyond the last repeat it; what they give is not kept.
        let tile_of = |i: usize| std::array::from_fn(|a| row((i + a).min(m - 1)));
        for i in (0..m).step_by(T) {
            let left: [&[[F; LANES]]; T] = tile_of(i);
            for j in (0..=i).step_by(T) {
                // The diagonal is no special case: told that both sides are the same, the compiler
                // drops whole vectors for shuffles of half as many products, and is slower.
                let right = std::hint::black_box(tile_of(j));
                let sums = tile::<F, T, FUSED>(&left, &right);
                for (a, sums) in sums.iter().enumerate().take(m - i) {
                    for (b, sum) in sums.iter().enumerate().take(m - j) {
                        gram[(i + a) * m + j + b] += sum;
                    }
                }
            }
        }
    }
}

type Vector = [f64; LANES];

/// Inner products of `T` rows with `T` rows.
#[inline(always)]
fn tile<F: Float, const T: usize, const FUSED: bool>(
    left: &[&[[F; LANES]]; T],
    right: &[&[[F; LANES]]; T],
) -> [[f64; T]; T] {
    let vectors = left[0].len();
    // Lengths that the compiler sees, so that no bound is checked inside.
    let left: [&[[F; LANES]]; T] = std::array::from_fn(|a| &left[a][..vectors]);
    let right: [&[[F; LANES]]; T] = std::array::from_fn(|b| &right[b][..vectors]);
    let mut sums = [[[0.0; LANES]; T]; T];
    for v in 0..vectors {
        let x: [Vector; T] = std::array::from_fn(|a| left[a][v].map(F::to_f64));
        for b in 0..T {
            let y = right[b][v].map(F::to_f64);
            for a in 0..T {
                for lane in 0..LANES {
                    let sum = &mut sums[a][b][lane];
                    *sum = if FUSED {
                        x[a][lane].mul_add(y[lane], *sum)
                    } else {
                        *sum + x[a][lane] * y[lane]
                    };
                }
            }
        }
    }
    sums.map(|row| row.map(fold))
}

/// A fixed tree over the lanes.
#[inline(always)]
fn fold(v: Vector) -> f64 {
    ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]))
}

/// Writes the sum of the rows times their weights, computed in f64 and rounded once; returns its
/// squared length. Rows of weight zero are not read.
pub fn combine<F: Float>(rows: &[&[F]], weights: &[f64], out: &mut [F]) -> f64 {
    assert_eq!(rows.len(), weights.len(), "one weight for each row");
    assert!(rows.iter().all(|row| row.len() == out.len()), "rows of unequal length");
    let used: Vec<(&[F], f64)> =
        rows.iter().zip(weights).filter(|(_, w)| **w != 0.0).map(|(r, w)| (*r, *w)).collect();
    let columns = out.len().div_ceil(64 * BLOCK).max(1) * BLOCK;
    let mut squares = vec![0.0; out.len().div_ceil(columns)];
    let tasks = std::sync::Mutex::new(&mut squares);
    threads::for_each_chunk(out, columns, |task, out| {
        let square = simd::dispatch(Combine { rows: &used, start: task * columns, out });
        // A panic elsewhere ends the call; its poison says nothing about this slot.
        tasks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())[task] = square;
    });
    squares.iter().sum()
}

struct Combine<'a, F> {
    rows: &'a [(&'a [F], f64)],
    start: usize,
    out: &'a mut [F],
}

impl<F: Float> Kernel for Combine<'_, F> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let mut squares = [0.0; LANES];
        for (index, out) in self.out.chunks_mut(BLOCK).enumerate() {
            let start = self.start + index * BLOCK;
            let mut sum = [0.0; BLOCK];
            let (fours, rest) = self.rows.as_chunks::<4>();
            let (twos, rest) = rest.as_chunks::<2>();
            let sums = &mut sum[..out.len()];
            fours.iter().for_each(|rows| add_four(rows, start, sums));
            twos.iter().for_each(|rows| add_two(rows, start, sums));
            rest.iter().for_each(|row| add_one(row, start, sums));
            for (to, from) in out.iter_mut().zip(&sum) {
                *to = F::from_f64(*from);
            }
            for vector in sum.as_chunks::<LANES>().0 {
                for (square, x) in squares.iter_mut().zip(vector) {
                    *square += x * x;
                }
            }
        }
        fold(squares)
    }
}

/// Adds the weighted rows to `sum`, one after the other. (An inner loop over the rows reads better
/// and keeps the compiler from filling the vector registers.)
#[inline(always)]
fn add_four<F: Float>(rows: &[(&[F], f64); 4], start: usize, sum: &mut [f64]) {
    let [a, b, c, d] = rows.map(|(row, w)| (&row[start..start + sum.len()], w));
    for (k, sum) in sum.iter_mut().enumerate() {
        *sum = (((*sum + a.1 * a.0[k].to_f64()) + b.1 * b.0[k].to_f64()) + c.1 * c.0[k].to_f64())
            + d.1 * d.0[k].to_f64();
    }
}

#[inline(always)]
fn add_two<F: Float>(rows: &[(&[F], f64); 2], start: usize, sum: &mut [f64]) {
    let [a, b] = rows.map(|(row, w)| (&row[start..start + sum.len()], w));
    for (k, sum) in sum.iter_mut().enumerate() {
        *sum = (*sum + a.1 * a.0[k].to_f64()) + b.1 * b.0[k].to_f64();
    }
}

#[inline(always)]
fn add_one<F: Float>((row, w): &(&[F], f64), start: usize, sum: &mut [f64]) {
    for (sum, x) in sum.iter_mut().zip(&row[start..]) {
        *sum += w * x.to_f64();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jacobian(m: usize, d: usize) -> Vec<f32> {
        (0..m * d).map(|k| ((k * k % 1013) as f32 * 0.37).sin()).collect()
    }

    #[test]
    fn gramian_and_combination_agree_with_their_definition() {
        for m in [1, 2, 3, 5, 8, 13] {
            for d in [0, 1, 7, 8, 511, 512, 1500] {
                let data = jacobian(m, d);
                let rows: Vec<&[f32]> = (0..m).map(|i| &data[i * d..(i + 1) * d]).collect();
                let mut gram = vec![0.0; m * m];
                add_gramian(&rows, &mut gram);
                for i in 0..m {
                    for j in 0..m {
                        let pairs = rows[i].iter().zip(rows[j]);
                        let want: f64 = pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
                        assert!((gram[i * m + j] - want).abs() < 1e-12 * (1.0 + d as f64));
                    }
                }
                let weights: Vec<f64> = (0..m).map(|i| (i as f64 - 1.0) / 3.0).collect();
                let mut out = vec![0.0_f32; d];
                let square = combine(&rows, &weights, &mut out);
                let want: f64 = out.iter().map(|x| f64::from(*x).powi(2)).sum();
                assert!((square - want).abs() <= 1e-5 * want);
                for c in 0..d {
                    let want: f64 = (0..m).map(|i| weights[i] * f64::from(rows[i][c])).sum();
                    assert!((f64::from(out[c]) - want).abs() < 1e-6);
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
            let (mut gram, mut out) = (vec![0.0; m * m], vec![0.0; d]);
            add_gramian(&rows, &mut gram);
            combine(&rows, &gram[..m], &mut out);
            threads::set(0);
            (gram, out)
        };
        assert!(run(1) == run(2) && run(1) == run(7));
        let at = |level| {
            let range = 0..1500;
            let full = simd::dispatch_at(
                level,
                Part::<f32, 4, true> { rows: &rows, range: range.clone() },
            );
            let plain = simd::dispatch_at(level, Part::<f32, 2, false> { rows: &rows, range });
            let low = |g: Vec<f64>| {
                (0..m * m).filter(|k| k % m <= k / m).map(|k| g[k]).collect::<Vec<_>>()
            };
            (low(full), low(plain))
        };
        for level in Level::available() {
            let (full, plain) = at(*level);
            assert!(full == plain && full == at(Level::Baseline).0);
        }
    }
}
