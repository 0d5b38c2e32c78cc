//! Squared error, averaged over the outputs.

use crate::engine::lanes::{LANES, Lanes};

/// Adds the squared errors of one output.
#[inline(always)]
pub fn add(sum: &mut Lanes, logit: &Lanes, wanted: &Lanes) {
    for l in 0..LANES {
        let error = logit[l] - wanted[l];
        sum[l] += error * error;
    }
}

/// The average over `outputs`.
#[inline(always)]
pub fn scale(sum: Lanes, outputs: usize) -> Lanes {
    let mut mean = sum;
    for value in &mut mean {
        *value /= outputs as f32;
    }
    mean
}
