//! Small dense kernels that several methods share, float64 inside.

pub mod gemm;
