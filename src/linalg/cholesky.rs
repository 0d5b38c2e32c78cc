//! Cholesky factorization of a dense symmetric matrix, blocked so that matrix products do the work.

use crate::engine::gemm::{Matrix, gemm};
use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};

/// Columns that are finished together.
const BLOCK: usize = 48;

/// Overwrites the lower triangle of the `n` x `n` matrix `a` (rows of `n` numbers) with its factor.
///
/// Returns false, leaving `a` unusable, when a pivot is not above `tol` times its diagonal: with
/// `tol` near the rounding unit the matrix is then singular to working precision or not positive.
pub fn factor<F: Float>(a: &mut [F], n: usize, tol: f64) -> bool {
    struct Panel<'a, F>(&'a mut [F], usize, usize, f64);
    impl<F: Float> Kernel for Panel<'_, F> {
        type Output = bool;
        #[inline(always)]
        fn run(self) -> bool {
            panel(self.0, self.1, self.2, (self.2 + BLOCK).min(self.1), self.3)
        }
    }
    (0..n).step_by(BLOCK).all(|first| {
        update(a, n, first, (first + BLOCK).min(n));
        simd::dispatch(Panel(a, n, first, tol))
    })
}

/// `a[i][j] -= l_i . l_j` over the finished columns, for the columns `first..last`.
fn update<F: Float>(a: &mut [F], n: usize, first: usize, last: usize) {
    if first == 0 {
        return;
    }
    let width = last - first;
    let mut products = vec![F::default(); (n - first) * width];
    let left = Matrix::strided(&a[first * n..], n - first, first, n);
    let right = Matrix::strided(&a[first * n..], width, first, n);
    gemm(1.0, left, right.transpose(), 0.0, &mut products);
    for (row, products) in a[first * n..].chunks_exact_mut(n).zip(products.chunks_exact(width)) {
        for (a, product) in row[first..last].iter_mut().zip(products) {
            *a = a.sub(*product);
        }
    }
}

/// Finishes the columns `first..last`: the diagonal block, then every row below it by substitution
/// against the block's transpose, which makes the inner loop contiguous.
#[inline(always)]
fn panel<F: Float>(a: &mut [F], n: usize, first: usize, last: usize, tol: f64) -> bool {
    let mut upper = [[F::default(); BLOCK]; BLOCK];
    for i in first..n {
        let square = |row: &[F]| row.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>();
        let done = if i < last { square(&a[i * n..i * n + first]) } else { 0.0 };
        let row = &mut a[i * n + first..i * n + last.min(i + 1)];
        let columns = row.len().min(i - first);
        for j in 0..columns {
            let x = row[j].div(upper[j][j]);
            row[j] = x;
            for (value, l) in row[j + 1..].iter_mut().zip(&upper[j][j + 1..]) {
                *value = value.sub(x.mul(*l));
            }
        }
        if i < last {
            let left = row[columns].to_f64();
            let pivot = left - square(&row[..columns]);
            // What the diagonal was before anything was subtracted.
            let before = done + left;
            if !(pivot > tol * before && pivot.is_finite()) {
                return false;
            }
            row[columns] = F::from_f64(pivot.sqrt());
            for (j, &l) in row.iter().enumerate() {
                upper[j][i - first] = l;
            }
        }
    }
    true
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
        for n in [1, 3, 47, 48, 49, 101, 150] {
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
