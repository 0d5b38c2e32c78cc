//! Dykstra's algorithm for half-spaces, where the increment of a set is a multiple of its normal.
//!
//! Boyle and Dykstra 1986; Hildreth 1957.
//!
//!   for j = 1..m:  mu = max(0, mu_j + h_j.y - c_j);  y -= (mu - mu_j) h_j;  mu_j = mu
//!
//! Stops when both the point and the multipliers moved less than tol in a cycle, or when the rows
//! that bind are found.

use super::Polyhedron;
use crate::linalg::cholesky::dot;

pub(super) fn solve(set: &Polyhedron, z: &[f64], mut mu: Vec<f64>) -> (Vec<f64>, usize) {
    let mut y = z.to_vec();
    for (row, &mu) in set.each().zip(&mu) {
        y.iter_mut().zip(row).for_each(|(y, h)| *y -= mu * h);
    }
    let size = z.iter().fold(1e-300, |a: f64, z| a.max(z.abs()));
    for cycle in 0..set.max_iter {
        if let Some(done) = set.finished(z, &mu, cycle) {
            return (done, cycle);
        }
        let mut moved = 0.0_f64;
        for ((row, &side), mu) in set.each().zip(&set.sides).zip(&mut mu) {
            if side == f64::INFINITY {
                continue;
            }
            let new = (*mu + dot(row, &y) - side).max(0.0);
            let step = new - *mu;
            if step != 0.0 {
                y.iter_mut().zip(row).for_each(|(y, h)| *y -= step * h);
                moved = moved.max(step.abs());
                *mu = new;
            }
        }
        if moved <= 0.1 * set.tol * size {
            return (mu, cycle + 1);
        }
    }
    (mu, set.max_iter)
}
