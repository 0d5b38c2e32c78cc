//! Singular values and vectors of a dense matrix, to high relative accuracy.
//!
//! One-sided Jacobi (Hestenes 1958; Demmel and Veselic 1992), started from the eigenvectors of the
//! Gram matrix, which leave it one or two sweeps:
//!
//!   X^T X = V L V^T,  B = X V;  rotate pairs of columns of B (and V) until all are orthogonal;
//!   s_i = |b_i|,  u_i = b_i / s_i
//!
//! Cost about 15 p q^2 for p >= q.

use super::cholesky::dot;
use super::eigen::Eigen;
use crate::engine::gemm::{Matrix, gemm};
use crate::engine::simd::{self, Kernel};

/// Sweeps after which pairs count as orthogonal; two or three are usual.
const SWEEPS: usize = 40;

/// X = sum_i s_i u_i v_i^T, s falling, k = min(rows, columns) terms; vectors in rows.
#[derive(Debug, Clone)]
pub struct Svd {
    /// Left vectors, k rows of `rows` numbers, orthonormal also where s is 0.
    pub u: Vec<f64>,
    /// Singular values.
    pub s: Vec<f64>,
    /// Right vectors, k rows of `columns` numbers.
    pub v: Vec<f64>,
}

impl Svd {
    /// Decomposes a finite matrix, row-major.
    pub fn new(x: &[f64], rows: usize, columns: usize) -> Self {
        assert_eq!(x.len(), rows * columns, "a matrix of {rows} rows and {columns} columns");
        if rows >= columns {
            return tall(x, rows, columns);
        }
        let mut turned = vec![0.0; x.len()];
        for i in 0..rows {
            for j in 0..columns {
                turned[j * rows + i] = x[i * columns + j];
            }
        }
        let Self { u, s, v } = tall(&turned, columns, rows);
        Self { u: v, s, v: u }
    }

    /// sum_i f(s_i) u_i v_i^T.
    pub fn rebuild(&self, s: &[f64], out: &mut [f64]) {
        let k = self.s.len();
        if k == 0 {
            return;
        }
        let (rows, columns) = (self.u.len() / k, self.v.len() / k);
        let mut scaled = self.v.clone();
        for (row, s) in scaled.chunks_exact_mut(columns.max(1)).zip(s) {
            row.iter_mut().for_each(|v| *v *= s);
        }
        let u = Matrix::new(&self.u, k, rows).transpose();
        gemm(1.0, u, Matrix::new(&scaled, k, columns), 0.0, out);
    }
}

fn tall(x: &[f64], p: usize, q: usize) -> Svd {
    if q == 0 {
        return Svd { u: Vec::new(), s: Vec::new(), v: Vec::new() };
    }
    let largest = x.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    let scale = if largest > 0.0 { largest } else { 1.0 };
    let x: Vec<f64> = x.iter().map(|x| x / scale).collect();
    let matrix = Matrix::new(&x, p, q);
    let mut gram = vec![0.0; q * q];
    gemm(1.0, matrix.transpose(), matrix, 0.0, &mut gram);
    let mut v = Eigen::new(&gram, q).vectors;
    let mut b = vec![0.0; q * p];
    gemm(1.0, Matrix::new(&v, q, q), matrix.transpose(), 0.0, &mut b);
    simd::dispatch(Jacobi { b: &mut b, v: &mut v, p, q });
    let length = |i: usize| dot(&b[i * p..(i + 1) * p], &b[i * p..(i + 1) * p]).sqrt();
    let lengths: Vec<f64> = (0..q).map(length).collect();
    let mut order: Vec<usize> = (0..q).collect();
    order.sort_by(|&i, &j| lengths[j].total_cmp(&lengths[i]));
    let mut out = Svd { u: Vec::with_capacity(q * p), s: Vec::new(), v: Vec::new() };
    let cutoff = f64::EPSILON * lengths[order[0]] * 0.25;
    for &i in &order {
        let s = lengths[i];
        out.s.push(s * scale);
        out.v.extend_from_slice(&v[i * q..(i + 1) * q]);
        if s > cutoff {
            out.u.extend(b[i * p..(i + 1) * p].iter().map(|b| b / s));
        } else {
            complete(&mut out.u, p);
        }
    }
    out
}

/// Appends a unit vector orthogonal to the rows of `u`: the unit vector of an axis that has the
/// largest part outside of their span.
fn complete(u: &mut Vec<f64>, p: usize) {
    let mut inside = vec![0.0; p];
    for row in u.chunks_exact(p) {
        inside.iter_mut().zip(row).for_each(|(sum, u)| *sum += u * u);
    }
    let axis = (0..p).min_by(|&i, &j| inside[i].total_cmp(&inside[j])).unwrap_or(0);
    let mut new = vec![0.0; p];
    new[axis] = 1.0;
    for _twice in 0..2 {
        for row in u.chunks_exact(p) {
            let along = dot(row, &new);
            new.iter_mut().zip(row).for_each(|(x, u)| *x -= along * u);
        }
        let size = dot(&new, &new).sqrt();
        new.iter_mut().for_each(|x| *x /= size);
    }
    u.extend(new);
}

struct Jacobi<'a> {
    b: &'a mut [f64],
    v: &'a mut [f64],
    p: usize,
    q: usize,
}

impl Kernel for Jacobi<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { b, v, p, q } = self;
        for _ in 0..SWEEPS {
            let mut turned = false;
            for i in 0..q {
                for j in i + 1..q {
                    let (head, tail) = b.split_at_mut(j * p);
                    let (x, y) = (&mut head[i * p..(i + 1) * p], &mut tail[..p]);
                    let (a, c, d) = (dot(x, x), dot(x, y), dot(y, y));
                    if c.abs() <= 4.0 * f64::EPSILON * (a * d).sqrt() {
                        continue;
                    }
                    turned = true;
                    let zeta = (d - a) / (2.0 * c);
                    let t = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                    let cos = 1.0 / t.hypot(1.0);
                    let sin = cos * t;
                    rotate(x, y, cos, sin);
                    let (head, tail) = v.split_at_mut(j * q);
                    rotate(&mut head[i * q..(i + 1) * q], &mut tail[..q], cos, sin);
                }
            }
            if !turned {
                return;
            }
        }
    }
}

#[inline(always)]
fn rotate(x: &mut [f64], y: &mut [f64], cos: f64, sin: f64) {
    for (x, y) in x.iter_mut().zip(y) {
        (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_orthonormal_and_multiply_to_the_matrix() {
        for (rows, columns) in [(1, 1), (3, 3), (7, 4), (4, 7), (40, 33), (5, 1), (3, 0)] {
            for kind in 0..4 {
                let entry = |i: usize, j: usize| match kind {
                    0 => ((i * 31 + j * 17 + i * j) as f64 * 0.61).sin(),
                    1 => ((i + 1) * (j + 2)) as f64,
                    2 => 0.0,
                    _ => 1e160 * 10f64.powi(-((i + j) as i32)),
                };
                let x: Vec<f64> =
                    (0..rows * columns).map(|k| entry(k / columns, k % columns)).collect();
                let svd = Svd::new(&x, rows, columns);
                let k = rows.min(columns);
                let largest = svd.s.first().copied().unwrap_or(0.0);
                let mut back = vec![0.0; x.len()];
                svd.rebuild(&svd.s, &mut back);
                for (a, b) in x.iter().zip(&back) {
                    assert!((a - b).abs() <= 1e-13 * largest, "{rows} {columns} {kind}");
                }
                for (vectors, n) in [(&svd.u, rows), (&svd.v, columns)] {
                    for i in 0..k {
                        for j in 0..k {
                            let (a, b) = (&vectors[i * n..][..n], &vectors[j * n..][..n]);
                            let want = f64::from(u8::from(i == j));
                            assert!((dot(a, b) - want).abs() < 1e-13, "{kind} {i} {j}");
                        }
                    }
                }
                assert!(svd.s.is_sorted_by(|a, b| a >= b));
            }
        }
    }
}
