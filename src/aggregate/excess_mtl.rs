//! ExcessMTL: how far each loss is from its own optimum.
//!
//! He et al. 2024, "Robust Multi-Task Learning with Excess Risks", ICML, arXiv:2402.02009, Eq. 6-7.
//!
//!   S = S + J^2     e_i = sum_c J_ic^2 / sqrt(S_ic + 1e-7)
//!
//! One pass over J and S.

use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};
use crate::engine::threads;

const COLUMNS: usize = 1 << 14;
const LANES: usize = 32;

/// Adds the squares of one row to `squares` and returns its excess.
pub fn excess<F: Float>(row: &[F], squares: &mut [F]) -> f64 {
    assert_eq!(row.len(), squares.len(), "a state of the length of the row");
    let mut parts = vec![0.0; row.len().div_ceil(COLUMNS)];
    let tasks = std::sync::Mutex::new(&mut parts);
    threads::for_each_chunk(squares, COLUMNS, |task, squares| {
        let row = &row[task * COLUMNS..][..squares.len()];
        let sum = simd::dispatch(Excess { row, squares });
        // A panic elsewhere ends the call; its poison says nothing about this slot.
        tasks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())[task] = sum;
    });
    parts.iter().sum()
}

struct Excess<'a, F> {
    row: &'a [F],
    squares: &'a mut [F],
}

impl<F: Float> Kernel for Excess<'_, F> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let mut sums = [0.0; LANES];
        for (row, squares) in self.row.chunks(LANES).zip(self.squares.chunks_mut(LANES)) {
            for ((sum, x), s) in sums.iter_mut().zip(row).zip(squares) {
                let square = x.to_f64() * x.to_f64();
                *s = F::from_f64(s.to_f64() + square);
                *sum += square / (s.to_f64() + 1e-7).sqrt();
            }
        }
        sums.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition() {
        for n in [0, 1, 31, 32, 33, 40_000] {
            let row: Vec<f64> = (0..n).map(|c| (c as f64 * 0.7).sin()).collect();
            let mut squares: Vec<f64> = (0..n).map(|c| (c % 5) as f64).collect();
            let (mut want, mut sum) = (squares.clone(), 0.0);
            for (s, x) in want.iter_mut().zip(&row) {
                *s += x * x;
                sum += x * x / (*s + 1e-7).sqrt();
            }
            assert!((excess(&row, &mut squares) - sum).abs() <= 1e-12 * (1.0 + sum));
            assert_eq!(squares, want);
        }
    }
}
