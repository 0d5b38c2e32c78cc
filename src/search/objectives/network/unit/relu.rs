//! Rectifier: max(z, 0).

/// The unit.
#[inline(always)]
pub fn relu(z: f32) -> f32 {
    if z > 0.0 { z } else { 0.0 }
}
