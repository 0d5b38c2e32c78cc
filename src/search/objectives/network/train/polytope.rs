//! From the costs of an orthoplex to the move of a unit.

use super::Settings;
use crate::engine::simd::{self, Kernel};
use crate::search::polystep::normalise::{Scale, repair};
use crate::search::polystep::solver::softmax;

/// Weights of the directions for every unit, `(units, p)`: s (W_+k - W_-k).
///
/// `costs` (units, 2 p) are normalised in place, by one number for the layer, so that units that
/// matter more move more.
pub fn weights(costs: &mut [f64], directions: usize, step: f32, settings: &Settings) -> Vec<f32> {
    let count = 2 * directions;
    repair(costs, false);
    Scale::GlobalStd.apply(costs, count);
    let mut share = vec![0.0; count];
    let mut weights = Vec::with_capacity(costs.len() / 2);
    for row in costs.chunks_exact(count) {
        softmax(row, f64::from(settings.epsilon), &mut share);
        let pairs = share[..directions].iter().zip(&share[directions..]);
        weights.extend(pairs.map(|(plus, minus)| ((plus - minus) * f64::from(step)) as f32));
    }
    weights
}

/// velocity <- momentum velocity + sum_k weights_k u_k.
pub fn accelerate(velocity: &mut [f32], weights: &[f32], u: &[f32], momentum: f32) {
    struct Accelerate<'a>(&'a mut [f32], &'a [f32], &'a [f32], f32);
    impl Kernel for Accelerate<'_> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            let Self(velocity, weights, u, momentum) = self;
            for v in velocity.iter_mut() {
                *v *= momentum;
            }
            for (&weight, u) in weights.iter().zip(u.chunks_exact(velocity.len())) {
                for (v, &u) in velocity.iter_mut().zip(u) {
                    *v += weight * u;
                }
            }
        }
    }
    simd::dispatch(Accelerate(velocity, weights, u, momentum));
}
