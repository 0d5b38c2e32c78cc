//! Sinkhorn's scaling, stabilised by absorbing the scalings into the potentials.
//!
//! Cuturi 2013, arXiv:1306.0895; Schmitzer 2019, "Stabilized sparse scaling algorithms for entropy
//! regularized transport problems", SIAM J. Sci. Comput. 41; Chizat et al. 2018 for unbalanced
//! masses.
//!
//!   K_ij = exp((f_i + g_j - C_ij) / eps)
//!   u = a / (K v),  v = b / (K^T u)      (to the power rho / (rho + eps), and damped, if unbalanced)
//!   f += eps log u, g += eps log v and K anew when |log u| or |log v| passes 50
//!
//! The first sweep is in the log domain, so that K never starts with empty rows. A sweep reads K
//! once: the row that gives u_i is added to K^T u while it is in cache. Partial sums have fixed
//! bounds and are added in order, so threads do not change the result.

use super::{Options, Potentials, Problem, ROWS};
use crate::engine::simd::{self, Kernel};
use crate::engine::threads;
use crate::linalg::cholesky::dot;

/// |log u| at which scalings are absorbed.
const ABSORB: f64 = 50.0;
/// Sweeps at every level of eps but the last.
const LEVEL: usize = 12;

/// Potentials to tolerance, from the column potentials `start` or from zero.
pub fn sinkhorn(problem: &Problem<'_>, options: &Options, start: Option<&[f64]>) -> Potentials {
    let (n, m) = (problem.a.len(), problem.b.len());
    let mut found = Potentials { f: vec![0.0; n], g: vec![0.0; m], ..Potentials::default() };
    if n * m == 0 {
        return found;
    }
    if let Some(start) = start {
        found.g.copy_from_slice(start);
    }
    if options.anneal {
        let low = problem.cost.iter().fold(f64::INFINITY, |a, &c| a.min(c));
        let high = problem.cost.iter().fold(f64::NEG_INFINITY, |a, &c| a.max(c));
        let mut eps = 0.5 * (high - low);
        while eps > 1.5 * problem.eps {
            let level = Problem { eps, ..*problem };
            Scaling::new(&level, &mut found).run(options.tol.max(1e-3), LEVEL, &mut found);
            eps *= 0.5;
        }
    }
    Scaling::new(problem, &mut found).run(options.tol, options.max_iter, &mut found);
    found
}

struct Scaling<'a> {
    problem: &'a Problem<'a>,
    kernel: Vec<f64>,
    u: Vec<f64>,
    v: Vec<f64>,
    /// Sums of the columns over each block of rows.
    partial: Vec<f64>,
}

impl<'a> Scaling<'a> {
    /// Balances once in the log domain and makes K.
    fn new(problem: &'a Problem<'a>, found: &mut Potentials) -> Self {
        let (n, m) = (problem.a.len(), problem.b.len());
        let mut out = Self {
            problem,
            kernel: vec![0.0; n * m],
            u: vec![1.0; n],
            v: vec![1.0; m],
            partial: vec![0.0; n.div_ceil(ROWS) * m],
        };
        out.restart(found);
        out
    }

    fn restart(&mut self, found: &mut Potentials) {
        let Potentials { f, g, .. } = found;
        self.problem.log_rows(g, f);
        self.problem.log_columns(f, g);
        self.problem.plan(f, g, &mut self.kernel);
        self.u.fill(1.0);
        self.v.fill(1.0);
    }

    fn absorb(&mut self, found: &mut Potentials) {
        let eps = self.problem.eps;
        for (f, u) in found.f.iter_mut().zip(&mut self.u) {
            *f += eps * u.ln();
            *u = 1.0;
        }
        for (g, v) in found.g.iter_mut().zip(&mut self.v) {
            *g += eps * v.ln();
            *v = 1.0;
        }
    }

    fn run(mut self, tol: f64, sweeps: usize, found: &mut Potentials) {
        let mass: f64 = self.problem.a.iter().sum();
        let tol = if self.problem.balanced() { tol * mass } else { tol };
        for _ in 0..sweeps {
            let (before_u, before_v) = (self.u.clone(), self.v.clone());
            let (error, extent) = self.sweep(found);
            found.iterations += 1;
            if !extent.is_finite() {
                // Some sum was lost to underflow: once more, in the log domain.
                (self.u, self.v) = (before_u, before_v);
                self.absorb(found);
                self.restart(found);
                found.residual = f64::INFINITY;
                continue;
            }
            found.residual = error;
            if error <= tol {
                break;
            }
            if extent > ABSORB {
                self.absorb(found);
                self.problem.plan(&found.f, &found.g, &mut self.kernel);
            }
        }
        self.absorb(found);
        if self.problem.balanced() {
            found.residual /= mass;
        }
    }

    /// One update of u and of v. Returns the error before it (of the row marginals, or the largest
    /// change of log u and log v) and the largest |log| of a scaling.
    fn sweep(&mut self, found: &Potentials) -> (f64, f64) {
        let Self { problem, kernel, u, v, partial } = self;
        let (n, m) = (problem.a.len(), problem.b.len());
        let balanced = problem.balanced();
        let update = |side: usize, mass: f64, sum: f64, potential: f64| {
            if problem.rho[side].is_infinite() {
                return mass / sum;
            }
            let eps = problem.eps;
            let new = problem.damping(side) * (eps * (mass / sum).ln() + potential);
            ((new - potential) / eps).exp()
        };
        struct Slot<'s> {
            u: &'s mut [f64],
            partial: &'s mut [f64],
            error: f64,
        }
        let mut slots: Vec<Slot<'_>> = u
            .chunks_mut(ROWS)
            .zip(partial.chunks_mut(m))
            .map(|(u, partial)| Slot { u, partial, error: 0.0 })
            .collect();
        let (kernel, v_now) = (&*kernel, &*v);
        threads::for_each_chunk(&mut slots, 1, |task, slot| {
            let Slot { u, partial, error } = &mut slot[0];
            let first = task * ROWS;
            *error = simd::dispatch(RowBlock {
                kernel: &kernel[first * m..(first + u.len()) * m],
                v: v_now,
                u,
                partial,
                update: |k: usize, sum: f64, old: f64| {
                    let i = first + k;
                    let new = update(0, problem.a[i], sum, found.f[i]);
                    let error = if balanced {
                        (old * sum - problem.a[i]).abs()
                    } else {
                        (new / old).ln().abs()
                    };
                    (new, error)
                },
                sum_errors: balanced,
            });
        });
        let mut error = 0.0_f64;
        for slot in &slots {
            error = if balanced { error + slot.error } else { error.max(slot.error) };
        }
        let mut sums = vec![0.0; m];
        for slot in &slots {
            sums.iter_mut().zip(&*slot.partial).for_each(|(sum, part)| *sum += part);
        }
        for (j, (v, sum)) in v.iter_mut().zip(&sums).enumerate() {
            let new = update(1, problem.b[j], *sum, found.g[j]);
            if !balanced {
                error = error.max((new / *v).ln().abs());
            }
            *v = new;
        }
        let log = |x: &[f64]| {
            x.iter().fold(0.0, |a: f64, x| if x.is_nan() { f64::NAN } else { a.max(x.ln().abs()) })
        };
        let extent = log(u).max(log(v));
        let broken = u.iter().chain(v.iter()).any(|x| !x.is_normal());
        debug_assert_eq!(u.len(), n);
        (error, if broken { f64::INFINITY } else { extent })
    }
}

struct RowBlock<'a, U> {
    kernel: &'a [f64],
    v: &'a [f64],
    u: &'a mut [f64],
    partial: &'a mut [f64],
    update: U,
    sum_errors: bool,
}

impl<U: Fn(usize, f64, f64) -> (f64, f64)> Kernel for RowBlock<'_, U> {
    type Output = f64;
    #[inline(always)]
    fn run(self) -> f64 {
        let Self { kernel, v, u, partial, update, sum_errors } = self;
        partial.fill(0.0);
        let mut total = 0.0_f64;
        for (k, (row, u)) in kernel.chunks_exact(v.len()).zip(u).enumerate() {
            let (new, error) = update(k, dot(row, v), *u);
            total = if sum_errors { total + error } else { total.max(error) };
            *u = new;
            for (sum, k) in partial.iter_mut().zip(row) {
                *sum += new * k;
            }
        }
        total
    }
}
