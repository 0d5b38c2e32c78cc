//! The alternating direction method of multipliers, on the split s = H y.
//!
//! Boyd et al. 2011; Stellato et al. 2020 (OSQP) for the balancing of rho.
//!
//!   y = argmin |y - z|^2 / 2 + rho |H y - s + w|^2 / 2 = z - H^T t,
//!       (H H^T + I / rho) t = H z - s + w
//!   s = min(H y + w, c),  w += H y - s,  mu = rho w
//!
//! Only H H^T is factored, once for each rho; H y = H z - H H^T t.

use super::Polyhedron;
use crate::linalg::cholesky;
use crate::linalg::cholesky::dot;

/// Iterations between looks at the balance of the residuals.
const BALANCE: usize = 20;

pub(super) fn solve(set: &Polyhedron, z: &[f64], mu: Vec<f64>) -> (Vec<f64>, usize) {
    let m = mu.len();
    let hz: Vec<f64> = set.each().map(|row| dot(row, z)).collect();
    let mut rho = 1.0;
    let Some(mut factor) = factored(set, m, rho) else { return (mu, 0) };
    let mut w: Vec<f64> = mu.iter().map(|mu| mu / rho).collect();
    let mut s: Vec<f64> = (0..m)
        .map(|j| (hz[j] - dot(&set.products[j * m..(j + 1) * m], &mu)).min(set.sides[j]))
        .collect();
    let mut hy = hz.clone();
    let size = z.iter().fold(1e-300, |a: f64, z| a.max(z.abs()));
    for iteration in 0..set.max_iter {
        let now: Vec<f64> = w.iter().map(|w| (rho * w).max(0.0)).collect();
        if let Some(done) = set.finished(z, &now, iteration) {
            return (done, iteration);
        }
        let rhs: Vec<f64> = (0..m).map(|j| hz[j] - s[j] + w[j]).collect();
        let mut t = rhs.clone();
        cholesky::substitute(&factor, m, &mut t);
        // H H^T t = rhs - t / rho.
        (0..m).for_each(|j| hy[j] = hz[j] - rhs[j] + t[j] / rho);
        let (mut primal, mut dual) = (0.0_f64, 0.0_f64);
        for j in 0..m {
            let next = (hy[j] + w[j]).min(set.sides[j]);
            dual = dual.max(rho * (next - s[j]).abs());
            s[j] = next;
            w[j] += hy[j] - next;
            primal = primal.max((hy[j] - next).abs());
        }
        if primal.max(dual) <= 0.1 * set.tol * size {
            return (w.iter().map(|w| (rho * w).max(0.0)).collect(), iteration + 1);
        }
        if iteration % BALANCE == BALANCE - 1 {
            let ratio = (primal / dual.max(1e-300)).sqrt().clamp(0.1, 10.0);
            if !(0.3..=3.0).contains(&ratio) {
                let Some(next) = factored(set, m, rho * ratio) else { break };
                factor = next;
                rho *= ratio;
                w.iter_mut().for_each(|w| *w /= ratio);
            }
        }
    }
    (w.iter().map(|w| (rho * w).max(0.0)).collect(), set.max_iter)
}

fn factored(set: &Polyhedron, m: usize, rho: f64) -> Option<Vec<f64>> {
    let mut factor = set.products.clone();
    (0..m).for_each(|j| factor[j * m + j] += 1.0 / rho);
    cholesky::factor(&mut factor, m, 1e-13).then_some(factor)
}
