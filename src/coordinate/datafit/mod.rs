//! Smooth parts: a sum over the samples of a loss of the linear predictor.

mod huber;
mod logistic;
mod poisson;
mod quadratic;
mod squared_hinge;

pub use huber::Huber;
pub use logistic::Logistic;
pub use poisson::Poisson;
pub use quadratic::Quadratic;
pub use squared_hinge::SquaredHinge;

/// A convex loss of one sample, in the predictor `z` for the target `y`.
pub trait Loss: Sync {
    /// `f(z; y)`
    fn value(&self, z: f64, y: f64) -> f64;
    /// `-f'(z; y)`: the raw dual variable, a residual for the quadratic loss.
    fn residual(&self, z: f64, y: f64) -> f64;
    /// The weight of this sample in the quadratic model, positive: `f''`, or a bound on it.
    fn curvature(&self, z: f64, y: f64) -> f64;
    /// `-f*(-u)`, minus infinity outside the domain.
    fn dual(&self, u: f64, y: f64) -> f64;
    /// Lipschitz constant of `f'`; none where there is none.
    fn lipschitz(&self) -> Option<f64>;
    /// Whether the quadratic model is exact.
    fn quadratic(&self) -> bool {
        false
    }
    /// Whether `y` is a target this loss is defined for.
    fn admits(&self, _y: f64) -> bool {
        true
    }
    /// Words for the targets that it admits.
    fn targets(&self) -> &'static str {
        "finite numbers"
    }
    /// `tol` times this is the gap to reach; `at_zero` is the objective of the null model.
    fn scale(&self, y: &[f64], weights: &[f64], at_zero: f64) -> f64 {
        let _ = (y, weights);
        at_zero
    }
}

/// A loss summed over samples with weights that sum to one.
pub struct Datafit<'a> {
    /// The loss.
    pub loss: &'a dyn Loss,
    /// The targets.
    pub y: &'a [f64],
    /// The weights, normalised.
    pub weights: &'a [f64],
}

impl Datafit<'_> {
    /// `sum W f(z)`
    pub fn value(&self, z: &[f64]) -> f64 {
        let terms = z.iter().zip(self.y).zip(self.weights);
        terms.map(|((&z, &y), &s)| if s > 0.0 { s * self.loss.value(z, y) } else { 0.0 }).sum()
    }

    /// `v = -W f'(z)`
    pub fn residual(&self, z: &[f64], v: &mut [f64]) {
        for (((v, &z), &y), &s) in v.iter_mut().zip(z).zip(self.y).zip(self.weights) {
            *v = if s > 0.0 { s * self.loss.residual(z, y) } else { 0.0 };
        }
    }

    /// `h = W f''(z)`, kept above a small part of its largest value so that no direction is free.
    pub fn curvature(&self, z: &[f64], h: &mut [f64]) {
        for (((h, &z), &y), &s) in h.iter_mut().zip(z).zip(self.y).zip(self.weights) {
            *h = s * self.loss.curvature(z, y);
        }
        let floor = 1e-6 * h.iter().copied().fold(0.0, f64::max);
        for (h, &s) in h.iter_mut().zip(self.weights) {
            *h = if s > 0.0 { h.max(floor * s.min(1.0)) } else { 0.0 };
        }
    }

    /// Dual objective of the part, at `k v`.
    pub fn dual(&self, v: &[f64], k: f64) -> f64 {
        let terms = v.iter().zip(self.y).zip(self.weights);
        terms
            .map(|((&v, &y), &s)| if s > 0.0 { s * self.loss.dual(k * v / s, y) } else { 0.0 })
            .sum()
    }
}
