//! Compressed sparse columns, checked once so that the inner loops need no bounds checks.

use super::error::{Error, Result};
use super::real::Float;

/// An index type of scipy's sparse matrices.
pub trait Index: Copy + Ord + Send + Sync + 'static {
    /// The position; a negative index becomes one that is out of range.
    fn at(self) -> usize;
}
impl Index for i32 {
    #[inline(always)]
    fn at(self) -> usize {
        self as usize
    }
}
impl Index for i64 {
    #[inline(always)]
    fn at(self) -> usize {
        self as usize
    }
}

/// A borrowed matrix of compressed columns (or of compressed rows, read as columns of the
/// transpose). Indices need not be sorted; duplicates are summed.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a, F, I> {
    data: &'a [F],
    indices: &'a [I],
    starts: &'a [I],
    rows: usize,
}

impl<'a, F: Float, I: Index> Columns<'a, F, I> {
    /// Checks the structure.
    ///
    /// # Errors
    /// If `starts` is not a non-decreasing sequence from 0 to at most the number of entries, or an
    /// index is negative or not below `rows`.
    pub fn new(data: &'a [F], indices: &'a [I], starts: &'a [I], rows: usize) -> Result<Self> {
        let bad = |allowed: &str, given: &str| {
            Err(Error::value("X", allowed, given, "check it with X.check_format()"))
        };
        let Some((first, last)) = starts.first().zip(starts.last()) else {
            return bad("a sparse matrix with column starts", "none");
        };
        if first.at() != 0 || starts.windows(2).any(|pair| pair[0] > pair[1]) {
            return bad("a sparse matrix with non-decreasing column starts", "others");
        }
        let filled = last.at();
        if filled > data.len() || filled > indices.len() {
            return bad("a sparse matrix with as many entries as its starts say", "fewer");
        }
        let (data, indices) = (&data[..filled], &indices[..filled]);
        // Folding extrema vectorizes; a negative index shows in the minimum.
        let mut range = indices.first().map_or((0, 0), |&i| (i.at(), i.at()));
        for index in indices {
            range = (range.0.min(index.at()), range.1.max(index.at()));
        }
        if filled > 0 && range.1 >= rows {
            return bad("a sparse matrix with indices inside its shape", "one outside");
        }
        Ok(Self { data, indices, starts, rows })
    }

    /// Length of a column.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.starts.len() - 1
    }

    /// Stored entries of column `j`.
    pub fn stored(&self, j: usize) -> usize {
        self.starts[j + 1].at() - self.starts[j].at()
    }

    /// All stored values.
    pub fn values(&self) -> &'a [F] {
        self.data
    }

    /// The entries of column `j` as (row, value).
    #[inline(always)]
    pub fn column(&self, j: usize) -> impl Iterator<Item = (usize, f64)> + use<'a, F, I> {
        let range = self.starts[j].at()..self.starts[j + 1].at();
        let (indices, data) = (&self.indices[range.clone()], &self.data[range]);
        indices.iter().zip(data).map(|(i, x)| (i.at(), x.to_f64()))
    }

    /// Inner product of column `j` with `v`, which has `rows` entries.
    #[inline(always)]
    pub fn dot(&self, j: usize, v: &[f64]) -> f64 {
        assert_eq!(v.len(), self.rows);
        let mut sums = [0.0; 2];
        for (k, (i, x)) in self.column(j).enumerate() {
            // SAFETY: `new` found every index below `rows`, the length of `v`.
            sums[k & 1] += x * unsafe { *v.get_unchecked(i) };
        }
        sums[0] + sums[1]
    }

    /// `x_j . v`, `x_j . h` and `x_j^2 . h` in one pass, with `h` taken as 1 where absent. Both
    /// have `rows` entries.
    #[inline(always)]
    pub fn moments(&self, j: usize, v: &[f64], h: Option<&[f64]>) -> [f64; 3] {
        assert_eq!(v.len(), self.rows);
        let (mut sums, mut next, mut ordered) = ([0.0; 3], 0, true);
        let mut take = |i: usize, x: f64, h: f64| {
            // SAFETY: `new` found every index below `rows`, the length of `v`.
            sums[0] += x * unsafe { *v.get_unchecked(i) };
            sums[1] += x * h;
            sums[2] += x * x * h;
            ordered &= i >= next;
            next = i + 1;
        };
        match h {
            None => self.column(j).for_each(|(i, x)| take(i, x, 1.0)),
            Some(h) => {
                assert_eq!(h.len(), self.rows);
                // SAFETY: as above; `h` has the same length.
                self.column(j).for_each(|(i, x)| take(i, x, unsafe { *h.get_unchecked(i) }));
            }
        }
        if !ordered {
            sums[2] = self.merged(j).iter().map(|&(i, x)| x * x * h.map_or(1.0, |h| h[i])).sum();
        }
        sums
    }

    /// The entries of column `j`, sorted by row, duplicates summed.
    #[cold]
    pub fn merged(&self, j: usize) -> Vec<(usize, f64)> {
        let mut entries: Vec<(usize, f64)> = self.column(j).collect();
        entries.sort_by_key(|entry| entry.0);
        entries.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0.0 };
            same
        });
        entries
    }

    /// `out += a h x_j`, with `h` taken as 1 where absent. Both have `rows` entries.
    #[inline(always)]
    pub fn axpy(&self, j: usize, a: f64, h: Option<&[f64]>, out: &mut [f64]) {
        assert_eq!(out.len(), self.rows);
        match h {
            None => {
                for (i, x) in self.column(j) {
                    // SAFETY: `new` found every index below `rows`, the length of `out`.
                    unsafe { *out.get_unchecked_mut(i) += a * x };
                }
            }
            Some(h) => {
                assert_eq!(h.len(), self.rows);
                for (i, x) in self.column(j) {
                    // SAFETY: as above; `h` has the same length.
                    unsafe { *out.get_unchecked_mut(i) += a * x * *h.get_unchecked(i) };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_the_dense_matrix() {
        // columns (1, 0, 2), (), (0, 3 + 4, 0) with a duplicate
        let columns =
            Columns::new(&[2.0, 1.0, 3.0, 4.0], &[2i32, 0, 1, 1], &[0, 2, 2, 4], 3).unwrap();
        let v = [10.0, 100.0, 1000.0];
        assert_eq!(columns.moments(0, &v, Some(&[1.0, 1.0, 3.0])), [2010.0, 7.0, 13.0]);
        // A duplicate is squared after it is summed.
        assert_eq!(columns.moments(2, &v, None), [700.0, 7.0, 49.0]);
        assert_eq!([0, 1, 2].map(|j| columns.dot(j, &v)), [2010.0, 0.0, 700.0]);
        let mut out = [0.0; 3];
        columns.axpy(2, 2.0, Some(&v), &mut out);
        columns.axpy(0, 1.0, None, &mut out);
        assert_eq!(out, [1.0, 1400.0, 2.0]);
    }

    #[test]
    fn a_broken_structure_is_refused() {
        let data = [1.0, 2.0];
        assert!(Columns::new(&data, &[0i32, 3], &[0, 2], 3).is_err());
        assert!(Columns::new(&data, &[0i64, -1], &[0, 2], 3).is_err());
        assert!(Columns::new(&data, &[0i32, 1], &[0, 3], 3).is_err());
        assert!(Columns::new(&data, &[0i32, 1], &[0, 2, 1], 3).is_err());
        assert!(Columns::new(&data, &[0i32, 1], &[1, 2], 3).is_err());
        assert!(Columns::<f64, i32>::new(&[], &[], &[], 3).is_err());
    }
}
