//! Sets of matrices: a matrix is a vector of rows x columns entries, row after row.

mod birkhoff;
mod correlation;
mod couplings;
mod levels;
mod linear;
mod psd;
mod spectral;
mod stiefel;

pub use birkhoff::Polytope;
pub use correlation::Correlation;
pub use linear::Average;
pub use psd::Psd;
pub use spectral::{Singular, Spectral};
pub use stiefel::Stiefel;

use super::Params;
use crate::engine::gemm::{Matrix, gemm};
use crate::engine::{Error, Result};

/// Rows and columns, the first two numbers of every matrix set.
fn shape(params: &Params<'_>) -> Result<(usize, usize)> {
    let (rows, columns) = (params.scalar(0)? as usize, params.scalar(1)? as usize);
    if rows * columns == params.n {
        return Ok((rows, columns));
    }
    let given = format!("{rows} x {columns}");
    Err(Error::value("the shape", format!("of {} entries", params.n), given, "pass both sizes"))
}

fn square(params: &Params<'_>) -> Result<usize> {
    let (rows, columns) = shape(params)?;
    if rows == columns {
        return Ok(rows);
    }
    let given = format!("{rows} x {columns}");
    Err(Error::value("x", "a square matrix", given, "the set holds square matrices"))
}

/// a b for row-major matrices given as (values, rows, columns).
fn product(a: Matrix<'_, f64>, b: Matrix<'_, f64>, size: usize) -> Vec<f64> {
    let mut out = vec![0.0; size];
    gemm(1.0, a, b, 0.0, &mut out);
    out
}

/// Replaces a square matrix by (X + X^T) / 2.
fn symmetrize(x: &mut [f64], n: usize) {
    for i in 0..n {
        for j in 0..i {
            let mean = 0.5 * x[i * n + j] + 0.5 * x[j * n + i];
            (x[i * n + j], x[j * n + i]) = (mean, mean);
        }
    }
}
