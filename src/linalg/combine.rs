//! Weighted sum of a few long rows: the second of the two passes over a Jacobian.
//!
//!   out_c = sum_i w_i J_ic
//!
//! Every sum runs in f64 over the rows in order and is rounded once, so that the bits depend
//! neither on threads nor on SIMD. Cost O(m d).

use super::gram::{BLOCK, FEW, LANES};
use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};
use crate::engine::threads;

/// Vectors of the sum of squares: enough to hide the latency of additions.
const GROUP: usize = 4;

/// Writes the sum of the rows times their weights, computed in f64 and rounded once; returns its
/// squared length. Rows of weight zero are not read.
pub fn combine<F: Float>(rows: &[&[F]], weights: &[f64], out: &mut [F]) -> f64 {
    assert_eq!(rows.len(), weights.len(), "one weight for each row");
    assert!(rows.iter().all(|row| row.len() == out.len()), "rows of unequal length");
    let used: Vec<(&[F], f64)> =
        rows.iter().zip(weights).filter(|(_, w)| **w != 0.0).map(|(r, w)| (*r, *w)).collect();
    let columns = out.len().div_ceil(64 * BLOCK).max(1) * BLOCK;
    let mut parts: Vec<(&mut [F], f64)> = out.chunks_mut(columns).map(|out| (out, 0.0)).collect();
    // From the end: the pass over the rows that went before left their ends in the cache.
    parts.reverse();
    let last = parts.len().saturating_sub(1);
    threads::for_each_chunk(&mut parts, 1, |task, part| {
        let (out, square) = &mut part[0];
        *square = simd::dispatch(Combine { rows: &used, start: (last - task) * columns, out });
    });
    parts.iter().rev().map(|(_, square)| square).sum()
}

struct Combine<'a, F> {
    rows: &'a [(&'a [F], f64)],
    start: usize,
    out: &'a mut [F],
}

impl<F: Float> Kernel for Combine<'_, F> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let mut sums = Aligned([[0.0; LANES]; BLOCK / LANES]);
        let mut squares = [[0.0; LANES]; GROUP];
        for (index, out) in self.out.chunks_mut(BLOCK).enumerate() {
            let start = self.start + index * BLOCK;
            let whole = out.len() - out.len() % (GROUP * LANES);
            let (out, tail) = out.split_at_mut(whole);
            let (out, _) = out.as_chunks_mut();
            let mut rest = self.rows;
            let mut first = true;
            // Eight rows at a time, then four, two and one.
            loop {
                let taken = match rest.len() {
                    0 if first => 0,
                    0 => break,
                    1 => 1,
                    2 | 3 => 2,
                    4..8 => 4,
                    _ => 8,
                };
                let (rows, left) = rest.split_at(taken);
                let few = self.rows.len() <= FEW;
                let step = Step { start, first, last: left.is_empty(), few };
                match rows.len() {
                    0 => step.run::<F, 0>(rows, &mut sums.0, out, &mut squares),
                    1 => step.run::<F, 1>(rows, &mut sums.0, out, &mut squares),
                    2 => step.run::<F, 2>(rows, &mut sums.0, out, &mut squares),
                    4 => step.run::<F, 4>(rows, &mut sums.0, out, &mut squares),
                    _ => step.run::<F, 8>(rows, &mut sums.0, out, &mut squares),
                }
                (rest, first) = (left, false);
                if rest.is_empty() {
                    break;
                }
            }
            for (k, out) in tail.iter_mut().enumerate() {
                let mut sum = 0.0;
                for (row, w) in self.rows {
                    sum += w * row[start + whole + k].to_f64();
                }
                *out = F::from_f64(sum);
                squares[k / LANES][k % LANES] += sum * sum;
            }
        }
        let mut lanes = [0.0; GROUP * LANES];
        for (to, from) in lanes.iter_mut().zip(squares.as_flattened()) {
            *to = *from;
        }
        simd::fold(&lanes)
    }
}

/// Whole vectors lie in whole cache lines.
#[repr(align(64))]
struct Aligned([[f64; LANES]; BLOCK / LANES]);

/// One pass over the columns of a block from `start` on, with a few of the rows.
#[derive(Clone, Copy)]
struct Step {
    start: usize,
    /// Whether the sums begin here.
    first: bool,
    /// Whether they end here.
    last: bool,
    /// Whether the rows are few, and so long as a rule that they come from memory.
    few: bool,
}

impl Step {
    #[inline(always)]
    fn run<F: Float, const K: usize>(
        self,
        rows: &[(&[F], f64)],
        sums: &mut [[f64; LANES]],
        out: &mut [[F; LANES]],
        squares: &mut [[f64; LANES]; GROUP],
    ) {
        match (self.first, self.last) {
            (true, true) => self.add::<F, K, true, true>(rows, sums, out, squares),
            (true, false) => self.add::<F, K, true, false>(rows, sums, out, squares),
            (false, true) => self.add::<F, K, false, true>(rows, sums, out, squares),
            (false, false) => self.add::<F, K, false, false>(rows, sums, out, squares),
        }
    }

    /// Adds `K` weighted rows to the sums, one after the other; rounds and squares those that end.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // it walks several arrays at once
    fn add<F: Float, const K: usize, const FIRST: bool, const LAST: bool>(
        self,
        rows: &[(&[F], f64)],
        sums: &mut [[f64; LANES]],
        out: &mut [[F; LANES]],
        squares: &mut [[f64; LANES]; GROUP],
    ) {
        let vectors = out.len();
        let sums = &mut sums[..vectors];
        let mut parts: [&[[F; LANES]]; K] = [&[]; K];
        let mut weights = [0.0; K];
        for k in 0..K {
            let (row, w) = rows[k];
            parts[k] = &row[self.start..].as_chunks().0[..vectors];
            weights[k] = w;
        }
        let mut local = *squares;
        for group in 0..vectors / GROUP {
            for k in 0..if self.few { K } else { 0 } {
                // The next block, one cache line after the other.
                for line in (0..GROUP).step_by(64 / size_of::<[F; LANES]>()) {
                    let next = BLOCK / LANES + group * GROUP + line;
                    simd::prefetch(parts[k].as_ptr().wrapping_add(next).cast());
                }
            }
            for g in 0..GROUP {
                let v = group * GROUP + g;
                let mut sum = if FIRST { [0.0; LANES] } else { sums[v] };
                for k in 0..K {
                    for lane in 0..LANES {
                        sum[lane] += weights[k] * parts[k][v][lane].to_f64();
                    }
                }
                if LAST {
                    for lane in 0..LANES {
                        out[v][lane] = F::from_f64(sum[lane]);
                        local[g][lane] += sum[lane] * sum[lane];
                    }
                } else {
                    sums[v] = sum;
                }
            }
        }
        *squares = local;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jacobian(m: usize, d: usize) -> Vec<f32> {
        (0..m * d).map(|k| ((k * k % 1013) as f32 * 0.37).sin()).collect()
    }

    #[test]
    fn agrees_with_its_definition_to_the_last_bit() {
        for m in [1, 2, 3, 5, 7, 8, 9, 13, 16, 17, 30] {
            for d in [0, 1, 7, 8, 511, 512, 1500] {
                let data = jacobian(m, d);
                let rows: Vec<&[f32]> = (0..m).map(|i| &data[i * d..(i + 1) * d]).collect();
                // One weight is zero.
                let weights: Vec<f64> = (0..m).map(|i| (i as f64 - 1.0) / 3.0).collect();
                let mut out = vec![7.0_f32; d];
                let square = combine(&rows, &weights, &mut out);
                let mut wanted = 0.0;
                for c in 0..d {
                    let mut want = 0.0;
                    for i in (0..m).filter(|&i| i != 1) {
                        want += weights[i] * f64::from(rows[i][c]);
                    }
                    assert_eq!(out[c], want as f32, "{m} {d} {c}");
                    wanted += want * want;
                }
                assert!((square - wanted).abs() <= 1e-13 * wanted);
            }
        }
    }

    #[test]
    fn without_weights_the_rows_are_not_read() {
        let row = [f32::NAN; 20];
        let mut out = [1.0_f32; 20];
        assert_eq!(combine(&[&row, &row], &[0.0, 0.0], &mut out), 0.0);
        assert_eq!(out, [0.0; 20]);
    }

    #[test]
    fn bits_do_not_depend_on_threads() {
        let (m, d) = (11, 140_003);
        let data = jacobian(m, d);
        let rows: Vec<&[f32]> = (0..m).map(|i| &data[i * d..(i + 1) * d]).collect();
        let weights: Vec<f64> = (0..m).map(|i| (i as f64).cos()).collect();
        let run = |threads| {
            threads::set(threads);
            let mut out = vec![0.0; d];
            let square = combine(&rows, &weights, &mut out);
            threads::set(0);
            (out, square)
        };
        assert!(run(1) == run(2) && run(1) == run(7));
    }
}
