//! Huber loss: quadratic up to a distance `delta`, then linear.

use super::Loss;

/// Squared error that grows only linearly beyond `delta`.
#[derive(Debug, Clone, Copy)]
pub struct Huber {
    /// Where the loss turns linear, > 0.
    pub delta: f64,
}

impl Loss for Huber {
    fn value(&self, z: f64, y: f64) -> f64 {
        let (r, d) = ((y - z).abs(), self.delta);
        if r <= d { 0.5 * r * r } else { d * r - 0.5 * d * d }
    }

    fn residual(&self, z: f64, y: f64) -> f64 {
        (y - z).clamp(-self.delta, self.delta)
    }

    fn curvature(&self, z: f64, y: f64) -> f64 {
        // Beyond delta the second derivative is zero; this share keeps the model bounded below.
        if (y - z).abs() <= self.delta { 1.0 } else { 1e-3 }
    }

    fn dual(&self, u: f64, y: f64) -> f64 {
        // One unit in the last place beyond delta is rounding, not infeasibility.
        if u.abs() <= self.delta * (1.0 + 1e-15) { u * y - 0.5 * u * u } else { f64::NEG_INFINITY }
    }

    fn lipschitz(&self) -> Option<f64> {
        Some(1.0)
    }
}
