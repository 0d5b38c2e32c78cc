//! Matrices with orthonormal columns (rows, where there are fewer of them): the polar factor.
//!
//!   X = U diag(s) W^T -> U W^T;  rotations: the direction of the smallest s is flipped where the
//!   determinant would be -1
//!   pull: U K W^T + (I - U U^T) V W S^-1 W^T,  K_ij = (P_ij - P_ji) / (s_i + s_j),  P = U^T V W
//!
//! Not unique for a rank-deficient X: some completion is returned, and the residual is infinite.

use super::super::{Memory, Params, Set};
use super::{shape, spectral, square};
use crate::engine::Result;
use crate::linalg::svd::Svd;

/// The manifold of p x q matrices, or the rotations.
#[derive(Debug, Clone, Copy)]
pub struct Stiefel {
    rows: usize,
    columns: usize,
    rotation: bool,
}

impl Stiefel {
    /// From the numbers `rows`, `columns` and `rotation` (1 or 0).
    pub fn new(params: &Params<'_>) -> Result<Self> {
        let rotation = params.scalar(2)? != 0.0;
        let (rows, columns) = if rotation {
            let n = square(params)?;
            (n, n)
        } else {
            shape(params)?
        };
        Ok(Self { rows, columns, rotation })
    }

    /// The decomposition, with the last left vector and value turned for rotations.
    fn turned(&self, x: &[f64]) -> Svd {
        let mut svd = Svd::new(x, self.rows, self.columns);
        let n = self.rows;
        if self.rotation && n > 0 && determinant(&svd.u, n) * determinant(&svd.v, n) < 0.0 {
            svd.u[(n - 1) * n..].iter_mut().for_each(|u| *u = -*u);
            svd.s[n - 1] = -svd.s[n - 1];
        }
        svd
    }
}

/// Determinant by elimination with pivots.
fn determinant(a: &[f64], n: usize) -> f64 {
    let mut a = a.to_vec();
    let mut out = 1.0;
    for k in 0..n {
        let size = |i: usize| a[i * n + k].abs();
        let pivot = (k..n).max_by(|&i, &j| size(i).total_cmp(&size(j))).unwrap_or(k);
        if pivot != k {
            out = -out;
            (0..n).for_each(|j| a.swap(k * n + j, pivot * n + j));
        }
        let d = a[k * n + k];
        out *= d;
        if d == 0.0 {
            return 0.0;
        }
        for i in k + 1..n {
            let factor = a[i * n + k] / d;
            for j in k..n {
                a[i * n + j] -= factor * a[k * n + j];
            }
        }
    }
    out
}

impl Set for Stiefel {
    fn project(&self, x: &mut [f64], _: &mut Memory) -> f64 {
        let svd = self.turned(x);
        svd.rebuild(&vec![1.0; svd.s.len()], x);
        match (svd.s.first(), svd.s.last()) {
            (Some(first), Some(last)) if last.abs() <= 1e-14 * first.abs() => f64::INFINITY,
            _ => 0.0,
        }
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], _: &mut Memory) {
        spectral::pull_polar(&self.turned(x), v);
    }
}
