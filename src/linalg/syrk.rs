//! Inner products of all pairs of columns, in register tiles.

use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};
use crate::engine::threads;

pub(super) const TILE: usize = 4;
/// Rows of the result that one task owns.
const ROWS: usize = 32;

/// `out[i * stride + j] += a_i . b_j` for `i >= skip`, where `a_i` is column `i` of `a` (columns of
/// `len` consecutive numbers each) and `j` runs to `min(columns, i + 1 + offset)`.
///
/// Products of one call are summed in the precision of `a`, calls in f64. `out` starts at row `skip`. A task owns whole rows, so the result does not depend on threads.
pub fn accumulate_lower<F: Float>(
    a: &[F],
    len: usize,
    skip: usize,
    out: &mut [f64],
    stride: usize,
) {
    if len == 0 {
        return;
    }
    let columns = a.len() / len;
    let rows = columns - skip;
    threads::for_each_chunk(&mut out[..rows * stride], ROWS * stride, |task, out| {
        let first = skip + task * ROWS;
        let last = (first + ROWS).min(columns);
        simd::dispatch(Rows { a, len, first, last, out, stride });
    });
}

struct Rows<'a, F> {
    a: &'a [F],
    len: usize,
    first: usize,
    last: usize,
    out: &'a mut [f64],
    stride: usize,
}

impl<F: Float> Kernel for Rows<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { a, len, first, last, out, stride } = self;
        let columns = a.len() / len;
        let column = |i: usize| &a[i * len..(i + 1) * len];
        let mut j = 0;
        // Columns j .. j + TILE stay in cache while the rows of this task pass by them.
        while j < last {
            let mut i = first;
            while i < last {
                if i + TILE > j {
                    // Tiles at the edge repeat their last column; only what exists is stored.
                    let edge = columns - 1;
                    let left = [
                        column(i),
                        column((i + 1).min(edge)),
                        column((i + 2).min(edge)),
                        column((i + 3).min(edge)),
                    ];
                    let right = [
                        column(j),
                        column((j + 1).min(edge)),
                        column((j + 2).min(edge)),
                        column((j + 3).min(edge)),
                    ];
                    // Accumulators of 64 bytes, whatever the type: sixteen of them stay in registers.
                    let sums = if size_of::<F>() == 4 {
                        tile::<F, 16>(left, right)
                    } else {
                        tile::<F, 8>(left, right)
                    };
                    for (t, sums) in sums.iter().enumerate().take(last - i) {
                        for (s, sum) in sums.iter().enumerate().take((i + t + 1).saturating_sub(j))
                        {
                            out[(i + t - first) * stride + j + s] += sum;
                        }
                    }
                }
                i += TILE;
            }
            j += TILE;
        }
    }
}

/// Some numbers by value: the compiler keeps them in registers, which it does not for an array of
/// arrays that is indexed.
#[derive(Clone, Copy)]
struct Lanes<F, const LANES: usize>([F; LANES]);

impl<F: Float, const LANES: usize> Lanes<F, LANES> {
    #[inline(always)]
    fn load(x: &[F]) -> Self {
        Self(x.try_into().expect("a chunk of LANES entries"))
    }

    #[inline(always)]
    fn add_product(self, x: Self, y: Self) -> Self {
        let mut out = self.0;
        for ((out, x), y) in out.iter_mut().zip(x.0).zip(y.0) {
            *out = out.add(x.mul(y));
        }
        Self(out)
    }

    #[inline(always)]
    fn sum(self) -> f64 {
        let mut lanes = [0.0; LANES];
        for (lane, x) in lanes.iter_mut().zip(self.0) {
            *lane = x.to_f64();
        }
        let mut width = LANES / 2;
        while width > 0 {
            for l in 0..width {
                lanes[l] += lanes[l + width];
            }
            width /= 2;
        }
        lanes[0]
    }
}

/// The sixteen inner products of four columns with four others: eight loads feed sixteen products.
#[inline(always)]
pub(super) fn tile<F: Float, const LANES: usize>(
    a: [&[F]; TILE],
    b: [&[F]; TILE],
) -> [[f64; TILE]; TILE] {
    let n = a[0].len();
    let whole = n / LANES * LANES;
    let (a0, a1) = (a[0][..whole].chunks_exact(LANES), a[1][..whole].chunks_exact(LANES));
    let (a2, a3) = (a[2][..whole].chunks_exact(LANES), a[3][..whole].chunks_exact(LANES));
    let (b0, b1) = (b[0][..whole].chunks_exact(LANES), b[1][..whole].chunks_exact(LANES));
    let (b2, b3) = (b[2][..whole].chunks_exact(LANES), b[3][..whole].chunks_exact(LANES));
    let zero = Lanes([F::default(); LANES]);
    let (mut s00, mut s01, mut s02, mut s03) = (zero, zero, zero, zero);
    let (mut s10, mut s11, mut s12, mut s13) = (zero, zero, zero, zero);
    let (mut s20, mut s21, mut s22, mut s23) = (zero, zero, zero, zero);
    let (mut s30, mut s31, mut s32, mut s33) = (zero, zero, zero, zero);
    let rows = a0.zip(a1).zip(a2).zip(a3).zip(b0).zip(b1).zip(b2).zip(b3);
    for (((((((x0, x1), x2), x3), y0), y1), y2), y3) in rows {
        let (y0, y1) = (Lanes::<F, LANES>::load(y0), Lanes::load(y1));
        let (y2, y3) = (Lanes::load(y2), Lanes::load(y3));
        let x = Lanes::load(x0);
        (s00, s01) = (s00.add_product(x, y0), s01.add_product(x, y1));
        (s02, s03) = (s02.add_product(x, y2), s03.add_product(x, y3));
        let x = Lanes::load(x1);
        (s10, s11) = (s10.add_product(x, y0), s11.add_product(x, y1));
        (s12, s13) = (s12.add_product(x, y2), s13.add_product(x, y3));
        let x = Lanes::load(x2);
        (s20, s21) = (s20.add_product(x, y0), s21.add_product(x, y1));
        (s22, s23) = (s22.add_product(x, y2), s23.add_product(x, y3));
        let x = Lanes::load(x3);
        (s30, s31) = (s30.add_product(x, y0), s31.add_product(x, y1));
        (s32, s33) = (s32.add_product(x, y2), s33.add_product(x, y3));
    }
    // Spelled out: `map` on arrays is not always inlined, and would then leave the SIMD level.
    let mut sums = [
        [s00.sum(), s01.sum(), s02.sum(), s03.sum()],
        [s10.sum(), s11.sum(), s12.sum(), s13.sum()],
        [s20.sum(), s21.sum(), s22.sum(), s23.sum()],
        [s30.sum(), s31.sum(), s32.sum(), s33.sum()],
    ];
    for (t, row) in sums.iter_mut().enumerate() {
        for (s, sum) in row.iter_mut().enumerate() {
            *sum += (whole..n).map(|k| a[t][k].to_f64() * b[s][k].to_f64()).sum::<f64>();
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition_and_keeps_what_was_there() {
        for (columns, len, skip) in [(1, 1, 0), (5, 7, 0), (9, 16, 4), (70, 33, 37), (3, 0, 1)] {
            let a: Vec<f64> = (0..columns * len).map(|i| (i as f64 * 0.7).sin()).collect();
            let stride = columns + 3;
            let mut out = vec![1.0; (columns - skip) * stride];
            accumulate_lower(&a, len, skip, &mut out, stride);
            for i in skip..columns {
                for j in 0..stride {
                    let dot: f64 = if j <= i {
                        (0..len).map(|k| a[i * len + k] * a[j * len + k]).sum()
                    } else {
                        0.0
                    };
                    assert!((out[(i - skip) * stride + j] - 1.0 - dot).abs() < 1e-12);
                }
            }
        }
    }
}
