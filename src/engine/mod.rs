//! What every method stands on, and the only place with threads, CPU features and `unsafe`.

pub mod codes;
mod convert;
pub mod error;
pub mod gemm;
pub mod lanes;
pub mod noise;
mod openmp;
pub mod pass;
pub mod real;
pub mod reduce;
pub mod rng;
pub mod simd;
pub mod source;
pub mod sparse;
pub mod sweep;
pub mod tensor;
pub mod threads;
pub mod trace;

pub use error::{Error, Result};
pub use real::Real;
