//! 0-1 loss: 1 for a wrong class.

use super::predict;
use crate::engine::lanes::{LANES, Lanes};

/// Losses of sixteen samples.
#[inline(always)]
pub fn block(logits: &[Lanes], label: &[u32; LANES]) -> Lanes {
    let class = predict(logits);
    let mut loss = [0.0; LANES];
    for l in 0..LANES {
        loss[l] = if class[l] == label[l] { 0.0 } else { 1.0 };
    }
    loss
}
