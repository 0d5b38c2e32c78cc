//! IMTL-G: the combination with equal projections on every gradient's direction.
//!
//! Liu et al. 2021, "Towards Impartial Multi-task Learning", ICLR; in the form of
//! arXiv:2406.16232, with weights that may be negative.
//!
//!   v = pinv(G) s     w = v / sum v     (0 where the sum vanishes)
//!
//! Unit rows: v_i = (pinv(H) 1)_i / s_i. The same for full rank, and better conditioned; for
//! dependent rows the pseudo-inverses differ, and `raw` takes that of G, as torchjd does.

use super::{Gram, Normalized, Weighting};
use crate::engine::Result;
use crate::linalg::eigen::Eigen;

/// Weights of IMTL-G.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImtlG {
    /// Inverts G itself instead of the cosines.
    pub raw: bool,
}

impl Weighting for ImtlG {
    fn weights(&self, gram: &Gram<'_>) -> Result<Vec<f64>> {
        let m = gram.len();
        let v = if self.raw {
            Eigen::new(gram.values(), m).pinv(&gram.norms())
        } else {
            let unit = Normalized::new(gram);
            let a = unit.pinv(&vec![1.0; unit.len()]);
            unit.scatter(m, |i| a[i] / unit.s[i])
        };
        let sum: f64 = v.iter().sum();
        let size: f64 = v.iter().map(|v| v.abs()).sum();
        if sum.abs() <= 1e-12 * size || size == 0.0 {
            return Ok(vec![0.0; m]);
        }
        Ok(v.iter().map(|v| v / sum).collect())
    }
}
