//! The affine set A x = b.
//!
//!   A = R Q, rows of Q orthonormal (Gram-Schmidt, twice), c = R^-1 b
//!   y = x - Q^T (Q x - c)     pull: v - Q^T Q v
//!
//! A row that depends on earlier ones to 1e-12 of its length is dropped if its right-hand side
//! agrees to 1e-9, and the set is empty if it does not.

use super::l2_ball::length;
use super::{Memory, Params, Set};
use crate::engine::{Error, Result};
use crate::linalg::cholesky::dot;

/// An orthonormal basis of the rows, and the right-hand side in it.
#[derive(Debug, Clone, Default)]
pub struct Affine {
    n: usize,
    q: Vec<f64>,
    c: Vec<f64>,
}

impl Affine {
    /// From the vectors `A` (k x n, row after row) and `b`.
    pub fn new(params: &Params<'_>) -> Result<Self> {
        Self::from_rows(params.vector(0)?, params.vector(1)?, params.n, ["A", "b"])
    }

    /// From rows of `n` numbers and right-hand sides, under their `names`.
    pub fn from_rows(a: &[f64], b: &[f64], n: usize, names: [&str; 2]) -> Result<Self> {
        if a.len() != b.len() * n {
            let shape = |rows: usize| format!("({rows}, {n})");
            return Err(Error::Shape {
                name: names[0].into(),
                given: format!("{} numbers", a.len()),
                other: names[1].into(),
                expected: shape(b.len()),
                fix: "give one right-hand side for each row".into(),
            });
        }
        if let Some(name) = [(a, names[0]), (b, names[1])]
            .iter()
            .find_map(|(values, name)| values.iter().any(|x| !x.is_finite()).then_some(name))
        {
            let fix = "give finite coefficients";
            return Err(Error::NonFinite { name: name.to_string(), fix: fix.into() });
        }
        let mut out = Self { n, ..Self::default() };
        for (k, &rhs) in b.iter().enumerate() {
            out.push(&a[k * n..(k + 1) * n], rhs, k, names)?;
        }
        Ok(out)
    }

    fn push(&mut self, row: &[f64], rhs: f64, k: usize, names: [&str; 2]) -> Result<()> {
        let size = length(row.iter().copied());
        let mut rest: Vec<f64> = row.iter().map(|x| x / size.max(f64::MIN_POSITIVE)).collect();
        let mut c = rhs / size.max(f64::MIN_POSITIVE);
        let scale = c.abs().max(self.c.iter().fold(0.0, |a: f64, c| a.max(c.abs())));
        for _twice in 0..2 {
            for (q, qc) in self.q.chunks_exact(self.n.max(1)).zip(&self.c) {
                let along = dot(q, &rest);
                c -= along * qc;
                rest.iter_mut().zip(q).for_each(|(x, q)| *x -= along * q);
            }
        }
        let left = length(rest.iter().copied());
        if left > 1e-12 {
            self.q.extend(rest.iter().map(|x| x / left));
            self.c.push(c / left);
        } else if c.abs() > 1e-9 * scale {
            return Err(Error::value(
                names[1],
                format!("in the range of {}", names[0]),
                format!("a contradiction in row {k}"),
                "the set is empty",
            ));
        }
        Ok(())
    }

    /// Replaces `v` by its part along the set.
    pub fn remove(&self, v: &mut [f64]) {
        for q in self.q.chunks_exact(self.n.max(1)) {
            let along = dot(q, v);
            v.iter_mut().zip(q).for_each(|(v, q)| *v -= along * q);
        }
    }

    /// Replaces `x` by the nearest point of the set.
    pub fn nearest(&self, x: &mut [f64]) {
        // The second round removes the rounding of the first.
        for _twice in 0..2 {
            for (q, c) in self.q.chunks_exact(self.n.max(1)).zip(&self.c) {
                let along = dot(q, x) - c;
                x.iter_mut().zip(q).for_each(|(x, q)| *x -= along * q);
            }
        }
    }

    /// Independent rows.
    pub fn rank(&self) -> usize {
        self.c.len()
    }
}

impl Set for Affine {
    fn project(&self, x: &mut [f64], _: &mut Memory) -> f64 {
        self.nearest(x);
        0.0
    }

    fn pull(&self, _: &[f64], _: &[f64], v: &mut [f64], _: &mut Memory) {
        self.remove(v);
    }
}
