//! The second-order cone |z| <= t, with t the last entry.
//!
//!   n = |z|:  x if n <= t;  0 if n <= -t;  else a (z / n, 1), a = (n + t) / 2
//!   pull in the third case, u = z / n:
//!     z part  ((1 + t/n) v_z - (t/n) u (u.v_z) + u v_t) / 2      t part  (u.v_z + v_t) / 2

use super::l2_ball::length;
use super::params::not_empty;
use super::{Memory, Params, Set};
use crate::engine::Result;

/// The cone.
#[derive(Debug, Clone, Copy)]
pub struct Soc;

impl Soc {
    /// It has no parameters.
    pub fn new(params: &Params<'_>) -> Result<Self> {
        not_empty(params.n)?;
        Ok(Self)
    }
}

impl Set for Soc {
    fn project(&self, x: &mut [f64], _: &mut Memory) -> f64 {
        let Some((t, z)) = x.split_last_mut() else { return 0.0 };
        let n = length(z.iter().copied());
        if n <= *t {
            return 0.0;
        }
        if n <= -*t {
            x.fill(0.0);
            return 0.0;
        }
        let a = 0.5 * n + 0.5 * *t;
        z.iter_mut().for_each(|z| *z = a * (*z / n));
        *t = a;
        0.0
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], _: &mut Memory) {
        let (Some((&t, z)), Some((vt, vz))) = (x.split_last(), v.split_last_mut()) else { return };
        let n = length(z.iter().copied());
        if n <= t {
            return;
        }
        if n <= -t {
            v.fill(0.0);
            return;
        }
        let along: f64 = z.iter().zip(&*vz).map(|(z, v)| z / n * v).sum();
        let ratio = t / n;
        for (v, z) in vz.iter_mut().zip(z) {
            *v = 0.5 * ((1.0 + ratio) * *v + z / n * (*vt - ratio * along));
        }
        *vt = 0.5 * (along + *vt);
    }
}
