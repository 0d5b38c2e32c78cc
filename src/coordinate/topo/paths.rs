//! Weights of directed paths, and the pairs that few paths join.
//!
//!   N = (I - |W|)^-1, unit upper triangular by position: N_pq = sum_r N_pr |W_rq|, p <= r < q
//!
//! N is the gradient of h(W) = -logdet(I - |W|), transposed: N_pq = 0 means that no path leads from p
//! to q, so that an edge from q to p would close no cycle. Cost O(d^3 / 3).

use super::Swap;
use crate::engine::simd::{self, Kernel};
use crate::engine::threads;

/// Orders below this length are not worth waking a thread.
const SMALL: usize = 48;
/// Above it path weights are all alike: infinity times zero must not turn into NaN.
const HUGE: f64 = 1e300;

/// Collects `work(row)` for each of `d` rows.
pub(super) fn each<T: Send>(d: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    if d < SMALL { (0..d).map(work).collect() } else { threads::map(d, work) }
}

/// Solves, row by row, `out_q = sum_r next(r, out_r) entry(rows_rq)` for `p <= r < q`, where the first
/// factor is `start`.
pub(super) struct Forward<'a, E, N> {
    pub rows: &'a [f64],
    pub d: usize,
    pub p: usize,
    pub start: f64,
    pub entry: E,
    pub next: N,
}
impl<E: Fn(f64) -> f64, N: Fn(usize, f64) -> f64> Kernel for Forward<'_, E, N> {
    type Output = Vec<f64>;
    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let Self { rows, d, p, start, entry, next } = self;
        let mut out = vec![0.0; d];
        let mut factor = start;
        for r in p..d {
            if r > p {
                factor = next(r, out[r]);
            }
            if factor != 0.0 {
                let row = &rows[r * d + r + 1..(r + 1) * d];
                for (out, &x) in out[r + 1..].iter_mut().zip(row) {
                    *out += factor * entry(x);
                }
            }
        }
        out
    }
}

/// Weights of all paths between positions, given those of the edges.
pub(super) fn weights(edges: &[f64], d: usize) -> Vec<f64> {
    let rows = each(d, |p| {
        let next = |_, x: f64| x.min(HUGE);
        simd::dispatch(Forward { rows: edges, d, p, start: 1.0, entry: f64::abs, next })
    });
    rows.concat()
}

/// The pairs whose paths are among the `sizes[0]` lightest, ties included, and those that only
/// `sizes[1]` brings in; both in order of position.
pub(super) fn candidates(paths: &[f64], d: usize, sizes: [usize; 2]) -> [Vec<Swap>; 2] {
    let pairs: Vec<Swap> = (0..d).flat_map(|a| (a + 1..d).map(move |b| [a, b])).collect();
    let weight = |&[a, b]: &Swap| paths[a * d + b];
    if sizes[0] >= pairs.len() {
        return [pairs, Vec::new()];
    }
    let mut sorted: Vec<f64> = pairs.iter().map(weight).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let [small, large] = sizes.map(|size| sorted[size - 1]);
    let (first, others): (Vec<Swap>, Vec<Swap>) = pairs.iter().partition(|&p| weight(p) <= small);
    [first, others.into_iter().filter(|pair| weight(pair) <= large).collect()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_sum_products_of_edges() {
        // 0 -> 1 (2), 1 -> 2 (-3), 0 -> 2 (0.5): the path through 1 weighs 6.
        let edges = [0.0, 2.0, 0.5, 0.0, 0.0, -3.0, 0.0, 0.0, 0.0];
        let paths = weights(&edges, 3);
        assert_eq!([paths[1], paths[2], paths[5]], [2.0, 6.5, 3.0]);
        assert_eq!(candidates(&paths, 3, [1, 2]), [vec![[0, 1]], vec![[1, 2]]]);
        assert_eq!(candidates(&[0.0; 9], 3, [1, 1])[0].len(), 3, "ties are in");
    }

    #[test]
    fn huge_paths_are_not_nan() {
        let d = 60;
        let edges: Vec<f64> = (0..d * d).map(|t| if t % 7 == 0 { 0.0 } else { 1e200 }).collect();
        assert!(weights(&edges, d).iter().all(|x| !x.is_nan()));
    }
}
