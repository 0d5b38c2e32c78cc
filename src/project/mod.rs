//! Points onto sets, and proximal maps: one file a set.
//!
//! A set is a formula on one contiguous vector, in place, and its vector-Jacobian product. Batches,
//! threads and element types belong to [`apply`] and [`pull`]; names and parameters to [`build`].
//! Formulas see f64, so thresholds are exact for f32 too.
//!
//!   y = argmin_{z in C} |z - x|^2 / 2   or   argmin_z f(z) + |z - x|^2 / 2
//!   pull: v -> (dy/dx)^T v; at kinks one element of the Clarke Jacobian

mod affine;
mod batch;
mod boxed;
pub mod cauchy_schwarz;
mod halfspace;
mod isotonic;
mod kl;
mod l0_ball;
mod l1_ball;
mod l2_ball;
pub mod matrix;
mod params;
pub mod polyhedron;
pub mod prox;
mod reflect;
mod registry;
mod section;
mod simplex;
mod soc;
pub(crate) mod threshold;
pub mod transport;

pub use affine::Affine;
pub use batch::{Batch, apply, pull};
pub use boxed::Boxed;
pub use halfspace::Slab;
pub use isotonic::Isotonic;
pub use kl::KlSection;
pub use l0_ball::L0Ball;
pub use l1_ball::L1Ball;
pub use l2_ball::L2Ball;
pub use params::{Params, Spread};
pub use polyhedron::Polyhedron;
pub use reflect::{ReflectBall, ReflectBox};
pub use registry::{NAMES, build};
pub use section::Section;
pub use simplex::Simplex;
pub use soc::Soc;

/// Scratch vectors that a thread keeps from problem to problem.
#[derive(Debug, Default)]
pub struct Memory {
    /// Values to overwrite.
    pub values: Vec<f64>,
    /// More of them.
    pub others: Vec<f64>,
    /// Pools of entries.
    pub blocks: isotonic::Blocks,
}

/// A set to project onto, or a function with a proximal map.
pub trait Set: Send + Sync {
    /// Replaces `x`, finite, by its image. Returns what is left of the optimality conditions where
    /// the method iterates (relative to the size of the problem), 0 where it is exact, and NaN where
    /// the set turned out to be empty.
    fn project(&self, x: &mut [f64], memory: &mut Memory) -> f64;

    /// Replaces the cotangent `v` of the image `y` of `x` by the one of `x`.
    fn pull(&self, x: &[f64], y: &[f64], v: &mut [f64], memory: &mut Memory);
}
