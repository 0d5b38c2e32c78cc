//! Sets and functions of the singular values: X = U diag(s) W^T -> U diag(h(s)) W^T.
//!
//!   spectral ball h = min(s, r)    nuclear ball: h the l1 ball    nuclear norm: h = (s - lam)_+
//!   rank k: the k largest
//!   pull, P = U^T V W, Sy and An its symmetric and skew parts (p >= q):
//!     U [a1 o Sy + a2 o An] W^T + (I - U U^T) V W diag(h_i / s_i) W^T
//!     a1_ij = (h_i - h_j) / (s_i - s_j),  a2_ij = (h_i + h_j) / (s_i + s_j)
//!   on the diagonal a1 is the derivative of h. The nuclear ball's thresholds move together:
//!   the mean of diag P over the kept values is taken off, as on the simplex.

use super::super::{Memory, Params, Set, threshold};
use super::{Matrix, product, shape};
use crate::engine::{Error, Result};
use crate::linalg::svd::Svd;

/// What happens to the singular values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Singular {
    /// At most r.
    Clip(f64),
    /// Sum at most r.
    Ball(f64),
    /// lam less, at least 0.
    Shrink(f64),
    /// All but the k largest go.
    Rank(usize),
}

/// A set or function of p x q matrices.
#[derive(Debug, Clone, Copy)]
pub struct Spectral {
    rows: usize,
    columns: usize,
    kind: Singular,
}

impl Spectral {
    /// From the numbers `rows`, `columns` and the bound, strength or rank.
    pub fn new(params: &Params<'_>, kind: fn(f64) -> Singular) -> Result<Self> {
        let (rows, columns) = shape(params)?;
        let value = match kind(1.0) {
            Singular::Shrink(_) => params.strength(2, "lam")?,
            Singular::Rank(_) => {
                let k = params.scalar(2)?;
                if !(k >= 0.0 && k.fract() == 0.0) {
                    return Err(Error::value("k", "an integer >= 0", k, "it is a rank"));
                }
                k
            }
            _ => params.non_negative(2, "radius")?,
        };
        Ok(Self { rows, columns, kind: kind(value) })
    }

    /// h(s) and h'(s), and whether h is the identity here.
    fn image(&self, s: &[f64], memory: &mut Memory) -> (Vec<f64>, Vec<f64>, bool) {
        let cut = |h: Vec<f64>| {
            let slope = h.iter().map(|&h| f64::from(u8::from(h > 0.0))).collect();
            let same = h.iter().zip(s).all(|(h, s)| h == s);
            (h, slope, same)
        };
        match self.kind {
            Singular::Clip(r) => {
                let h: Vec<f64> = s.iter().map(|s| s.min(r)).collect();
                let slope = s.iter().map(|&s| f64::from(u8::from(s < r))).collect();
                (h, slope, s.iter().all(|&s| s <= r))
            }
            Singular::Ball(r) => {
                if s.iter().sum::<f64>() <= r {
                    return (s.to_vec(), vec![1.0; s.len()], true);
                }
                if r == 0.0 {
                    return cut(vec![0.0; s.len()]);
                }
                let (top, tau) = threshold::simplex::<false>(s, r, &mut memory.values);
                cut(s.iter().map(|s| ((s - top) - tau).max(0.0)).collect())
            }
            Singular::Shrink(lam) => cut(s.iter().map(|s| (s - lam).max(0.0)).collect()),
            Singular::Rank(k) => {
                cut(s.iter().enumerate().map(|(i, &s)| if i < k { s } else { 0.0 }).collect())
            }
        }
    }
}

impl Set for Spectral {
    fn project(&self, x: &mut [f64], memory: &mut Memory) -> f64 {
        let svd = Svd::new(x, self.rows, self.columns);
        let (h, _, same) = self.image(&svd.s, memory);
        if !same {
            svd.rebuild(&h, x);
        }
        0.0
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], memory: &mut Memory) {
        let svd = Svd::new(x, self.rows, self.columns);
        let (h, slope, same) = self.image(&svd.s, memory);
        if same {
            return;
        }
        let shared = matches!(self.kind, Singular::Ball(_));
        pull(&svd, &h, &slope, shared, v);
    }
}

/// (a - b) / (s - t), `tie` where s = t.
fn divided(a: f64, b: f64, s: f64, t: f64, tie: f64) -> f64 {
    if (s - t).abs() > 1e-14 * s.abs().max(t.abs()) { (a - b) / (s - t) } else { tie }
}

fn over(a: f64, b: f64, otherwise: f64) -> f64 {
    if b > 0.0 { a / b } else { otherwise }
}

/// The formula of the head; `shared` takes the mean of diag P over the kept values off it.
fn pull(svd: &Svd, h: &[f64], slope: &[f64], shared: bool, v: &mut [f64]) {
    let k = h.len();
    if k == 0 {
        return;
    }
    let (rows, columns) = (svd.u.len() / k, svd.v.len() / k);
    let (u, w) = (Matrix::new(&svd.u, k, rows), Matrix::new(&svd.v, k, columns));
    let vw = product(Matrix::new(v, rows, columns), w.transpose(), rows * k);
    let uv = product(u, Matrix::new(v, rows, columns), k * columns);
    let p = product(u, Matrix::new(&vw, rows, k), k * k);
    let kept: f64 = slope.iter().sum();
    let mean = if shared && kept > 0.0 {
        (0..k).map(|i| slope[i] * p[i * k + i]).sum::<f64>() / kept
    } else {
        0.0
    };
    let mut core = vec![0.0; k * k];
    for i in 0..k {
        for j in 0..k {
            let (a, b) = (p[i * k + j], p[j * k + i]);
            let first = divided(h[i], h[j], svd.s[i], svd.s[j], slope[i].min(slope[j]));
            let second = over(h[i] + h[j], svd.s[i] + svd.s[j], slope[i].min(slope[j]));
            core[i * k + j] = first * 0.5 * (a + b) + second * 0.5 * (a - b);
        }
        core[i * k + i] -= slope[i] * mean;
    }
    // What lies outside the span of U or of W: one of the two is empty for square matrices.
    let ratio: Vec<f64> = (0..k).map(|i| over(h[i], svd.s[i], slope[i])).collect();
    let mut right = vec![0.0; k * columns];
    for i in 0..k {
        for j in 0..columns {
            right[i * columns + j] = ratio[i] * uv[i * columns + j];
        }
    }
    // core W - diag(ratio) P W is what the two outer parts count twice.
    let mut inner = core;
    for i in 0..k {
        for j in 0..k {
            inner[i * k + j] -= (ratio[i] + ratio[j]) * p[i * k + j];
        }
    }
    let inner = product(Matrix::new(&inner, k, k), w, k * columns);
    right.iter_mut().zip(&inner).for_each(|(r, i)| *r += i);
    let mut left = vw;
    for row in left.chunks_exact_mut(k) {
        row.iter_mut().zip(&ratio).for_each(|(x, r)| *x *= r);
    }
    let outer = product(Matrix::new(&left, rows, k), w, rows * columns);
    let span = product(u.transpose(), Matrix::new(&right, k, columns), rows * columns);
    for ((v, a), b) in v.iter_mut().zip(&outer).zip(&span) {
        *v = a + b;
    }
}

/// The polar factor's formula is the same with h = 1.
pub(super) fn pull_polar(svd: &Svd, v: &mut [f64]) {
    let k = svd.s.len();
    pull(svd, &vec![1.0; k], &vec![0.0; k], false, v);
}
