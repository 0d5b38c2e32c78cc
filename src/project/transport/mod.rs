//! Transport between two masses: entropic, by scaling or by Newton, and exact.
//!
//!   min <P, C> + eps sum P (log P - 1)   over P 1 = a, P^T 1 = b
//!   P_ij = exp((f_i + g_j - C_ij) / eps)
//!   unbalanced: + rho_1 KL(P 1 | a) + rho_2 KL(P^T 1 | b) instead of the constraints
//!
//! Potentials are determined up to (f + c, g - c). Rows and columns without mass are the caller's
//! to drop: every a_i and b_j here is positive.

mod exact;
mod implicit;
mod newton_sparse;
mod sinkhorn;

pub use exact::exact;
pub use implicit::{Gradient, pull};
pub use newton_sparse::newton_sparse;
pub use sinkhorn::sinkhorn;

use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};
use crate::engine::{Error, Result, threads};

/// Rows that one task works on.
const ROWS: usize = 32;
/// Columns that one task works on where sums run down the columns.
const COLUMNS: usize = 64;

/// A transport problem, costs row after row.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// Costs C (n x m).
    pub cost: &'a [f64],
    /// Masses of the rows.
    pub a: &'a [f64],
    /// Masses of the columns.
    pub b: &'a [f64],
    /// Weight of the entropy.
    pub eps: f64,
    /// Weights of the divergences where masses may differ; infinite where they may not.
    pub rho: [f64; 2],
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Marginal error (sum of absolute values) relative to the mass; for unbalanced problems the
    /// largest change of a potential, relative to eps.
    pub tol: f64,
    /// Sweeps, or Newton steps.
    pub max_iter: usize,
    /// Whether to come from larger eps, halved every few sweeps.
    pub anneal: bool,
    /// Sweeps before Newton steps.
    pub warm_up: usize,
}

/// Potentials and how they were reached.
#[derive(Debug, Clone, Default)]
pub struct Potentials {
    /// Of the rows.
    pub f: Vec<f64>,
    /// Of the columns.
    pub g: Vec<f64>,
    /// What is left of the stopping criterion.
    pub residual: f64,
    /// Sweeps, or Newton steps.
    pub iterations: usize,
}

impl<'a> Problem<'a> {
    /// Checks masses, costs and weights.
    pub fn check(&self) -> Result<()> {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        for (name, side) in [("a", self.a), ("b", self.b)] {
            if let Some(mass) = side.iter().find(|&&mass| !positive(mass)) {
                return Err(Error::value(name, "finite and >= 0", mass, "a mass is not negative"));
            }
        }
        if !positive(self.eps) {
            return Err(Error::value("eps", "positive", self.eps, "try 0.05 of the median cost"));
        }
        if let Some(rho) = self.rho.iter().find(|&&rho| rho.is_nan() || rho <= 0.0) {
            return Err(Error::value("rho", "positive", rho, "None asks for exact marginals"));
        }
        if self.cost.iter().any(|c| !c.is_finite()) {
            let fix = "replace such costs by large ones";
            return Err(Error::NonFinite { name: "C".into(), fix: fix.into() });
        }
        let (left, right): (f64, f64) = (self.a.iter().sum(), self.b.iter().sum());
        if self.balanced() && (left - right).abs() > 1e-6 * left.max(right) {
            let allowed = format!("of sum {left}, the sum of a");
            return Err(Error::value("b", allowed, right, "scale it, or give rho"));
        }
        Ok(())
    }

    /// Whether both marginals are exact.
    pub fn balanced(&self) -> bool {
        self.rho.iter().all(|rho| rho.is_infinite())
    }

    fn sizes(&self) -> (usize, usize) {
        (self.a.len(), self.b.len())
    }

    /// The weight of the exact update of f or g: rho / (rho + eps).
    fn damping(&self, side: usize) -> f64 {
        if self.rho[side].is_infinite() {
            1.0
        } else {
            self.rho[side] / (self.rho[side] + self.eps)
        }
    }

    /// Writes the plan.
    pub fn plan(&self, f: &[f64], g: &[f64], out: &mut [f64]) {
        let (_, m) = self.sizes();
        threads::for_each_chunk(out, ROWS * m.max(1), |task, out| {
            let first = task * ROWS;
            let rows = out.len() / m.max(1);
            let cost = &self.cost[first * m..(first + rows) * m];
            simd::dispatch(Exponentials {
                cost,
                f: &f[first..first + rows],
                g,
                eps: self.eps,
                out,
            });
        });
    }

    /// f from g: f_i = damping (eps log a_i - eps log sum_j exp((g_j - C_ij) / eps)).
    fn log_rows(&self, g: &[f64], f: &mut [f64]) {
        let (_, m) = self.sizes();
        let damping = self.damping(0);
        threads::for_each_chunk(f, ROWS, |task, f| {
            for (k, f) in f.iter_mut().enumerate() {
                let i = task * ROWS + k;
                let cost = &self.cost[i * m..(i + 1) * m];
                let sum = simd::dispatch(LogSum { cost, g, eps: self.eps });
                *f = damping * (self.eps * self.a[i].ln() - sum);
            }
        });
    }

    /// g from f, in the same way.
    fn log_columns(&self, f: &[f64], g: &mut [f64]) {
        let (_, m) = self.sizes();
        let damping = self.damping(1);
        threads::for_each_chunk(g, COLUMNS, |task, g| {
            let first = task * COLUMNS;
            let mut sums = [0.0; COLUMNS];
            simd::dispatch(LogColumns {
                cost: self.cost,
                m,
                first,
                f,
                eps: self.eps,
                sums: &mut sums[..g.len()],
            });
            for ((g, sum), b) in g.iter_mut().zip(&sums).zip(&self.b[first..]) {
                *g = damping * (self.eps * b.ln() - sum);
            }
        });
    }
}

struct Exponentials<'a> {
    cost: &'a [f64],
    f: &'a [f64],
    g: &'a [f64],
    eps: f64,
    out: &'a mut [f64],
}

impl Kernel for Exponentials<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let m = self.g.len();
        let rows = self.out.chunks_exact_mut(m).zip(self.cost.chunks_exact(m));
        for ((out, cost), &f) in rows.zip(self.f) {
            for ((out, &cost), &g) in out.iter_mut().zip(cost).zip(self.g) {
                *out = Float::exp((f + g - cost) / self.eps);
            }
        }
    }
}

/// eps log sum_j exp((g_j - c_j) / eps).
struct LogSum<'a> {
    cost: &'a [f64],
    g: &'a [f64],
    eps: f64,
}

impl Kernel for LogSum<'_> {
    type Output = f64;
    #[inline(always)]
    fn run(self) -> f64 {
        const LANES: usize = 8;
        let (cost, cost_rest) = self.cost.as_chunks::<LANES>();
        let (g, g_rest) = self.g.as_chunks::<LANES>();
        let mut tops = [f64::NEG_INFINITY; LANES];
        for (cost, g) in cost.iter().zip(g) {
            for l in 0..LANES {
                let z = g[l] - cost[l];
                tops[l] = if z > tops[l] { z } else { tops[l] };
            }
        }
        let mut top = tops.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        for (cost, g) in cost_rest.iter().zip(g_rest) {
            top = top.max(g - cost);
        }
        let mut sums = [0.0; LANES];
        for (cost, g) in cost.iter().zip(g) {
            for l in 0..LANES {
                sums[l] += Float::exp((g[l] - cost[l] - top) / self.eps);
            }
        }
        let mut sum: f64 = sums.iter().sum();
        for (cost, g) in cost_rest.iter().zip(g_rest) {
            sum += Float::exp((g - cost - top) / self.eps);
        }
        top + self.eps * sum.ln()
    }
}

/// As [`LogSum`], down the columns `first..first + sums.len()`.
struct LogColumns<'a> {
    cost: &'a [f64],
    m: usize,
    first: usize,
    f: &'a [f64],
    eps: f64,
    sums: &'a mut [f64],
}

impl Kernel for LogColumns<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let width = self.sums.len();
        let mut tops = [f64::NEG_INFINITY; COLUMNS];
        let tops = &mut tops[..width];
        for (row, &f) in self.cost.chunks_exact(self.m).zip(self.f) {
            for (top, cost) in tops.iter_mut().zip(&row[self.first..self.first + width]) {
                let z = f - cost;
                *top = if z > *top { z } else { *top };
            }
        }
        self.sums.fill(0.0);
        for (row, &f) in self.cost.chunks_exact(self.m).zip(self.f) {
            let row = &row[self.first..self.first + width];
            for ((sum, cost), top) in self.sums.iter_mut().zip(row).zip(&*tops) {
                *sum += Float::exp((f - cost - top) / self.eps);
            }
        }
        for (sum, top) in self.sums.iter_mut().zip(tops) {
            *sum = *top + self.eps * sum.ln();
        }
    }
}
