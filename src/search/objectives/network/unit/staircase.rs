//! Staircase: floor(levels * sigmoid(z)) / levels.

use super::codes::Codes;
use crate::{Error, Result};

/// The codes of a staircase of `levels` steps, 2..=64.
///
/// floor(L sigmoid(z)) >= k exactly where z >= ln(k / (L - k)). Level L, which only a sigmoid
/// rounded to 1 reaches, does not exist here.
pub fn codes(levels: usize) -> Result<Codes> {
    if !(2..=64).contains(&levels) {
        return Err(Error::value("levels", "in 2..=64", levels, "a usual value is 5"));
    }
    let share = |k: usize| k as f64 / levels as f64;
    let thresholds = (1..levels).map(|k| (share(k) / (1.0 - share(k))).ln() as f32).collect();
    Ok(Codes { thresholds, values: (0..levels).map(|k| share(k) as f32).collect() })
}
