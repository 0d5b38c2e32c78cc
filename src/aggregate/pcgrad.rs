//! PCGrad: each gradient, with its conflicts projected away one after the other.
//!
//! Yu et al. 2020, "Gradient Surgery for Multi-Task Learning", NeurIPS, arXiv:2001.06782, Alg. 1.
//!
//!   for each i: x = g_i; for j in a random order, j != i: if x . g_j < 0,
//!               x = x - (x . g_j / |g_j|^2) g_j
//!   A(J) = sum of the x
//!
//! In coefficients: x = J^T c, y = G c. One correction costs O(m). Zero rows correct nothing.

use super::{Gram, Weighting};
use crate::engine::rng::Philox;
use crate::engine::{Error, Result, threads};

/// Weights of PCGrad.
#[derive(Debug, Clone)]
pub struct PcGrad {
    /// Row i: the order in which gradient i visits the others, a permutation of 0..m.
    pub orders: Vec<usize>,
}

/// One random permutation of 0..m for each of the m rows, a function of (seed, step) alone.
pub fn orders(seed: u64, step: u64, m: usize) -> Vec<usize> {
    let rng = Philox::new(seed);
    let mut out = Vec::with_capacity(m * m);
    for i in 0..m as u64 {
        let stream = (step << 20) + i;
        let mut order: Vec<usize> = (0..m).collect();
        for k in (1..m).rev() {
            order.swap(k, rng.below(stream, k as u64, k as u64 + 1) as usize);
        }
        out.extend(order);
    }
    out
}

/// Refuses what is not one permutation a row.
pub(super) fn check_orders(orders: &[usize], m: usize) -> Result<()> {
    let is_permutation = |order: &[usize]| {
        let mut seen = vec![false; m];
        order.iter().all(|&j| j < m && !std::mem::replace(&mut seen[j], true))
    };
    if orders.len() != m * m || !orders.chunks_exact(m).all(is_permutation) {
        return Err(Error::value(
            "orders",
            format!("{m} permutations of 0..{m}, one a row"),
            "something else",
            "leave it out to draw them",
        ));
    }
    Ok(())
}

impl Weighting for PcGrad {
    fn weights(&self, gram: &Gram<'_>) -> Result<Vec<f64>> {
        let m = gram.len();
        check_orders(&self.orders, m)?;
        let parts = threads::map(m.div_ceil(8), |task| {
            let mut sum = vec![0.0; m];
            for i in task * 8..m.min((task + 1) * 8) {
                let mut y = gram.row(i).to_vec();
                sum[i] += 1.0;
                for &j in &self.orders[i * m..(i + 1) * m] {
                    let square = gram.at(j, j);
                    if j != i && y[j] < 0.0 && square > 0.0 {
                        let step = -y[j] / square;
                        sum[j] += step;
                        for (y, g) in y.iter_mut().zip(gram.row(j)) {
                            *y += step * g;
                        }
                    }
                }
            }
            sum
        });
        let mut weights = vec![0.0; m];
        for part in parts {
            weights.iter_mut().zip(part).for_each(|(w, x)| *w += x);
        }
        Ok(weights)
    }
}
