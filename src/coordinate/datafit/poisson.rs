//! Poisson loss with log link: `f(z) = exp(z) - y z`, y >= 0.

use super::Loss;

/// Negative log-likelihood of a Poisson model, without the term in y alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Poisson;

/// The exponential overflows beyond 709.
const LARGEST: f64 = 700.0;

impl Loss for Poisson {
    fn value(&self, z: f64, y: f64) -> f64 {
        z.min(LARGEST).exp() - y * z
    }

    fn residual(&self, z: f64, y: f64) -> f64 {
        y - z.min(LARGEST).exp()
    }

    fn curvature(&self, z: f64, _y: f64) -> f64 {
        z.min(LARGEST).exp()
    }

    fn dual(&self, u: f64, y: f64) -> f64 {
        let t = y - u;
        if t > 0.0 {
            t - t * t.ln()
        } else if t > -1e-15 * y {
            0.0
        } else {
            f64::NEG_INFINITY
        }
    }

    fn lipschitz(&self) -> Option<f64> {
        None
    }

    fn admits(&self, y: f64) -> bool {
        y >= 0.0
    }

    fn targets(&self) -> &'static str {
        "non-negative"
    }

    /// The deviance of the null model against the saturated one, per sample, since the objective
    /// itself has no natural zero.
    fn scale(&self, y: &[f64], weights: &[f64], at_zero: f64) -> f64 {
        let saturated = |y: f64| if y > 0.0 { y - y * y.ln() } else { 0.0 };
        let best: f64 = y.iter().zip(weights).map(|(&y, s)| s * saturated(y)).sum();
        at_zero - best
    }
}
