//! Small dense kernels that several methods share, float64 inside.

pub mod cholesky;
pub mod eigen;
pub mod gram;
pub mod newton_schulz;
pub mod qp;
