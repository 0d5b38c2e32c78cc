//! Sums of outer products over many samples: A B, and the lower triangle of A A'.

use crate::engine::gemm::{self, Matrix};
use crate::engine::real::Float;
use crate::engine::threads;

/// Rows of the result that one task owns, at least and at most: of few rows each takes a quarter.
const ROWS: [usize; 2] = [24, 128];
/// Products that are summed in the precision of the data before f64 takes over.
const DEPTH: usize = 4096;

/// `out[i * stride + j] += a_i . a_j` for `skip <= i` and `j <= i`, where `a_i` are the rows of `a`;
/// `out` starts at row `skip`. Entries with `j > i` may change too. A task owns whole rows, so the
/// result does not depend on threads.
pub fn accumulate_lower<F: Float>(a: Matrix<'_, F>, skip: usize, out: &mut [f64], stride: usize) {
    let [count, depth] = a.shape();
    let rows = count - skip;
    let each = rows.div_ceil(4).clamp(ROWS[0], ROWS[1]);
    threads::for_each_chunk(&mut out[..rows * stride], each * stride, |task, out| {
        let first = skip + task * each;
        let last = (first + each).min(count);
        add(a.part(first..last, 0..depth), a.part(0..last, 0..depth).transpose(), out, stride);
    });
}

/// `out += a b`, as in [`accumulate_lower`] every entry.
pub fn accumulate<F: Float>(a: Matrix<'_, F>, b: Matrix<'_, F>, out: &mut [f64]) {
    let ([count, depth], [_, columns]) = (a.shape(), b.shape());
    // Each task packs all of `b`: few of them.
    let each = count.div_ceil(4 * threads::count()).max(ROWS[0]);
    threads::for_each_chunk(out, each * columns.max(1), |task, out| {
        let rows = task * each..(task * each + each).min(count);
        add(a.part(rows, 0..depth), b, out, columns);
    });
}

fn add<F: Float>(a: Matrix<'_, F>, b: Matrix<'_, F>, out: &mut [f64], stride: usize) {
    let ([rows, depth], [_, columns]) = (a.shape(), b.shape());
    if columns == 0 {
        return;
    }
    let mut products = vec![F::default(); rows * columns];
    for start in (0..depth).step_by(DEPTH) {
        let some = start..(start + DEPTH).min(depth);
        gemm::serial(
            1.0,
            a.part(0..rows, some.clone()),
            b.part(some, 0..columns),
            0.0,
            &mut products,
        );
        for (out, row) in out.chunks_mut(stride).zip(products.chunks_exact(columns)) {
            out.iter_mut().zip(row).for_each(|(out, x)| *out += x.to_f64());
        }
    }
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
            let rows = Matrix::new(&a, count, len);
            accumulate_lower(rows, skip, &mut out, stride);
            let mut all = vec![0.5; len * len];
            accumulate(rows.transpose(), rows, &mut all);
            for i in skip..count {
                for j in 0..=i {
                    let dot: f64 = (0..len).map(|k| a[i * len + k] * a[j * len + k]).sum();
                    assert!((out[(i - skip) * stride + j] - 1.0 - dot).abs() < 1e-12);
                }
            }
            for (t, x) in all.iter().enumerate() {
                let (i, j) = (t / len, t % len);
                let dot: f64 = (0..count).map(|k| a[k * len + i] * a[k * len + j]).sum();
                assert!((x - 0.5 - dot).abs() < 1e-12);
            }
        }
    }
}
