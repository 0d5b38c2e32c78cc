//! Networks of dense layers on a device: costs of many parameter vectors, and of probes.
//!
//! The same sums in the same order as [`crate::search::objectives::network`], so costs differ by
//! rounding alone, but for samples whose pre-activation is within that of a threshold.

mod forward;
mod probe;
mod shader;
mod stage;

pub use forward::{evaluate, outputs};
pub use probe::probe;
