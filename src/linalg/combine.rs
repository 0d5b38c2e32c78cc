//! Weighted sum of a few long rows: the second of the two passes over a Jacobian.
//!
//!   out_c = sum_i w_i J_ic
//!
//! Every sum runs in f64 over the rows in order and is rounded once, so that the bits depend
//! neither on threads nor on SIMD. Cost O(m d).

use super::gram::{BLOCK, fold};
use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};
use crate::engine::threads;

/// Lanes of the sum of squares: enough to hide the latency of additions.
const SQUARES: usize = 32;

/// Writes the sum of the rows times their weights, computed in f64 and rounded once; returns its
/// squared length. Rows of weight zero are not read.
pub fn combine<F: Float>(rows: &[&[F]], weights: &[f64], out: &mut [F]) -> f64 {
    assert_eq!(rows.len(), weights.len(), "one weight for each row");
    assert!(rows.iter().all(|row| row.len() == out.len()), "rows of unequal length");
    let used: Vec<(&[F], f64)> =
        rows.iter().zip(weights).filter(|(_, w)| **w != 0.0).map(|(r, w)| (*r, *w)).collect();
    let columns = out.len().div_ceil(64 * BLOCK).max(1) * BLOCK;
    let mut squares = vec![0.0; out.len().div_ceil(columns)];
    let tasks = std::sync::Mutex::new(&mut squares);
    threads::for_each_chunk(out, columns, |task, out| {
        let square = simd::dispatch(Combine { rows: &used, start: task * columns, out });
        // A panic elsewhere ends the call; its poison says nothing about this slot.
        tasks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())[task] = square;
    });
    squares.iter().sum()
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
        let mut squares = [0.0; SQUARES];
        let mut sums = Aligned([0.0; BLOCK]);
        for (index, out) in self.out.chunks_mut(BLOCK).enumerate() {
            let start = self.start + index * BLOCK;
            let sums = &mut sums.0[..out.len()];
            sums.fill(0.0);
            let (fours, rest) = self.rows.as_chunks::<4>();
            let (twos, rest) = rest.as_chunks::<2>();
            fours.iter().for_each(|rows| add_four(rows, start, sums));
            twos.iter().for_each(|rows| add_two(rows, start, sums));
            rest.iter().for_each(|row| add_one(row, start, sums));
            for (to, from) in out.iter_mut().zip(&*sums) {
                *to = F::from_f64(*from);
            }
            let (vectors, tail) = sums.as_chunks::<SQUARES>();
            for vector in vectors {
                for (square, x) in squares.iter_mut().zip(vector) {
                    *square += x * x;
                }
            }
            for (square, x) in squares.iter_mut().zip(tail) {
                *square += x * x;
            }
        }
        fold(squares)
    }
}

/// Whole vectors lie in whole cache lines.
#[repr(align(64))]
struct Aligned([f64; BLOCK]);

/// Adds the weighted rows to `sums`, one after the other. (Spelled out: an inner loop over the
/// rows is not vectorised, and neither are indices that the compiler has to check.)
#[inline(always)]
fn add_four<F: Float>(rows: &[(&[F], f64); 4], start: usize, sums: &mut [f64]) {
    let [a, b, c, d] = rows.map(|(row, _)| &row[start..start + sums.len()]);
    let [p, q, r, s] = rows.map(|(_, w)| w);
    for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        let two = (*sum + p * a.to_f64()) + q * b.to_f64();
        *sum = (two + r * c.to_f64()) + s * d.to_f64();
    }
}

#[inline(always)]
fn add_two<F: Float>(rows: &[(&[F], f64); 2], start: usize, sums: &mut [f64]) {
    let [a, b] = rows.map(|(row, _)| &row[start..start + sums.len()]);
    let [p, q] = rows.map(|(_, w)| w);
    for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
        *sum = (*sum + p * a.to_f64()) + q * b.to_f64();
    }
}

#[inline(always)]
fn add_one<F: Float>((row, w): &(&[F], f64), start: usize, sums: &mut [f64]) {
    for (sum, x) in sums.iter_mut().zip(&row[start..]) {
        *sum += w * x.to_f64();
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
