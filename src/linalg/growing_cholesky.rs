//! Cholesky factor of a growing and shrinking set of rows of a positive definite matrix.
//!
//!   L L^T = H_WW, lower triangular, rows packed one after the other
//!
//! Appending costs O(n^2), dropping row k costs O((n - k)^2), a solve O(n^2).

use super::cholesky::dot;

/// A factor of `len` rows.
#[derive(Debug, Clone, Default)]
pub struct Factor {
    packed: Vec<f64>,
    len: usize,
}

impl Factor {
    /// Rows of the factor.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the factor has no row.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Removes every row and keeps the memory.
    pub fn clear(&mut self) {
        self.packed.clear();
        self.len = 0;
    }

    #[inline(always)]
    fn row(&self, i: usize) -> &[f64] {
        let start = i * (i + 1) / 2;
        &self.packed[start..start + i + 1]
    }

    /// Replaces `x` by L^-1 x.
    #[inline(always)]
    pub fn forward(&self, x: &mut [f64]) {
        for i in 0..self.len {
            let row = self.row(i);
            x[i] = (x[i] - dot(&row[..i], &x[..i])) / row[i];
        }
    }

    /// Replaces `x` by L^-T x.
    #[inline(always)]
    pub fn backward(&self, x: &mut [f64]) {
        for i in (0..self.len).rev() {
            let row = self.row(i);
            let value = x[i] / row[i];
            x[i] = value;
            for (x, l) in x[..i].iter_mut().zip(row) {
                *x -= value * l;
            }
        }
    }

    /// Appends the row of a new index: `half` = L^-1 H_Wp and the square root of the pivot.
    #[inline(always)]
    pub fn append(&mut self, half: &[f64], root: f64) {
        self.packed.extend_from_slice(&half[..self.len]);
        self.packed.push(root);
        self.len += 1;
    }

    /// Removes row and column `k` of the factored matrix: Givens rotations restore the triangle.
    pub fn drop(&mut self, k: usize) {
        let len = self.len;
        for i in k + 1..len {
            // Row i moves up by one; its first i entries are intact up to earlier rotations.
            let from = i * (i + 1) / 2;
            let (c, s) = {
                let (a, b) = (self.packed[from + i - 1], self.packed[from + i]);
                let r = a.hypot(b);
                self.packed[from + i - 1] = r;
                (a / r, b / r)
            };
            for below in i + 1..len {
                let at = below * (below + 1) / 2 + i;
                let (a, b) = (self.packed[at - 1], self.packed[at]);
                self.packed[at - 1] = c * a + s * b;
                self.packed[at] = c * b - s * a;
            }
            let to = (i - 1) * i / 2;
            self.packed.copy_within(from..from + i, to);
        }
        self.len -= 1;
        self.packed.truncate(self.len * (self.len + 1) / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_a_row_equals_never_appending_it() {
        let n = 6;
        let a: Vec<f64> = (0..n * n)
            .map(|k| 1.0 / (1 + k / n + k % n) as f64 + f64::from(u8::from(k / n == k % n)))
            .collect();
        let build = |keep: &[usize]| {
            let mut factor = Factor::default();
            for &p in keep {
                let mut half: Vec<f64> =
                    keep[..factor.len()].iter().map(|&k| a[p * n + k]).collect();
                factor.forward(&mut half);
                let pivot = a[p * n + p] - dot(&half, &half);
                factor.append(&half, pivot.sqrt());
            }
            factor
        };
        for k in 0..n {
            let mut factor = build(&[0, 1, 2, 3, 4, 5]);
            factor.drop(k);
            let keep: Vec<usize> = (0..n).filter(|&i| i != k).collect();
            for (x, y) in factor.packed.iter().zip(&build(&keep).packed) {
                assert!((x - y).abs() < 1e-14, "{k}");
            }
        }
    }
}
