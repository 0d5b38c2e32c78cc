//! Many gradients, one update: from the Gramian of a Jacobian to the weights of its rows.
//!
//!   J (m x d) a gradient a row     G = J J^T     s_i = |g_i|     p preferences, 1/m unless given
//!   A(J) = J^T w(G)
//!
//! An aggregator of this kind costs two passes over J ([`crate::linalg::gram`]) and the small
//! algebra of its file. [`GradDrop`] and [`TrimmedMean`] read the columns instead.

mod aligned_mtl;
mod cagrad;
mod config;
mod dualproj;
mod excess_mtl;
mod fairgrad;
mod gcond;
mod graddrop;
mod gradvac;
mod gram;
mod imtl_g;
mod krum;
mod mconfig;
mod mgda;
mod nash_mtl;
mod pcd;
mod pcgrad;
mod samgs;
mod trimmed_mean;
mod upgrad;

pub use aligned_mtl::{AlignedMtl, Scale};
pub use cagrad::{Cagrad, Rescale};
pub use config::{Config, Length};
pub use dualproj::{Compat, DualProj};
pub use excess_mtl::excess;
pub use fairgrad::FairGrad;
pub use gcond::{GCond, Memory, Resolution};
pub use graddrop::{GradDrop, draws};
pub use gradvac::GradVac;
pub use gram::{Gram, Normalized};
pub use imtl_g::ImtlG;
pub use krum::Krum;
pub use mconfig::{MConfig, average};
pub use mgda::{FrankWolfe, Mgda};
pub use nash_mtl::NashMtl;
pub use pcd::Pcd;
pub use pcgrad::{PcGrad, orders};
pub use samgs::modulate;
pub use trimmed_mean::TrimmedMean;
pub use upgrad::UpGrad;

use crate::engine::{Error, Result};

/// Weights of the rows of a Jacobian, from its Gramian alone.
pub trait Weighting {
    /// One weight a row. The Gramian is finite; where it is not, callers answer with NaN.
    fn weights(&self, gram: &Gram<'_>) -> Result<Vec<f64>>;
}

/// The preferences of m rows: those given, or `default` each.
fn preferences(given: Option<&[f64]>, m: usize, default: f64) -> Result<Vec<f64>> {
    let Some(given) = given else { return Ok(vec![default; m]) };
    if given.len() != m {
        return Err(Error::value(
            "preference",
            format!("of length {m}, the number of rows of the Jacobian"),
            given.len(),
            "give one preference for each loss",
        ));
    }
    Ok(given.to_vec())
}
