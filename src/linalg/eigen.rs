//! Eigenvalues and vectors of a symmetric matrix, and functions of it.
//!
//! Golub and Van Loan 2013, "Matrix Computations", sections 8.3.1 and 8.3.5: Householder
//! tridiagonalisation, then implicit QR steps with Wilkinson's shift. Cost about 9 n^3.

use crate::engine::simd::{self, Kernel};

/// Eigenvalues in no order, and their unit vectors, one a row.
#[derive(Debug, Clone)]
pub struct Eigen {
    /// Eigenvalues.
    pub values: Vec<f64>,
    /// Row k is the vector of `values[k]`.
    pub vectors: Vec<f64>,
}

impl Eigen {
    /// Decomposes a symmetric matrix (n x n, row-major, finite).
    pub fn new(a: &[f64], n: usize) -> Self {
        assert_eq!(a.len(), n * n, "a square matrix of {n} rows");
        simd::dispatch(Decompose { a: a.to_vec(), n })
    }

    /// V f(lambda) V^T x.
    pub fn apply(&self, f: impl Fn(f64) -> f64, x: &[f64]) -> Vec<f64> {
        let n = self.values.len();
        let mut out = vec![0.0; n];
        for (&value, vector) in self.values.iter().zip(self.vectors.chunks_exact(n.max(1))) {
            let along: f64 = vector.iter().zip(x).map(|(v, x)| v * x).sum();
            let along = along * f(value);
            for (out, v) in out.iter_mut().zip(vector) {
                *out += along * v;
            }
        }
        out
    }

    /// Eigenvalues up to n eps times the largest one are rounding: the usual rank cut-off.
    pub fn cutoff(&self) -> f64 {
        let largest = self.values.iter().fold(0.0, |a: f64, &b| a.max(b.abs()));
        largest * self.values.len() as f64 * f64::EPSILON
    }

    /// The pseudo-inverse times x.
    pub fn pinv(&self, x: &[f64]) -> Vec<f64> {
        let cutoff = self.cutoff();
        self.apply(|value| if value > cutoff { 1.0 / value } else { 0.0 }, x)
    }
}

struct Decompose {
    a: Vec<f64>,
    n: usize,
}

impl Kernel for Decompose {
    type Output = Eigen;

    #[inline(always)]
    fn run(mut self) -> Eigen {
        let n = self.n;
        let mut vectors = vec![0.0; n * n];
        for i in 0..n {
            vectors[i * n + i] = 1.0;
        }
        let mut off = self.tridiagonalise(&mut vectors);
        let mut values: Vec<f64> = (0..n).map(|i| self.a[i * n + i]).collect();
        diagonalise(&mut values, &mut off, &mut vectors);
        Eigen { values, vectors }
    }
}

impl Decompose {
    /// Leaves the diagonal in `a`, returns the off-diagonal and applies the reflections to the
    /// rows of `m`.
    #[inline(always)]
    fn tridiagonalise(&mut self, m: &mut [f64]) -> Vec<f64> {
        let n = self.n;
        let a = &mut self.a;
        let mut off = vec![0.0; n.saturating_sub(1)];
        let (mut v, mut w) = (vec![0.0; n], vec![0.0; n]);
        for k in 0..n.saturating_sub(1) {
            let tail = k + 1;
            for i in tail..n {
                v[i] = a[i * n + k];
            }
            let length = norm(&v[tail..]);
            let rest = norm(&v[tail + 1..]);
            if rest == 0.0 {
                off[k] = v[tail];
                continue;
            }
            off[k] = if v[tail] > 0.0 { -length } else { length };
            v[tail] -= off[k];
            let beta = 2.0 / v[tail..].iter().map(|x| x * x).sum::<f64>();
            for i in tail..n {
                let row = &a[i * n + tail..(i + 1) * n];
                w[i] = beta * super::cholesky::dot(row, &v[tail..]);
            }
            let half = 0.5 * beta * super::cholesky::dot(&w[tail..], &v[tail..]);
            for i in tail..n {
                w[i] -= half * v[i];
            }
            for i in tail..n {
                let (vi, wi) = (v[i], w[i]);
                for (j, x) in a[i * n + tail..(i + 1) * n].iter_mut().enumerate() {
                    *x -= vi * w[tail + j] + wi * v[tail + j];
                }
            }
            w.fill(0.0);
            for i in tail..n {
                for (w, x) in w.iter_mut().zip(&m[i * n..(i + 1) * n]) {
                    *w += v[i] * x;
                }
            }
            for i in tail..n {
                let scale = beta * v[i];
                for (x, w) in m[i * n..(i + 1) * n].iter_mut().zip(&w) {
                    *x -= scale * w;
                }
            }
        }
        off
    }
}

/// Length without overflow or underflow.
#[inline(always)]
fn norm(x: &[f64]) -> f64 {
    let largest = x.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    largest * x.iter().map(|x| (x / largest) * (x / largest)).sum::<f64>().sqrt()
}

#[inline(always)]
fn diagonalise(a: &mut [f64], b: &mut [f64], m: &mut [f64]) {
    let n = a.len();
    let mut high = n.saturating_sub(1);
    // Two or three steps an eigenvalue are usual; the limit guards against a cycle of rounding.
    let mut steps = 60 * n;
    while high > 0 && steps > 0 {
        for i in 0..high {
            if b[i].abs() <= f64::EPSILON * (a[i].abs() + a[i + 1].abs()) {
                b[i] = 0.0;
            }
        }
        if b[high - 1] == 0.0 {
            high -= 1;
            continue;
        }
        let low = (0..high).rev().find(|&i| b[i] == 0.0).map_or(0, |i| i + 1);
        qr_step(a, b, m, low, high);
        steps -= 1;
    }
}

#[inline(always)]
fn qr_step(a: &mut [f64], b: &mut [f64], m: &mut [f64], low: usize, high: usize) {
    let n = a.len();
    let delta = 0.5 * (a[high - 1] - a[high]);
    let last = b[high - 1];
    let shift = a[high] - last * last / (delta + delta.hypot(last).copysign(delta));
    let (mut x, mut z) = (a[low] - shift, b[low]);
    for k in low..high {
        let r = x.hypot(z);
        let (c, s) = if r == 0.0 { (1.0, 0.0) } else { (x / r, z / r) };
        if k > low {
            b[k - 1] = r;
        }
        let (p, q, e) = (a[k], a[k + 1], b[k]);
        a[k] = c * c * p + 2.0 * c * s * e + s * s * q;
        a[k + 1] = s * s * p - 2.0 * c * s * e + c * c * q;
        b[k] = c * s * (q - p) + (c * c - s * s) * e;
        if k + 1 < high {
            x = b[k];
            z = s * b[k + 1];
            b[k + 1] *= c;
        }
        let (upper, lower) = m.split_at_mut((k + 1) * n);
        for (u, l) in upper[k * n..].iter_mut().zip(&mut lower[..n]) {
            (*u, *l) = (c * *u + s * *l, c * *l - s * *u);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_orthonormal_and_rebuild_the_matrix() {
        for n in [0, 1, 2, 3, 7, 40] {
            for kind in 0..4 {
                let entry = |i: usize, j: usize| match kind {
                    0 => ((i * j + i + j) as f64 * 0.7).sin(),
                    1 => f64::from(u8::from(i == j)) * i as f64,
                    2 => 1.0,
                    _ => 10f64.powi(-((i + j) as i32) / 4),
                };
                let a: Vec<f64> = (0..n * n).map(|k| entry(k / n, k % n)).collect();
                let eigen = Eigen::new(&a, n);
                let size = 1.0 + norm(&a);
                for i in 0..n {
                    let mut unit = vec![0.0; n];
                    unit[i] = 1.0;
                    let column = eigen.apply(|value| value, &unit);
                    let same = eigen.apply(|_| 1.0, &unit);
                    for j in 0..n {
                        assert!((column[j] - a[i * n + j]).abs() < 1e-14 * size, "{kind} {n}");
                        assert!((same[j] - unit[j]).abs() < 1e-13);
                    }
                }
            }
        }
    }
}
