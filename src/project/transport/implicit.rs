//! Gradients of an entropic plan, by the implicit function theorem.
//!
//! Eisenberger et al. 2022, "A unified framework for implicit Sinkhorn differentiation", CVPR.
//!
//!   T = -(P o V) / eps for the cotangent V of P
//!   [[diag(r k_1), P], [P^T, diag(c k_2)]] (alpha, beta) = (T 1, T^T 1),  k = 1 + eps / rho
//!   dC = T - P o (alpha_i + beta_j),  da = -eps alpha r / a,  db = -eps beta c / b
//!
//! r = P 1 and c = P^T 1. For balanced problems da and db are defined up to a constant; they are
//! returned centred. Memory O(n m), whatever the number of sweeps.

use super::Problem;
use crate::linalg::bipartite::Bipartite;

/// Gradients in costs and masses.
#[derive(Debug, Clone)]
pub struct Gradient {
    /// In C.
    pub cost: Vec<f64>,
    /// In a.
    pub a: Vec<f64>,
    /// In b.
    pub b: Vec<f64>,
}

/// Pulls the cotangent `v` of `plan` back.
pub fn pull(problem: &Problem<'_>, plan: &[f64], v: &[f64]) -> Gradient {
    let (n, m) = (problem.a.len(), problem.b.len());
    let mut cost: Vec<f64> = plan.iter().zip(v).map(|(p, v)| -p * v / problem.eps).collect();
    let (mut alpha, mut beta) = (vec![0.0; n], vec![0.0; m]);
    let (mut r, mut c) = (vec![0.0; n], vec![0.0; m]);
    for i in 0..n {
        for j in 0..m {
            let k = i * m + j;
            alpha[i] += cost[k];
            beta[j] += cost[k];
            r[i] += plan[k];
            c[j] += plan[k];
        }
    }
    let extra = problem.rho.map(|rho| problem.eps / rho);
    if let Some(matrix) = Bipartite::with_extra(plan, n, m, extra) {
        matrix.solve(&mut alpha, &mut beta);
    }
    for i in 0..n {
        for j in 0..m {
            cost[i * m + j] -= plan[i * m + j] * (alpha[i] + beta[j]);
        }
    }
    let side = |x: &[f64], sums: &[f64], masses: &[f64]| -> Vec<f64> {
        let each = x.iter().zip(sums).zip(masses);
        each.map(|((x, s), mass)| -problem.eps * x * s / mass).collect()
    };
    let (mut a, mut b) = (side(&alpha, &r, problem.a), side(&beta, &c, problem.b));
    if problem.balanced() {
        center(&mut a);
        center(&mut b);
    }
    Gradient { cost, a, b }
}

fn center(x: &mut [f64]) {
    let mean = x.iter().sum::<f64>() / x.len().max(1) as f64;
    x.iter_mut().for_each(|x| *x -= mean);
}
