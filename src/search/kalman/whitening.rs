//! Observations in units of their noise: z = G^(-1/2) y, so that the noise of z is standard.

use crate::engine::{Error, Result};
use crate::linalg::cholesky;
use crate::search::setting::{Setting, word};

/// The inverse root of the covariance G of the noise.
#[derive(Debug, Clone)]
pub enum Whitening {
    /// One over the deviation of each observation.
    Diagonal(Vec<f64>),
    /// The lower Cholesky factor of G.
    Full(Vec<f64>),
}

impl Whitening {
    /// From the variance of all `m` observations, one for each, or their covariance.
    ///
    /// # Errors
    /// [`Error::Value`] where that is not positive definite or has another size.
    pub fn new(name: &str, value: &Setting, m: usize) -> Result<Self> {
        let fix = "pass a variance, one for each observation or their covariance";
        let refused = |allowed: &str| Err(Error::value(name, allowed, word(value), fix));
        let Setting::Tagged(kind, v) = value else { return refused("a variance") };
        let positive = v.iter().all(|v| *v > 0.0 && v.is_finite());
        match kind.as_str() {
            "variances" if positive && (v.len() == m || v.len() == 1) => {
                Ok(Self::Diagonal((0..m).map(|i| 1.0 / v[i % v.len()].sqrt()).collect()))
            }
            "covariance" if v.len() == m * m => {
                let mut factor = v.clone();
                if v.iter().all(|v| v.is_finite()) && cholesky::factor(&mut factor, m, 1e-14) {
                    return Ok(Self::Full(factor));
                }
                let given = "a matrix that is not";
                Err(Error::value(name, "positive definite", given, "add to its diagonal"))
            }
            _ => refused("positive variances of the observations"),
        }
    }

    /// Brings a row into units of its noise.
    pub fn apply(&self, row: &mut [f64]) {
        match self {
            Self::Diagonal(scales) => row.iter_mut().zip(scales).for_each(|(y, s)| *y *= s),
            Self::Full(factor) => {
                for i in 0..row.len() {
                    let l = &factor[i * row.len()..][..=i];
                    row[i] = (row[i] - cholesky::dot(&l[..i], &row[..i])) / l[i];
                }
            }
        }
    }
}
