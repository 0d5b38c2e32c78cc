//! The minimiser of the model over one group, exactly.
//!
//! Yang and Hastie 2024, "A fast and scalable pathwise solver for group lasso and elastic net
//! penalized regression via block-coordinate descent", section 2.
//!
//!   min_w  tr(w' G w) / 2 - <c, w> + a ||w|| + b ||w||^2 / 2,    G = V' diag(e) V,   z = V c
//!
//! w = 0 where ||z|| <= a; else, with t = ||w||, row k of V w is z_k t / ((e_k + b) t + a), and t
//! solves sum_k ||z_k||^2 / ((e_k + b) t + a)^2 = 1.
//!
//! Deviation: Newton's method runs on one over the root of that sum, which is concave in t, so that
//! it rises to the solution from t = 0 and needs no safeguard.

use super::norm;
use crate::linalg::eigen::Eigen;

/// A group's inner products, decomposed.
#[derive(Debug)]
pub(super) struct Exact(Eigen);

impl Exact {
    /// Decomposes the inner products `gram` of `n` features, row by row.
    pub fn new(gram: &[f64], n: usize) -> Self {
        let mut eigen = Eigen::new(gram, n);
        let cutoff = eigen.cutoff();
        for value in &mut eigen.values {
            *value = if *value > cutoff { *value } else { 0.0 };
        }
        Self(eigen)
    }

    /// The minimiser, given coefficients `w` (a row of tasks for each feature), minus the gradient
    /// `q` of the smooth part there, and the strengths of the penalty.
    pub fn minimise(&self, w: &[f64], q: &[f64], strength: f64, ridge: f64) -> Vec<f64> {
        let Eigen { values, vectors } = &self.0;
        let (n, tasks) = (values.len(), w.len() / values.len());
        let rotate = |x: &[f64], k: usize| -> Vec<f64> {
            let mut out = vec![0.0; tasks];
            for (v, row) in vectors[k * n..(k + 1) * n].iter().zip(x.chunks_exact(tasks)) {
                out.iter_mut().zip(row).for_each(|(out, x)| *out += v * x);
            }
            out
        };
        let row = |k: usize| -> Vec<f64> {
            // The right-hand side is a product with the columns: along a direction in which they
            // vanish it is rounding.
            if values[k] == 0.0 {
                return vec![0.0; tasks];
            }
            let (w, q) = (rotate(w, k), rotate(q, k));
            q.iter().zip(&w).map(|(q, w)| q + values[k] * w).collect()
        };
        let z: Vec<Vec<f64>> = (0..n).map(row).collect();
        let squares: Vec<f64> = z.iter().map(|z| norm(z).powi(2)).collect();
        let mut out = vec![0.0; w.len()];
        let size = squares.iter().sum::<f64>().sqrt();
        if size <= strength {
            return out;
        }
        let t = if strength > 0.0 { length(values, &squares, strength, ridge) } else { 1.0 };
        for (k, z) in z.iter().enumerate().filter(|(k, _)| squares[*k] > 0.0) {
            let factor = t / ((values[k] + ridge) * t + strength);
            let vector = &vectors[k * n..(k + 1) * n];
            for (v, out) in vector.iter().zip(out.chunks_exact_mut(tasks)) {
                out.iter_mut().zip(z).for_each(|(out, z)| *out += v * factor * z);
            }
        }
        out
    }
}

/// `t` of the module.
fn length(values: &[f64], squares: &[f64], strength: f64, ridge: f64) -> f64 {
    let mut t = 0.0;
    for _ in 0..100 {
        let (mut sum, mut slope) = (0.0, 0.0);
        for (e, square) in values.iter().zip(squares) {
            let bend = e + ridge;
            let reach = bend * t + strength;
            sum += square / (reach * reach);
            slope += bend * square / (reach * reach * reach);
        }
        // 1 / sqrt(sum) = 1, linearised; at the solution rounding makes the step tiny or negative.
        let step = (sum.sqrt() - 1.0) * sum / slope;
        if step.is_nan() || step <= 1e-16 * t {
            break;
        }
        t += step;
    }
    t
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimiser_is_stationary_and_zero_exactly_below_the_threshold() {
        // Rank two of three: the last feature is the sum of the others.
        let x = [[1.0, 0.5, 1.5], [-0.3, 1.0, 0.7], [0.2, -0.4, -0.2], [0.9, 0.1, 1.0]];
        let gram: Vec<f64> = (0..9).map(|t| x.iter().map(|r| r[t / 3] * r[t % 3]).sum()).collect();
        let exact = Exact::new(&gram, 3);
        let product = |w: &[f64], i: usize, t: usize| -> f64 {
            (0..3).map(|j| gram[i * 3 + j] * w[j * 2 + t]).sum()
        };
        // Right-hand side X'Y for two tasks.
        let y = [[1.0, -2.0], [0.5, 0.1], [2.0, 1.0], [-1.0, 0.4]];
        let c: Vec<f64> = (0..6).map(|s| (0..4).map(|r| x[r][s / 2] * y[r][s % 2]).sum()).collect();
        let from = [0.3, -0.2, 0.1, 0.5, -0.4, 0.2];
        let q: Vec<f64> = (0..6).map(|s| c[s] - product(&from, s / 2, s % 2)).collect();
        for (strength, ridge) in [(0.3, 0.0), (1.5, 0.2), (1e-6, 0.0), (0.0, 0.1)] {
            let w = exact.minimise(&from, &q, strength, ridge);
            let size = norm(&w);
            assert!(size > 0.0);
            for s in 0..6 {
                let slope = product(&w, s / 2, s % 2) - c[s] + (strength / size + ridge) * w[s];
                assert!(slope.abs() < 1e-10, "{strength} {slope}");
            }
        }
        let edge = norm(&c);
        assert!(exact.minimise(&from, &q, edge * 1.001, 0.0).iter().all(|w| *w == 0.0));
        assert!(norm(&exact.minimise(&from, &q, edge * 0.999, 0.0)) > 0.0);
    }
}
