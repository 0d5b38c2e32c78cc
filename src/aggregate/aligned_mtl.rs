//! Aligned-MTL: make the gradients orthogonal and equally long, then combine.
//!
//! Senushkin et al. 2023, "Independent Component Alignment for Multi-Task Learning", CVPR.
//!
//!   G = V diag(l) V^T     B = sqrt(l_*) V diag(l^-1/2) V^T     w = B p
//!
//! over the eigenvalues above m eps l_max; l_* is the smallest of them, the lower median, or the
//! mean.

use super::{Gram, Weighting, preferences};
use crate::engine::Result;
use crate::linalg::eigen::Eigen;

/// Which eigenvalue sets the common length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// The smallest.
    #[default]
    Min,
    /// The lower median.
    Median,
    /// The mean, as in the authors' code.
    Rmse,
}

/// Weights of Aligned-MTL.
#[derive(Debug, Clone, Default)]
pub struct AlignedMtl {
    /// Preferences p, 1/m each if absent.
    pub preference: Option<Vec<f64>>,
    /// Which eigenvalue sets the common length.
    pub scale: Scale,
}

impl Weighting for AlignedMtl {
    fn weights(&self, gram: &Gram<'_>) -> Result<Vec<f64>> {
        let m = gram.len();
        let p = preferences(self.preference.as_deref(), m, 1.0 / m as f64)?;
        let eigen = Eigen::new(gram.values(), m);
        let cutoff = eigen.cutoff();
        let mut kept: Vec<f64> = eigen.values.iter().copied().filter(|&l| l > cutoff).collect();
        if kept.is_empty() {
            return Ok(p);
        }
        kept.sort_by(f64::total_cmp);
        let scale = match self.scale {
            Scale::Min => kept[0],
            Scale::Median => kept[(kept.len() - 1) / 2],
            Scale::Rmse => kept.iter().sum::<f64>() / kept.len() as f64,
        };
        Ok(eigen.apply(|l| if l > cutoff { (scale / l).sqrt() } else { 0.0 }, &p))
    }
}
