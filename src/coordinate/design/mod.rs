//! The matrix of a linear model, seen by columns whatever its layout.
//!
//! Data may be f32 or f64; every product is accumulated in f64, and so are residuals and
//! coefficients, so a certificate is as sharp for f32 data as for f64.

mod csc;
mod dense;
mod kernel;
mod rows;

pub use csc::Csc;
pub use dense::Dense;
pub use rows::Rows;

use crate::engine::threads;
use std::ops::Range;

/// Columns that one parallel task works on.
pub(crate) const BLOCK: usize = 64;

/// The weight of every sample, where all have the same.
pub(crate) fn equal(h: &[f64]) -> Option<f64> {
    h.first().copied().filter(|first| h.iter().all(|h| h == first))
}

/// What one pass over a column yields: sums over the samples, with weights `h`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Moments {
    /// Sum of `v x`.
    pub dot: f64,
    /// Sum of `h x`.
    pub first: f64,
    /// Sum of `h x^2`.
    pub second: f64,
}

/// A matrix with samples in rows and features in columns.
pub trait Design: Sync {
    /// Number of samples.
    fn rows(&self) -> usize;
    /// Number of features.
    fn cols(&self) -> usize;

    /// `x_j . v`
    fn dot(&self, j: usize, v: &[f64]) -> f64 {
        let mut out = [0.0];
        self.dots(&[j], v, &mut out);
        out[0]
    }

    /// `out += a x_j`
    fn add(&self, j: usize, a: f64, out: &mut [f64]) {
        self.combine(&[j], &[a], out);
    }

    /// `out[k] = x_j . v` for `j = cols[k]`, in parallel over blocks of columns.
    fn dots(&self, cols: &[usize], v: &[f64], out: &mut [f64]);

    /// [`Moments`] of the columns `cols`, in parallel over blocks.
    fn moments(&self, cols: &[usize], v: &[f64], h: &[f64], out: &mut [Moments]);

    /// `out += sum_k coef[k] x_j` for `j = cols[k]`.
    fn combine(&self, cols: &[usize], coef: &[f64], out: &mut [f64]);

    /// Rows `rows` of column `j` as f64.
    fn read(&self, j: usize, rows: Range<usize>, out: &mut [f64]);

    /// Rows `rows` of the columns `cols`, column after column.
    fn pack(&self, cols: &[usize], rows: Range<usize>, out: &mut [f64]) {
        let len = rows.len();
        if len > 0 {
            threads::for_each_chunk(out, len * BLOCK, |block, out| {
                for (column, &j) in out.chunks_exact_mut(len).zip(&cols[block * BLOCK..]) {
                    self.read(j, rows.clone(), column);
                }
            });
        }
    }

    /// Stored entries of the columns `cols` when the storage is sparse.
    fn stored(&self, cols: &[usize]) -> Option<usize>;

    /// Calls `take(row, value)` for the stored entries of column `j`, each row once.
    fn entries(&self, j: usize, take: &mut dyn FnMut(usize, f64));

    /// Whether the entries of a column lie apart, so that it pays to copy columns out.
    fn scattered(&self) -> bool {
        false
    }

    /// One pass of coordinate steps; see [`Sweep`].
    fn sweep(&self, sweep: &mut Sweep<'_>);
}

/// One pass of coordinate steps on a weighted least-squares model, the residual kept in memory.
///
/// The model is `-v . X d + 1/2 sum h (X d)^2` in the step `d`, with the intercept, if there is
/// one, minimised out: then `v = q + shift h` sums to zero at all times, and a step of coordinate
/// `j` by `d` subtracts `d h x_j` from `q` and adds `d mean_j` to `shift`.
pub struct Sweep<'a> {
    /// Features to visit, in this order, as positions in `cols`.
    pub order: &'a [usize],
    /// Features of the working set.
    pub features: &'a [usize],
    /// Where the matrix holds them: `features`, unless they were copied out.
    pub cols: &'a [usize],
    /// Curvature of each.
    pub curvature: &'a [f64],
    /// Weighted mean of each; zero without intercept.
    pub mean: &'a [f64],
    /// Sum of the weights `h`.
    pub total: f64,
    /// Weights of the samples.
    pub h: &'a [f64],
    /// Coefficients of the working set.
    pub w: &'a mut [f64],
    /// Residual, weighted, up to `shift h`.
    pub q: &'a mut [f64],
    /// See above.
    pub shift: &'a mut f64,
    /// The penalty, for its proximal map.
    pub penalty: &'a dyn crate::coordinate::penalty::Penalty,
}

impl Sweep<'_> {
    /// The pass, given how to take inner products with a column and how to add one.
    #[inline(always)]
    pub(crate) fn run(
        &mut self,
        dot: impl Fn(usize, &[f64]) -> f64,
        subtract: impl Fn(usize, f64, &[f64], &mut [f64]),
    ) {
        for &k in self.order {
            let (j, curvature, old) = (self.cols[k], self.curvature[k], self.w[k]);
            if curvature <= 0.0 {
                continue;
            }
            let gradient = dot(j, self.q) + *self.shift * self.total * self.mean[k];
            let step = 1.0 / curvature;
            let new = self.penalty.prox(old + gradient * step, step, self.features[k]);
            if new != old {
                let d = new - old;
                subtract(j, d, self.h, self.q);
                *self.shift += d * self.mean[k];
                self.w[k] = new;
            }
        }
    }
}
