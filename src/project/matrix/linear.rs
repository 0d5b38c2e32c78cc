//! Linear subspaces of matrices, by averages: each map is its own pull.
//!
//!   symmetric (X + X^T) / 2    skew (X - X^T) / 2    Toeplitz: means of the diagonals
//!   centered: every row less its mean

use super::super::{Memory, Params, Set};
use super::{shape, square, symmetrize};
use crate::engine::Result;

/// Which subspace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Average {
    /// X = X^T.
    Symmetric(usize),
    /// X = -X^T.
    Skew(usize),
    /// Constant diagonals: rows, columns.
    Toeplitz(usize, usize),
    /// Rows that sum to zero: columns.
    Centered(usize),
}

impl Average {
    /// X = X^T, from the numbers `rows`, `columns`.
    pub fn symmetric(params: &Params<'_>) -> Result<Self> {
        square(params).map(Self::Symmetric)
    }
    /// X = -X^T.
    pub fn skew(params: &Params<'_>) -> Result<Self> {
        square(params).map(Self::Skew)
    }
    /// Constant diagonals.
    pub fn toeplitz(params: &Params<'_>) -> Result<Self> {
        shape(params).map(|(rows, columns)| Self::Toeplitz(rows, columns))
    }
    /// Rows that sum to zero.
    pub fn centered(params: &Params<'_>) -> Result<Self> {
        shape(params).map(|(_, columns)| Self::Centered(columns))
    }
}

impl Set for Average {
    fn project(&self, x: &mut [f64], _: &mut Memory) -> f64 {
        match *self {
            Self::Symmetric(n) => symmetrize(x, n),
            Self::Skew(n) => {
                for i in 0..n {
                    x[i * n + i] = 0.0;
                    for j in 0..i {
                        let half = 0.5 * x[i * n + j] - 0.5 * x[j * n + i];
                        (x[i * n + j], x[j * n + i]) = (half, -half);
                    }
                }
            }
            Self::Toeplitz(rows, columns) => {
                // A diagonal starts in the first row or the first column.
                let starts = (0..columns).map(|j| (0, j)).chain((1..rows).map(|i| (i, 0)));
                for (i, j) in starts.filter(|_| rows * columns > 0) {
                    let count = (rows - i).min(columns - j);
                    let at = |k: usize| (i + k) * columns + j + k;
                    let mean = (0..count).map(|k| x[at(k)] / count as f64).sum();
                    (0..count).for_each(|k| x[at(k)] = mean);
                }
            }
            Self::Centered(columns) => {
                for row in x.chunks_exact_mut(columns.max(1)) {
                    let mean = row.iter().map(|x| x / columns as f64).sum::<f64>();
                    row.iter_mut().for_each(|x| *x -= mean);
                }
            }
        }
        0.0
    }

    fn pull(&self, _: &[f64], _: &[f64], v: &mut [f64], memory: &mut Memory) {
        self.project(v, memory);
    }
}
