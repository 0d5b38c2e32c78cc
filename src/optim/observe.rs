//! What a step did to a tensor: the sums behind norms of gradient, update and parameter, taken while
//! the elements are in cache anyway.

use crate::engine::real::Float;
use crate::engine::reduce;

/// Sums over one tensor in one step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Observed {
    /// Of squares of the gradient as it was handed over.
    pub gradient: f64,
    /// Of squares of the change of the parameter, decay included.
    pub update: f64,
    /// Of squares of the parameter after the step.
    pub parameter: f64,
    /// Of gradient times change.
    pub product: f64,
}

impl Observed {
    /// Adds the elements of one part; `change` holds the parameter before the step, and is
    /// overwritten.
    pub(crate) fn add<F: Float>(&mut self, g: &[F], change: &mut [F], after: &[F]) {
        for (change, &after) in change.iter_mut().zip(after) {
            *change = F::from_f64(after.to_f64() - change.to_f64());
        }
        self.gradient += reduce::sum_of_squares(g);
        self.update += reduce::sum_of_squares(change);
        self.parameter += reduce::sum_of_squares(after);
        self.product += reduce::dot(g, change);
    }

    pub(crate) fn join(&mut self, other: &Self) {
        self.gradient += other.gradient;
        self.update += other.update;
        self.parameter += other.parameter;
        self.product += other.product;
    }

    /// Norms of gradient (divided by `grad_scale`), update and parameter, and the cosine of the
    /// angle between the update and the way down; 0 where one of the two vanishes.
    pub fn norms(&self, grad_scale: f64) -> [f64; 4] {
        let (gradient, update) = (self.gradient.sqrt(), self.update.sqrt());
        let both = gradient * update * grad_scale.signum();
        let cosine = if both == 0.0 { 0.0 } else { -self.product / both };
        [gradient / grad_scale.abs(), update, self.parameter.sqrt(), cosine]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_and_cosine() {
        let (g, mut before, after) = ([3.0f32, 4.0], [1.0f32, 1.0], [1.0f32, 0.0]);
        let mut observed = Observed::default();
        observed.add(&g, &mut before, &after);
        assert_eq!(observed.norms(2.0), [2.5, 1.0, 1.0, 0.8]);
        assert_eq!(Observed::default().norms(1.0), [0.0; 4]);
    }
}
