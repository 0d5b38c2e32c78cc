//! The Euclidean ball around a centre.
//!
//!   u = x - c   n = |u|      y = x if n <= r, else c + r u / n
//!   pull: v inside, else (r / n) (v - u (u.v) / n^2)

use super::{Memory, Params, Set, Spread};
use crate::engine::Result;

/// Radius and centre.
#[derive(Debug, Clone, Copy)]
pub struct L2Ball<'a> {
    pub(super) radius: f64,
    pub(super) center: Spread<'a>,
}

impl<'a> L2Ball<'a> {
    /// From the number `radius` and the vector `center`.
    pub fn new(params: &Params<'a>) -> Result<Self> {
        let radius = params.non_negative(0, "radius")?;
        let center = params.spread(0, "center")?.all("center", "finite", f64::is_finite)?;
        Ok(Self { radius, center })
    }

    fn distance(&self, x: &[f64]) -> f64 {
        length(x.iter().enumerate().map(|(i, x)| x - self.center.at(i)))
    }
}

/// Length of a vector, without overflow or underflow.
pub fn length(x: impl Iterator<Item = f64> + Clone) -> f64 {
    let square: f64 = x.clone().map(|x| x * x).sum();
    if (1e-280..1e280).contains(&square) {
        return square.sqrt();
    }
    let largest = x.clone().fold(0.0, |a: f64, x| a.max(x.abs()));
    if largest == 0.0 || largest.is_infinite() {
        return largest;
    }
    largest * x.map(|x| (x / largest) * (x / largest)).sum::<f64>().sqrt()
}

impl Set for L2Ball<'_> {
    fn project(&self, x: &mut [f64], _: &mut Memory) -> f64 {
        let distance = self.distance(x);
        if distance > self.radius {
            let scale = self.radius / distance;
            for (i, x) in x.iter_mut().enumerate() {
                let c = self.center.at(i);
                *x = c + scale * (*x - c);
            }
        }
        0.0
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], _: &mut Memory) {
        let distance = self.distance(x);
        if distance <= self.radius {
            return;
        }
        let unit = |i: usize| (x[i] - self.center.at(i)) / distance;
        let along: f64 = v.iter().enumerate().map(|(i, v)| unit(i) * v).sum();
        let scale = self.radius / distance;
        for (i, v) in v.iter_mut().enumerate() {
            *v = scale * (*v - unit(i) * along);
        }
    }
}
