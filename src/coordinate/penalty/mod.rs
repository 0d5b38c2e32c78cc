//! Separable penalties: a function of each coefficient, with its proximal map and conjugate.

mod elastic_net;
mod mcp;
mod scad;

pub use elastic_net::ElasticNet;
pub use mcp::Mcp;
pub use scad::Scad;

use crate::engine::simd::{self, Kernel};

/// One function for each coefficient, zero at zero.
pub trait Penalty: Sync {
    /// Its value at `w` for feature `j`.
    fn value(&self, w: f64, j: usize) -> f64;
    /// `argmin_w (w - z)^2 / (2 step) + value(w, j)`
    fn prox(&self, z: f64, step: f64, j: usize) -> f64;
    /// Distance from `x` to the subdifferential at `w`; zero at a stationary point when `x` is
    /// minus the gradient of the smooth part.
    fn distance(&self, w: f64, x: f64, j: usize) -> f64;
    /// The largest `|x|` for which `w = 0` is stationary.
    fn threshold(&self, j: usize) -> f64;
    /// Whether all the functions are convex, so that the conjugate certifies.
    fn convex(&self) -> bool {
        true
    }
    /// The largest `k <= 1` for which `conjugate(k x)` is finite.
    fn reach(&self, x: f64, j: usize) -> f64;
    /// `sup_w w x - value(w, j)`; only for convex penalties.
    fn conjugate(&self, x: f64, j: usize) -> f64;
    /// As [`Self::reach`] when the smooth part of the penalty at `w` is moved to the datafit,
    /// which makes the dual point track the iterate.
    fn reach_at(&self, _w: f64, x: f64, j: usize) -> f64 {
        self.reach(x, j)
    }
    /// Whether `w` is inside the bounds of feature `j`.
    fn allows(&self, _w: f64, _j: usize) -> bool {
        true
    }
    /// Slope and curvature at `w != 0` where the function is smooth there and the minimiser is
    /// free to move both ways.
    fn smooth_at(&self, w: f64, j: usize) -> Option<(f64, f64)>;

    /// What the certificate needs to know of the features `cols`, whose coefficients and
    /// correlations are `w` and `x`. The loops live here so that they are compiled for each penalty.
    fn scan(&self, cols: &[usize], w: &[f64], x: &[f64]) -> Scan {
        let mut scan = Scan { reach: 1.0, reach_at: 1.0, violation: 0.0, value: 0.0 };
        for ((&j, &w), &x) in cols.iter().zip(w).zip(x) {
            scan.add(self, w, x, j);
        }
        scan
    }

    /// `sum conjugate(k x)`
    fn conjugates(&self, cols: &[usize], x: &[f64], k: f64) -> f64 {
        cols.iter().zip(x).map(|(&j, x)| self.conjugate(k * x, j)).sum()
    }

    /// One pass of coordinate steps on inner products; returns the largest decrease of the model
    /// by one step. `gram` has rows of `stride` numbers, `q` is minus the gradient of the model.
    fn descend(&self, pass: Descent<'_>) -> f64 {
        let mut largest: f64 = 0.0;
        let Descent { order, cols, gram, stride, w, q, greedy } = pass;
        let steepest = |w: &[f64], q: &[f64]| {
            let fall = |&k: &usize| {
                let curvature = gram[k * stride + k];
                let new = self.prox(w[k] + q[k] / curvature, 1.0 / curvature, cols[k]);
                if curvature > 0.0 { curvature * (new - w[k]) * (new - w[k]) } else { 0.0 }
            };
            order
                .iter()
                .map(|k| (fall(k), *k))
                .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))
        };
        for &k in order {
            let k = if greedy { steepest(w, q).map_or(k, |(_, k)| k) } else { k };
            let row = &gram[k * stride..k * stride + q.len()];
            let curvature = row[k];
            if curvature <= 0.0 {
                continue;
            }
            let step = 1.0 / curvature;
            let new = self.prox(w[k] + q[k] * step, step, cols[k]);
            if new != w[k] {
                let d = new - w[k];
                w[k] = new;
                largest = largest.max(curvature * d * d);
                subtract(d, row, q);
            }
        }
        largest
    }
}

/// Arguments of [`Penalty::descend`].
pub struct Descent<'a> {
    /// Positions to visit.
    pub order: &'a [usize],
    /// The feature at each position.
    pub cols: &'a [usize],
    /// Inner products.
    pub gram: &'a [f64],
    /// Length of a row of them.
    pub stride: usize,
    /// Coefficients.
    pub w: &'a mut [f64],
    /// Minus the gradient.
    pub q: &'a mut [f64],
    /// Whether each step takes the position with the largest decrease instead, as many times.
    pub greedy: bool,
}

/// `q -= d row`
pub(crate) fn subtract(d: f64, row: &[f64], q: &mut [f64]) {
    struct Subtract<'a>(f64, &'a [f64], &'a mut [f64]);
    impl Kernel for Subtract<'_> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            for (q, g) in self.2.iter_mut().zip(self.1) {
                *q -= self.0 * g;
            }
        }
    }
    simd::dispatch(Subtract(d, row, q));
}

/// See [`Penalty::scan`].
#[derive(Debug, Clone, Copy)]
pub struct Scan {
    /// Smallest [`Penalty::reach`].
    pub reach: f64,
    /// Smallest [`Penalty::reach_at`].
    pub reach_at: f64,
    /// Largest [`Penalty::distance`].
    pub violation: f64,
    /// Sum of the values.
    pub value: f64,
}

impl Scan {
    #[inline(always)]
    fn add<P: Penalty + ?Sized>(&mut self, penalty: &P, w: f64, x: f64, j: usize) {
        self.reach = self.reach.min(penalty.reach(x, j));
        self.reach_at = self.reach_at.min(penalty.reach_at(w, x, j));
        self.violation = self.violation.max(penalty.distance(w, x, j));
        self.value += penalty.value(w, j);
    }
}

/// Factors of the features, one for all when absent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Factors<'a>(pub Option<&'a [f64]>);

impl Factors<'_> {
    /// The factor of feature `j`.
    #[inline(always)]
    pub fn at(&self, j: usize) -> f64 {
        self.0.map_or(1.0, |v| v[j])
    }
}

/// Soft threshold.
#[inline(always)]
pub(crate) fn soft(z: f64, level: f64) -> f64 {
    if z > level {
        z - level
    } else if z < -level {
        z + level
    } else {
        0.0
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The proximal map against a search over a fine grid and the stationary points.
    pub(crate) fn prox_minimises(penalty: &dyn Penalty, low: f64, high: f64) {
        for step in [0.3, 1.0, 2.5, 7.0] {
            for i in -60..=60 {
                let z = f64::from(i) * 0.1 + 0.013;
                let cost = |w: f64| (w - z).powi(2) / (2.0 * step) + penalty.value(w, 0);
                let w = penalty.prox(z, step, 0);
                assert!((low..=high).contains(&w));
                let best = (-8000..=8000)
                    .map(|k| f64::from(k) * 1e-3)
                    .filter(|w| (low..=high).contains(w))
                    .map(cost)
                    .fold(f64::INFINITY, f64::min);
                assert!(cost(w) <= best + 1e-12, "z {z} step {step}: {} > {best}", cost(w));
            }
        }
    }
}
