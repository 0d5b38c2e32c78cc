//! g = scale * (sum of the k largest |x_j|).
//!
//! Along a coordinate at u, with S1 the sum of the k - 1 largest others and tau the k-th largest,
//! g = scale * (S1 + max(|u|, tau)).

use super::pieces::Piece;
use super::ranking::Ranking;
use super::{Denominator, Reach, Shape};
use crate::engine::{Error, Result};

/// Scaled sum of the k largest magnitudes.
pub struct TopK {
    scale: f64,
    ranking: Ranking,
    pieces: [Piece; 3],
    coordinates: usize,
}

impl TopK {
    /// Of `n` zeros.
    ///
    /// # Errors
    /// Unless 1 <= k <= n and scale > 0.
    pub fn new(n: usize, k: usize, scale: f64) -> Result<Self> {
        if !(1..=n).contains(&k) {
            return Err(Error::value("k", format!("in [1, {n}]"), k, "it counts coordinates"));
        }
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(Error::value("scale", "> 0 and finite", scale, "a usual value is 1.0"));
        }
        let piece = Piece { end: 0.0, slope: 0.0, level: 0.0 };
        Ok(Self { scale, ranking: Ranking::new(n, k), pieces: [piece; 3], coordinates: n })
    }
}

impl Denominator for TopK {
    fn reset(&mut self, x: &[f64]) {
        self.ranking.reset(x.iter().map(|x| x.abs()));
    }

    fn value(&self) -> f64 {
        self.scale * self.ranking.sum()
    }

    fn restrict(&mut self, i: usize, x: f64, _reach: Reach) -> Shape<'_> {
        let (sum, tau) = self.ranking.others(i);
        let s = self.scale;
        self.pieces = [
            Piece { end: -tau - x, slope: -s, level: s * (sum - x) },
            Piece { end: tau - x, slope: 0.0, level: s * (sum + tau) },
            Piece { end: f64::INFINITY, slope: s, level: s * (sum + x) },
        ];
        Shape::Linear { pieces: &self.pieces, concave: false, reach: f64::INFINITY }
    }

    fn step(&mut self, i: usize, _eta: f64, u: f64) {
        self.ranking.set(i, u.abs());
    }

    fn coordinates(&self) -> Option<usize> {
        Some(self.coordinates)
    }
}
