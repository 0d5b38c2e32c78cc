//! GradVac: PCGrad with a learned target for every cosine.
//!
//! Wang et al. 2021, "Gradient Vaccine", ICLR, arXiv:2010.05874.
//!
//!   for each i: x = g_i; for j in a random order, j != i: c = x . g_j / (|x| |g_j| + eps);
//!     if c < t_ij: x = x + |x| (t sqrt(1-c^2) - c sqrt(1-t^2)) / (|g_j| sqrt(1-t^2) + eps) g_j
//!     t_ij = (1 - beta) t_ij + beta c
//!   A(J) = sum of the x

use super::{Gram, pcgrad};
use crate::engine::Result;

/// One step of GradVac.
#[derive(Debug, Clone)]
pub struct GradVac {
    /// As in [`PcGrad`](super::PcGrad).
    pub orders: Vec<usize>,
    /// Share of the new cosine in the running target.
    pub beta: f64,
    /// Against division by zero.
    pub eps: f64,
}

impl GradVac {
    /// The weights; moves the targets t (m x m, row-major).
    pub fn weights(&self, gram: &Gram<'_>, targets: &mut [f64]) -> Result<Vec<f64>> {
        let m = gram.len();
        pcgrad::check_orders(&self.orders, m)?;
        assert_eq!(targets.len(), m * m, "one target a pair");
        let norms = gram.norms();
        let mut weights = vec![0.0; m];
        for i in 0..m {
            let mut y = gram.row(i).to_vec();
            let mut square = gram.at(i, i);
            weights[i] += 1.0;
            for &j in &self.orders[i * m..(i + 1) * m] {
                if j == i {
                    continue;
                }
                let length = square.max(0.0).sqrt();
                let c = (y[j] / (length * norms[j] + self.eps)).clamp(-1.0, 1.0);
                let t = targets[i * m + j];
                if c < t {
                    let sine = (1.0 - t * t).max(0.0).sqrt();
                    let step = length * (t * (1.0 - c * c).sqrt() - c * sine)
                        / (norms[j] * sine + self.eps);
                    weights[j] += step;
                    square += step * (2.0 * y[j] + step * gram.at(j, j));
                    for (y, g) in y.iter_mut().zip(gram.row(j)) {
                        *y += step * g;
                    }
                }
                targets[i * m + j] = (1.0 - self.beta) * t + self.beta * c;
            }
        }
        Ok(weights)
    }
}
