//! Reflection into a convex set: what a billiard ball does.
//!
//! Lou and Ermon 2023, "Reflected diffusion models", ICML, arXiv:2304.04740.
//!
//!   box, width d = hi - lo:  u = (x - lo) mod 2 d;  y = lo + (u if u <= d else 2 d - u)
//!   ball: the length of x - c is reflected into [0, r], through the centre if it is beyond 2 r
//!
//! pull: the sign of the passage in the box; on the ball the polar form of it.

use super::l2_ball::length;
use super::{Boxed, L2Ball, Memory, Params, Set};
use crate::engine::{Error, Result};

/// Position in [0, d] and direction of passage after folding u.
fn fold(u: f64, d: f64) -> (f64, f64) {
    if d == 0.0 {
        return (0.0, 0.0);
    }
    if (0.0..=d).contains(&u) {
        return (u, 1.0);
    }
    let u = u.rem_euclid(2.0 * d);
    if u <= d { (u, 1.0) } else { (2.0 * d - u, -1.0) }
}

/// Reflection at the sides of a box; an infinite side is not there.
#[derive(Debug, Clone, Copy)]
pub struct ReflectBox<'a>(Boxed<'a>);

impl<'a> ReflectBox<'a> {
    /// From the vectors `lo` and `hi`.
    pub fn new(params: &Params<'a>) -> Result<Self> {
        Boxed::new(params).map(Self)
    }

    fn at(&self, x: f64, i: usize) -> (f64, f64) {
        let (lo, hi) = (self.0.lo.at(i), self.0.hi.at(i));
        if lo <= x && x <= hi {
            return (x, if lo == hi { 0.0 } else { 1.0 });
        }
        match (lo.is_finite(), hi.is_finite()) {
            (true, true) => {
                let (y, sign) = fold(x - lo, hi - lo);
                ((lo + y).clamp(lo, hi), sign)
            }
            (true, false) => (lo + (x - lo).abs(), -1.0),
            _ => (hi - (hi - x).abs(), -1.0),
        }
    }
}

impl Set for ReflectBox<'_> {
    fn project(&self, x: &mut [f64], _: &mut Memory) -> f64 {
        for (i, x) in x.iter_mut().enumerate() {
            *x = self.at(*x, i).0;
        }
        0.0
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], _: &mut Memory) {
        for (i, (v, &x)) in v.iter_mut().zip(x).enumerate() {
            *v *= self.at(x, i).1;
        }
    }
}

/// Reflection along the radius of a ball.
#[derive(Debug, Clone, Copy)]
pub struct ReflectBall<'a>(L2Ball<'a>);

impl<'a> ReflectBall<'a> {
    /// From the number `radius` > 0 and the vector `center`.
    pub fn new(params: &Params<'a>) -> Result<Self> {
        let ball = L2Ball::new(params)?;
        if ball.radius == 0.0 {
            return Err(Error::value("radius", "> 0", 0.0, "a point reflects nothing"));
        }
        Ok(Self(ball))
    }

    /// Length of x - c, its signed image and the slope of that.
    fn radial(&self, x: &[f64]) -> (f64, f64, f64) {
        let n = length(x.iter().enumerate().map(|(i, x)| x - self.0.center.at(i)));
        let r = self.0.radius;
        if n <= r {
            return (n, n, 1.0);
        }
        // A diameter is a box [-r, r].
        let (place, sign) = fold(n + r, 2.0 * r);
        (n, place - r, sign)
    }
}

impl Set for ReflectBall<'_> {
    fn project(&self, x: &mut [f64], _: &mut Memory) -> f64 {
        let (n, image, _) = self.radial(x);
        if image != n {
            for (i, x) in x.iter_mut().enumerate() {
                let c = self.0.center.at(i);
                *x = c + image * ((*x - c) / n);
            }
        }
        0.0
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], _: &mut Memory) {
        let (n, image, slope) = self.radial(x);
        if image == n {
            return;
        }
        let unit = |i: usize| (x[i] - self.0.center.at(i)) / n;
        let along: f64 = v.iter().enumerate().map(|(i, v)| unit(i) * v).sum();
        let across = image / n;
        for (i, v) in v.iter_mut().enumerate() {
            *v = across * *v + (slope - across) * unit(i) * along;
        }
    }
}
