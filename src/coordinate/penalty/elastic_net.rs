//! Elastic net, with the l1 norm and ridge as its ends, factors per feature and bounds.
//!
//!   pen(w) = alpha v (rho |w| + (1 - rho) w^2 / 2)   for low <= w <= high
//!
//! `low <= 0 <= high`; `positive` is the box [0, inf). A factor of infinity removes the feature.

use super::{Factors, Penalty, Scan, soft};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct ElasticNet<'a> {
    /// Strength, >= 0.
    pub alpha: f64,
    /// Share of the l1 norm, in [0, 1].
    pub l1_ratio: f64,
    /// Factors of the features, >= 0.
    pub factors: Factors<'a>,
    /// Lower bound, <= 0.
    pub low: f64,
    /// Upper bound, >= 0.
    pub high: f64,
}

impl ElasticNet<'_> {
    #[inline(always)]
    fn parts(&self, j: usize) -> (f64, f64) {
        let v = self.factors.at(j);
        if v == f64::INFINITY {
            return (f64::INFINITY, 0.0);
        }
        (self.alpha * v * self.l1_ratio, self.alpha * v * (1.0 - self.l1_ratio))
    }
}

impl Penalty for ElasticNet<'_> {
    fn value(&self, w: f64, j: usize) -> f64 {
        if w == 0.0 {
            return 0.0;
        }
        let (a, b) = self.parts(j);
        a * w.abs() + 0.5 * b * w * w
    }

    #[inline]
    fn prox(&self, z: f64, step: f64, j: usize) -> f64 {
        let (a, b) = self.parts(j);
        (soft(z, step * a) / (1.0 + step * b)).clamp(self.low, self.high)
    }

    fn distance(&self, w: f64, x: f64, j: usize) -> f64 {
        let (a, b) = self.parts(j);
        // The subdifferential is an interval; at a bound it is unbounded on that side.
        let (mut least, mut most) = match w {
            0.0 => (-a, a),
            w => (a.copysign(w) + b * w, a.copysign(w) + b * w),
        };
        if w <= self.low {
            least = f64::NEG_INFINITY;
        }
        if w >= self.high {
            most = f64::INFINITY;
        }
        (least - x).max(x - most).max(0.0)
    }

    fn threshold(&self, j: usize) -> f64 {
        self.parts(j).0
    }

    fn reach(&self, x: f64, j: usize) -> f64 {
        self.reach_at(0.0, x, j)
    }

    fn reach_at(&self, w: f64, x: f64, j: usize) -> f64 {
        let (a, b) = self.parts(j);
        let bound = if x >= 0.0 { self.high } else { self.low };
        if bound.is_finite() {
            return 1.0;
        }
        let excess = (x - b * w).abs();
        // An unpenalised feature leaves no room at all; rounding is not a violation.
        if excess <= a.max(1e-13 * x.abs()) { 1.0 } else { a / excess }
    }

    fn conjugate(&self, x: f64, j: usize) -> f64 {
        let (a, b) = self.parts(j);
        let excess = x.abs() - a;
        // Rounding of the scaled dual point, not a violation.
        if excess <= 1e-14 * a {
            return 0.0;
        }
        let bound = if x >= 0.0 { self.high } else { -self.low };
        let w = if b > 0.0 { (excess / b).min(bound) } else { bound };
        if w == f64::INFINITY {
            return if a == 0.0 && excess <= 1e-10 { 0.0 } else { f64::INFINITY };
        }
        w * excess - 0.5 * b * w * w
    }

    fn allows(&self, w: f64, _j: usize) -> bool {
        (self.low..=self.high).contains(&w)
    }

    fn scan(&self, cols: &[usize], w: &[f64], x: &[f64]) -> Scan {
        let mut scan = Scan { reach: 1.0, reach_at: 1.0, violation: 0.0, value: 0.0 };
        for ((&j, &w), &x) in cols.iter().zip(w).zip(x) {
            let (a, _) = self.parts(j);
            // Most features: zero, and well inside.
            if w == 0.0 && x.abs() <= a {
                continue;
            }
            scan.add(self, w, x, j);
        }
        scan
    }

    fn conjugates(&self, cols: &[usize], x: &[f64], k: f64) -> f64 {
        let terms = cols.iter().zip(x).filter(|&(&j, x)| (k * x).abs() > self.parts(j).0);
        terms.map(|(&j, x)| self.conjugate(k * x, j)).sum()
    }

    fn smooth_at(&self, w: f64, j: usize) -> Option<(f64, f64)> {
        let (a, b) = self.parts(j);
        (w > self.low && w < self.high).then(|| (a.copysign(w) + b * w, b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinate::penalty::tests::prox_minimises;

    fn cases() -> [ElasticNet<'static>; 4] {
        let base = ElasticNet {
            alpha: 0.8,
            l1_ratio: 1.0,
            factors: Factors(None),
            low: f64::NEG_INFINITY,
            high: f64::INFINITY,
        };
        [
            base,
            ElasticNet { l1_ratio: 0.4, ..base },
            ElasticNet { low: 0.0, ..base },
            ElasticNet { l1_ratio: 0.7, low: -0.5, high: 1.5, ..base },
        ]
    }

    #[test]
    fn the_proximal_map_minimises_and_is_stationary() {
        for penalty in cases() {
            prox_minimises(&penalty, penalty.low, penalty.high);
            for i in -40..40 {
                let z = f64::from(i) * 0.17;
                let w = penalty.prox(z, 1.0, 0);
                assert!(penalty.distance(w, z - w, 0) < 1e-12);
            }
        }
    }

    #[test]
    fn the_conjugate_is_the_supremum() {
        for penalty in cases() {
            for i in -30..30 {
                let x = f64::from(i) * 0.11;
                let k = penalty.reach(x, 0);
                let sup = (-20_000..=20_000)
                    .map(|t| f64::from(t) * 1e-3)
                    .filter(|w| (penalty.low..=penalty.high).contains(w))
                    .map(|w| w * k * x - penalty.value(w, 0))
                    .fold(f64::NEG_INFINITY, f64::max);
                let value = penalty.conjugate(k * x, 0);
                assert!((value - sup).abs() < 1e-5, "{x} {k} {value} {sup}");
            }
        }
    }
}
