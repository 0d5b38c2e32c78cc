//! Vectors with at most k entries that are not zero.
//!
//!   keep the k largest |x_i|, ties to the lowest index     pull: v on what was kept

use super::{Memory, Params, Set};
use crate::engine::{Error, Result};

/// Number of entries kept.
#[derive(Debug, Clone, Copy)]
pub struct L0Ball {
    k: usize,
}

impl L0Ball {
    /// From the number `k`.
    pub fn new(params: &Params<'_>) -> Result<Self> {
        let k = params.scalar(0)?;
        if !(k >= 0.0 && k.fract() == 0.0) {
            return Err(Error::value("k", "an integer >= 0", k, "it counts entries"));
        }
        Ok(Self { k: (k as usize).min(params.n) })
    }

    fn clear(&self, x: &[f64], target: &mut [f64], sizes: &mut Vec<f64>) {
        if self.k == x.len() {
            return;
        }
        if self.k == 0 {
            target.fill(0.0);
            return;
        }
        sizes.clear();
        sizes.extend(x.iter().map(|x| x.abs()));
        let (_, &mut cut, _) = sizes.select_nth_unstable_by(self.k - 1, |a, b| b.total_cmp(a));
        let above = x.iter().filter(|x| x.abs() > cut).count();
        let mut ties = self.k - above;
        for (x, target) in x.iter().zip(target) {
            let tie = x.abs() == cut && ties > 0;
            ties -= usize::from(tie);
            if !(tie || x.abs() > cut) {
                *target = 0.0;
            }
        }
    }
}

impl Set for L0Ball {
    fn project(&self, x: &mut [f64], memory: &mut Memory) -> f64 {
        let Memory { values, others, .. } = memory;
        others.clear();
        others.extend_from_slice(x);
        self.clear(others, x, values);
        0.0
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], memory: &mut Memory) {
        self.clear(x, v, &mut memory.values);
    }
}
