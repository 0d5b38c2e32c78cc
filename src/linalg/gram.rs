//! Gramian of a few long rows: the first of the two passes over a Jacobian.
//!
//!   G_ij = sum_c J_ic J_jc
//!
//! Products of f32 are exact in f64, so their sum is rounded in f64 alone. The order of the sum
//! is fixed by the shape: interleaved lanes inside a block of columns, then block after block.
//! Cost O(m^2 d); memory O(m^2) for each task.

use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel, Level};
use crate::engine::threads;
use std::any::TypeId;
use std::ops::Range;

/// Lanes of a sum over columns.
pub(super) const LANES: usize = 8;
/// Columns taken at a time, halved for few rows: those stay in the first cache while every pair
/// meets.
pub(super) const BLOCK: usize = 512;
/// Rows whose block, and the one asked for ahead, fit the first cache.
pub(super) const FEW: usize = 8;
/// Rows of a tile of accumulators where there are 32 vector registers.
const TILE: usize = 4;

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
            (Level::Avx2 | Level::Avx512, true) if m <= 2 => part::<F, 2, 16, true>(rows, range),
            _ if m <= 2 => part::<F, 2, 16, false>(rows, range),
            (Level::Avx512, true) => part::<F, TILE, LANES, true>(rows, range),
            (Level::Avx512, false) => part::<F, TILE, LANES, false>(rows, range),
            (Level::Avx2, true) => part::<F, 2, LANES, true>(rows, range),
            _ => part::<F, 2, LANES, false>(rows, range),
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

fn part<F: Float, const T: usize, const N: usize, const FUSED: bool>(
    rows: &[&[F]],
    range: Range<usize>,
) -> Vec<f64> {
    simd::dispatch(Part::<F, T, N, FUSED> { rows, range })
}

/// Where row `i` of a packed lower triangle starts.
#[inline(always)]
fn packed(i: usize) -> usize {
    i * (i + 1) / 2
}

/// The lower triangle of the Gramian of a range of columns, packed: tiles of `T` rows, sums of `N` lanes.
struct Part<'a, F, const T: usize, const N: usize, const FUSED: bool> {
    rows: &'a [&'a [F]],
    range: Range<usize>,
}

impl<F: Float, const T: usize, const N: usize, const FUSED: bool> Kernel
    for Part<'_, F, T, N, FUSED>
{
    type Output = Vec<f64>;

    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let m = self.rows.len();
        let mut gram = vec![0.0; packed(m)];
        let mut views: Vec<&[[F; N]]> = Vec::with_capacity(m);
        let mut rest = vec![[F::default(); N]; m];
        // Many rows share the second cache; longer sums are then folded less often.
        let block = if m > FEW { 2 * BLOCK } else { BLOCK / 2 };
        let mut start = self.range.start;
        while start < self.range.end {
            let end = self.range.end.min(start + block);
            let whole = end - (end - start) % N;
            views.clear();
            views.extend(self.rows.iter().map(|row| row[start..whole].as_chunks().0));
            add_block::<F, T, N, FUSED>(&mut gram, &views);
            if whole < end {
                // The columns that do not fill a vector, with zeros behind them.
                for (rest, row) in rest.iter_mut().zip(self.rows) {
                    rest[..end - whole].copy_from_slice(&row[whole..end]);
                }
                let tails: Vec<&[[F; N]]> = rest.iter().map(std::slice::from_ref).collect();
                add_block::<F, T, N, FUSED>(&mut gram, &tails);
            }
            start = end;
        }
        gram
    }
}

// What runs for every vector is written as loops over fixed ranges: the closures of `map` and
// `from_fn` are not inlined for certain, and left outside they are compiled for the baseline.

#[inline(always)]
fn add_block<F: Float, const T: usize, const N: usize, const FUSED: bool>(
    gram: &mut [f64],
    rows: &[&[[F; N]]],
) {
    for i in (0..rows.len()).step_by(T) {
        // The last tile may have fewer rows.
        match rows.len() - i {
            1 => add_tiles::<F, 1, T, N, FUSED>(gram, i, rows),
            2 => add_tiles::<F, 2, T, N, FUSED>(gram, i, rows),
            3 if T > 2 => add_tiles::<F, 3, T, N, FUSED>(gram, i, rows),
            _ => add_tiles::<F, T, T, N, FUSED>(gram, i, rows),
        }
    }
}

/// Adds the products of the `R` rows from `i` on with the rows before them and with one another.
#[inline(always)]
fn add_tiles<F: Float, const R: usize, const T: usize, const N: usize, const FUSED: bool>(
    gram: &mut [f64],
    i: usize,
    rows: &[&[[F; N]]],
) {
    let left = cut::<_, R>(rows, i);
    for j in (0..i).step_by(T) {
        let sums = tile::<F, R, T, N, FUSED>(left, cut(rows, j));
        for a in 0..R {
            for b in 0..T {
                gram[packed(i + a) + j + b] += sums[a][b];
            }
        }
    }
    let sums = triangle::<F, R, N, FUSED>(left);
    for a in 0..R {
        for b in 0..=a {
            gram[packed(i + a) + i + b] += sums[a][b];
        }
    }
}

/// `R` rows from `i` on, of lengths that the compiler sees to be equal: no bound is checked later.
#[inline(always)]
fn cut<'a, V, const R: usize>(rows: &[&'a [V]], i: usize) -> [&'a [V]; R] {
    let vectors = rows[0].len();
    let mut out: [&[V]; R] = [&[]; R];
    for a in 0..R {
        out[a] = &rows[i + a][..vectors];
    }
    out
}

/// Inner products of `R` rows with `T` rows.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // they walk several arrays at once
fn tile<F: Float, const R: usize, const T: usize, const N: usize, const FUSED: bool>(
    left: [&[[F; N]]; R],
    right: [&[[F; N]]; T],
) -> [[f64; T]; R] {
    let mut sums = [[[0.0; N]; T]; R];
    for v in 0..left[0].len() {
        let mut x = [[0.0; N]; R];
        for a in 0..R {
            x[a] = widen(&left[a][v]);
        }
        for b in 0..T {
            let y = widen(&right[b][v]);
            for a in 0..R {
                sums[a][b] = add_product::<N, FUSED>(x[a], y, sums[a][b]);
            }
        }
    }
    // Else the compiler takes the lanes apart and keeps some of the sums in memory all along.
    let sums = std::hint::black_box(sums);
    let mut out = [[0.0; T]; R];
    for a in 0..R {
        for b in 0..T {
            out[a][b] = simd::fold(&sums[a][b]);
        }
    }
    out
}

/// Inner products of `R` rows with one another, the lower triangle. The last work on these rows in
/// a block, it asks for their next one: the processor's own prefetcher loses the rows now and then.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // they walk several arrays at once
fn triangle<F: Float, const R: usize, const N: usize, const FUSED: bool>(
    rows: [&[[F; N]]; R],
) -> [[f64; R]; R] {
    let vectors = rows[0].len();
    let mut sums = [[[0.0; N]; R]; R];
    for v in 0..vectors {
        let mut x = [[0.0; N]; R];
        for a in 0..R {
            if v % (64 / size_of::<[F; N]>().min(64)) == 0 {
                simd::prefetch(rows[a].as_ptr().wrapping_add(vectors + v).cast());
            }
            x[a] = widen(&rows[a][v]);
        }
        for a in 0..R {
            for b in 0..=a {
                sums[a][b] = add_product::<N, FUSED>(x[a], x[b], sums[a][b]);
            }
        }
    }
    let sums = std::hint::black_box(sums);
    let mut out = [[0.0; R]; R];
    for a in 0..R {
        for b in 0..=a {
            out[a][b] = simd::fold(&sums[a][b]);
        }
    }
    out
}

#[inline(always)]
#[allow(clippy::needless_range_loop)] // lane by lane
fn widen<F: Float, const N: usize>(x: &[F; N]) -> [f64; N] {
    let mut out = [0.0; N];
    for lane in 0..N {
        out[lane] = x[lane].to_f64();
    }
    out
}

/// sum + x y, lane by lane.
#[inline(always)]
fn add_product<const N: usize, const FUSED: bool>(
    x: [f64; N],
    y: [f64; N],
    mut sum: [f64; N],
) -> [f64; N] {
    for lane in 0..N {
        sum[lane] =
            if FUSED { x[lane].mul_add(y[lane], sum[lane]) } else { sum[lane] + x[lane] * y[lane] };
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jacobian(m: usize, d: usize) -> Vec<f32> {
        (0..m * d).map(|k| ((k * k % 1013) as f32 * 0.37).sin()).collect()
    }

    #[test]
    fn agrees_with_its_definition() {
        for m in [1, 2, 3, 4, 5, 6, 7, 8, 13] {
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
                simd::dispatch_at(level, Part::<f32, TILE, LANES, true> { rows, range })
            };
            let plain = |level, rows| {
                let range = range.clone();
                simd::dispatch_at(level, Part::<f32, 2, LANES, false> { rows, range })
            };
            for m in 3..=9 {
                let rows = &rows[..m];
                assert!(at(*level, rows) == plain(*level, rows), "{level:?} {m}");
                assert!(at(*level, rows) == at(Level::Baseline, rows), "{level:?} {m}");
            }
        }
    }
}
