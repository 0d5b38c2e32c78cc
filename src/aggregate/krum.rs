//! Krum: the gradients that have the closest company.
//!
//! Blanchard et al. 2017, "Machine Learning with Adversaries", NeurIPS.
//!
//!   score_i = sum of the m - f - 2 smallest D_ij, j != i     D_ij = |g_i - g_j|^2
//!   w = 1/k on the k smallest scores; ties go to the lower index
//!
//! torchjd sums plain distances; `squared` chooses.

use crate::engine::{Error, Result};

/// Weights of Krum.
#[derive(Debug, Clone, Copy)]
pub struct Krum {
    /// Byzantine rows f to withstand; m >= f + 3.
    pub byzantine: usize,
    /// Rows k to average; m >= k >= 1.
    pub selected: usize,
    /// Squared distances, as in the paper.
    pub squared: bool,
}

impl Krum {
    /// The weights from squared distances (m x m, row-major).
    pub fn weights(&self, distances: &[f64], m: usize) -> Result<Vec<f64>> {
        if m < self.byzantine + 3 || m < self.selected || self.selected == 0 {
            return Err(Error::value(
                "the number of rows of the Jacobian",
                format!("at least {}", (self.byzantine + 3).max(self.selected)),
                m,
                "lower n_byzantine or n_selected, or give more gradients",
            ));
        }
        let near = m - self.byzantine - 2;
        let mut scores: Vec<(f64, usize)> = (0..m)
            .map(|i| {
                let mut row: Vec<f64> = (0..m)
                    .filter(|&j| j != i)
                    .map(|j| distances[i * m + j].max(0.0))
                    .map(|square| if self.squared { square } else { square.sqrt() })
                    .collect();
                row.sort_by(f64::total_cmp);
                (row[..near].iter().sum(), i)
            })
            .collect();
        scores.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut weights = vec![0.0; m];
        for &(_, i) in &scores[..self.selected] {
            weights[i] = 1.0 / self.selected as f64;
        }
        Ok(weights)
    }
}
