//! Inner products of all pairs of columns, in register tiles.

use crate::engine::simd::{self, Kernel};
use crate::engine::threads;

const TILE: usize = 4;
const LANES: usize = 4;
/// Rows of the result that one task owns.
const ROWS: usize = 32;

/// `out[i * stride + j] += a_i . b_j` for `i >= skip`, where `a_i` is column `i` of `a` (columns of
/// `len` consecutive numbers each) and `j` runs to `min(columns, i + 1 + offset)`.
///
/// `out` starts at row `skip`. A task owns whole rows, so the result does not depend on threads.
pub fn accumulate_lower(a: &[f64], len: usize, skip: usize, out: &mut [f64], stride: usize) {
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

struct Rows<'a> {
    a: &'a [f64],
    len: usize,
    first: usize,
    last: usize,
    out: &'a mut [f64],
    stride: usize,
}

impl Kernel for Rows<'_> {
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
                    let left = std::array::from_fn(|t| column((i + t).min(columns - 1)));
                    let right = std::array::from_fn(|t| column((j + t).min(columns - 1)));
                    let sums = tile(left, right);
                    for (t, sums) in sums.iter().enumerate().take(last - i) {
                        for (s, sum) in sums.iter().enumerate().take((i + t + 1).saturating_sub(j)) {
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

#[inline(always)]
fn tile(a: [&[f64]; TILE], b: [&[f64]; TILE]) -> [[f64; TILE]; TILE] {
    let mut sums = [[[0.0; LANES]; TILE]; TILE];
    let n = a[0].len();
    let whole = n / LANES * LANES;
    let mut k = 0;
    while k < whole {
        let x: [&[f64; LANES]; TILE] =
            std::array::from_fn(|t| a[t][k..k + LANES].try_into().expect("LANES entries"));
        let y: [&[f64; LANES]; TILE] =
            std::array::from_fn(|t| b[t][k..k + LANES].try_into().expect("LANES entries"));
        for t in 0..TILE {
            for s in 0..TILE {
                for l in 0..LANES {
                    sums[t][s][l] += x[t][l] * y[s][l];
                }
            }
        }
        k += LANES;
    }
    std::array::from_fn(|t| {
        std::array::from_fn(|s| {
            let tail: f64 = (whole..n).map(|k| a[t][k] * b[s][k]).sum();
            let [p, q, r, o] = sums[t][s];
            (p + q) + (r + o) + tail
        })
    })
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
