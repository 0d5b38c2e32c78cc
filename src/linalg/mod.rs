//! Small dense kernels that several methods share, float64 inside.

pub mod bipartite;
pub mod cholesky;
pub mod combine;
pub mod cone;
pub mod eigen;
pub mod gemm;
pub mod gram;
pub mod growing_cholesky;
pub mod lbfgs;
pub mod newton_schulz;
pub mod qp;
pub mod quad;
pub mod svd;
pub mod syrk;
mod tiles;
pub mod triangular;
