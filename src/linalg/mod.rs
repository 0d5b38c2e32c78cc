//! Small dense kernels that several methods share, float64 inside.

pub mod bipartite;
pub mod chol;
pub mod cholesky;
pub mod eigen;
pub mod gemm;
pub mod gram;
pub mod newton_schulz;
pub mod qp;
pub mod svd;
pub mod syrk;
