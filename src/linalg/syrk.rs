//! Inner products of all pairs of columns: the lower triangle of A'A.

use crate::engine::gemm::{Matrix, gemm};
use crate::engine::real::Float;
use crate::engine::threads;

/// Rows of the result that one task owns, at most and at least: of few rows each takes a quarter.
const ROWS: [usize; 2] = [128, 24];
/// Entries of a column that are summed in the precision of the data before f64 takes over.
const DEPTH: usize = 4096;

/// `out[i * stride + j] += a_i . a_j` for `skip <= i < count` and `j <= i`, where `a_i` are the `len`
/// numbers from `data[i * distance]` on; `out` starts at row `skip`. Entries with `j > i` may change
/// too. A task owns whole rows, so the result does not depend on threads.
pub fn accumulate_lower<F: Float>(
    data: &[F],
    [count, len, distance]: [usize; 3],
    skip: usize,
    out: &mut [f64],
    stride: usize,
) {
    let rows = count - skip;
    let each = rows.div_ceil(4).clamp(ROWS[1], ROWS[0]);
    threads::for_each_chunk(&mut out[..rows * stride], each * stride, |task, out| {
        let first = skip + task * each;
        let last = (first + each).min(count);
        let mut products = vec![F::default(); (last - first) * last];
        for start in (0..len).step_by(DEPTH) {
            let depth = DEPTH.min(len - start);
            let from = |i: usize| &data[i * distance + start..];
            let left = Matrix::strided(from(first), last - first, depth, distance);
            let right = Matrix::strided(from(0), last, depth, distance);
            gemm(1.0, left, right.transpose(), 0.0, &mut products);
            for (out, row) in out.chunks_exact_mut(stride).zip(products.chunks_exact(last)) {
                out.iter_mut().zip(row).for_each(|(out, x)| *out += x.to_f64());
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition_and_keeps_what_was_there() {
        for (count, len, skip) in [(1, 1, 0), (5, 7, 0), (9, 16, 4), (170, 33, 37), (3, 0, 1)] {
            let a: Vec<f64> = (0..count * len).map(|i| (i as f64 * 0.7).sin()).collect();
            let stride = count + 3;
            let mut out = vec![1.0; (count - skip) * stride];
            accumulate_lower(&a, [count, len, len], skip, &mut out, stride);
            for i in skip..count {
                for j in 0..=i {
                    let dot: f64 = (0..len).map(|k| a[i * len + k] * a[j * len + k]).sum();
                    assert!((out[(i - skip) * stride + j] - 1.0 - dot).abs() < 1e-12);
                }
            }
        }
    }
}
