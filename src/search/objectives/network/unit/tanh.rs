//! Hyperbolic tangent.

use crate::engine::real::{Lane, Real};

/// The unit, within 2e-7: 1 - 2 / (exp(2 z) + 1).
#[inline(always)]
pub fn tanh(z: f32) -> f32 {
    formula(Lane::<f32>(z)).0
}

/// The same in any arithmetic.
#[inline(always)]
pub fn formula<T: Real>(z: T) -> T {
    T::of(1.0) - T::of(2.0) / ((T::of(2.0) * z).exp() + T::of(1.0))
}
