//! The transport polytope in the Euclidean norm: P >= 0, P 1 = a, P^T 1 = b (Birkhoff: a = b = 1).
//!
//! Li, Sun, Toh 2020, "On the efficient computation of a generalized Jacobian of the projector over
//! the Birkhoff polytope", Math. Program. 179: semismooth Newton on the dual.
//!
//!   P = max(0, X_ij + f_i + g_j),   phi(f, g) = |P|^2 / 2 - a.f - b.g  to minimise
//!   gradient (P 1 - a, P^T 1 - b),   Hessian: the signless Laplacian of the support of P
//!   pull: v - alpha_i - beta_j on the support, (alpha, beta) from the same Laplacian
//!
//! Start: exact projections of rows, then columns, onto simplexes. The residual returned is the
//! largest error of a marginal relative to the largest marginal and entry: signs and the form of P
//! hold by construction, so it is the whole of the optimality conditions.

use super::super::{Memory, Params, Set};
use super::couplings::{Couplings, Found, support};
use super::levels::{levels, padded};
use super::shape;
use crate::engine::{Error, Result};
use crate::linalg::bipartite::Bipartite;

/// Projections of rows and columns before the first Newton step.
const SWEEPS: usize = 10;
/// Entries relative to masses from where the problem is reached from smaller ones.
const FAR: f64 = 32.0;
/// Relative error of the marginals at which the work ends.
const TOLERANCE: f64 = 1e-14;

/// Marginals.
#[derive(Debug, Clone)]
pub struct Polytope<'a> {
    a: &'a [f64],
    b: &'a [f64],
}

impl<'a> Polytope<'a> {
    /// From the numbers `rows`, `columns` and the vectors `a`, `b`.
    pub fn new(params: &Params<'a>) -> Result<Self> {
        let (rows, columns) = shape(params)?;
        let (a, b) = (params.vector(0)?, params.vector(1)?);
        for (name, side, size) in [("a", a, rows), ("b", b, columns)] {
            if side.len() != size {
                let (allowed, given) =
                    (format!("of length {size}"), format!("length {}", side.len()));
                return Err(Error::value(
                    name,
                    allowed,
                    given,
                    "give one mass for each row or column",
                ));
            }
            if let Some(mass) = side.iter().find(|&&mass| !(mass >= 0.0 && mass.is_finite())) {
                return Err(Error::value(name, "finite and >= 0", mass, "the set is empty"));
            }
        }
        let (left, right): (f64, f64) = (a.iter().sum(), b.iter().sum());
        if (left - right).abs() > 1e-9 * left.max(right) {
            let allowed = format!("of sum {left}, the sum of a");
            return Err(Error::value("b", allowed, right, "the set is empty; scale b"));
        }
        Ok(Self { a, b })
    }
}

impl Polytope<'_> {
    /// Rows and columns that carry a mass; the others are 0.
    fn carrying(&self) -> [Vec<usize>; 2] {
        [self.a, self.b].map(|side| (0..side.len()).filter(|&k| side[k] > 0.0).collect())
    }
}

/// The nearest couplings of positive masses.
fn nearest(x: &[f64], a: &[f64], b: &[f64]) -> Found {
    let (n, m) = (a.len(), b.len());
    let mass = a.iter().chain(b).fold(0.0, |a: f64, b| a.max(*b));
    // Entries far larger than the masses make a linear program of it: come from smaller ones.
    let size = x.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
    let mut scale = (FAR * mass / size.max(f64::MIN_POSITIVE)).min(1.0);
    let mut scaled: Vec<f64> = x.iter().map(|x| x * scale).collect();
    let (mut f, mut g) = (vec![0.0; n], vec![0.0; m]);
    let lines = padded(n, m, |i, j| scaled[i * m + j]);
    let turned = padded(m, n, |j, i| scaled[i * m + j]);
    for _ in 0..SWEEPS {
        levels(&turned, &g, a, &mut f);
        levels(&lines, &f, b, &mut g);
    }
    while scale < 1.0 {
        let problem = Couplings { x: &scaled, a, b };
        (f, g) = {
            let found = problem.newton(f, g, 100.0 * TOLERANCE);
            (found.f, found.g)
        };
        let grow = (1.0 / scale).min(3.0);
        scale *= grow;
        scaled.iter_mut().zip(x).for_each(|(s, x)| *s = scale * x);
        f.iter_mut().chain(&mut g).for_each(|f| *f *= grow);
    }
    Couplings { x, a, b }.newton(f, g, TOLERANCE)
}

impl Set for Polytope<'_> {
    fn project(&self, x: &mut [f64], _: &mut Memory) -> f64 {
        let [rows, columns] = self.carrying();
        if rows.len() == self.a.len() && columns.len() == self.b.len() {
            let found = nearest(x, self.a, self.b);
            x.copy_from_slice(&found.plan);
            return found.error;
        }
        let m = self.b.len();
        let places: Vec<usize> =
            rows.iter().flat_map(|i| columns.iter().map(move |j| i * m + j)).collect();
        let part: Vec<f64> = places.iter().map(|&k| x[k]).collect();
        let a: Vec<f64> = rows.iter().map(|&i| self.a[i]).collect();
        let b: Vec<f64> = columns.iter().map(|&j| self.b[j]).collect();
        x.fill(0.0);
        if part.is_empty() {
            return 0.0;
        }
        let found = nearest(&part, &a, &b);
        places.iter().zip(&found.plan).for_each(|(&k, plan)| x[k] = *plan);
        found.error
    }

    fn pull(&self, _: &[f64], y: &[f64], v: &mut [f64], _: &mut Memory) {
        let (n, m) = (self.a.len(), self.b.len());
        let support = support(y);
        let (mut alpha, mut beta) = (vec![0.0; n], vec![0.0; m]);
        for (i, alpha) in alpha.iter_mut().enumerate() {
            for (j, beta) in beta.iter_mut().enumerate() {
                let part = support[i * m + j] * v[i * m + j];
                *alpha += part;
                *beta += part;
            }
        }
        if let Some(laplacian) = Bipartite::new(&support, n, m, 1e-15) {
            laplacian.solve(&mut alpha, &mut beta);
        }
        for (i, &alpha) in alpha.iter().enumerate() {
            for (j, &beta) in beta.iter().enumerate() {
                let k = i * m + j;
                v[k] = support[k] * (v[k] - alpha - beta);
            }
        }
    }
}
