//! Non-negative matrix factorization by coordinate descent (HALS).
//!
//! Cichocki and Phan 2009, "Fast local algorithms for large scale nonnegative matrix and tensor
//! factorizations", IEICE Trans. E92-A.
//!
//!   min 1/2 ||V - W H||^2 + l1_w |W| + l2_w ||W||^2 / 2 + l1_h |H| + l2_h ||H||^2 / 2,  W, H >= 0
//!   half a sweep: A = H H' + l2 I, B = V H' - l1; for each component t and row i
//!   g = W_i . A_t - B_it,  W_it <- max(W_it - g / A_tt, 0)
//!
//! Rows do not interact within half a sweep: they are updated in parallel, in the same order of
//! components, so the result does not depend on the number of threads.

use super::design::Design;
use super::solver::Status;
use crate::engine::threads;
use crate::engine::{Error, Result, reduce};

/// Strengths of the penalties on one factor.
#[derive(Debug, Clone, Copy, Default)]
pub struct Strength {
    /// Of the l1 norm.
    pub l1: f64,
    /// Of half the squared norm.
    pub l2: f64,
}

/// Rows that one task updates.
const ROWS: usize = 256;

/// Updates `w` (`n` x `k`) and `h` (`p` x `k`), stored row by row, in place; `xt` is `x` transposed. Stops
/// when the projected gradient is at most `tol` times its first value. Returns the sweeps, the last
/// ratio and the reason.
#[allow(clippy::too_many_arguments)]
pub fn factorize(
    x: &dyn Design,
    xt: &dyn Design,
    w: &mut [f64],
    h: &mut [f64],
    k: usize,
    strengths: [Strength; 2],
    fix_h: bool,
    tol: f64,
    max_iter: usize,
    observe: &mut dyn FnMut(&[f64]) -> bool,
) -> (usize, f64, Status) {
    let mut first = 0.0;
    let mut ratio = f64::INFINITY;
    for sweep in 1..=max_iter {
        let mut violation = half(xt, w, h, k, strengths[0]);
        if !fix_h {
            violation += half(x, h, w, k, strengths[1]);
        }
        if sweep == 1 {
            first = violation;
        }
        ratio = if first > 0.0 { violation / first } else { 0.0 };
        if !observe(&[violation, ratio, sweep as f64]) {
            return (sweep, ratio, Status::Interrupted);
        }
        if ratio <= tol {
            return (sweep, ratio, Status::Converged);
        }
    }
    (max_iter, ratio, Status::Limit)
}

/// Updates `w` given `h`; the rows of `w` are the columns of `v`. Returns the sum of the projected
/// gradient's absolute values.
fn half(v: &dyn Design, w: &mut [f64], h: &[f64], k: usize, strength: Strength) -> f64 {
    let (n, p) = (v.cols(), v.rows());
    let columns: Vec<Vec<f64>> = (0..k).map(|t| (0..p).map(|j| h[j * k + t]).collect()).collect();
    let mut a = vec![0.0; k * k];
    for t in 0..k {
        for s in 0..k {
            a[t * k + s] = reduce::dot(&columns[t], &columns[s]);
        }
        a[t * k + t] += strength.l2;
    }
    let rows: Vec<usize> = (0..n).collect();
    let mut b = vec![0.0; k * n];
    for (column, out) in columns.iter().zip(b.chunks_exact_mut(n.max(1))) {
        v.dots(&rows, column, out);
    }
    let mut violations = vec![0.0; n.div_ceil(ROWS)];
    let tasks = violations.len();
    let mut work: Vec<(&mut [f64], &mut f64)> =
        w.chunks_mut(ROWS * k).zip(violations.iter_mut()).collect();
    debug_assert_eq!(work.len(), tasks);
    threads::for_each_chunk(&mut work, 1, |task, slot| {
        let (w, violation) = &mut slot[0];
        for (i, row) in w.chunks_exact_mut(k).enumerate() {
            let i = task * ROWS + i;
            for t in 0..k {
                let products = row.iter().zip(&a[t * k..(t + 1) * k]);
                let gradient =
                    products.map(|(w, a)| w * a).sum::<f64>() - b[t * n + i] + strength.l1;
                let projected = if row[t] == 0.0 { gradient.min(0.0) } else { gradient };
                **violation += projected.abs();
                let curvature = a[t * k + t];
                if curvature != 0.0 {
                    row[t] = (row[t] - gradient / curvature).max(0.0);
                }
            }
        }
    });
    violations.iter().sum()
}

/// Checks that the shapes fit and the factors are non-negative.
///
/// # Errors
/// Names the factor that does not fit.
pub fn check(x: &dyn Design, xt: &dyn Design, w: &[f64], h: &[f64], k: usize) -> Result<()> {
    let (n, p) = (x.rows(), x.cols());
    if (xt.rows(), xt.cols()) != (p, n) {
        return Err(Error::value("xt", "X transposed", "another shape", "pass X.T"));
    }
    for (name, factor, rows) in [("W", w, n), ("H", h, p)] {
        if factor.len() != rows * k {
            return Err(Error::Shape {
                name: name.into(),
                given: format!("{} entries", factor.len()),
                other: "X".into(),
                expected: format!("({n}, {p})"),
                fix: format!("pass {rows} x {k} entries"),
            });
        }
        if factor.iter().any(|x| !(*x >= 0.0 && x.is_finite())) {
            return Err(Error::value(
                name,
                ">= 0 and finite",
                "others",
                "start from other factors",
            ));
        }
    }
    Ok(())
}
