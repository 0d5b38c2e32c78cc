//! A Gramian as the aggregators see it, and its row-normalised form.

use crate::engine::{Error, Result};

/// A symmetric positive semi-definite m x m matrix of inner products.
#[derive(Debug, Clone, Copy)]
pub struct Gram<'a> {
    values: &'a [f64],
    m: usize,
}

impl<'a> Gram<'a> {
    /// Wraps `values` (m x m, row-major, symmetric, m >= 1).
    pub fn new(values: &'a [f64], m: usize) -> Result<Self> {
        if m == 0 {
            return Err(Error::value(
                "the number of rows of the Jacobian",
                "at least 1",
                0,
                "give one gradient for each loss",
            ));
        }
        if values.len() != m * m {
            return Err(Error::value(
                "gramian",
                format!("of {} entries, a square of {m} rows", m * m),
                values.len(),
                "pass jacobian @ jacobian.T",
            ));
        }
        Ok(Self { values, m })
    }

    /// Rows of the Jacobian.
    pub fn len(&self) -> usize {
        self.m
    }

    /// Never: a Gramian has at least one row.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// <g_i, g_j>.
    #[inline(always)]
    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.m + j]
    }

    /// Inner products of g_i with every row.
    #[inline(always)]
    pub fn row(&self, i: usize) -> &'a [f64] {
        &self.values[i * self.m..(i + 1) * self.m]
    }

    /// All entries, row after row.
    pub fn values(&self) -> &'a [f64] {
        self.values
    }

    /// |g_i|.
    pub fn norms(&self) -> Vec<f64> {
        (0..self.m).map(|i| self.at(i, i).max(0.0).sqrt()).collect()
    }

    /// G w.
    pub fn times(&self, w: &[f64]) -> Vec<f64> {
        (0..self.m).map(|i| self.row(i).iter().zip(w).map(|(g, w)| g * w).sum()).collect()
    }
}

/// Unit rows: H_jk = G_jk / (s_j s_k) over the rows that are not zero. Makes every method blind to
/// the scale of the rows, and its thresholds relative.
#[derive(Debug, Clone)]
pub struct Normalized {
    /// Which rows of the Jacobian are not zero.
    pub rows: Vec<usize>,
    /// Their lengths.
    pub s: Vec<f64>,
    /// Their cosines, n x n with unit diagonal.
    pub h: Vec<f64>,
}

impl Normalized {
    /// Normalises `gram`.
    pub fn new(gram: &Gram<'_>) -> Self {
        let norms = gram.norms();
        let rows: Vec<usize> = (0..gram.len()).filter(|&i| norms[i] > 0.0).collect();
        let s: Vec<f64> = rows.iter().map(|&i| norms[i]).collect();
        let n = rows.len();
        let mut h = vec![1.0; n * n];
        for a in 0..n {
            for b in 0..a {
                // Divided one after the other: the product of two lengths may underflow.
                let cosine = (gram.at(rows[a], rows[b]) / s[a] / s[b]).clamp(-1.0, 1.0);
                h[a * n + b] = cosine;
                h[b * n + a] = cosine;
            }
        }
        Self { rows, s, h }
    }

    /// Rows that are not zero.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether every row is zero.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Cosines of row `a` with every row.
    #[inline(always)]
    pub fn row(&self, a: usize) -> &[f64] {
        &self.h[a * self.len()..(a + 1) * self.len()]
    }

    /// H x.
    pub fn times(&self, x: &[f64]) -> Vec<f64> {
        (0..self.len()).map(|a| self.row(a).iter().zip(x).map(|(h, x)| h * x).sum()).collect()
    }

    /// The pseudo-inverse of H times x, by Cholesky where H is well away from singular.
    pub fn pinv(&self, x: &[f64]) -> Vec<f64> {
        use crate::linalg::{cholesky, eigen::Eigen};
        cholesky::solve(&self.h, x, 1e-10)
            .unwrap_or_else(|| Eigen::new(&self.h, self.len()).pinv(x))
    }

    /// Spreads one value a non-zero row over all m rows; zero rows get 0.
    pub fn scatter(&self, m: usize, value: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut out = vec![0.0; m];
        for (a, &row) in self.rows.iter().enumerate() {
            out[row] = value(a);
        }
        out
    }
}
