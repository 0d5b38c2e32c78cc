//! OptEx: gradients at points to come, estimated by kernel regression on those already taken.
//!
//! Shu, Fang, He, Yu 2024, "OptEx: expediting first-order optimization with approximately parallelized
//! iterations", NeurIPS, arXiv:2402.11427.
//!
//!   X, G points and gradients of the history   z a new point   s2 noise   l length scale
//!   k(x, z) = (1 + r + r^2 / 3) exp(-r),  r = sqrt(5) |x - z| / l        (Matern 5/2)
//!   c = (K + s2 I)^-1 k(X, z)
//!   ghat(z) = sum_i c_i G_i
//!
//! Weights of gradients, not their products with the inverse as in the paper: what is solved for is
//! a vector of the length of the history, whatever the number of parameters. Cost O(T0 d) a point and
//! O(T0^3) a factor, in f64.

use crate::engine::real::Float;
use crate::engine::{Error, Result, reduce, threads};
use crate::linalg::cholesky;

/// Least pivot, relative to its diagonal.
const TOLERANCE: f64 = 1e-14;

/// Adds the squared distance of each row to `point`.
pub fn add_distances<F: Float>(rows: &[&[F]], point: &[F], out: &mut [f64]) {
    add(rows, out, |row| {
        reduce::sum([row, point], |[a, b]| {
            let difference = a.to_f64() - b.to_f64();
            difference * difference
        })
    });
}

/// Adds the inner product of each row with `point`.
pub fn add_products<F: Float>(rows: &[&[F]], point: &[F], out: &mut [f64]) {
    add(rows, out, |row| reduce::dot(row, point));
}

fn add<F: Float>(rows: &[&[F]], out: &mut [f64], of: impl Fn(&[F]) -> f64 + Sync) {
    let sums = threads::map(rows.len(), |i| of(rows[i]));
    for (out, sum) in out.iter_mut().zip(sums) {
        *out += sum;
    }
}

fn matern(square: f64, length: f64) -> f64 {
    let r = (5.0 * square).sqrt() / length;
    (1.0 + r + r * r / 3.0) * (-r).exp()
}

/// The Cholesky factor (lower triangle) of the kernel matrix with noise, from squared distances.
///
/// # Errors
/// [`Error::Value`] if the matrix is singular to working precision.
pub fn factor(distances: &[f64], n: usize, length: f64, noise: f64) -> Result<Vec<f64>> {
    let mut matrix: Vec<f64> = distances.iter().map(|&square| matern(square, length)).collect();
    for i in 0..n {
        matrix[i * n + i] += noise;
    }
    if cholesky::factor(&mut matrix, n, TOLERANCE) {
        Ok(matrix)
    } else {
        let allowed = "large enough for the points of the history to differ";
        Err(Error::value("noise", allowed, noise, "raise it to 1e-6, or lower length_scale"))
    }
}

/// The weights of the gradients whose sum is the estimate at a point, from its squared distances.
pub fn weights(factor: &[f64], distances: &[f64], length: f64) -> Vec<f64> {
    let mut weights: Vec<f64> = distances.iter().map(|&square| matern(square, length)).collect();
    cholesky::substitute(factor, weights.len(), &mut weights);
    weights
}

/// The candidate length that predicts the newest `held` gradients best from the older ones, in mean
/// square; the first of equals, and of those that no candidate predicts.
///
/// `distances` and `gramian` are n x n, over points and gradients in the order of time.
pub fn best_length(
    distances: &[f64],
    gramian: &[f64],
    n: usize,
    held: usize,
    candidates: &[f64],
    noise: f64,
) -> Option<f64> {
    let old = n - held.min(n);
    let among: Vec<f64> = (0..old).flat_map(|i| &distances[i * n..i * n + old]).copied().collect();
    let error = |length: f64| {
        let Ok(factor) = factor(&among, old, length, noise) else { return f64::INFINITY };
        let of = |i: usize| {
            let row = &gramian[i * n..(i + 1) * n];
            let c = weights(&factor, &distances[i * n..i * n + old], length);
            let cross = cholesky::dot(&c, &row[..old]);
            let inner = (0..old).map(|j| c[j] * cholesky::dot(&c, &gramian[j * n..j * n + old]));
            row[i] - 2.0 * cross + inner.sum::<f64>()
        };
        (old..n).map(of).sum()
    };
    let errors = candidates.iter().map(|&length| (length, error(length)));
    errors.reduce(|best, next| if next.1 < best.1 { next } else { best }).map(|best| best.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on a line, and the gradients of a quadratic there.
    fn line(n: usize) -> (Vec<f64>, Vec<f64>) {
        let at = |i: usize| i as f64 * 0.1;
        let pairs = || (0..n).flat_map(|i| (0..n).map(move |j| (at(i), at(j))));
        let gradient = |x: f64| x - 0.7;
        (
            pairs().map(|(a, b)| (a - b) * (a - b)).collect(),
            pairs().map(|(a, b)| gradient(a) * gradient(b)).collect(),
        )
    }

    #[test]
    fn weights_interpolate_without_noise() {
        let n = 6;
        let (distances, _) = line(n);
        let factor = factor(&distances, n, 0.5, 1e-10).unwrap();
        for i in 0..n {
            let found = weights(&factor, &distances[i * n..(i + 1) * n], 0.5);
            for (j, weight) in found.iter().enumerate() {
                assert!((weight - f64::from(u8::from(i == j))).abs() < 1e-5, "{found:?}");
            }
        }
    }

    #[test]
    fn a_smooth_field_asks_for_a_long_scale() {
        let n = 10;
        let (distances, gramian) = line(n);
        let candidates = [1e-3, 1e-2, 1.0, 10.0];
        let found = best_length(&distances, &gramian, n, 2, &candidates, 1e-6);
        assert!(found >= Some(1.0), "{found:?}");
        assert_eq!(best_length(&distances, &gramian, n, 2, &[], 1e-6), None);
    }

    #[test]
    fn equal_points_without_noise_are_refused() {
        let error = factor(&[0.0; 4], 2, 1.0, 0.0).unwrap_err().to_string();
        assert!(error.contains("noise") && error.contains("length_scale"), "{error}");
    }

    #[test]
    fn sums_over_rows_are_added() {
        let data: Vec<f32> = (0..3000).map(|i| (i as f32).cos()).collect();
        let rows: Vec<&[f32]> = data.chunks(1000).collect();
        let (mut distances, mut products) = ([1.0; 3], [1.0; 3]);
        add_distances(&rows, rows[1], &mut distances);
        add_products(&rows, rows[1], &mut products);
        assert_eq!(distances[1], 1.0);
        let norm = |i: usize| reduce::sum_of_squares(rows[i]);
        let wanted = norm(0) + norm(1) - 2.0 * (products[0] - 1.0);
        assert!((distances[0] - 1.0 - wanted).abs() < 1e-9);
    }
}
