//! Total variation in one dimension, lam_i |x_{i+1} - x_i| summed, plus l1 |x|_1 (fused lasso).
//!
//! Johnson 2013, "A dynamic programming algorithm for the fused lasso and l0-segmentation",
//! J. Comput. Graph. Stat. 22. O(n), whatever the data.
//!
//!   delta_k(b) = derivative of the optimal cost of y_1..y_k as a function of y_{k+1} = b:
//!   piecewise linear, rising, clipped to [-lam_k, lam_k] where it reaches low_k and high_k
//!   backwards: y_n = root of the last one,  y_k = clip(y_{k+1}, low_k, high_k)
//!
//! Then the level of every constant segment is recomputed from its sum, which leaves no trace of
//! the recursion's rounding; fused lasso: soft threshold after (Friedman et al. 2007).
//! pull: the mean of v inside each segment.

use super::super::{Memory, Params, Set, Spread};
use super::soft;
use crate::engine::{Error, Result};

/// Strength of each edge and of the l1 part.
#[derive(Debug, Clone, Copy)]
pub struct Tv1d<'a> {
    lam: Spread<'a>,
    l1: f64,
}

impl<'a> Tv1d<'a> {
    /// From the vector `lam` (one number, or one for each of the n - 1 edges) and the number `l1`.
    pub fn new(params: &Params<'a>) -> Result<Self> {
        let edges = params.n.saturating_sub(1);
        if params.vector(0)?.len() != 1 && params.vector(0)?.len() != edges {
            return Err(Error::value(
                "lam",
                format!("a number or of length {edges}"),
                format!("length {}", params.vector(0)?.len()),
                "give one strength for each pair of neighbours",
            ));
        }
        let lam = Spread::new(params.vector(0)?, edges, "lam")?.all("lam", ">= 0", |x| x >= 0.0)?;
        Ok(Self { lam, l1: params.strength(0, "l1")? })
    }

    /// Strengths beyond which nothing changes become finite, so that the recursion stays so.
    fn edge(&self, i: usize, limit: f64) -> f64 {
        self.lam.at(i).min(limit)
    }
}

/// A knot of delta: where it lies, and how slope and intercept change there.
#[derive(Clone, Copy, Default)]
struct Knot {
    at: f64,
    slope: f64,
    offset: f64,
}

/// The solution before the l1 part, with jumps where neighbours differ.
fn taut(y: &[f64], lam: impl Fn(usize) -> f64, out: &mut [f64], memory: &mut Memory) {
    let n = y.len();
    let mut knots = vec![Knot::default(); 2 * n];
    let (lows, highs) = (&mut memory.values, &mut memory.others);
    lows.resize(n, 0.0);
    highs.resize(n, 0.0);
    // Knots first..last are in use; each step looks from both ends inwards and adds one at each.
    let (mut first, mut last) = (n, n);
    for k in 0..n - 1 {
        let edge = lam(k);
        let before = if k == 0 { 0.0 } else { lam(k - 1) };
        let (mut slope, mut offset) = (1.0, -before - y[k]);
        while first < last && slope * knots[first].at + offset <= -edge {
            slope += knots[first].slope;
            offset += knots[first].offset;
            first += 1;
        }
        let low = (-edge - offset) / slope;
        lows[k] = low;
        let left = Knot { at: low, slope, offset: offset + edge };
        let (mut slope, mut offset) = (1.0, before - y[k]);
        while first < last && slope * knots[last - 1].at + offset >= edge {
            last -= 1;
            slope -= knots[last].slope;
            offset -= knots[last].offset;
        }
        let high = (edge - offset) / slope;
        highs[k] = high;
        let right = Knot { at: high, slope: -slope, offset: edge - offset };
        first -= 1;
        knots[first] = left;
        knots[last] = right;
        last += 1;
    }
    let (mut slope, mut offset) = (1.0, -y[n - 1] - if n > 1 { lam(n - 2) } else { 0.0 });
    for knot in &knots[first..last] {
        if slope * knot.at + offset > 0.0 {
            break;
        }
        slope += knot.slope;
        offset += knot.offset;
    }
    out[n - 1] = -offset / slope;
    for k in (0..n - 1).rev() {
        out[k] = out[k + 1].clamp(lows[k], highs[k].max(lows[k]));
    }
}

/// Level of a segment: its mean, moved by the pull of its two ends.
fn polish(y: &[f64], lam: impl Fn(usize) -> f64, out: &mut [f64]) {
    let n = y.len();
    let mut start = 0;
    let mut rise = 0.0;
    while start < n {
        let level = out[start];
        let mut end = start + 1;
        while end < n && out[end] == level {
            end += 1;
        }
        let next = match out.get(end) {
            Some(&value) if value > level => lam(end - 1),
            Some(_) => -lam(end - 1),
            None => 0.0,
        };
        // Relative to the first value, so that a large common level costs no digits.
        let total: f64 = y[start..end].iter().map(|x| x - y[start]).sum();
        out[start..end].fill(y[start] + (total + next - rise) / (end - start) as f64);
        rise = next;
        start = end;
    }
}

impl Set for Tv1d<'_> {
    fn project(&self, x: &mut [f64], memory: &mut Memory) -> f64 {
        let n = x.len();
        if n > 1 {
            let (least, most) =
                x.iter().fold((x[0], x[0]), |(low, high), &x| (low.min(x), high.max(x)));
            let limit = (most - least) * n as f64;
            let lam = |i: usize| self.edge(i, limit);
            let y = x.to_vec();
            taut(&y, lam, x, memory);
            polish(&y, lam, x);
        }
        x.iter_mut().for_each(|x| *x = soft(*x, self.l1));
        0.0
    }

    fn pull(&self, x: &[f64], y: &[f64], v: &mut [f64], memory: &mut Memory) {
        // Segments that the l1 part set to zero would look merged: find them before it.
        let mut levels = x.to_vec();
        Self { l1: 0.0, ..*self }.project(&mut levels, memory);
        let mut start = 0;
        while start < v.len() {
            let mut end = start + 1;
            while end < v.len() && levels[end] == levels[start] {
                end += 1;
            }
            let mean = v[start..end].iter().sum::<f64>() / (end - start) as f64;
            let kept = y[start] != 0.0 || self.l1 == 0.0;
            v[start..end].fill(if kept { mean } else { 0.0 });
            start = end;
        }
    }
}
