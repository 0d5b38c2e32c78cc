//! Hard threshold: 0 below zero, 1 from zero on.

use super::codes::Codes;

/// The two codes of the threshold.
pub fn codes() -> Codes {
    Codes { thresholds: vec![0.0], values: vec![0.0, 1.0] }
}
