//! GradDrop: each column keeps one sign, drawn by how much of it there is.
//!
//! Chen et al. 2020, "Just Pick a Sign", NeurIPS, arXiv:2010.06808.
//!
//!   P_c = (1 + sum_i J_ic / sum_i |J_ic|) / 2     U_c uniform in [0, 1)
//!   keep J_ic > 0 where P_c > U_c, J_ic < 0 where P_c < U_c
//!   A(J)_c = sum_i (leak_i + (1 - leak_i) keep_ic) J_ic
//!
//! U_c is a function of (seed, step, column), whatever the threads.

use crate::engine::real::Float;
use crate::engine::rng::Philox;
use crate::engine::{Result, threads};

/// One step of GradDrop.
#[derive(Debug, Clone)]
pub struct GradDrop {
    /// Share of each row that is kept whatever its sign, in [0, 1]; m values.
    pub leak: Vec<f64>,
    /// Key of the random numbers.
    pub seed: u64,
    /// Call that this is.
    pub step: u64,
}

const COLUMNS: usize = 4096;

impl GradDrop {
    /// Writes the update for columns `first..` of the Jacobian.
    pub fn aggregate<F: Float>(&self, rows: &[&[F]], first: u64, out: &mut [F]) -> Result<()> {
        let rng = Philox::new(self.seed);
        threads::for_each_chunk(out, COLUMNS, |task, out| {
            let start = task * COLUMNS;
            let n = out.len();
            let (mut sum, mut size, mut kept) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
            for row in rows {
                for ((sum, size), x) in sum.iter_mut().zip(&mut size).zip(&row[start..start + n]) {
                    *sum += x.to_f64();
                    *size += x.to_f64().abs();
                }
            }
            // Positive entries are kept where the draw is below P: as +1, else -1; 0 for a tie.
            let sign: Vec<f64> = (0..n)
                .map(|c| {
                    let p = 0.5 * (1.0 + sum[c] / size[c]);
                    let u = uniform(&rng, self.step, first + (start + c) as u64);
                    f64::from(i8::from(p > u) - i8::from(p < u))
                })
                .collect();
            for (row, leak) in rows.iter().zip(&self.leak) {
                for ((kept, sign), x) in kept.iter_mut().zip(&sign).zip(&row[start..start + n]) {
                    let x = x.to_f64();
                    *kept += if x * sign > 0.0 { x } else { leak * x };
                }
            }
            for (to, from) in out.iter_mut().zip(&kept) {
                *to = F::from_f64(*from);
            }
        });
        Ok(())
    }
}

/// The draw of one column: two columns share a block of the generator.
#[inline(always)]
fn uniform(rng: &Philox, step: u64, column: u64) -> f64 {
    rng.uniform(step, column / 2)[(column % 2) as usize]
}

/// The draws of `n` columns, for a reference on another device.
pub fn draws(seed: u64, step: u64, first: u64, n: usize) -> Vec<f64> {
    let rng = Philox::new(seed);
    (0..n).map(|c| uniform(&rng, step, first + c as u64)).collect()
}
