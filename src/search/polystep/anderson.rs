//! Anderson acceleration of a fixed-point iteration g <- T(g).
//!
//! Anderson 1965, "Iterative procedures for nonlinear integral equations", J. ACM 12(4).
//!
//!   r_k = T(g_k) - g_k    dr, dT differences of neighbours, the last `depth` of them
//!   y = argmin |r_k - sum_j y_j dr_j|    g_k+1 = T(g_k) - sum_j y_j dT_j
//!
//! A residual that grows empties the memory. Cost: O(m n + m^2) a step.

use crate::linalg::cholesky;

/// Memory of one iteration.
#[derive(Debug, Clone, Default)]
pub struct Anderson {
    depth: usize,
    last: Option<[Vec<f64>; 2]>,
    differences: Vec<[Vec<f64>; 2]>,
}

const RIDGE: f64 = 1e-10;

impl Anderson {
    /// A memory of `depth` differences; none for 0.
    pub fn new(depth: usize) -> Self {
        Self { depth, ..Self::default() }
    }

    /// Takes g and T(g), and replaces the latter by the accelerated iterate.
    pub fn step(&mut self, before: &[f64], after: &mut [f64]) {
        if self.depth == 0 {
            return;
        }
        let r: Vec<f64> = after.iter().zip(before).map(|(t, g)| t - g).collect();
        if let Some([last_r, last_t]) = &self.last {
            if dot(&r, &r) > dot(last_r, last_r) {
                self.differences.clear();
            } else {
                let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
                self.differences.push([minus(&r, last_r), minus(after, last_t)]);
                if self.differences.len() > self.depth {
                    self.differences.remove(0);
                }
            }
        }
        self.last = Some([r.clone(), after.to_vec()]);
        let m = self.differences.len();
        let mut gram: Vec<f64> = (0..m * m)
            .map(|k| dot(&self.differences[k / m][0], &self.differences[k % m][0]))
            .collect();
        let trace: f64 = (0..m).map(|i| gram[i * m + i]).sum();
        (0..m).for_each(|i| gram[i * m + i] += RIDGE * trace);
        let mut y: Vec<f64> = self.differences.iter().map(|[dr, _]| dot(dr, &r)).collect();
        if m == 0 || trace <= 0.0 || !cholesky::factor(&mut gram, m, 1e-13) {
            return;
        }
        cholesky::substitute(&gram, m, &mut y);
        if y.iter().any(|y| !y.is_finite()) {
            return;
        }
        for ([_, dt], y) in self.differences.iter().zip(y) {
            after.iter_mut().zip(dt).for_each(|(g, d)| *g -= y * d);
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_map_is_solved_in_as_many_steps_as_it_has_dimensions() {
        // g <- A g + b with a spectral radius of 0.95.
        let map = |g: &[f64]| {
            vec![0.9 * g[0] + 0.1 * g[1] + 1.0, 0.8 * g[1] + 0.1 * g[2], 0.95 * g[2] - 1.0]
        };
        let mut g = vec![0.0; 3];
        let mut anderson = Anderson::new(3);
        for _ in 0..6 {
            let mut t = map(&g);
            anderson.step(&g, &mut t);
            g = t;
        }
        let wanted = [0.0, -10.0, -20.0];
        assert!(g.iter().zip(wanted).all(|(g, w)| (g - w).abs() < 1e-3), "{g:?}");
    }

    #[test]
    fn without_memory_nothing_changes() {
        let mut t = [3.0];
        Anderson::new(0).step(&[1.0], &mut t);
        assert_eq!(t, [3.0]);
    }
}
