//! Least squares: `f(z) = (y - z)^2 / 2`.

use super::Loss;

/// Half the squared error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quadratic;

impl Loss for Quadratic {
    fn value(&self, z: f64, y: f64) -> f64 {
        0.5 * (y - z) * (y - z)
    }

    fn residual(&self, z: f64, y: f64) -> f64 {
        y - z
    }

    fn curvature(&self, _z: f64, _y: f64) -> f64 {
        1.0
    }

    fn dual(&self, u: f64, y: f64) -> f64 {
        u * y - 0.5 * u * u
    }

    fn lipschitz(&self) -> Option<f64> {
        Some(1.0)
    }

    fn quadratic(&self) -> bool {
        true
    }

    /// The weighted mean square of y, as in scikit-learn and celer.
    fn scale(&self, y: &[f64], weights: &[f64], _at_zero: f64) -> f64 {
        y.iter().zip(weights).map(|(y, s)| s * y * y).sum()
    }
}
