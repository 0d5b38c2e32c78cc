//! The weighted mean that particles are drawn to, its weights, and the alpha that spreads them.

use crate::engine::real::Float;
use crate::engine::reduce::{sum, sum_of_squares};
use crate::engine::simd::{self, Kernel};
use crate::engine::threads;

/// Columns of a mean that a task sums.
const COLUMNS: usize = 1024;
/// Where alpha of an effective sample size begins, how close that size comes, and after how many
/// halvings the search for it ends.
const LOWEST: f64 = 1e-5;
const CLOSE: f64 = 0.01;
const HALVINGS: usize = 60;

/// exp(-e), shifted so that the largest is 1; false where none is finite.
pub fn exponentials(exponents: &mut [f64]) -> bool {
    struct Exponentials<'a>(&'a mut [f64]);
    impl Kernel for Exponentials<'_> {
        type Output = bool;
        #[inline(always)]
        fn run(self) -> bool {
            let mut lows = [f64::INFINITY; 8];
            let (eights, rest) = self.0.as_chunks::<8>();
            for eight in eights {
                for l in 0..8 {
                    lows[l] = if eight[l] < lows[l] { eight[l] } else { lows[l] };
                }
            }
            let low = lows.iter().chain(rest).copied().fold(f64::INFINITY, f64::min);
            if low.is_finite() {
                self.0.iter_mut().for_each(|e| *e = Float::exp(low - *e));
            }
            low.is_finite()
        }
    }
    simd::dispatch(Exponentials(exponents))
}

/// Weights of sum 1, in proportion to exp(-e); false where none is finite.
pub fn weigh(exponents: &mut [f64]) -> bool {
    if !exponentials(exponents) {
        return false;
    }
    let total = sum([&*exponents], |[w]| w);
    exponents.iter_mut().for_each(|w| *w /= total);
    true
}

/// The alpha of which (sum w)^2 / sum w^2 = share n, or the nearest in the range.
///
/// Halves the range of its logarithm: linear halvings would not get near a small alpha.
pub fn effective_alpha(costs: &[f64], share: f64, highest: f64) -> f64 {
    let (mut low, mut high) = (LOWEST.min(highest).ln(), highest.ln());
    let mut weights = vec![0.0; costs.len()];
    for _ in 0..HALVINGS {
        let alpha = (0.5 * (low + high)).exp();
        weights.iter_mut().zip(costs).for_each(|(w, f)| *w = alpha * f);
        exponentials(&mut weights);
        let size = sum([&weights[..]], |[w]| w).powi(2) / sum_of_squares(&weights);
        let gap = size - share * costs.len() as f64;
        if gap.abs() < CLOSE {
            return alpha;
        }
        if gap > 0.0 {
            low = 0.5 * (low + high);
        } else {
            high = 0.5 * (low + high);
        }
    }
    (0.5 * (low + high)).exp()
}

/// The weighted sum of rows; rows without weight are not read.
pub fn mean(rows: &[&[f64]], weights: &[f64], out: &mut [f64]) {
    struct Sum<'a>(&'a mut [f64], &'a [&'a [f64]], &'a [f64], usize);
    impl Kernel for Sum<'_> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            let Self(out, rows, weights, start) = self;
            for (row, &w) in rows.iter().zip(weights).filter(|(_, w)| **w != 0.0) {
                out.iter_mut().zip(&row[start..]).for_each(|(out, x)| *out += w * x);
            }
        }
    }
    threads::for_each_chunk(out, COLUMNS, |task, out| {
        out.fill(0.0);
        simd::dispatch(Sum(out, rows, weights, task * COLUMNS));
    });
}

/// The consensus of one particle at `x`: others count less with distance,
/// exp(-alpha (f_j + |x - y_j|^2 / (2 kappa^2))). False where nothing is finite.
pub fn polarised(
    x: &[f64],
    rows: &[&[f64]],
    costs: &[f64],
    [alpha, kappa]: [f64; 2],
    out: &mut [f64],
) -> bool {
    let mut weights: Vec<f64> = rows
        .iter()
        .zip(costs)
        .map(|(row, cost)| {
            let square = sum([x, row], |[a, b]| (a - b) * (a - b));
            alpha * (cost + square / (2.0 * kappa * kappa))
        })
        .collect();
    weigh(&mut weights) && {
        mean(rows, &weights, out);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_survive_huge_costs_and_ignore_bad_ones() {
        let mut weights = [3e300, 1e300, f64::INFINITY];
        assert!(weigh(&mut weights));
        assert_eq!(weights, [0.0, 1.0, 0.0]);
        assert!(!weigh(&mut [f64::INFINITY; 2]));
    }

    #[test]
    fn alpha_gives_the_effective_size() {
        let costs: Vec<f64> = (0..40).map(|i| f64::from(i).sin() * 300.0).collect();
        for share in [0.1, 0.5, 0.9] {
            let alpha = effective_alpha(&costs, share, 1e5);
            let w: Vec<f64> = costs.iter().map(|f| (-alpha * f).exp()).collect();
            let size = w.iter().sum::<f64>().powi(2) / w.iter().map(|w| w * w).sum::<f64>();
            assert!((size - share * 40.0).abs() < 0.01, "{share}: {size}");
        }
        // Nothing in the range makes equal costs count unequally.
        assert!((effective_alpha(&[1.0; 9], 0.5, 1e5) - 1e5).abs() < 1.0);
    }
}
