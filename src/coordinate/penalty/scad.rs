//! Smoothly clipped absolute deviation.
//!
//! Fan and Li 2001, "Variable selection via nonconcave penalized likelihood", JASA 96.
//!
//!   pen(w) = a |w|                                              for |w| <= a
//!            (2 gamma a |w| - w^2 - a^2) / (2 (gamma - 1))      for |w| <= gamma a
//!            a^2 (gamma + 1) / 2                                beyond,   a = alpha v

use super::{Factors, Penalty};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Scad<'a> {
    /// Strength, >= 0.
    pub alpha: f64,
    /// Width of the concave part, > 2.
    pub gamma: f64,
    /// Factors of the features, >= 0.
    pub factors: Factors<'a>,
}

impl Scad<'_> {
    fn level(&self, j: usize) -> f64 {
        self.alpha * self.factors.at(j)
    }
}

impl Penalty for Scad<'_> {
    fn value(&self, w: f64, j: usize) -> f64 {
        if w == 0.0 {
            return 0.0;
        }
        let (a, w, gamma) = (self.level(j), w.abs(), self.gamma);
        if w <= a {
            a * w
        } else if w <= gamma * a {
            (2.0 * gamma * a * w - w * w - a * a) / (2.0 * (gamma - 1.0))
        } else {
            0.5 * a * a * (gamma + 1.0)
        }
    }

    fn prox(&self, z: f64, step: f64, j: usize) -> f64 {
        let (a, size, gamma) = (self.level(j), z.abs(), self.gamma);
        if a == f64::INFINITY {
            return 0.0;
        }
        // A minimiser is stationary in its piece or at an end of one.
        let middle = if step < gamma - 1.0 {
            ((gamma - 1.0) * size - step * gamma * a) / (gamma - 1.0 - step)
        } else {
            gamma * a
        };
        let candidates = [
            (size - step * a).clamp(0.0, a),
            middle.clamp(a, gamma * a),
            size.max(gamma * a),
            0.0,
            a,
        ];
        let cost = |w: f64| (w - size).powi(2) / (2.0 * step) + self.value(w, j);
        let mut best = 0.0;
        for w in candidates {
            if cost(w) < cost(best) {
                best = w;
            }
        }
        best.copysign(z)
    }

    fn distance(&self, w: f64, x: f64, j: usize) -> f64 {
        let (a, gamma) = (self.level(j), self.gamma);
        if w == 0.0 {
            return (x.abs() - a).max(0.0);
        }
        let slope = ((gamma * a - w.abs()) / (gamma - 1.0)).clamp(0.0, a);
        (x - slope.copysign(w)).abs()
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
        for gamma in [2.2, 3.7] {
            let penalty = Scad { alpha: 0.8, gamma, factors: Factors(None) };
            prox_minimises(&penalty, f64::NEG_INFINITY, f64::INFINITY);
        }
    }
}
