//! A covariance as L diag(v) L', L lower triangular with a unit diagonal: products, solutions and
//! updates of low rank, without factoring anew.
//!
//! Gill, Golub, Murray, Saunders 1974, "Methods for modifying matrix factorizations", Math. of
//! Computation 28, method C1, for many vectors at a time: a column of L is read and written once.
//!
//!   column j of L is row j of `factor`: zeros above its one, and zeros that fill its last stretch
//!   L D L' + sum a_r x_r x_r':  p = x_rj,  v = v_j + a_r p^2,  b = a_r p / v,  a_r *= v_j / v,
//!   x_r -= p l_j,  l_j += b x_r,  v_j = v;  for r in order, for j in order
//!
//! Rows of vectors have the [`width`] of those of the factor, zeros after the last coordinate, and come
//! in whole groups, see [`rows`]. Every number is a sum in a fixed order. Costs of an update: 2 d^2
//! operations for each vector.

use crate::engine::simd::{self, Kernel};

/// Numbers that are worked on side by side: a multiple of what rows are filled up to.
const WIDE: usize = 32;
const NARROW: usize = 8;
/// Vectors that pass a column together.
const GROUP: usize = 2;

/// How many rows `count` vectors take; what fills the last group is zero, and so are its rates.
pub fn rows(count: usize) -> usize {
    count.next_multiple_of(GROUP)
}

/// What is left of a variance at least when a vector is taken away: rounding must not end it.
const LEFT: f64 = 1e-9;

/// Length of a row for `dim` coordinates.
pub fn width(dim: usize) -> usize {
    dim.next_multiple_of(NARROW)
}

/// The factor of the identity.
pub fn identity(dim: usize) -> Vec<f64> {
    let mut out = vec![0.0; dim * width(dim)];
    out.iter_mut().step_by(width(dim) + 1).for_each(|l| *l = 1.0);
    out
}

/// Calls `$body` with a constant `$width` for stretches of `$start..$end`, wide ones first.
macro_rules! strips {
    ($start:expr, $end:expr, |$i:ident, $width:ident| $body:expr) => {{
        let (mut $i, end) = ($start, $end);
        while $i + WIDE <= end {
            const $width: usize = WIDE;
            $body;
            $i += WIDE;
        }
        while $i < end {
            const $width: usize = NARROW;
            $body;
            $i += NARROW;
        }
    }};
}

/// A stretch of a row.
#[inline(always)]
fn part<const W: usize>(row: &[f64], start: usize) -> &[f64; W] {
    row[start..].first_chunk().expect("a stretch of a row")
}

/// A stretch of a row, to be written.
#[inline(always)]
fn part_mut<const W: usize>(row: &mut [f64], start: usize) -> &mut [f64; W] {
    row[start..].first_chunk_mut().expect("a stretch of a row")
}

/// `row = L u`.
pub fn multiply(factor: &[f64], u: &[f64], row: &mut [f64]) {
    struct Multiply<'a>(&'a [f64], &'a [f64], &'a mut [f64]);
    impl Kernel for Multiply<'_> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            let Self(factor, u, row) = self;
            let width = row.len();
            strips!(0, width, |i, W| {
                let mut sums = [0.0; W];
                for (column, u) in factor.chunks_exact(width).zip(&u[..u.len().min(i + W)]) {
                    for (sum, l) in sums.iter_mut().zip(part::<W>(column, i)) {
                        *sum += l * u;
                    }
                }
                *part_mut::<W>(row, i) = sums;
            });
        }
    }
    simd::dispatch(Multiply(factor, u, row));
}

/// Solves `L x = b` in place for each row of `rows`, whole groups of them.
pub fn solve(factor: &[f64], dim: usize, rows: &mut [f64]) {
    struct Solve<'a>(&'a [f64], usize, &'a mut [f64]);
    impl Kernel for Solve<'_> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            let Self(factor, width, rows) = self;
            for (j, column) in factor.chunks_exact(width).enumerate() {
                for rows in rows.chunks_exact_mut(GROUP * width) {
                    eliminate(column, rows, j);
                }
            }
        }
    }
    simd::dispatch(Solve(factor, width(dim), rows));
}

/// Adds `sum rates[r] x_r x_r'` to the covariance, `rows` being the vectors, which are used up, whole
/// groups of them; negative rates last.
pub fn update(factor: &mut [f64], variances: &mut [f64], rows: &mut [f64], rates: &mut [f64]) {
    struct Update<'a>(&'a mut [f64], &'a mut [f64], &'a mut [f64], &'a mut [f64]);
    impl Kernel for Update<'_> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            let Self(factor, variances, rows, rates) = self;
            let width = width(variances.len());
            let mut p = vec![0.0; rates.len()];
            // Each variance before, and after.
            let (mut v, mut next, mut b) = (p.clone(), p.clone(), p.clone());
            for (j, column) in factor.chunks_exact_mut(width).enumerate() {
                p.iter_mut().zip(rows.chunks_exact(width)).for_each(|(p, row)| *p = row[j]);
                let mut left = variances[j];
                for (((v, next), p), rate) in v.iter_mut().zip(&mut next).zip(&p).zip(&*rates) {
                    *v = left;
                    left = (left + rate * p * p).max(LEFT * left);
                    *next = left;
                }
                variances[j] = left;
                let shares = rates.iter_mut().zip(&mut b).zip(&p).zip(v.iter().zip(&next));
                for (((rate, b), p), (v, next)) in shares {
                    *b = *rate * p / next;
                    *rate *= v / next;
                }
                // Above the diagonal vectors and factor are zero and stay so.
                let groups = rows.chunks_exact_mut(GROUP * width);
                for ((rows, p), b) in groups.zip(p.as_chunks().0).zip(b.as_chunks().0) {
                    turn(column, rows, j, p, b);
                }
            }
        }
    }
    simd::dispatch(Update(factor, variances, rows, rates));
}

/// Rows of a group in stretches, from that on which holds number `j`.
#[inline(always)]
fn stretches(rows: &mut [f64], width: usize, j: usize) -> [&mut [[f64; NARROW]]; GROUP] {
    let mut rows = rows.chunks_exact_mut(width);
    std::array::from_fn(|_| {
        let row = rows.next().expect("a whole group");
        row[j / NARROW * NARROW..].as_chunks_mut().0
    })
}

/// Number `j` of the rows of a group is found; takes its column from the numbers after it.
#[inline(always)]
fn eliminate(column: &[f64], rows: &mut [f64], j: usize) {
    let mut rows = stretches(rows, column.len(), j);
    let found: [f64; GROUP] = std::array::from_fn(|k| rows[k][0][j % NARROW]);
    for (i, l) in column[j / NARROW * NARROW..].as_chunks::<NARROW>().0.iter().enumerate() {
        for (row, x) in rows.iter_mut().zip(found) {
            let mut left = row[i];
            for (m, (b, l)) in left.iter_mut().zip(l).enumerate() {
                *b = if i == 0 && m <= j % NARROW { *b } else { *b - l * x };
            }
            row[i] = left;
        }
    }
}

/// Column `j` and the rows of a group, each with its p and its b.
#[inline(always)]
fn turn(column: &mut [f64], rows: &mut [f64], j: usize, p: &[f64; GROUP], b: &[f64; GROUP]) {
    let mut rows = stretches(rows, column.len(), j);
    let column = column[j / NARROW * NARROW..].as_chunks_mut::<NARROW>().0;
    // Above the diagonal vectors and factor are zero and stay so.
    for (i, l) in column.iter_mut().enumerate() {
        // Copies: the compiler does not see that vectors and column lie apart.
        let mut left = *l;
        for (row, (p, b)) in rows.iter_mut().zip(p.iter().zip(b)) {
            let mut x = row[i];
            for (x, l) in x.iter_mut().zip(&mut left) {
                *x -= p * *l;
                *l += b * *x;
            }
            row[i] = x;
        }
        *l = left;
    }
}

/// Diagonal of the covariance.
pub fn diagonal(factor: &[f64], variances: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; variances.len()];
    for (column, v) in factor.chunks_exact(width(variances.len())).zip(variances) {
        out.iter_mut().zip(column).for_each(|(out, l)| *out += l * l * v);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(i: usize, k: usize) -> f64 {
        ((i * 31 + k * 17 + i * k) as f64 * 0.61).sin()
    }

    /// Rows of waves, zeros after the last coordinate.
    fn waves(dim: usize, numbers: &[usize]) -> Vec<f64> {
        let at = |i: usize, k: usize| if i < dim { wave(i, k) } else { 0.0 };
        numbers.iter().flat_map(|&k| (0..width(dim)).map(move |i| at(i, k))).collect()
    }

    #[test]
    fn updates_products_and_solutions_equal_dense_ones() {
        for d in [1, 7, 8, 31, 33, 40, 75] {
            let (mut factor, mut variances, w) = (identity(d), vec![1.0; d], width(d));
            let mut expected: Vec<f64> =
                (0..d * d).map(|t| f64::from(u8::from(t / d == t % d))).collect();
            for round in 0..6 {
                let size: f64 = (0..d).map(|i| wave(i, 99).powi(2)).sum();
                let rates = [0.3, 0.2, 0.1, -0.1 / size];
                let mut vectors = waves(d, &[round, round + 1, round + 2, 99]);
                for (t, out) in expected.iter_mut().enumerate() {
                    for (row, rate) in vectors.chunks_exact(w).zip(rates) {
                        *out += rate * row[t / d] * row[t % d];
                    }
                }
                update(&mut factor, &mut variances, &mut vectors, &mut rates.clone());
            }
            let l = |i: usize, j: usize| factor[j * w + i];
            let dense = |i: usize, k: usize| (0..d).map(|j| l(i, j) * l(k, j) * variances[j]).sum();
            for (t, expected) in expected.iter().enumerate() {
                let found: f64 = dense(t / d, t % d);
                assert!((found - expected).abs() < 1e-11, "{d}");
            }
            assert!((0..d).all(|j| l(j, j) == 1.0 && (0..j).all(|i| l(i, j) == 0.0)));
            let u = &waves(d, &[5])[..d];
            let mut b = vec![0.0; w];
            multiply(&factor, u, &mut b);
            let direct = |i: usize| (0..d).map(|j| l(i, j) * u[j]).sum::<f64>();
            assert!((0..d).all(|i| (b[i] - direct(i)).abs() < 1e-11));
            let mut solved = [b.clone(), b].concat();
            solve(&factor, d, &mut solved);
            let close = |row: &[f64]| row.iter().zip(u).all(|(x, u)| (x - u).abs() < 1e-10);
            assert!(solved.chunks_exact(w).all(close));
            let diagonal = diagonal(&factor, &variances);
            assert!((0..d).all(|i| (diagonal[i] - expected[i * d + i]).abs() < 1e-11));
        }
    }

    #[test]
    fn what_is_taken_away_leaves_something() {
        let (mut factor, mut variances) = (identity(2), vec![1.0; 2]);
        update(
            &mut factor,
            &mut variances,
            &mut [waves(2, &[3]), vec![0.0; 8]].concat(),
            &mut [-10.0, 0.0],
        );
        assert!(variances.iter().all(|&v| v > 0.0));
    }
}
