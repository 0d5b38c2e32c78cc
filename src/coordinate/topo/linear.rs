//! The least-squares score, from one factor of the covariance.
//!
//!   S = X'X / n by order = U'U, U upper triangular     Q = 1/2 sum_k U_kk^2
//!   W_pq = -(U^-1)_pq U_qq for p < q: the regression of q on its predecessors
//!
//! A swap of positions a < b (nodes u and v, M between them) changes the variances given the
//! predecessors of that segment alone. With U' the factor of what follows a when u is left out (a
//! rank-one update), and t_k = U'_bb^2 + sum_{k < i < b} U'_ib^2:
//!
//!   v before M:  t_a        m_k given v:  U'_kk^2 t_k / t_{k-1}
//!   u after all: U_aa^2 / prod_k (U'_kk / U_kk)^2, over the rest of the segment
//!
//! U' does not depend on b, so all swaps of one a cost O((d - a)^2) and all swaps of an order O(d^3):
//! no swap is refactored by itself, and X is not read. Sums have positive terms alone.

use super::paths::{Forward, each};
use super::{Model, Swap, swapped};
use crate::engine::gemm::Matrix;
use crate::engine::simd::{self, Kernel};
use crate::engine::{Error, Result};
use crate::linalg::{cholesky, syrk};

/// See the module.
pub struct Linear {
    covariance: Vec<f64>,
    order: Vec<usize>,
    /// U, row after row.
    upper: Vec<f64>,
}

impl Linear {
    /// Of `d` variables, each `n` numbers of `rows` with mean zero (or not to be centred), with
    /// `ridge` times the mean variance added to every variance.
    ///
    /// # Errors
    /// If the covariance is not finite, or a variable is a combination of the others.
    pub fn new(rows: &[f64], n: usize, order: &[usize], ridge: f64) -> Result<Self> {
        let d = order.len();
        if rows.len() != d * n || n == 0 {
            let allowed = format!("{d} variables of equal length");
            return Err(Error::value("X", allowed, rows.len(), "pass a row a sample"));
        }
        let mut covariance = vec![0.0; d * d];
        syrk::accumulate_lower(Matrix::new(rows, d, n), 0, &mut covariance, d);
        let trace: f64 = (0..d).map(|i| covariance[i * d + i]).sum();
        let more = ridge * trace / d as f64;
        for i in 0..d {
            covariance[i * d + i] += more;
            for j in 0..=i {
                covariance[i * d + j] /= n as f64;
                covariance[j * d + i] = covariance[i * d + j];
            }
        }
        if !covariance.iter().all(|x| x.is_finite()) {
            return Err(Error::NonFinite {
                name: "the covariance of X".into(),
                fix: "remove or rescale these columns".into(),
            });
        }
        let mut model = Self { covariance, order: order.to_vec(), upper: Vec::new() };
        model.upper = model.factor(order).ok_or_else(|| singular(None))?;
        model.check_collinear()?;
        Ok(model)
    }

    fn factor(&self, order: &[usize]) -> Option<Vec<f64>> {
        let d = order.len();
        let permuted = |i: usize| order.iter().map(move |&j| self.covariance[order[i] * d + j]);
        let mut lower: Vec<f64> = (0..d).flat_map(permuted).collect();
        if !cholesky::factor(&mut lower, d, rounding(d)) {
            return None;
        }
        let mut upper = vec![0.0; d * d];
        for i in 0..d {
            (0..=i).for_each(|j| upper[j * d + i] = lower[i * d + j]);
        }
        Some(upper)
    }

    /// The variance of a node given all others bounds its pivot in every order from below.
    fn check_collinear(&self) -> Result<()> {
        let d = self.order.len();
        let inverse = each(d, |p| {
            let row = self.regressions(p);
            let own = 1.0 / self.upper[p * d + p];
            let later = (p + 1..d).map(|q| row[q] / self.upper[q * d + q]);
            own * own + later.map(|x| x * x).sum::<f64>()
        });
        for (&node, inverse) in self.order.iter().zip(inverse) {
            let left = 1.0 / (inverse * self.covariance[node * d + node]);
            if left.is_nan() || left <= rounding(d) {
                return Err(singular(Some((node, left))));
            }
        }
        Ok(())
    }

    /// Row `p` of the weights by position.
    fn regressions(&self, p: usize) -> Vec<f64> {
        let (upper, d) = (&self.upper, self.order.len());
        let start = 1.0 / upper[p * d + p];
        let next = |q: usize, w: f64| -w / upper[q * d + q];
        simd::dispatch(Forward { rows: upper, d, p, start, entry: |x| x, next })
    }
}

/// Share of a variance that rounding may leave or take.
fn rounding(d: usize) -> f64 {
    8.0 * d as f64 * f64::EPSILON
}

fn singular(column: Option<(usize, f64)>) -> Error {
    let given = column.map_or("a singular covariance".into(), |(node, left)| {
        format!("column {node} with a share {left:.1e} of its own")
    });
    let fix = "drop collinear or constant columns, or pass ridge=1e-10";
    Error::value("X", "of linearly independent columns", given, fix)
}

impl Model for Linear {
    fn order(&self) -> &[usize] {
        &self.order
    }

    fn score(&self) -> f64 {
        score(&self.upper, self.order.len())
    }

    fn weights(&self) -> Vec<f64> {
        each(self.order.len(), |p| self.regressions(p)).concat()
    }

    fn gains(&mut self, swaps: &[Swap]) -> Option<Vec<f64>> {
        let d = self.order.len();
        let mut last: Vec<usize> = (0..d).collect();
        swaps.iter().for_each(|&[a, b]| last[a] = last[a].max(b));
        let upper = &self.upper;
        let rows = each(d, |a| simd::dispatch(Segments { upper, d, a, last: last[a] }));
        Some(swaps.iter().map(|&[a, b]| rows[a][b - a]).collect())
    }

    fn apply(&mut self, swaps: &[Swap]) -> Option<()> {
        let order = swapped(&self.order, swaps);
        let upper = self.factor(&order)?;
        (score(&upper, order.len()) < self.score()).then(|| {
            self.order = order;
            self.upper = upper;
        })
    }
}

fn score(upper: &[f64], d: usize) -> f64 {
    0.5 * (0..d).map(|k| upper[k * d + k] * upper[k * d + k]).sum::<f64>()
}

/// Gains of the swaps of position `a` with `a`, `a + 1`, ..., `last`.
struct Segments<'a> {
    upper: &'a [f64],
    d: usize,
    a: usize,
    last: usize,
}
impl Kernel for Segments<'_> {
    type Output = Vec<f64>;
    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let Self { upper, d, a, last } = self;
        let m = last - a;
        let row = |k: usize| &upper[(a + k) * d + a + k..(a + k) * d + last + 1];
        let first = row(0);
        // The factor without the first node, by rotations; `x` is what is left of its row.
        let mut without = vec![0.0; (m + 1) * (m + 1)];
        let mut x = first.to_vec();
        let mut gains = vec![0.0; m + 1];
        let (mut before, mut growth) = (first[0] * first[0], 1.0);
        for k in 1..=m {
            let row = row(k);
            let (pivot, lead) = (row[0], x[k]);
            let length = (pivot * pivot + lead * lead).sqrt();
            let (c, s) = (pivot / length, lead / length);
            let out = &mut without[k * (m + 1) + k..(k + 1) * (m + 1)];
            for ((out, x), &u) in out.iter_mut().zip(&mut x[k..]).zip(row) {
                *out = c * u + s * *x;
                *x = c * *x - s * u;
            }
            before += pivot * pivot;
            growth *= 1.0 + (lead / pivot) * (lead / pivot);
            gains[k] = before - first[0] * first[0] / growth;
        }
        // Variances with the other end first: `tails` holds t of each end, from the last node back.
        let mut after = vec![0.0; m + 1];
        let mut tails = vec![0.0; m + 1];
        for k in (1..=m).rev() {
            let row = &without[k * (m + 1) + k..(k + 1) * (m + 1)];
            let own = row[0] * row[0];
            let sums = after[k + 1..].iter_mut().zip(&mut tails[k + 1..]);
            for ((after, tail), &u) in sums.zip(&row[1..]) {
                let longer = *tail + u * u;
                *after += own * *tail / longer;
                *tail = longer;
            }
            tails[k] = own;
        }
        for (gain, (after, tail)) in gains.iter_mut().zip(after.iter().zip(&tails)).skip(1) {
            *gain = 0.5 * (*gain - after - tail);
        }
        gains
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::threads;

    fn rows(d: usize, n: usize) -> Vec<f64> {
        let noise = |t: usize| (t as f64 * 12.9898).sin() * 43758.5453;
        let mut rows: Vec<f64> =
            (0..d * n).map(|t| noise(t + 1) - noise(t + 1).floor() - 0.5).collect();
        for i in 2..d {
            for t in 0..n {
                rows[i * n + t] += 0.8 * rows[(i - 2) * n + t] - 0.3 * rows[(i - 1) * n + t];
            }
        }
        rows
    }

    #[test]
    fn a_gain_is_the_difference_of_two_factorizations() {
        for d in [2, 3, 9, 70] {
            let order: Vec<usize> = (0..d).rev().collect();
            let mut model = Linear::new(&rows(d, 150), 150, &order, 0.0).unwrap();
            let swaps: Vec<Swap> =
                (0..d).flat_map(|a| (a + 1..d).map(move |b| [a, b])).step_by(d / 9 + 1).collect();
            let gains = model.gains(&swaps).unwrap();
            let now = model.score();
            for (swap, gain) in swaps.iter().zip(&gains) {
                let other = model.factor(&swapped(&order, &[*swap])).unwrap();
                let exact = now - score(&other, d);
                assert!((gain - exact).abs() < 1e-12 * now, "{d} {swap:?}: {gain} {exact}");
            }
            let some = [1, 3].map(|count| {
                threads::set(count);
                model.gains(&swaps).unwrap()
            });
            threads::set(0);
            assert!(some.iter().all(|other| *other == gains), "same bits");
        }
    }

    #[test]
    fn weights_are_the_regressions() {
        let (d, n) = (6, 40);
        let data = rows(d, n);
        let order = [3, 1, 5, 0, 4, 2];
        let weights = Linear::new(&data, n, &order, 0.0).unwrap().weights();
        for q in 0..d {
            let residual: Vec<f64> = (0..n)
                .map(|t| {
                    let fit = (0..q).map(|p| weights[p * d + q] * data[order[p] * n + t]);
                    data[order[q] * n + t] - fit.sum::<f64>()
                })
                .collect();
            for p in 0..q {
                let x = &data[order[p] * n..(order[p] + 1) * n];
                let product: f64 = x.iter().zip(&residual).map(|(x, r)| x * r).sum();
                assert!(product.abs() < 1e-10, "residuals are orthogonal to predecessors");
            }
            assert!((q..d).all(|p| weights[p * d + q] == 0.0));
        }
    }

    #[test]
    fn collinear_columns_are_refused_wherever_they_stand() {
        let (d, n) = (4, 30);
        let mut data = rows(d, n);
        for t in 0..n {
            data[t] = data[n + t] - 2.0 * data[3 * n + t];
        }
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]] {
            let error = Linear::new(&data, n, &order, 0.0).err().unwrap().to_string();
            assert!(error.contains("linearly independent") && error.contains("ridge"), "{error}");
            assert!(Linear::new(&data, n, &order, 1e-10).is_ok());
        }
        assert!(Linear::new(&[f64::NAN; 8], 2, &[0, 1, 2, 3], 0.0).is_err());
        assert!(Linear::new(&[1.0; 7], 2, &[0, 1, 2, 3], 0.0).is_err());
    }
}
