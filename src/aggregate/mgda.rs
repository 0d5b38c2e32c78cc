//! MGDA: the shortest vector in the convex hull of the gradients.
//!
//! Desideri 2012, "Multiple-gradient descent algorithm", C. R. Math. 350; Sener and Koltun 2018,
//! "Multi-Task Learning as Multi-Objective Optimization", arXiv:1810.04650 (Frank-Wolfe).
//!
//!   w = argmin |J^T w|^2  subject to  w >= 0,  sum w = 1
//!
//! Exact: min |x|^2 / 2 subject to g_i . x >= 1 has the multipliers w / |J^T w|^2, and no solution
//! exactly when 0 lies in the hull; its certificate is then w.

use super::{Gram, Normalized, Weighting};
use crate::engine::Result;
use crate::linalg::qp::{Outcome, Solver};

/// Settings of the conditional gradient method that torchjd uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrankWolfe {
    /// Stops when a step is shorter.
    pub epsilon: f64,
    /// Most steps.
    pub max_iters: usize,
}

/// Weights of MGDA.
#[derive(Debug, Clone, Default)]
pub struct Mgda {
    /// Approximates instead of solving exactly.
    pub frank_wolfe: Option<FrankWolfe>,
}

impl Weighting for Mgda {
    fn weights(&self, gram: &Gram<'_>) -> Result<Vec<f64>> {
        Ok(match &self.frank_wolfe {
            Some(settings) => settings.weights(gram),
            None => min_norm(gram).0,
        })
    }
}

/// The weights of the shortest vector in the hull, and whether it is zero.
pub(super) fn min_norm(gram: &Gram<'_>) -> (Vec<f64>, bool) {
    let m = gram.len();
    let norms = gram.norms();
    let zeros = norms.iter().filter(|&&s| s == 0.0).count();
    if zeros > 0 {
        let share = |s: &f64| if *s == 0.0 { 1.0 / zeros as f64 } else { 0.0 };
        return (norms.iter().map(share).collect(), true);
    }
    let unit = Normalized::new(gram);
    let shortest = norms.iter().copied().fold(f64::INFINITY, f64::min);
    // h_i . x >= shortest / s_i, so that the numbers are at most 1.
    let start: Vec<f64> = unit.s.iter().map(|s| -shortest / s).collect();
    let mut solver = Solver::default();
    let (multipliers, stationary) = match solver.solve(&unit.h, &start, 1.0) {
        Outcome::Optimal => (solver.mu.clone(), false),
        Outcome::Infeasible(certificate) => (certificate, true),
    };
    let scaled: Vec<f64> =
        multipliers.iter().zip(&unit.s).map(|(mu, s)| mu * (shortest / s)).collect();
    let total: f64 = scaled.iter().sum();
    (unit.scatter(m, |a| scaled[a] / total), stationary)
}

impl FrankWolfe {
    fn weights(&self, gram: &Gram<'_>) -> Vec<f64> {
        let m = gram.len();
        let mut w = vec![1.0 / m as f64; m];
        let mut gw = gram.times(&w);
        for _ in 0..self.max_iters {
            let t = (0..m).fold(0, |best, i| if gw[i] < gw[best] { i } else { best });
            let a = gw[t];
            let b: f64 = w.iter().zip(&gw).map(|(w, g)| w * g).sum();
            let c = gram.at(t, t);
            let gamma = if c <= a {
                1.0
            } else if b <= a {
                0.0
            } else {
                (b - a) / (b + c - 2.0 * a)
            };
            for (w, (gw, g)) in w.iter_mut().zip(gw.iter_mut().zip(gram.row(t))) {
                *w *= 1.0 - gamma;
                *gw = (1.0 - gamma) * *gw + gamma * g;
            }
            w[t] += gamma;
            if gamma < self.epsilon {
                break;
            }
        }
        w
    }
}
