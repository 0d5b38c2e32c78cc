//! ConFIG: the direction of equal cosine with every gradient.
//!
//! Liu, Chu, Thuerey 2025, "ConFIG: Towards Conflict-free Training of Physics Informed Neural
//! Networks", ICLR, arXiv:2408.11104.
//!
//!   u_i = g_i / s_i (0 for a zero row)    q = pinv(U) p    e = q / |q|
//!   A(J) = L e,  L = sum_i g_i . e
//!
//! In Gramian form, exact: C = U U^T, a = pinv(C) p, q = U^T a, |q|^2 = a^T C a. That replaces a
//! singular value decomposition of m x d numbers by one of m x m, or by a Cholesky factor.

use super::{Gram, Normalized, Weighting, preferences};
use crate::engine::{Error, Result};

/// Length of the update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Length {
    /// Sum of the projections of the gradients on the direction.
    #[default]
    Projection,
    /// Sum of the cosines times the shortest length.
    Min,
    /// Sum of the cosines times the longest length.
    Max,
    /// Sum of the cosines times the harmonic mean of the lengths.
    Harmonic,
    /// Sum of the cosines times the mean of the lengths.
    Arithmetic,
    /// Sum of the cosines times the geometric mean of the lengths.
    Geometric,
    /// Sum of the cosines times the length of one row.
    Row(usize),
}

/// Weights of ConFIG.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Wanted ratios of the cosines, 1 each if absent.
    pub preference: Option<Vec<f64>>,
    /// Length of the update.
    pub length: Length,
}

impl Weighting for Config {
    fn weights(&self, gram: &Gram<'_>) -> Result<Vec<f64>> {
        let m = gram.len();
        let p = preferences(self.preference.as_deref(), m, 1.0)?;
        if let Length::Row(row) = self.length
            && row >= m
        {
            let allowed = format!("the index of one of the {m} rows");
            return Err(Error::value("length", allowed, row, "rows count from 0"));
        }
        let unit = Normalized::new(gram);
        let wanted: Vec<f64> = unit.rows.iter().map(|&row| p[row]).collect();
        let a = unit.pinv(&wanted);
        let along = unit.times(&a);
        let square: f64 = a.iter().zip(&along).map(|(a, c)| a * c).sum();
        let size: f64 = a.iter().map(|a| a.abs()).sum();
        // Opposite gradients have no such direction.
        if square <= 1e-15 * size * size || unit.is_empty() {
            return Ok(vec![0.0; m]);
        }
        let length = match self.length.of(&unit.s, gram) {
            None => along.iter().zip(&unit.s).map(|(c, s)| c * s).sum::<f64>(),
            Some(common) => common * along.iter().sum::<f64>(),
        };
        Ok(unit.scatter(m, |i| length / square * a[i] / unit.s[i]))
    }
}

impl Length {
    /// The common length, or None for projections. Zero rows do not count.
    fn of(self, s: &[f64], gram: &Gram<'_>) -> Option<f64> {
        let n = s.len() as f64;
        match self {
            Self::Projection => None,
            Self::Min => Some(s.iter().copied().fold(f64::INFINITY, f64::min)),
            Self::Max => Some(s.iter().copied().fold(0.0, f64::max)),
            Self::Harmonic => Some(n / s.iter().map(|s| 1.0 / s).sum::<f64>()),
            Self::Arithmetic => Some(s.iter().sum::<f64>() / n),
            Self::Geometric => Some((s.iter().map(|s| s.ln()).sum::<f64>() / n).exp()),
            Self::Row(row) => Some(gram.at(row, row).max(0.0).sqrt()),
        }
    }
}
