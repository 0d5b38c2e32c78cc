//! Logistic loss for labels -1 and 1: `f(z) = ln(1 + exp(-y z))`.

use super::Loss;

/// Negative log-likelihood of a Bernoulli model.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logistic;

/// `1 / (1 + exp(-t))`, without overflow.
fn sigmoid(t: f64) -> f64 {
    let e = (-t.abs()).exp();
    if t >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

impl Loss for Logistic {
    fn value(&self, z: f64, y: f64) -> f64 {
        let t = y * z;
        (-t.abs()).exp().ln_1p() + (-t).max(0.0)
    }

    fn residual(&self, z: f64, y: f64) -> f64 {
        y * sigmoid(-y * z)
    }

    fn curvature(&self, z: f64, _y: f64) -> f64 {
        let s = sigmoid(z);
        s * (1.0 - s)
    }

    fn dual(&self, u: f64, y: f64) -> f64 {
        let t = y * u;
        let entropy = |t: f64| if t > 0.0 { t * t.ln() } else { 0.0 };
        if (0.0..=1.0).contains(&t) { -(entropy(t) + entropy(1.0 - t)) } else { f64::NEG_INFINITY }
    }

    fn lipschitz(&self) -> Option<f64> {
        Some(0.25)
    }

    fn admits(&self, y: f64) -> bool {
        y == 1.0 || y == -1.0
    }

    fn targets(&self) -> &'static str {
        "-1 or 1"
    }

    fn scale(&self, _y: &[f64], _weights: &[f64], _at_zero: f64) -> f64 {
        std::f64::consts::LN_2
    }
}
