//! Weights rounded to a grid of integers: scale * clip(round(w / scale), low, high).

use crate::{Error, Result};

/// A grid of integers; ties round to even.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rounding {
    /// Distance of two neighbours, > 0.
    pub scale: f32,
    /// Lowest integer.
    pub low: f32,
    /// Highest integer.
    pub high: f32,
}

impl Rounding {
    /// A signed grid of `bits` bits, 2..=16.
    pub fn new(scale: f32, bits: u32) -> Result<Self> {
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(Error::value(
                "scale",
                "positive and finite",
                scale,
                "a usual value is 0.01",
            ));
        }
        if !(2..=16).contains(&bits) {
            return Err(Error::value("bits", "in 2..=16", bits, "a usual value is 8"));
        }
        let half = (1 << (bits - 1)) as f32;
        Ok(Self { scale, low: -half, high: half - 1.0 })
    }

    /// The grid point of `w`.
    #[inline(always)]
    pub fn of(self, w: f32) -> f32 {
        // Adding 1.5 * 2^23 rounds to an integer, ties to even; the clip keeps it in that range.
        const MAGIC: f32 = 12_582_912.0;
        let level = (w / self.scale).clamp(self.low - 1.0, self.high + 1.0);
        self.scale * ((level + MAGIC) - MAGIC).clamp(self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_even_and_clips() {
        let grid = Rounding::new(1.0, 8).unwrap();
        let cases = [(0.5, 0.0), (1.5, 2.0), (-2.5, -2.0), (127.4, 127.0), (300.0, 127.0)];
        for (w, want) in cases {
            assert_eq!(grid.of(w), want);
        }
        assert_eq!(grid.of(-1e9), -128.0);
        assert!(Rounding::new(0.0, 8).is_err() && Rounding::new(1.0, 1).is_err());
    }
}
