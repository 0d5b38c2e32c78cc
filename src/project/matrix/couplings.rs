//! The dual of the projection onto couplings, and its semismooth Newton steps.
//!
//!   P = max(0, X_ij + f_i + g_j),   phi(f, g) = |P|^2 / 2 - a.f - b.g  to minimise
//!   gradient (P 1 - a, P^T 1 - b),   Hessian: the signless Laplacian of the support of P
//!
//! A step is taken whole where that does; else to the exact minimum along it, near or far, for phi is
//! piecewise quadratic.

use crate::engine::simd::{self, Kernel};
use crate::linalg::bipartite::Bipartite;
use crate::linalg::cholesky::dot;

const ROUNDS: usize = 500;
/// Steps without a smaller error or dual after which what is left is rounding.
const PATIENCE: usize = 30;
const LANES: usize = 8;

/// A matrix to project, and the masses of its rows and columns.
#[derive(Debug, Clone, Copy)]
pub struct Couplings<'a> {
    pub x: &'a [f64],
    pub a: &'a [f64],
    pub b: &'a [f64],
}

/// Where the steps ended: the potentials, the plan, and the relative error of its marginals.
#[derive(Debug)]
pub struct Found {
    pub f: Vec<f64>,
    pub g: Vec<f64>,
    pub plan: Vec<f64>,
    pub error: f64,
}

/// A point of the dual: the plan, a - P 1, b - P^T 1, and phi.
struct Dual {
    f: Vec<f64>,
    g: Vec<f64>,
    plan: Vec<f64>,
    rows: Vec<f64>,
    columns: Vec<f64>,
    value: f64,
}

/// Fills the plan of x, f, g, and takes its sums off `rows` and `columns`. Returns |P|^2.
struct Fill<'a> {
    x: &'a [f64],
    f: &'a [f64],
    g: &'a [f64],
    plan: &'a mut [f64],
    rows: &'a mut [f64],
    columns: &'a mut [f64],
}

impl Kernel for Fill<'_> {
    type Output = f64;
    #[inline(always)]
    fn run(self) -> f64 {
        let Self { x, f, g, plan, rows, columns } = self;
        let m = g.len();
        let (g, g_rest) = g.as_chunks::<LANES>();
        let (columns, columns_rest) = columns.as_chunks_mut::<LANES>();
        let mut squares = [0.0; LANES];
        let mut square_rest = 0.0;
        let each = x.chunks_exact(m).zip(plan.chunks_exact_mut(m));
        for ((x, plan), (&f, row)) in each.zip(f.iter().zip(rows)) {
            let (x, x_rest) = x.as_chunks::<LANES>();
            let (plan, plan_rest) = plan.as_chunks_mut::<LANES>();
            let mut totals = [0.0; LANES];
            for (((x, g), plan), columns) in x.iter().zip(g).zip(plan).zip(&mut *columns) {
                for l in 0..LANES {
                    let p = x[l] + f + g[l];
                    let p = if p > 0.0 { p } else { 0.0 };
                    plan[l] = p;
                    columns[l] -= p;
                    totals[l] += p;
                    squares[l] += p * p;
                }
            }
            let mut total = simd::fold(&totals);
            let rest = x_rest.iter().zip(g_rest).zip(plan_rest).zip(&mut *columns_rest);
            for (((x, g), plan), column) in rest {
                let p = x + f + g;
                let p = if p > 0.0 { p } else { 0.0 };
                *plan = p;
                *column -= p;
                total += p;
                square_rest += p * p;
            }
            *row -= total;
        }
        simd::fold(&squares) + square_rest
    }
}

/// phi' and phi'' at `t` along (df, dg), up to the linear part of phi'.
struct Along<'a> {
    x: &'a [f64],
    at: [&'a [f64]; 2],
    along: [&'a [f64]; 2],
    t: f64,
}

impl Kernel for Along<'_> {
    type Output = (f64, f64);
    #[inline(always)]
    fn run(self) -> (f64, f64) {
        let Self { x, at: [f, g], along: [df, dg], t } = self;
        let (mut slopes, mut curves) = ([0.0; LANES], [0.0; LANES]);
        for ((x, f), df) in x.chunks_exact(g.len()).zip(f).zip(df) {
            let each = x.chunks(LANES).zip(g.chunks(LANES)).zip(dg.chunks(LANES));
            for ((x, g), dg) in each {
                let lanes = slopes.iter_mut().zip(&mut curves);
                for ((slope, curve), ((x, g), dg)) in lanes.zip(x.iter().zip(g).zip(dg)) {
                    let d = df + dg;
                    let p = x + f + g + t * d;
                    *slope += if p > 0.0 { p * d } else { 0.0 };
                    *curve += if p > 0.0 { d * d } else { 0.0 };
                }
            }
        }
        (simd::fold(&slopes), simd::fold(&curves))
    }
}

impl Dual {
    fn new(problem: Couplings<'_>, f: Vec<f64>, g: Vec<f64>) -> Self {
        let mut plan = vec![0.0; problem.x.len()];
        let (mut rows, mut columns) = (problem.a.to_vec(), problem.b.to_vec());
        let square = simd::dispatch(Fill {
            x: problem.x,
            f: &f,
            g: &g,
            plan: &mut plan,
            rows: &mut rows,
            columns: &mut columns,
        });
        let value = 0.5 * square - dot(problem.a, &f) - dot(problem.b, &g);
        Self { f, g, plan, rows, columns, value }
    }

    fn moved(&self, problem: Couplings<'_>, df: &[f64], dg: &[f64], step: f64) -> Self {
        let to = |from: &[f64], d: &[f64]| from.iter().zip(d).map(|(f, d)| f + step * d).collect();
        Self::new(problem, to(&self.f, df), to(&self.g, dg))
    }

    fn error(&self) -> f64 {
        self.rows.iter().chain(&self.columns).fold(0.0, |a: f64, b| a.max(b.abs()))
    }
}

/// 1 where the plan is positive, 0 elsewhere.
pub fn support(plan: &[f64]) -> Vec<f64> {
    plan.iter().map(|&p| if p > 0.0 { 1.0 } else { 0.0 }).collect()
}

impl Couplings<'_> {
    /// Newton steps from (f, g) until the error of the marginals, relative to the largest mass and
    /// entry, is at most `tol` or rounding ends them.
    pub fn newton(self, f: Vec<f64>, g: Vec<f64>, tol: f64) -> Found {
        let (n, m) = (self.a.len(), self.b.len());
        let size = [self.x, self.a, self.b].into_iter().flatten();
        let size = size.fold(0.0, |a: f64, x| a.max(x.abs()));
        let mut here = Dual::new(self, f, g);
        let (mut best, mut error, mut stale) = (here.plan.clone(), here.error(), 0);
        for _ in 0..ROUNDS {
            if error <= tol * size || stale == PATIENCE {
                break;
            }
            let extra = (error / size).min(1e-3) * 1e-2;
            let Some(laplacian) = Bipartite::new(&support(&here.plan), n, m, extra.max(1e-14))
            else {
                break;
            };
            let (mut df, mut dg) = (here.rows.clone(), here.columns.clone());
            laplacian.solve(&mut df, &mut dg);
            // phi falls at `rate` at first and at `left` after the whole step. Where that is steep
            // the support fell apart, and the next entry may be far away.
            let rate = dot(&df, &here.rows) + dot(&dg, &here.columns);
            let visible = rate > 1e-12 * here.value.abs();
            let whole = here.moved(self, &df, &dg, 1.0);
            let left = dot(&df, &whole.rows) + dot(&dg, &whole.columns);
            let lower = visible && whole.value <= here.value - 1e-4 * rate;
            let good = whole.error() < 0.5 * here.error();
            here = if good || left <= 0.5 * rate && (left >= 0.0 || lower) {
                whole
            } else {
                let step = self.line_search([&here.f, &here.g], [&df, &dg]);
                here.moved(self, &df, &dg, step)
            };
            stale = if visible { 0 } else { stale + 1 };
            if here.error() < error {
                (error, stale) = (here.error(), 0);
                best.copy_from_slice(&here.plan);
            }
        }
        Found { f: here.f, g: here.g, plan: best, error: error / size }
    }

    /// The exact minimiser of phi along (df, dg): Newton on its rising, piecewise linear derivative,
    /// inside a bracket.
    fn line_search(self, at: [&[f64]; 2], along: [&[f64]; 2]) -> f64 {
        let constant = dot(self.a, along[0]) + dot(self.b, along[1]);
        let (mut low, mut high) = (0.0, f64::INFINITY);
        let mut t = 1.0;
        for _ in 0..60 {
            let (slope, curve) = simd::dispatch(Along { x: self.x, at, along, t });
            let slope = slope - constant;
            if slope > 0.0 {
                high = t
            } else {
                low = t
            }
            let mut next = if curve > 0.0 { t - slope / curve } else { 2.0 * t };
            if !(low <= next && next <= high) {
                next = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * t };
            }
            if (next - t).abs() <= 1e-12 * t {
                break;
            }
            t = next;
        }
        t
    }
}
