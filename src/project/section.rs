//! The section of a box by a hyperplane: lo <= x <= hi, w.x = s, w > 0.
//!
//! With lo = 0: the weighted simplex (hi infinite), the capped simplex (w = 1).
//!
//!   y = clip(x - tau w, lo, hi),   phi(tau) = w.y - s falling and piecewise linear
//!   pull: v - w (w.v) / |w|^2 on S = {lo < x - tau w < hi}, 0 elsewhere
//!
//! Newton on phi inside a bracket; where the pieces make it wander, a search over the sorted
//! breakpoints. Then x is shifted by tau w (one rounding) and tau solved once more, which makes
//! the result exact relative to s however large x is.

use super::params::not_empty;
use super::{Memory, Params, Set, Spread};
use crate::engine::{Error, Result};

pub(super) const ZERO: Spread<'static> = Spread::constant(&[0.0]);
pub(super) const INFINITE: Spread<'static> = Spread::constant(&[f64::INFINITY]);

/// Weights and bounds of a section.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// Positive weights w.
    pub weight: Spread<'a>,
    /// Lower bounds.
    pub lo: Spread<'a>,
    /// Upper bounds.
    pub hi: Spread<'a>,
}

/// A section and its sum.
#[derive(Debug, Clone, Copy)]
pub struct Section<'a> {
    bounds: Bounds<'a>,
    sum: f64,
}

impl<'a> Section<'a> {
    /// From the number `sum` and the vectors `weights`, `lo`, `hi`.
    pub fn new(params: &Params<'a>) -> Result<Self> {
        not_empty(params.n)?;
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let weight = params.spread(0, "weights")?.all("weights", "positive", positive)?;
        let lo = params.spread(1, "lo")?.all("lo", "no NaN", |x| !x.is_nan())?;
        let hi = params.spread(2, "hi")?.all("hi", "no NaN", |x| !x.is_nan())?;
        super::Boxed::new(&Params { vectors: &params.vectors[1..], ..*params })?;
        let sum = super::params::number(params.scalar(0)?, "radius", "finite", f64::is_finite)?;
        let ends = [lo, hi].map(|side| (0..params.n).map(|i| weight.at(i) * side.at(i)).sum());
        let [low, high]: [f64; 2] = ends;
        let slack = 1e-12 * (low.abs().min(high.abs()) + sum.abs());
        if !(low - slack <= sum && sum <= high + slack) {
            return Err(Error::value(
                "radius",
                format!("in [{low}, {high}], what the bounds allow"),
                sum,
                "the set is empty",
            ));
        }
        Ok(Self { bounds: Bounds { weight, lo, hi }, sum: sum.clamp(low, high) })
    }
}

/// w.y - s and |w_S|^2 at tau.
fn phi(bounds: Bounds<'_>, x: &[f64], tau: f64, s: f64) -> (f64, f64) {
    let (mut total, mut slope) = (-s, 0.0);
    for (i, &x) in x.iter().enumerate() {
        let w = bounds.weight.at(i);
        let z = x - tau * w;
        let y = z.clamp(bounds.lo.at(i), bounds.hi.at(i));
        total += w * y;
        slope += if y == z { w * w } else { 0.0 };
    }
    (total, slope)
}

/// Replaces `x` by its image; `points` is scratch.
pub fn project(bounds: Bounds<'_>, s: f64, x: &mut [f64], points: &mut Vec<f64>) {
    if x.is_empty() {
        return;
    }
    // The largest breakpoint: beyond it every entry sits at its lower bound.
    for _refine in 0..2 {
        let tau = root(bounds, s, x, points);
        for (i, x) in x.iter_mut().enumerate() {
            *x = bounds.weight.at(i).mul_add(-tau, *x);
        }
    }
    for (i, x) in x.iter_mut().enumerate() {
        *x = x.clamp(bounds.lo.at(i), bounds.hi.at(i));
    }
}

fn root(bounds: Bounds<'_>, s: f64, x: &[f64], points: &mut Vec<f64>) -> f64 {
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    let mut tau = 0.0;
    for _ in 0..40 {
        let (excess, slope) = phi(bounds, x, tau, s);
        if excess == 0.0 {
            return tau;
        }
        if excess > 0.0 {
            low = tau
        } else {
            high = tau
        }
        if slope == 0.0 {
            break;
        }
        let next = tau + excess / slope;
        if next == tau {
            return tau;
        }
        if !(low < next && next < high) {
            break;
        }
        tau = next;
    }
    search(bounds, s, x, points, low, high)
}

/// Bisects the breakpoints between `low` and `high`, then solves the piece that is left.
#[cold]
fn search(
    bounds: Bounds<'_>,
    s: f64,
    x: &[f64],
    points: &mut Vec<f64>,
    mut low: f64,
    mut high: f64,
) -> f64 {
    points.clear();
    for (i, &x) in x.iter().enumerate() {
        let w = bounds.weight.at(i);
        for side in [bounds.lo.at(i), bounds.hi.at(i)] {
            let point = (x - side) / w;
            if low < point && point < high {
                points.push(point);
            }
        }
    }
    points.sort_unstable_by(f64::total_cmp);
    let (mut a, mut b) = (0, points.len());
    while a < b {
        let middle = a + (b - a) / 2;
        let (excess, _) = phi(bounds, x, points[middle], s);
        if excess == 0.0 {
            return points[middle];
        }
        if excess > 0.0 {
            (low, a) = (points[middle], middle + 1);
        } else {
            (high, b) = (points[middle], middle);
        }
    }
    let inside = if low.is_infinite() && high.is_infinite() {
        0.0
    } else if low.is_infinite() {
        high - high.abs().max(1.0)
    } else if high.is_infinite() {
        low + low.abs().max(1.0)
    } else {
        low + 0.5 * (high - low)
    };
    let (excess, slope) = phi(bounds, x, inside, s);
    if slope > 0.0 {
        (inside + excess / slope).clamp(low, high)
    } else if excess.abs() <= f64::EPSILON * s.abs() {
        inside
    } else if excess > 0.0 {
        high.min(f64::MAX)
    } else {
        low.max(f64::MIN)
    }
}

/// Removes from `v` its part along the normal on the entries where that is not 0; clears the rest.
pub fn remove(v: &mut [f64], normal: impl Fn(usize) -> f64) {
    let (mut along, mut square) = (0.0, 0.0);
    for (i, v) in v.iter().enumerate() {
        let g = normal(i);
        along += g * v;
        square += g * g;
    }
    let scale = if square > 0.0 { along / square } else { 0.0 };
    for (i, v) in v.iter_mut().enumerate() {
        let g = normal(i);
        *v = if g == 0.0 { 0.0 } else { *v - scale * g };
    }
}

impl Set for Section<'_> {
    fn project(&self, x: &mut [f64], memory: &mut Memory) -> f64 {
        project(self.bounds, self.sum, x, &mut memory.others);
        0.0
    }

    fn pull(&self, _: &[f64], y: &[f64], v: &mut [f64], _: &mut Memory) {
        let Bounds { weight, lo, hi } = self.bounds;
        let free = |i: usize| lo.at(i) < y[i] && y[i] < hi.at(i);
        remove(v, |i| if free(i) { weight.at(i) } else { 0.0 });
    }
}
