//! Monotone vectors: y_1 <= ... <= y_n, nearest in the weighted norm, optionally between bounds.
//!
//! Pool adjacent violators (Ayer et al. 1955; Best and Chakravarti 1990), O(n); bounds by clipping.
//!
//!   pull: w_i sum_B(v) / sum_B(w) inside each block B of equal values, 0 where clipped

use super::{Memory, Params, Set, Spread};
use crate::engine::{Error, Result};

/// Direction, weights and bounds.
#[derive(Debug, Clone, Copy)]
pub struct Isotonic<'a> {
    increasing: bool,
    weights: Spread<'a>,
    lo: f64,
    hi: f64,
}

impl<'a> Isotonic<'a> {
    /// From the numbers `increasing` (1 or 0), `lo`, `hi` and the vector `weights`.
    pub fn new(params: &Params<'a>) -> Result<Self> {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let weights = params.spread(0, "weights")?.all("weights", "positive", positive)?;
        let (lo, hi) = (params.scalar(1)?, params.scalar(2)?);
        if lo.is_nan() || hi.is_nan() || lo > hi {
            return Err(Error::value("hi", format!("at least lo = {lo}"), hi, "the set is empty"));
        }
        Ok(Self { increasing: params.scalar(0)? != 0.0, weights, lo, hi })
    }

    /// Pools the violators on a stack of blocks: mean, weight and end of each.
    fn pool(&self, x: &mut [f64], memory: &mut Memory) {
        let n = x.len();
        let flip = if self.increasing { 1.0 } else { -1.0 };
        let means = &mut memory.values;
        means.resize(n + 1, 0.0);
        memory.others.resize(2 * (n + 1), 0.0);
        let (weights, ends) = memory.others.split_at_mut(n + 1);
        // A sentinel below everything ends the merging without a test for an empty stack.
        (means[0], weights[0]) = (f64::NEG_INFINITY, 0.0);
        let mut top = 0;
        for (i, &value) in x.iter().enumerate() {
            let (mut mean, mut weight) = (flip * value, self.weights.at(i));
            while means[top] >= mean {
                let total = weight + weights[top];
                mean += (means[top] - mean) * (weights[top] / total);
                weight = total;
                top -= 1;
            }
            top += 1;
            (means[top], weights[top], ends[top]) = (mean, weight, (i + 1) as f64);
        }
        let mut at = 0;
        for block in 1..=top {
            let end = ends[block] as usize;
            x[at..end].fill((flip * means[block]).clamp(self.lo, self.hi));
            at = end;
        }
    }
}

impl Set for Isotonic<'_> {
    fn project(&self, x: &mut [f64], memory: &mut Memory) -> f64 {
        self.pool(x, memory);
        0.0
    }

    fn pull(&self, x: &[f64], y: &[f64], v: &mut [f64], _: &mut Memory) {
        let n = x.len();
        let mut start = 0;
        while start < n {
            let value = y[start];
            let mut end = start + 1;
            while end < n && y[end] == value {
                end += 1;
            }
            if value <= self.lo || value >= self.hi {
                v[start..end].fill(0.0);
            } else {
                let total: f64 = v[start..end].iter().sum();
                let weight: f64 = (start..end).map(|i| self.weights.at(i)).sum();
                for (i, v) in (start..end).zip(&mut v[start..end]) {
                    *v = self.weights.at(i) * (total / weight);
                }
            }
            start = end;
        }
    }
}
