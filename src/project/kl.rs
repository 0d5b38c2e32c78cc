//! The capped simplex in the Kullback-Leibler divergence, from log-weights.
//!
//!   argmin KL(y | exp x) over sum y = s, 0 <= y <= u:   y = min(u, c exp x)
//!
//! c by sorting the ratios u exp(-x): the entries at their caps are those of the smallest ratios.
//! Without caps this is the softmax. pull on S = {y < u}: y_i (v_i - sum_S y v / sum_S y), 0 else.

use super::params::not_empty;
use super::{Memory, Params, Set, Spread};
use crate::engine::{Error, Result};

/// Sum and caps.
#[derive(Debug, Clone, Copy)]
pub struct KlSection<'a> {
    sum: f64,
    cap: Spread<'a>,
}

impl<'a> KlSection<'a> {
    /// From the number `radius` and the vector `upper` (infinite: no cap).
    pub fn new(params: &Params<'a>) -> Result<Self> {
        not_empty(params.n)?;
        let sum = params.non_negative(0, "radius")?;
        let cap = params.spread(0, "upper")?.all("upper", "positive", |x| x > 0.0)?;
        let most: f64 = (0..params.n).map(|i| cap.at(i)).sum();
        if sum > most * (1.0 + 1e-12) {
            let allowed = format!("at most {most}, the sum of the caps");
            return Err(Error::value("radius", allowed, sum, "the set is empty"));
        }
        Ok(Self { sum: sum.min(most), cap })
    }
}

impl Set for KlSection<'_> {
    fn project(&self, x: &mut [f64], memory: &mut Memory) -> f64 {
        let top = x.iter().fold(f64::NEG_INFINITY, |a, &x| a.max(x));
        x.iter_mut().for_each(|x| *x -= top);
        let mut order: Vec<usize> = (0..x.len()).collect();
        let ratio = |i: usize| self.cap.at(i).ln() - x[i];
        if (0..x.len()).any(|i| self.cap.at(i).is_finite()) {
            order.sort_unstable_by(|&a, &b| ratio(a).total_cmp(&ratio(b)).then(a.cmp(&b)));
        }
        // Mass of the entries that are not capped, from the end, so that no digits cancel: as
        // log-sum-exp relative to the largest of them.
        let tails = &mut memory.values;
        tails.clear();
        tails.resize(x.len() + 1, f64::NEG_INFINITY);
        for k in (0..order.len()).rev() {
            let (a, b) = (tails[k + 1], x[order[k]]);
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            tails[k] = high + (low - high).exp().ln_1p();
        }
        let mut left = self.sum;
        let mut shift = f64::INFINITY;
        for k in 0..order.len() {
            shift = left.max(0.0).ln() - tails[k];
            if shift <= ratio(order[k]) {
                break;
            }
            left -= self.cap.at(order[k]);
            shift = f64::INFINITY;
        }
        for (i, x) in x.iter_mut().enumerate() {
            *x = (*x + shift).exp().min(self.cap.at(i));
        }
        0.0
    }

    fn pull(&self, _: &[f64], y: &[f64], v: &mut [f64], _: &mut Memory) {
        let (mut total, mut mass) = (0.0, 0.0);
        for (i, (&y, &v)) in y.iter().zip(&*v).enumerate() {
            if y < self.cap.at(i) {
                total += y * v;
                mass += y;
            }
        }
        let mean = if mass > 0.0 { total / mass } else { 0.0 };
        for (i, (v, &y)) in v.iter_mut().zip(y).enumerate() {
            *v = if y < self.cap.at(i) { y * (*v - mean) } else { 0.0 };
        }
    }
}
