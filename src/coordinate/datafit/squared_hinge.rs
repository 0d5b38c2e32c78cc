//! Squared hinge for labels -1 and 1: `f(z) = max(0, 1 - y z)^2`.

use super::Loss;

/// Squared margin violation.
#[derive(Debug, Clone, Copy, Default)]
pub struct SquaredHinge;

impl Loss for SquaredHinge {
    fn value(&self, z: f64, y: f64) -> f64 {
        let slack = (1.0 - y * z).max(0.0);
        slack * slack
    }

    fn residual(&self, z: f64, y: f64) -> f64 {
        2.0 * y * (1.0 - y * z).max(0.0)
    }

    fn curvature(&self, z: f64, y: f64) -> f64 {
        // The second derivative where there is one; samples beyond the margin have none, and a
        // small share of the bound stands in so that they are not forgotten by the model.
        if y * z < 1.0 { 2.0 } else { 2e-3 }
    }

    fn dual(&self, u: f64, y: f64) -> f64 {
        let t = y * u;
        if t >= 0.0 { t - 0.25 * t * t } else { f64::NEG_INFINITY }
    }

    fn lipschitz(&self) -> Option<f64> {
        Some(2.0)
    }

    fn admits(&self, y: f64) -> bool {
        y == 1.0 || y == -1.0
    }

    fn targets(&self) -> &'static str {
        "-1 or 1"
    }
}
