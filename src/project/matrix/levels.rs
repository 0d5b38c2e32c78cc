//! Thresholds of the simplex for all columns of a matrix at once, a column a lane.
//!
//! Michelot's rounds, as in [`super::super::threshold`]: there one long vector, here many short
//! ones, to a working precision that suits a start.

use crate::engine::simd::{self, Kernel};

const LANES: usize = 16;
/// Rounds after which a threshold is near enough.
const ROUNDS: usize = 12;

/// The matrix of `entry(i, j)`, its rows filled up with zeros to whole vectors.
pub fn padded(rows: usize, columns: usize, entry: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let width = columns.next_multiple_of(LANES);
    let mut out = vec![0.0; rows * width];
    for (i, row) in out.chunks_exact_mut(width.max(1)).enumerate() {
        row[..columns].iter_mut().enumerate().for_each(|(j, x)| *x = entry(i, j));
    }
    out
}

/// The shift of every column of `x` (padded) with its rows moved by `moves` that makes the positive
/// parts of the column sum to its mass.
pub fn levels(x: &[f64], moves: &[f64], masses: &[f64], out: &mut [f64]) {
    simd::dispatch(Levels { x, moves, masses, out });
}

struct Levels<'a> {
    x: &'a [f64],
    moves: &'a [f64],
    masses: &'a [f64],
    out: &'a mut [f64],
}

impl Kernel for Levels<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { x, moves, masses, out } = self;
        let (x, _) = x.as_chunks::<LANES>();
        let blocks = masses.len().div_ceil(LANES);
        for (block, (masses, out)) in masses.chunks(LANES).zip(out.chunks_mut(LANES)).enumerate() {
            let mut mass = [1.0; LANES];
            mass[..masses.len()].copy_from_slice(masses);
            let mut tau = [f64::NEG_INFINITY; LANES];
            for (x, &by) in x[block..].iter().step_by(blocks).zip(moves) {
                for l in 0..LANES {
                    let z = x[l] + by;
                    tau[l] = if z > tau[l] { z } else { tau[l] };
                }
            }
            for l in 0..LANES {
                tau[l] -= mass[l];
            }
            for _ in 0..ROUNDS {
                let (mut sums, mut counts) = ([0.0; LANES], [0.0; LANES]);
                for (x, &by) in x[block..].iter().step_by(blocks).zip(moves) {
                    for l in 0..LANES {
                        let z = x[l] + by;
                        sums[l] += if z > tau[l] { z } else { 0.0 };
                        counts[l] += if z > tau[l] { 1.0 } else { 0.0 };
                    }
                }
                let mut rises = false;
                for l in 0..LANES {
                    let next = (sums[l] - mass[l]) / counts[l];
                    // False where nothing was counted.
                    let higher = next > tau[l];
                    rises |= higher;
                    tau[l] = if higher { next } else { tau[l] };
                }
                if !rises {
                    break;
                }
            }
            out.iter_mut().zip(tau).for_each(|(out, tau)| *out = -tau);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_reach_their_masses() {
        for (n, m) in [(1, 1), (3, 5), (20, 16), (7, 33)] {
            let x = |i: usize, j: usize| ((i * 31 + j * 17 + i * j) as f64 * 0.61).sin();
            let moves: Vec<f64> = (0..n).map(|i| (i as f64).cos()).collect();
            let masses: Vec<f64> = (0..m).map(|j| (j % 4) as f64 * 0.5).collect();
            let mut shifts = vec![0.0; m];
            levels(&padded(n, m, x), &moves, &masses, &mut shifts);
            for j in 0..m {
                let total: f64 = (0..n).map(|i| (x(i, j) + moves[i] + shifts[j]).max(0.0)).sum();
                assert!((total - masses[j]).abs() < 1e-13, "{n} {m} {j} {total}");
            }
        }
    }
}
