//! lam times the number of entries that are not zero: keep x iff x^2 > 2 lam.

use super::super::Params;
use super::Entrywise;
use crate::engine::Result;

/// The size above which entries are kept.
#[derive(Debug, Clone, Copy)]
pub struct L0 {
    cut: f64,
}

impl L0 {
    /// From the number `lam`.
    pub fn new(params: &Params<'_>) -> Result<Self> {
        Ok(Self { cut: (2.0 * params.strength(0, "lam")?).sqrt() })
    }
}

impl Entrywise for L0 {
    fn image(&self, x: f64, _: usize) -> f64 {
        if x.abs() > self.cut { x } else { 0.0 }
    }

    fn slope(&self, x: f64, _: usize) -> f64 {
        if x.abs() > self.cut || self.cut == 0.0 { 1.0 } else { 0.0 }
    }
}
