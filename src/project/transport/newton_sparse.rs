//! Sinkhorn-Newton-Sparse: scaling sweeps first, then Newton steps on a sparsified Hessian.
//!
//! Tang et al. 2024, "Accelerating Sinkhorn algorithm with sparse Newton iterations", ICLR,
//! arXiv:2401.12253.
//!
//!   dual a.f + b.g - eps sum P,  gradient (a - P 1, b - P^T 1)
//!   minus Hessian = [[diag(P 1), P], [P^T, diag(P^T 1)]] / eps
//!
//! Deviations, for the paper's fixed number of 2 n entries converges only linearly:
//!   - entries of at least min(1e-6, error) of the smaller of their row and column sums are kept;
//!   - the diagonal holds the full sums, so that the sparse matrix stays diagonally dominant;
//!   - one side is eliminated; where conjugate gradients on the rest stall, the dense matrix is
//!     factored instead;
//!   - where the line search gives steps below 1e-3, five more sweeps, and a larger diagonal.

use super::{Options, Potentials, Problem, ROWS, sinkhorn};
use crate::engine::threads;
use crate::linalg::bipartite::Bipartite;
use crate::linalg::cholesky::dot;

/// Larger problems do not fall back to a dense factor.
const DENSE: usize = 2000;

/// Potentials to tolerance, for balanced problems.
pub fn newton_sparse(
    problem: &Problem<'_>,
    options: &Options,
    start: Option<&[f64]>,
) -> Potentials {
    let mass: f64 = problem.a.iter().sum();
    let warm = Options { max_iter: options.warm_up, ..*options };
    let mut found = sinkhorn(problem, &warm, start);
    found.iterations = 0;
    if found.f.is_empty() || found.g.is_empty() || found.residual <= options.tol {
        return found;
    }
    let mut here = Dual::new(problem, found.f.clone(), found.g.clone());
    // Levenberg's addition to the diagonal, relative to it.
    let mut shift = 0.0_f64;
    for _ in 0..options.max_iter {
        if here.error <= options.tol * mass {
            break;
        }
        found.iterations += 1;
        let (df, dg) = here.direction(problem, mass, shift);
        let slope = dot(&df, &here.rows) + dot(&dg, &here.columns);
        let mut step = 1.0;
        let next = loop {
            let to = |x: &[f64], d: &[f64]| x.iter().zip(d).map(|(x, d)| x + step * d).collect();
            let next = Dual::new(problem, to(&here.f, &df), to(&here.g, &dg));
            // Near the end the dual no longer shows progress; the gradient does.
            let rises = next.value >= here.value + 1e-4 * step * slope;
            if next.error.is_finite() && (rises || next.error < 0.5 * here.error) {
                break Some(next);
            }
            step *= 0.5;
            if step < 1e-3 {
                break None;
            }
        };
        if let Some(next) = next {
            here = next;
            shift = if shift < 1e-10 { 0.0 } else { 0.1 * shift };
        } else if shift > 1e4 {
            // Not even a short step along the gradient helps: what is left is rounding.
            break;
        } else {
            shift = (100.0 * shift).max(1e-6);
            let few = Options { max_iter: 5, anneal: false, tol: 0.0, ..*options };
            let swept = sinkhorn(problem, &few, Some(&here.g));
            let next = Dual::new(problem, swept.f, swept.g);
            if next.error < here.error || next.value > here.value {
                here = next;
            }
        }
    }
    Potentials { residual: here.error / mass, f: here.f, g: here.g, iterations: found.iterations }
}

/// The dual at a point: plan, a - P 1, b - P^T 1, the sum of their sizes, and the value.
struct Dual {
    f: Vec<f64>,
    g: Vec<f64>,
    plan: Vec<f64>,
    rows: Vec<f64>,
    columns: Vec<f64>,
    error: f64,
    value: f64,
}

impl Dual {
    fn new(problem: &Problem<'_>, f: Vec<f64>, g: Vec<f64>) -> Self {
        let (n, m) = (f.len(), g.len());
        let mut plan = vec![0.0; n * m];
        problem.plan(&f, &g, &mut plan);
        let mut rows = problem.a.to_vec();
        let mut columns = problem.b.to_vec();
        let parts = threads::map(n.div_ceil(ROWS), |task| {
            let mut columns = vec![0.0; m];
            let block = &plan[task * ROWS * m..plan.len().min((task + 1) * ROWS * m)];
            let sums: Vec<f64> = block
                .chunks_exact(m)
                .map(|row| {
                    columns.iter_mut().zip(row).for_each(|(c, p)| *c += p);
                    row.iter().sum()
                })
                .collect();
            (sums, columns)
        });
        let mut total = 0.0;
        for (task, (sums, part)) in parts.iter().enumerate() {
            rows[task * ROWS..].iter_mut().zip(sums).for_each(|(r, s)| *r -= s);
            columns.iter_mut().zip(part).for_each(|(c, p)| *c -= p);
            total += sums.iter().sum::<f64>();
        }
        let error = rows.iter().chain(&columns).map(|x| x.abs()).sum();
        let value = dot(problem.a, &f) + dot(problem.b, &g) - problem.eps * total;
        Self { f, g, plan, rows, columns, error, value }
    }

    /// The Newton direction of the sparsified Hessian.
    fn direction(&self, problem: &Problem<'_>, mass: f64, shift: f64) -> (Vec<f64>, Vec<f64>) {
        let eps = problem.eps;
        let less = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x - y).collect();
        let (r, c): (Vec<f64>, Vec<f64>) =
            (less(problem.a, &self.rows), less(problem.b, &self.columns));
        let relative = self.error / mass;
        let sparse = Sparse::new(&self.plan, r, c, relative.min(1e-6), shift);
        let (mut x, mut y) = (self.rows.clone(), self.columns.clone());
        let good = sparse.solve(&mut x, &mut y, (0.1 * relative).clamp(1e-10, 1e-3));
        if !good && problem.a.len().min(problem.b.len()) <= DENSE {
            let (n, m) = (problem.a.len(), problem.b.len());
            let factored = Bipartite::with_extra(&self.plan, n, m, [shift; 2]);
            if let Some(factored) = factored {
                (x, y) = (self.rows.clone(), self.columns.clone());
                factored.solve(&mut x, &mut y);
            }
        }
        x.iter_mut().chain(&mut y).for_each(|d| *d *= eps);
        (x, y)
    }
}

/// Kept entries, row after row, and the full sums.
struct Sparse {
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
    r: Vec<f64>,
    c: Vec<f64>,
}

impl Sparse {
    fn new(plan: &[f64], r: Vec<f64>, c: Vec<f64>, share: f64, shift: f64) -> Self {
        let m = c.len();
        let mut out = Self { starts: vec![0], columns: Vec::new(), values: Vec::new(), r, c };
        let tiny = f64::MIN_POSITIVE;
        out.r.iter_mut().chain(&mut out.c).for_each(|sum| *sum = sum.max(tiny));
        for (i, row) in plan.chunks_exact(m).enumerate() {
            let limit = out.r[i];
            for (j, (&p, &c)) in row.iter().zip(&out.c).enumerate() {
                if p >= share * limit.min(c) {
                    out.columns.push(j as u32);
                    out.values.push(p);
                }
            }
            out.starts.push(out.values.len());
        }
        out.r.iter_mut().chain(&mut out.c).for_each(|sum| *sum *= 1.0 + shift);
        out
    }

    fn row(&self, i: usize) -> impl Iterator<Item = (usize, f64)> {
        let span = self.starts[i]..self.starts[i + 1];
        self.columns[span.clone()]
            .iter()
            .map(|&j| j as usize)
            .zip(self.values[span].iter().copied())
    }

    /// P^T x / c.
    fn down(&self, x: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        for (i, &x) in x.iter().enumerate() {
            self.row(i).for_each(|(j, p)| out[j] += p * x);
        }
        out.iter_mut().zip(&self.c).for_each(|(y, c)| *y /= c);
    }

    /// Replaces (p, q) by the solution; false where conjugate gradients stall.
    fn solve(&self, p: &mut [f64], q: &mut [f64], tol: f64) -> bool {
        let (n, m) = (p.len(), q.len());
        let scaled: Vec<f64> = q.iter().zip(&self.c).map(|(q, c)| q / c).collect();
        let mut rest: Vec<f64> =
            (0..n).map(|i| p[i] - self.row(i).map(|(j, w)| w * scaled[j]).sum::<f64>()).collect();
        // (diag(r) - P diag(1 / c) P^T) x = rest, preconditioned by diag(r).
        let mut x = vec![0.0; n];
        let mut z: Vec<f64> = rest.iter().zip(&self.r).map(|(x, r)| x / r).collect();
        let mut d = z.clone();
        let mut size = dot(&rest, &z);
        let stop = size * tol * tol;
        let mut y = vec![0.0; m];
        let mut good = size <= 0.0;
        for _ in 0..(4 * n).min(3000) {
            if size <= stop {
                good = true;
                break;
            }
            self.down(&d, &mut y);
            let image: Vec<f64> = (0..n)
                .map(|i| self.r[i] * d[i] - self.row(i).map(|(j, w)| w * y[j]).sum::<f64>())
                .collect();
            let curvature = dot(&d, &image);
            if curvature <= 0.0 {
                break;
            }
            let step = size / curvature;
            x.iter_mut().zip(&d).for_each(|(x, d)| *x += step * d);
            rest.iter_mut().zip(&image).for_each(|(r, q)| *r -= step * q);
            z.iter_mut().zip(&rest).zip(&self.r).for_each(|((z, x), r)| *z = x / r);
            let next = dot(&rest, &z);
            let ratio = next / size;
            d.iter_mut().zip(&z).for_each(|(d, z)| *d = z + ratio * *d);
            size = next;
        }
        self.down(&x, &mut y);
        q.iter_mut().zip(&scaled).zip(&y).for_each(|((q, s), y)| *q = s - y);
        p.copy_from_slice(&x);
        good
    }
}
