//! Cholesky factorization of a dense symmetric matrix, blocked so that register tiles do the work.

use super::syrk::{TILE, tile};
use crate::engine::simd::{self, Kernel};

/// Columns that are finished together.
const BLOCK: usize = 48;

/// Overwrites the lower triangle of the `n` x `n` matrix `a` (rows of `n` numbers) with its factor.
///
/// Returns false, leaving `a` unusable, when a pivot falls below `1e-13` times its diagonal: the
/// matrix is then singular to working precision or not positive.
pub fn factor(a: &mut [f64], n: usize) -> bool {
    struct Factor<'a>(&'a mut [f64], usize);
    impl Kernel for Factor<'_> {
        type Output = bool;
        #[inline(always)]
        fn run(self) -> bool {
            let Self(a, n) = self;
            for first in (0..n).step_by(BLOCK) {
                let last = (first + BLOCK).min(n);
                update(a, n, first, last);
                if !panel(a, n, first, last) {
                    return false;
                }
            }
            true
        }
    }
    simd::dispatch(Factor(a, n))
}

/// `a[i][j] -= l_i . l_j` over the finished columns, for the columns `first..last`.
#[inline(always)]
fn update(a: &mut [f64], n: usize, first: usize, last: usize) {
    if first == 0 {
        return;
    }
    for i in (first..n).step_by(TILE) {
        for j in (first..last).step_by(TILE) {
            let row = |k: usize| {
                let k = k.min(n - 1);
                &a[k * n..k * n + first]
            };
            let sums = tile::<f64, 8>(
                std::array::from_fn(|t| row(i + t)),
                std::array::from_fn(|t| row(j + t)),
            );
            for (t, sums) in sums.iter().enumerate().take(n - i) {
                for (s, sum) in sums.iter().enumerate().take(last - j) {
                    a[(i + t) * n + j + s] -= sum;
                }
            }
        }
    }
}

/// Finishes the columns `first..last`: the diagonal block, then every row below it by substitution
/// against the block's transpose, which makes the inner loop contiguous.
#[inline(always)]
fn panel(a: &mut [f64], n: usize, first: usize, last: usize) -> bool {
    let mut upper = [[0.0; BLOCK]; BLOCK];
    for i in first..n {
        let done: f64 =
            if i < last { a[i * n..i * n + first].iter().map(|x| x * x).sum() } else { 0.0 };
        let row = &mut a[i * n + first..i * n + last.min(i + 1)];
        let columns = row.len().min(i - first);
        for j in 0..columns {
            let x = row[j] / upper[j][j];
            row[j] = x;
            for (value, l) in row[j + 1..].iter_mut().zip(&upper[j][j + 1..]) {
                *value -= x * l;
            }
        }
        if i < last {
            let pivot = row[columns] - row[..columns].iter().map(|x| x * x).sum::<f64>();
            // What the diagonal was before anything was subtracted.
            let before = done + row[columns];
            if !(pivot > 1e-13 * before && pivot.is_finite()) {
                return false;
            }
            row[columns] = pivot.sqrt();
            for (j, &l) in row.iter().enumerate() {
                upper[j][i - first] = l;
            }
        }
    }
    true
}

/// Solves `L L' x = b` in place, given the factor.
pub fn solve(l: &[f64], n: usize, b: &mut [f64]) {
    struct Solve<'a>(&'a [f64], usize, &'a mut [f64]);
    impl Kernel for Solve<'_> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            let Self(l, n, b) = self;
            for i in 0..n {
                let mut lanes = [0.0; 8];
                let row = &l[i * n..i * n + i];
                let (rows, xs) = (row.chunks_exact(8), b[..i].chunks_exact(8));
                let tail = rows.remainder().iter().zip(xs.remainder());
                let tail: f64 = tail.map(|(l, x)| l * x).sum();
                for (row, x) in rows.zip(xs) {
                    for k in 0..8 {
                        lanes[k] += row[k] * x[k];
                    }
                }
                b[i] = (b[i] - lanes.iter().sum::<f64>() - tail) / l[i * n + i];
            }
            for i in (0..n).rev() {
                b[i] /= l[i * n + i];
                let x = b[i];
                for (b, l) in b[..i].iter_mut().zip(&l[i * n..i * n + i]) {
                    *b -= l * x;
                }
            }
        }
    }
    simd::dispatch(Solve(l, n, b));
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
            let mut b: Vec<f64> =
                (0..n).map(|i| (0..n).map(|j| a[i * n + j] * x[j]).sum()).collect();
            let mut l = a.clone();
            assert!(factor(&mut l, n));
            solve(&l, n, &mut b);
            assert!(b.iter().zip(&x).all(|(b, x)| (b - x).abs() < 1e-7), "{n}");
        }
    }

    #[test]
    fn a_singular_matrix_is_refused() {
        assert!(!factor(&mut gram(60, 20), 60));
        assert!(!factor(&mut [0.0], 1));
        assert!(!factor(&mut [f64::NAN], 1));
    }
}
