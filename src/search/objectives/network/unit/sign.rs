//! Sign: -1 below zero, +1 from zero on (a binary unit; torch's sign has a third value at zero).

use super::codes::Codes;

/// The two codes of the sign.
pub fn codes() -> Codes {
    Codes { thresholds: vec![0.0], values: vec![-1.0, 1.0] }
}
