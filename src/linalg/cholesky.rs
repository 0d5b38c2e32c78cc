//! Cholesky factorization of a dense symmetric matrix, blocked so that matrix products do the work.

use crate::engine::gemm::{Matrix, gemm};
use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};
use crate::engine::threads;

/// Columns that are finished together.
const BLOCK: usize = 64;

/// Products that one task sums, at least: less is not worth waking a thread.
const WORK: usize = 1 << 20;

/// Rows that are finished side by side.
const LANES: usize = 16;

/// The transpose of a factored diagonal block.
type Upper<F> = [[F; BLOCK]; BLOCK];

/// Overwrites the lower triangle of the `n` x `n` matrix `a` (rows of `n` numbers) with its factor.
///
/// Returns false, leaving `a` unusable, when a pivot is not above `tol` times its diagonal: with
/// `tol` near the rounding unit the matrix is then singular to working precision or not positive.
pub fn factor<F: Float>(a: &mut [F], n: usize, tol: f64) -> bool {
    (0..n).step_by(BLOCK).all(|first| {
        let last = (first + BLOCK).min(n);
        let (top, below) = a[first * n..].split_at_mut((last - first) * n);
        let finished: Vec<F> = top.chunks_exact(n).flat_map(|row| &row[..first]).copied().collect();
        update(top, n, first, last, &finished);
        let mut upper = [[F::default(); BLOCK]; BLOCK];
        if !simd::dispatch(Diagonal { rows: top, n, first, tol, upper: &mut upper }) {
            return false;
        }
        let rows = (WORK / (last * BLOCK)).next_multiple_of(LANES);
        threads::for_each_chunk(below, rows.max(BLOCK) * n, |_, rows| {
            update(rows, n, first, last, &finished);
            simd::dispatch(Below { rows, n, first, last, upper: &upper });
        });
        true
    })
}

/// `a[i][j] -= l_i . l_j` over the finished columns of `rows`, for the columns `first..last`, whose
/// own finished columns are `finished`.
fn update<F: Float>(rows: &mut [F], n: usize, first: usize, last: usize, finished: &[F]) {
    if first == 0 {
        return;
    }
    let (width, count) = (last - first, rows.len() / n);
    let mut products = vec![F::default(); count * width];
    let left = Matrix::strided(rows, count, first, n);
    let right = Matrix::strided(finished, width, first, first);
    gemm(1.0, left, right.transpose(), 0.0, &mut products);
    for (row, products) in rows.chunks_exact_mut(n).zip(products.chunks_exact(width)) {
        for (a, product) in row[first..last].iter_mut().zip(products) {
            *a = a.sub(*product);
        }
    }
}

/// Finishes the diagonal block in `rows`, columns from `first` on, and fills `upper`.
struct Diagonal<'a, F> {
    rows: &'a mut [F],
    n: usize,
    first: usize,
    tol: f64,
    upper: &'a mut Upper<F>,
}
impl<F: Float> Kernel for Diagonal<'_, F> {
    type Output = bool;
    #[inline(always)]
    fn run(self) -> bool {
        let Self { rows, n, first, tol, upper } = self;
        let square = |row: &[F]| row.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>();
        // The diagonal before anything was subtracted, and what is left of it, in f64.
        let (mut whole, mut left) = ([0.0; BLOCK], [0.0; BLOCK]);
        let width = rows.len() / n;
        for (i, row) in rows.chunks_exact(n).enumerate() {
            let (before, row) = row[..first + i + 1].split_at(first);
            row.iter().zip(&mut *upper).for_each(|(&x, column)| column[i] = x);
            left[i] = row[i].to_f64();
            whole[i] = square(before) + left[i];
        }
        for j in 0..width {
            let (done, rest) = upper.split_at_mut(j + 1);
            let (column, pivot) = (&mut done[j], left[j]);
            if !(pivot > tol * whole[j] && pivot.is_finite()) {
                return false;
            }
            let root = F::from_f64(pivot.sqrt());
            column[j] = root;
            column[j + 1..].iter_mut().for_each(|x| *x = x.div(root));
            for i in j + 1..width {
                let l = column[i];
                left[i] -= l.to_f64() * l.to_f64();
                // Whole vectors: what they touch below the diagonal is never read.
                let span = i / LANES..width.div_ceil(LANES);
                let target = &mut rest[i - j - 1].as_chunks_mut::<LANES>().0[span.clone()];
                for (a, x) in target.iter_mut().zip(&column.as_chunks::<LANES>().0[span]) {
                    a.iter_mut().zip(x).for_each(|(a, x)| *a = a.sub(x.mul(l)));
                }
            }
        }
        for (i, row) in rows.chunks_exact_mut(n).enumerate() {
            row[first..=first + i].iter_mut().zip(&*upper).for_each(|(x, column)| *x = column[i]);
        }
        true
    }
}

/// Finishes the columns `first..last` of rows below the diagonal block.
struct Below<'a, F> {
    rows: &'a mut [F],
    n: usize,
    first: usize,
    last: usize,
    upper: &'a Upper<F>,
}
impl<F: Float> Kernel for Below<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { rows, n, first, last, upper } = self;
        let width = last - first;
        let mut some = rows.chunks_exact_mut(n * LANES);
        for rows in &mut some {
            // Entry by entry the steps of `substitute_row`, on as many rows as a vector holds.
            let mut columns = [[F::default(); LANES]; BLOCK];
            for (l, row) in rows.chunks_exact(n).enumerate() {
                row[first..last].iter().zip(&mut columns).for_each(|(x, column)| column[l] = *x);
            }
            for j in 0..width {
                let (done, rest) = columns[..width].split_at_mut(j + 1);
                let x = &mut done[j];
                x.iter_mut().for_each(|x| *x = x.div(upper[j][j]));
                for (column, l) in rest.iter_mut().zip(&upper[j][j + 1..]) {
                    for (value, x) in column.iter_mut().zip(&*x) {
                        *value = value.sub(x.mul(*l));
                    }
                }
            }
            for (l, row) in rows.chunks_exact_mut(n).enumerate() {
                row[first..last].iter_mut().zip(&columns).for_each(|(x, column)| *x = column[l]);
            }
        }
        for row in some.into_remainder().chunks_exact_mut(n) {
            substitute_row(&mut row[first..last], upper);
        }
    }
}

/// Solves `x U = row` in place; the transpose of the block makes the inner loop contiguous.
#[inline(always)]
fn substitute_row<F: Float>(row: &mut [F], upper: &Upper<F>) {
    for j in 0..row.len() {
        let x = row[j].div(upper[j][j]);
        row[j] = x;
        for (value, l) in row[j + 1..].iter_mut().zip(&upper[j][j + 1..]) {
            *value = value.sub(x.mul(*l));
        }
    }
}

/// Solves `L L' x = b` in place, given the factor.
pub fn substitute<F: Float>(l: &[F], n: usize, b: &mut [f64]) {
    struct Substitute<'a, F>(&'a [F], usize, &'a mut [f64]);
    impl<F: Float> Kernel for Substitute<'_, F> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            let Self(l, n, b) = self;
            for i in 0..n {
                let mut lanes = [0.0; 8];
                let row = &l[i * n..i * n + i];
                let (rows, xs) = (row.chunks_exact(8), b[..i].chunks_exact(8));
                let tail = rows.remainder().iter().zip(xs.remainder());
                let tail: f64 = tail.map(|(l, x)| l.to_f64() * x).sum();
                for (row, x) in rows.zip(xs) {
                    for k in 0..8 {
                        lanes[k] += row[k].to_f64() * x[k];
                    }
                }
                b[i] = (b[i] - lanes.iter().sum::<f64>() - tail) / l[i * n + i].to_f64();
            }
            for i in (0..n).rev() {
                b[i] /= l[i * n + i].to_f64();
                let x = b[i];
                for (b, l) in b[..i].iter_mut().zip(&l[i * n..i * n + i]) {
                    *b -= l.to_f64() * x;
                }
            }
        }
    }
    simd::dispatch(Substitute(l, n, b));
}

/// Solves `A x = b` for a positive definite `A`, or returns none where [`factor`] refuses it.
pub fn solve(a: &[f64], b: &[f64], tol: f64) -> Option<Vec<f64>> {
    let (mut l, mut x) = (a.to_vec(), b.to_vec());
    factor(&mut l, b.len(), tol).then(|| {
        substitute(&l, b.len(), &mut x);
        x
    })
}

/// Inner product in four interleaved sums, so that it vectorizes in a fixed order.
#[inline(always)]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7])) + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gram(n: usize, rank: usize) -> Vec<f64> {
        let x = |i: usize, k: usize| ((i * 31 + k * 17 + i * k) as f64 * 0.61).sin();
        (0..n * n).map(|t| (0..rank).map(|k| x(t / n, k) * x(t % n, k)).sum()).collect()
    }

    #[test]
    fn solves_what_it_factors() {
        for n in [1, 3, 63, 64, 65, 101, 150, 230] {
            let a = gram(n, 2 * n + 5);
            let x: Vec<f64> = (0..n).map(|i| (i as f64).cos()).collect();
            let b: Vec<f64> = (0..n).map(|i| dot(&a[i * n..(i + 1) * n], &x)).collect();
            let found = solve(&a, &b, 1e-13).unwrap();
            assert!(found.iter().zip(&x).all(|(b, x)| (b - x).abs() < 1e-7), "{n}");
            let mut rough: Vec<f32> = a.iter().map(|a| *a as f32).collect();
            let mut found = b.clone();
            assert!(factor(&mut rough, n, 1e-7));
            substitute(&rough, n, &mut found);
            assert!(found.iter().zip(&x).all(|(b, x)| (b - x).abs() < 1e-2), "{n}");
        }
    }

    #[test]
    fn a_singular_matrix_is_refused() {
        assert!(!factor(&mut gram(60, 20), 60, 1e-13));
        assert!(!factor(&mut [0.0], 1, 0.0));
        assert!(!factor(&mut [f64::NAN], 1, 0.0));
        assert!(solve(&[1.0; 4], &[1.0; 2], 1e-12).is_none());
    }
}
