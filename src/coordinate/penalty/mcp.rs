//! Minimax concave penalty.
//!
//! Zhang 2010, "Nearly unbiased variable selection under minimax concave penalty", Ann. Statist. 38.
//!
//!   pen(w) = a |w| - w^2 / (2 gamma)   for |w| <= gamma a,   else gamma a^2 / 2,   a = alpha v

use super::{Factors, Penalty, soft};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Mcp<'a> {
    /// Strength, >= 0.
    pub alpha: f64,
    /// Width of the concave part, > 1.
    pub gamma: f64,
    /// Factors of the features, >= 0.
    pub factors: Factors<'a>,
}

impl Mcp<'_> {
    fn level(&self, j: usize) -> f64 {
        self.alpha * self.factors.at(j)
    }
}

impl Penalty for Mcp<'_> {
    fn value(&self, w: f64, j: usize) -> f64 {
        if w == 0.0 {
            return 0.0;
        }
        let (a, w) = (self.level(j), w.abs());
        if w <= self.gamma * a {
            a * w - w * w / (2.0 * self.gamma)
        } else {
            0.5 * self.gamma * a * a
        }
    }

    fn prox(&self, z: f64, step: f64, j: usize) -> f64 {
        let a = self.level(j);
        if a == f64::INFINITY {
            return 0.0;
        }
        if step >= self.gamma {
            // The problem is concave between its ends: the minimiser is 0 or z.
            let stay = 0.5 * z * z / step;
            return if stay <= self.value(z, j) { 0.0 } else { z };
        }
        if z.abs() > self.gamma * a { z } else { soft(z, a * step) / (1.0 - step / self.gamma) }
    }

    fn distance(&self, w: f64, x: f64, j: usize) -> f64 {
        let a = self.level(j);
        if w == 0.0 {
            return (x.abs() - a).max(0.0);
        }
        let slope = (a - w.abs() / self.gamma).max(0.0).copysign(w);
        (x - slope).abs()
    }

    fn threshold(&self, j: usize) -> f64 {
        self.level(j)
    }

    fn convex(&self) -> bool {
        false
    }

    fn reach(&self, _x: f64, _j: usize) -> f64 {
        0.0
    }

    fn conjugate(&self, _x: f64, _j: usize) -> f64 {
        f64::INFINITY
    }

    fn smooth_at(&self, _w: f64, _j: usize) -> Option<(f64, f64)> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinate::penalty::tests::prox_minimises;

    #[test]
    fn the_proximal_map_minimises_for_short_and_long_steps() {
        for gamma in [1.2, 3.0] {
            let penalty = Mcp { alpha: 0.8, gamma, factors: Factors(None) };
            prox_minimises(&penalty, f64::NEG_INFINITY, f64::INFINITY);
        }
    }
}
