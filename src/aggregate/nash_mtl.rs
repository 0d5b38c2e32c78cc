//! Nash-MTL: the Nash bargaining solution among the losses.
//!
//! Navon et al. 2022, "Multi-Task Learning as a Bargaining Game", ICML, arXiv:2202.01017.
//!
//!   G w = 1 / w,  w > 0;  then w is scaled so that |J^T w| <= max_norm (0: not scaled)
//!
//! The equation is FairGrad's with alpha = 1, solved to rounding where the authors linearise it
//! twenty times.

use super::{FairGrad, Gram, Weighting};
use crate::engine::Result;

/// Weights of Nash-MTL.
#[derive(Debug, Clone, Copy)]
pub struct NashMtl {
    /// Longest update, >= 0; 0 for any length.
    pub max_norm: f64,
}

impl Weighting for NashMtl {
    fn weights(&self, gram: &Gram<'_>) -> Result<Vec<f64>> {
        let mut weights = FairGrad { alpha: 1.0 }.weights(gram)?;
        if self.max_norm > 0.0 {
            let square: f64 = gram.times(&weights).iter().zip(&weights).map(|(g, w)| g * w).sum();
            let length = square.max(0.0).sqrt();
            if length > self.max_norm {
                weights.iter_mut().for_each(|w| *w *= self.max_norm / length);
            }
        }
        Ok(weights)
    }
}
