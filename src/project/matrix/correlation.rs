//! The nearest correlation matrix: positive semidefinite with unit diagonal.
//!
//! Qi and Sun 2006, "A quadratically convergent Newton method for computing the nearest correlation
//! matrix", SIAM J. Matrix Anal. Appl. 28.
//!
//!   Y = (X + diag(d))_+,   F(d) = diag(Y) - 1 = 0 by Newton with conjugate gradients and Armijo
//!   J h = diag(D[diag(h)]),  D the derivative of the positive part at X + diag(d)
//!   pull: D V - D diag(z),  J z = diag(D V)

use super::super::{Memory, Params, Set};
use super::psd::{decompose, derivative, positive_part};
use super::{square, symmetrize};
use crate::engine::Result;
use crate::linalg::cholesky::dot;
use crate::linalg::eigen::Eigen;

const ROUNDS: usize = 100;

/// The set of n x n correlation matrices.
#[derive(Debug, Clone, Copy)]
pub struct Correlation {
    n: usize,
}

/// A point of the dual: the shifted matrix's spectrum, its positive part, F and the dual value.
struct Point {
    eigen: Eigen,
    y: Vec<f64>,
    f: Vec<f64>,
    value: f64,
}

impl Correlation {
    /// From the numbers `rows`, `columns`.
    pub fn new(params: &Params<'_>) -> Result<Self> {
        Ok(Self { n: square(params)? })
    }

    fn point(&self, x: &[f64], d: &[f64]) -> Point {
        let n = self.n;
        let mut y = x.to_vec();
        (0..n).for_each(|i| y[i * n + i] += d[i]);
        let eigen = decompose(&y, n);
        positive_part(&mut y, &eigen, n);
        let f: Vec<f64> = (0..n).map(|i| y[i * n + i] - 1.0).collect();
        let square: f64 = eigen.values.iter().map(|l| l.max(0.0).powi(2)).sum();
        Point { eigen, y, f, value: 0.5 * square - d.iter().sum::<f64>() }
    }

    /// Solves (J + shift) h = f by conjugate gradients, preconditioned by the diagonal of J.
    fn newton(&self, eigen: &Eigen, f: &[f64], shift: f64, tol: f64) -> Vec<f64> {
        let n = self.n;
        let times = |h: &[f64]| -> Vec<f64> {
            let mut v = vec![0.0; n * n];
            (0..n).for_each(|i| v[i * n + i] = h[i]);
            derivative(eigen, &mut v, n);
            (0..n).map(|i| v[i * n + i] + shift * h[i]).collect()
        };
        let mut x = vec![0.0; n];
        let mut r = f.to_vec();
        let mut p = r.clone();
        let mut rr = dot(&r, &r);
        let stop = tol * rr.sqrt();
        for _ in 0..4 * n + 20 {
            if rr.sqrt() <= stop {
                break;
            }
            let q = times(&p);
            let curvature = dot(&p, &q);
            if curvature <= 0.0 {
                break;
            }
            let step = rr / curvature;
            x.iter_mut().zip(&p).for_each(|(x, p)| *x += step * p);
            r.iter_mut().zip(&q).for_each(|(r, q)| *r -= step * q);
            let next = dot(&r, &r);
            p.iter_mut().zip(&r).for_each(|(p, r)| *p = r + next / rr * *p);
            rr = next;
        }
        x
    }

    fn solve(&self, x: &[f64]) -> (Point, f64) {
        let n = self.n;
        let mut d: Vec<f64> = (0..n).map(|i| 1.0 - x[i * n + i]).collect();
        let mut here = self.point(x, &d);
        let size = x.iter().fold(1.0, |a: f64, x| a.max(x.abs()));
        let worst = |p: &Point| p.f.iter().fold(0.0, |a: f64, f| a.max(f.abs())) / size;
        for _ in 0..ROUNDS {
            let error = worst(&here);
            if error <= 1e-15 * n as f64 {
                break;
            }
            let h = self.newton(&here.eigen, &here.f, 1e-14, (error * 1e-2).clamp(1e-12, 1e-2));
            let along = dot(&h, &here.f);
            let (mut step, mut moved) = (1.0, false);
            while step > 1e-10 {
                let to: Vec<f64> = d.iter().zip(&h).map(|(d, h)| d - step * h).collect();
                let there = self.point(x, &to);
                let enough = there.value <= here.value - 1e-4 * step * along;
                if enough && worst(&there) < error || worst(&there) < 0.5 * error {
                    (d, here, moved) = (to, there, true);
                    break;
                }
                if enough && step < 1.0 {
                    (d, here, moved) = (to, there, true);
                    break;
                }
                step *= 0.5;
            }
            if !moved {
                break;
            }
        }
        let error = worst(&here);
        (here, error)
    }
}

impl Set for Correlation {
    fn project(&self, x: &mut [f64], _: &mut Memory) -> f64 {
        let n = self.n;
        symmetrize(x, n);
        let (point, error) = self.solve(x);
        x.copy_from_slice(&point.y);
        if error < 1e-12 {
            // Rounding of the last step: the diagonal is known.
            (0..n).for_each(|i| x[i * n + i] = 1.0);
        }
        error
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], _: &mut Memory) {
        let n = self.n;
        let mut sym = x.to_vec();
        symmetrize(&mut sym, n);
        let (point, _) = self.solve(&sym);
        symmetrize(v, n);
        derivative(&point.eigen, v, n);
        let diagonal: Vec<f64> = (0..n).map(|i| v[i * n + i]).collect();
        let z = self.newton(&point.eigen, &diagonal, 0.0, 1e-14);
        let mut correction = vec![0.0; n * n];
        (0..n).for_each(|i| correction[i * n + i] = z[i]);
        derivative(&point.eigen, &mut correction, n);
        v.iter_mut().zip(&correction).for_each(|(v, c)| *v -= c);
    }
}
