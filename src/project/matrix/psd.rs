//! Positive semidefinite matrices (of the symmetric part).
//!
//!   (X + X^T) / 2 = U diag(l) U^T,  Y = U diag(max(l, 0)) U^T
//!   pull: U (Theta o (U^T V U)) U^T of the symmetric part V,
//!     Theta_ij = (l_i^+ - l_j^+) / (l_i - l_j), 1 or 0 where they tie

use super::super::{Memory, Params, Set};
use super::{Matrix, product, square, symmetrize};
use crate::engine::Result;
use crate::linalg::eigen::Eigen;

/// The cone of n x n matrices.
#[derive(Debug, Clone, Copy)]
pub struct Psd {
    n: usize,
}

impl Psd {
    /// From the numbers `rows`, `columns`.
    pub fn new(params: &Params<'_>) -> Result<Self> {
        Ok(Self { n: square(params)? })
    }
}

/// Eigenvalues and vectors (a row each) of a finite symmetric matrix, safe for large entries.
pub(super) fn decompose(x: &[f64], n: usize) -> Eigen {
    let largest = x.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    let scale = if largest > 0.0 { largest } else { 1.0 };
    let mut eigen = Eigen::new(&x.iter().map(|x| x / scale).collect::<Vec<_>>(), n);
    eigen.values.iter_mut().for_each(|value| *value *= scale);
    eigen
}

/// The positive part: through the smaller half of the spectrum, so that a matrix inside the cone
/// loses no digits.
pub(super) fn positive_part(x: &mut [f64], eigen: &Eigen, n: usize) {
    let negative: Vec<usize> = (0..n).filter(|&k| eigen.values[k] < 0.0).collect();
    let few = negative.len() <= n / 2;
    let used: Vec<usize> =
        if few { negative } else { (0..n).filter(|&k| eigen.values[k] > 0.0).collect() };
    let mut rows = Vec::with_capacity(used.len() * n);
    let mut scaled = Vec::with_capacity(used.len() * n);
    for &k in &used {
        let row = &eigen.vectors[k * n..(k + 1) * n];
        rows.extend_from_slice(row);
        scaled.extend(row.iter().map(|u| u * eigen.values[k]));
    }
    if used.is_empty() {
        if !few {
            x.fill(0.0);
        }
        return;
    }
    let u = Matrix::new(&rows, used.len(), n).transpose();
    let part = product(u, Matrix::new(&scaled, used.len(), n), n * n);
    for (x, part) in x.iter_mut().zip(&part) {
        *x = if few { *x - part } else { *part };
    }
    symmetrize(x, n);
}

/// U (Theta o (U^T V U)) U^T for a symmetric V, in place.
pub(super) fn derivative(eigen: &Eigen, v: &mut [f64], n: usize) {
    let u = Matrix::new(&eigen.vectors, n, n);
    let left = product(u, Matrix::new(v, n, n), n * n);
    let mut core = product(Matrix::new(&left, n, n), u.transpose(), n * n);
    for i in 0..n {
        for j in 0..n {
            core[i * n + j] *= theta(eigen.values[i], eigen.values[j]);
        }
    }
    let left = product(u.transpose(), Matrix::new(&core, n, n), n * n);
    v.copy_from_slice(&product(Matrix::new(&left, n, n), u, n * n));
    symmetrize(v, n);
}

/// Divided difference of max(l, 0).
fn theta(a: f64, b: f64) -> f64 {
    let (a, b) = if a > b { (a, b) } else { (b, a) };
    if b >= 0.0 && a > 0.0 {
        1.0
    } else if a <= 0.0 {
        0.0
    } else {
        a / (a - b)
    }
}

impl Set for Psd {
    fn project(&self, x: &mut [f64], _: &mut Memory) -> f64 {
        symmetrize(x, self.n);
        let eigen = decompose(x, self.n);
        positive_part(x, &eigen, self.n);
        0.0
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], _: &mut Memory) {
        let mut sym = x.to_vec();
        symmetrize(&mut sym, self.n);
        symmetrize(v, self.n);
        derivative(&decompose(&sym, self.n), v, self.n);
    }
}
