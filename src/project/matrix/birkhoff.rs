//! The transport polytope in the Euclidean norm: P >= 0, P 1 = a, P^T 1 = b (Birkhoff: a = b = 1).
//!
//! Li, Sun, Toh 2020, "On the efficient computation of a generalized Jacobian of the projector over
//! the Birkhoff polytope", Math. Program. 179: semismooth Newton on the dual.
//!
//!   P = max(0, X_ij + f_i + g_j),   phi(f, g) = |P|^2 / 2 - a.f - b.g  to minimise
//!   gradient (P 1 - a, P^T 1 - b),   Hessian: the signless Laplacian of the support of P
//!   pull: v - alpha_i - beta_j on the support, (alpha, beta) from the same Laplacian
//!
//! Start: exact projections of rows, then columns, onto simplexes. Exact line search. The residual
//! returned is the largest error of a marginal relative to the largest marginal and entry.

use super::super::{Memory, Params, Set, threshold};
use super::shape;
use crate::engine::{Error, Result};
use crate::linalg::bipartite::Bipartite;
use crate::linalg::cholesky::dot;

const ROUNDS: usize = 200;
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

    /// P, its marginal errors, and phi.
    fn dual(&self, x: &[f64], f: &[f64], g: &[f64], out: &mut Dual) {
        let m = self.b.len();
        out.value = -self.a.iter().zip(f).map(|(a, f)| a * f).sum::<f64>();
        out.value -= self.b.iter().zip(g).map(|(b, g)| b * g).sum::<f64>();
        out.rows.copy_from_slice(self.a);
        out.columns.copy_from_slice(self.b);
        for (i, x) in x.chunks_exact(m.max(1)).enumerate() {
            let (mut total, mut square) = (0.0, 0.0);
            for (j, x) in x.iter().enumerate() {
                let p = (x + f[i] + g[j]).max(0.0);
                out.p[i * m + j] = p;
                out.columns[j] -= p;
                total += p;
                square += p * p;
            }
            out.rows[i] -= total;
            out.value += 0.5 * square;
        }
    }
}

/// The dual at a point: the plan, a - P 1, b - P^T 1 and phi.
struct Dual {
    p: Vec<f64>,
    rows: Vec<f64>,
    columns: Vec<f64>,
    value: f64,
}

impl Dual {
    fn new(rows: usize, columns: usize) -> Self {
        Self {
            p: vec![0.0; rows * columns],
            rows: vec![0.0; rows],
            columns: vec![0.0; columns],
            value: 0.0,
        }
    }

    fn error(&self) -> f64 {
        self.rows.iter().chain(&self.columns).fold(0.0, |a: f64, b| a.max(b.abs()))
    }

    fn support(&self) -> Vec<f64> {
        self.p.iter().map(|&p| f64::from(u8::from(p > 0.0))).collect()
    }
}

impl Polytope<'_> {
    /// Newton steps on the dual from (f, g), for `scale` X; returns the relative error and the plan.
    fn newton(&self, x: &[f64], f: &mut Vec<f64>, g: &mut Vec<f64>, tol: f64) -> (f64, Vec<f64>) {
        let (n, m) = (self.a.len(), self.b.len());
        let mass = self.a.iter().chain(self.b).fold(0.0, |a: f64, b| a.max(*b));
        let size = x.iter().fold(mass, |a: f64, x| a.max(x.abs()));
        let (mut here, mut there) = (Dual::new(n, m), Dual::new(n, m));
        self.dual(x, f, g, &mut here);
        for _ in 0..ROUNDS {
            let error = here.error();
            if error <= tol * size {
                break;
            }
            let extra = (error / size).min(1e-3) * 1e-2;
            let Some(laplacian) = Bipartite::new(&here.support(), n, m, extra.max(1e-14)) else {
                break;
            };
            let (mut df, mut dg) = (here.rows.clone(), here.columns.clone());
            laplacian.solve(&mut df, &mut dg);
            let step = self.line_search(x, [&*f, &*g], [&df, &dg]);
            let to = |from: &[f64], d: &[f64]| -> Vec<f64> {
                from.iter().zip(d).map(|(f, d)| f + step * d).collect()
            };
            let (f2, g2) = (to(f, &df), to(g, &dg));
            self.dual(x, &f2, &g2, &mut there);
            // Near the end the dual no longer shows progress; the gradient does.
            if !(there.value < here.value || there.error() < error) {
                break;
            }
            (*f, *g) = (f2, g2);
            std::mem::swap(&mut here, &mut there);
        }
        (here.error() / size, here.p)
    }

    /// The exact minimiser of phi along (df, dg): Newton on its rising, piecewise linear derivative,
    /// inside a bracket.
    fn line_search(&self, x: &[f64], at: [&[f64]; 2], along: [&[f64]; 2]) -> f64 {
        let m = self.b.len();
        let ([f, g], [df, dg]) = (at, along);
        let constant = dot(self.a, df) + dot(self.b, dg);
        let (mut low, mut high) = (0.0, f64::INFINITY);
        let mut t = 1.0;
        for _ in 0..60 {
            let (mut slope, mut curve) = (-constant, 0.0);
            for (i, row) in x.chunks_exact(m).enumerate() {
                for (j, x) in row.iter().enumerate() {
                    let d = df[i] + dg[j];
                    let p = x + f[i] + g[j] + t * d;
                    if p > 0.0 {
                        slope += p * d;
                        curve += d * d;
                    }
                }
            }
            if slope > 0.0 {
                high = t
            } else {
                low = t
            }
            let mut next = if curve > 0.0 { t - slope / curve } else { 2.0 * t };
            if !(low <= next && next <= high) {
                next = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * t };
            }
            if (next - t).abs() <= 1e-14 * t {
                break;
            }
            t = next;
        }
        t
    }
}

impl Set for Polytope<'_> {
    fn project(&self, x: &mut [f64], memory: &mut Memory) -> f64 {
        let (n, m) = (self.a.len(), self.b.len());
        let mass = self.a.iter().chain(self.b).fold(0.0, |a: f64, b| a.max(*b));
        if mass == 0.0 {
            x.fill(0.0);
            return 0.0;
        }
        let (mut f, mut g) = (vec![0.0; n], vec![0.0; m]);
        // Entries far larger than the masses make a linear program of it: come from smaller ones.
        let size = x.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
        let mut scale = (4.0 * mass / size.max(f64::MIN_POSITIVE)).min(1.0);
        let mut scaled: Vec<f64> = x.iter().map(|x| x * scale).collect();
        let mut line = Vec::new();
        for _ in 0..3 {
            for i in 0..n {
                line.clear();
                line.extend((0..m).map(|j| scaled[i * m + j] + g[j]));
                f[i] = level(&line, self.a[i], memory);
            }
            for j in 0..m {
                line.clear();
                line.extend((0..n).map(|i| scaled[i * m + j] + f[i]));
                g[j] = level(&line, self.b[j], memory);
            }
        }
        while scale < 1.0 {
            self.newton(&scaled, &mut f, &mut g, 1e-4);
            let grow = (1.0 / scale).min(3.0);
            scale *= grow;
            scaled.iter_mut().zip(&*x).for_each(|(s, x)| *s = scale * x);
            f.iter_mut().chain(&mut g).for_each(|f| *f *= grow);
        }
        let (error, plan) = self.newton(x, &mut f, &mut g, TOLERANCE);
        x.copy_from_slice(&plan);
        error
    }

    fn pull(&self, _: &[f64], y: &[f64], v: &mut [f64], _: &mut Memory) {
        let (n, m) = (self.a.len(), self.b.len());
        let support: Vec<f64> = y.iter().map(|&p| f64::from(u8::from(p > 0.0))).collect();
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

/// The shift that makes the positive parts of `line` sum to `mass`.
fn level(line: &[f64], mass: f64, memory: &mut Memory) -> f64 {
    if mass == 0.0 {
        return -line.iter().fold(f64::NEG_INFINITY, |a, &x| a.max(x));
    }
    let (top, tau) = threshold::simplex::<false>(line, mass, &mut memory.values);
    -top - tau
}
