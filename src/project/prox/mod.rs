//! Proximal maps: argmin lam f(y) + |y - x|^2 / 2.

mod group;
mod huber;
mod l0;
mod l1;
mod mcp;
mod norm;
mod scad;
mod tv1d;

pub use group::Group;
pub use huber::Huber;
pub use l0::L0;
pub use l1::L1;
pub use mcp::Mcp;
pub use norm::{L2, Linf};
pub use scad::Scad;
pub use tv1d::Tv1d;

use super::{Memory, Set};

/// A map that takes each entry on its own.
pub trait Entrywise: Send + Sync {
    /// Image of entry `i`.
    fn image(&self, x: f64, i: usize) -> f64;
    /// Its derivative.
    fn slope(&self, x: f64, i: usize) -> f64;
}

/// Makes a [`Set`] of an entrywise map.
#[derive(Debug, Clone, Copy)]
pub struct Each<P>(pub P);

impl<P: Entrywise> Set for Each<P> {
    fn project(&self, x: &mut [f64], _: &mut Memory) -> f64 {
        for (i, x) in x.iter_mut().enumerate() {
            *x = self.0.image(*x, i);
        }
        0.0
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], _: &mut Memory) {
        for (i, (v, &x)) in v.iter_mut().zip(x).enumerate() {
            *v *= self.0.slope(x, i);
        }
    }
}

/// sign(x) max(|x| - t, 0).
pub fn soft(x: f64, t: f64) -> f64 {
    // Not `|x| - t` for t = inf and x = inf: x is finite.
    if x > t {
        x - t
    } else if x < -t {
        x + t
    } else {
        0.0
    }
}
