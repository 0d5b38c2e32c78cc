//! Rectifier: max(z, 0).

use crate::engine::real::{Lane, Real};

/// The unit.
#[inline(always)]
pub fn relu(z: f32) -> f32 {
    formula(Lane::<f32>(z)).0
}

/// The same in any arithmetic.
#[inline(always)]
pub fn formula<T: Real>(z: T) -> T {
    T::select(z.gt(T::of(0.0)), z, T::of(0.0))
}
