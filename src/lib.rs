//! Optimization: fused optimizer steps, projections, gradient-free search, coordinate descent.
//!
//! | module | what it holds |
//! |---|---|
//! | [`aggregate`] | many gradients into one update, one file a method |
//! | [`coordinate`] | coordinate descent: sparse linear models with certified gaps |
//! | [`engine`] | chunks, threads, SIMD dispatch, element types, random numbers, reductions, errors |
//! | `gpu` | compute shaders, with the feature of that name |
//! | [`linalg`] | small dense kernels that several methods share |
//! | [`optim`] | optimizer steps, one file a rule |
//! | [`project`] | points onto sets, proximal maps, transport, one file a set |
//! | [`search`] | gradient-free search, and objectives with cheap probes |
//!
//! The crate knows no Python; the feature `python` adds the bindings that the package is built on.

pub mod aggregate;
pub mod coordinate;
pub mod engine;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod linalg;
pub mod optim;
pub mod project;
#[cfg(feature = "python")]
mod python;
pub mod search;

pub use engine::{Error, Result};
