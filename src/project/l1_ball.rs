//! The l1 ball: sum w_i |x_i| <= r.
//!
//!   y = sign(x) max(|x| - tau w, 0), tau >= 0 smallest with sum w |y| <= r
//!   pull: v inside; else v - g (g.v) / |g|^2 on S = {y != 0}, g = w sign(y), 0 elsewhere

use super::section::{self, Bounds};
use super::threshold;
use super::{Memory, Params, Set, Spread};
use crate::engine::Result;

/// Radius and weights.
#[derive(Debug, Clone, Copy)]
pub struct L1Ball<'a> {
    radius: f64,
    weights: Spread<'a>,
}

impl<'a> L1Ball<'a> {
    /// From the number `radius` and the vector `weights`.
    pub fn new(params: &Params<'a>) -> Result<Self> {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let weights = params.spread(0, "weights")?.all("weights", "positive", positive)?;
        Ok(Self { radius: params.non_negative(0, "radius")?, weights })
    }

    fn size(&self, x: &[f64]) -> f64 {
        match self.weights.same() {
            Some(w) => w * crate::engine::reduce::sum_of_abs(x),
            None => x.iter().enumerate().map(|(i, x)| self.weights.at(i) * x.abs()).sum(),
        }
    }
}

impl Set for L1Ball<'_> {
    fn project(&self, x: &mut [f64], memory: &mut Memory) -> f64 {
        if self.size(x) <= self.radius {
            return 0.0;
        }
        if self.radius == 0.0 {
            x.fill(0.0);
        } else if let Some(w) = self.weights.same() {
            let (top, tau) = threshold::simplex::<true>(x, self.radius / w, &mut memory.values);
            for x in x {
                *x = ((x.abs() - top) - tau).max(0.0).copysign(*x);
            }
        } else {
            let bounds = Bounds { weight: self.weights, lo: ZERO, hi: INFINITE };
            let values = &mut memory.values;
            values.clear();
            values.extend(x.iter().map(|x| x.abs()));
            section::project(bounds, self.radius, values, &mut memory.others);
            for (x, y) in x.iter_mut().zip(values) {
                *x = y.copysign(*x);
            }
        }
        0.0
    }

    fn pull(&self, x: &[f64], y: &[f64], v: &mut [f64], _: &mut Memory) {
        if self.size(x) <= self.radius {
            return;
        }
        let normal = |i: usize| if y[i] == 0.0 { 0.0 } else { self.weights.at(i).copysign(y[i]) };
        section::remove(v, normal);
    }
}

const ZERO: Spread<'static> = section::ZERO;
const INFINITE: Spread<'static> = section::INFINITE;
