//! Trimmed mean: each column without its extremes.
//!
//! Yin et al. 2018, "Byzantine-Robust Distributed Learning", ICML, arXiv:1803.01498.
//!
//!   A(J)_c = mean of column c without its b smallest and b largest entries;  m >= 2 b + 1
//!
//! Columns are sorted side by side by a network of compare-exchanges (Batcher 1968, odd-even merge
//! sort), which has no branches and so fills the vector registers.

use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};
use crate::engine::{Error, Result, threads};

/// The trimmed mean.
#[derive(Debug, Clone, Copy)]
pub struct TrimmedMean {
    /// Entries b dropped at each end.
    pub trim: usize,
}

const COLUMNS: usize = 2048;
const STRIP: usize = 64;

impl TrimmedMean {
    /// Writes the update. The rows hold no NaN.
    pub fn aggregate<F: Float>(&self, rows: &[&[F]], out: &mut [F]) -> Result<()> {
        let m = rows.len();
        if m < 2 * self.trim + 1 {
            return Err(Error::value(
                "the number of rows of the Jacobian",
                format!("at least {}", 2 * self.trim + 1),
                m,
                "lower trim_number, or give more gradients",
            ));
        }
        let network = network(m);
        threads::for_each_chunk(out, COLUMNS, |task, out| {
            let start = task * COLUMNS;
            simd::dispatch(Trim { rows, network: &network, trim: self.trim, start, out });
        });
        Ok(())
    }
}

struct Trim<'a, F> {
    rows: &'a [&'a [F]],
    network: &'a [(usize, usize)],
    trim: usize,
    start: usize,
    out: &'a mut [F],
}

impl<F: Float> Kernel for Trim<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let m = self.rows.len();
        let mut strip = vec![[F::default(); STRIP]; m];
        for (index, out) in self.out.chunks_mut(STRIP).enumerate() {
            let start = self.start + index * STRIP;
            for (lanes, row) in strip.iter_mut().zip(self.rows) {
                lanes[..out.len()].copy_from_slice(&row[start..start + out.len()]);
            }
            for &(low, high) in self.network {
                let (head, tail) = strip.split_at_mut(high);
                for (a, b) in head[low].iter_mut().zip(&mut tail[0]) {
                    (*a, *b) = if *b < *a { (*b, *a) } else { (*a, *b) };
                }
            }
            let kept = &strip[self.trim..m - self.trim];
            let mut sum = [0.0; STRIP];
            for lanes in kept {
                for (sum, x) in sum.iter_mut().zip(lanes) {
                    *sum += x.to_f64();
                }
            }
            for (to, sum) in out.iter_mut().zip(&sum) {
                *to = F::from_f64(sum / kept.len() as f64);
            }
        }
    }
}

/// Compare-exchanges (low, high) that sort any m values.
fn network(m: usize) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut p = 1;
    while p < m {
        let mut k = p;
        while k >= 1 {
            for j in (k % p..m.saturating_sub(k)).step_by(2 * k) {
                for i in 0..k.min(m - j - k) {
                    if (i + j) / (2 * p) == (i + j + k) / (2 * p) {
                        pairs.push((i + j, i + j + k));
                    }
                }
            }
            k /= 2;
        }
        p *= 2;
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_sorts() {
        // A network that sorts every sequence of zeros and ones sorts everything.
        for m in 1..=14 {
            for bits in 0..1_u32 << m {
                let mut values: Vec<u32> = (0..m).map(|i| bits >> i & 1).collect();
                for (low, high) in network(m) {
                    if values[high] < values[low] {
                        values.swap(low, high);
                    }
                }
                assert!(values.is_sorted(), "{m} {bits:b}");
            }
        }
    }
}
