//! Hyperbolic tangent.

use crate::engine::real::Float;

/// The unit, within 2e-7: 1 - 2 / (exp(2 z) + 1).
#[inline(always)]
pub fn tanh(z: f32) -> f32 {
    1.0 - 2.0 / (Float::exp(2.0 * z) + 1.0)
}
