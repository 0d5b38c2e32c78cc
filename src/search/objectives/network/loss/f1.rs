//! One minus the F1 score of class 1: F1 = 2 TP / (predicted + actual positives).
//!
//! Two counts change with the outputs, true and predicted positives. One number carries both, the
//! second in units of `UNIT`: small integers, so every float sum of them is exact.

use super::predict;
use crate::engine::lanes::{LANES, Lanes};

/// Weight of a predicted positive.
const UNIT: f32 = 16_384.0;

/// Largest batch whose sums stay exact.
pub const MAX_BATCH: usize = 8191;

/// Packed counts of sixteen samples.
#[inline(always)]
pub fn block(logits: &[Lanes], label: &[u32; LANES]) -> Lanes {
    let class = predict(logits);
    let mut packed = [0.0; LANES];
    for l in 0..LANES {
        let hit = if label[l] == 1 { UNIT + 1.0 } else { UNIT };
        packed[l] = if class[l] == 1 { hit } else { 0.0 };
    }
    packed
}

/// 1 - F1; 0 when there is neither a positive nor a predicted one.
pub fn total(sum: f64, positives: usize) -> f64 {
    let predicted = (sum / f64::from(UNIT)).floor();
    let hits = sum - predicted * f64::from(UNIT);
    let all = predicted + positives as f64;
    if all == 0.0 { 0.0 } else { 1.0 - 2.0 * hits / all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_survive_the_packing() {
        // three predicted, two of them right, five actual
        let sum = f64::from(UNIT) * 3.0 + 2.0;
        assert!((total(sum, 5) - (1.0 - 4.0 / 8.0)).abs() < 1e-15);
        assert_eq!(total(0.0, 0), 0.0);
    }
}
