//! Small dense kernels that several methods share, float64 inside.

pub mod chol;
pub mod newton_schulz;
pub mod syrk;
