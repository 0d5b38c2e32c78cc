//! The Gibbs kernel of a separable cost, in the log domain.
//!
//!   y_i = log sum_j exp(z_j - C_ij / gamma),   C_ij = sum_k C^(k)_{i_k j_k}
//!
//! exp(-C / gamma) is a Kronecker product, so it is applied to one axis after the other: O(M sum I_k)
//! for M entries instead of O(M^2). Along an axis the largest exponent of each fibre is taken out
//! and the rest is a matrix product; a sum that underflows all the same is taken entry by entry.

use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};

/// Smallest sum that is trusted: the terms lost to underflow are below 1e-308 each.
const SAFE: f64 = 1e-280;

/// Kernels of all axes.
#[derive(Debug, Clone)]
pub struct Gibbs {
    axes: Vec<Axis>,
    entries: usize,
}

#[derive(Debug, Clone)]
struct Axis {
    size: usize,
    /// Product of the sizes after this one.
    inner: usize,
    /// For C and for its transpose.
    sides: [Side; 2],
}

#[derive(Debug, Clone)]
struct Side {
    /// -C / gamma.
    exponents: Vec<f64>,
    /// exp(-C / gamma), and its transpose.
    kernel: Vec<f64>,
    flipped: Vec<f64>,
}

impl Side {
    fn new(exponents: Vec<f64>, n: usize) -> Self {
        let kernel: Vec<f64> = exponents.iter().map(|x| x.exp()).collect();
        Self { flipped: transposed(&kernel, n), kernel, exponents }
    }
}

fn transposed(a: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|at| a[at % n * n + at / n]).collect()
}

/// Buffers of [`Gibbs::apply`].
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    shifted: Vec<f64>,
    top: Vec<f64>,
    out: Vec<f64>,
}

impl Gibbs {
    /// From a square matrix of costs for each axis.
    pub fn new(costs: &[&[f64]], sizes: &[usize], gamma: f64) -> Self {
        let axes = costs.iter().zip(sizes).enumerate().map(|(k, (cost, &size))| {
            let exponents: Vec<f64> = cost.iter().map(|c| -c / gamma).collect();
            let flipped = transposed(&exponents, size);
            Axis {
                size,
                inner: sizes[k + 1..].iter().product(),
                sides: [Side::new(exponents, size), Side::new(flipped, size)],
            }
        });
        Self { axes: axes.collect(), entries: sizes.iter().product() }
    }

    /// Number of entries M.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Replaces `z` by y, for C or for its transpose; entries may be -infinity.
    pub fn apply(&self, transpose: bool, z: &mut [f64], scratch: &mut Scratch) {
        scratch.shifted.resize(self.entries, 0.0);
        scratch.out.resize(self.entries, 0.0);
        for axis in &self.axes {
            scratch.top.resize(self.entries / axis.size, 0.0);
            let side = &axis.sides[usize::from(transpose)];
            simd::dispatch(Along { axis, side, z, scratch });
        }
    }
}

struct Along<'a> {
    axis: &'a Axis,
    side: &'a Side,
    z: &'a mut [f64],
    scratch: &'a mut Scratch,
}

impl Kernel for Along<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { axis: &Axis { size: n, inner, .. }, side, z, scratch } = self;
        let Scratch { shifted, top, out } = scratch;
        let top = &mut top[..z.len() / n];
        let slabs = z.chunks_exact(n * inner).zip(shifted.chunks_exact_mut(n * inner));
        for ((z, shifted), top) in slabs.zip(top.chunks_exact_mut(inner)) {
            top.fill(f64::NEG_INFINITY);
            for row in z.chunks_exact(inner) {
                for (top, &z) in top.iter_mut().zip(row) {
                    *top = if z > *top { z } else { *top };
                }
            }
            // A fibre without any mass: all its terms are exp(-infinity).
            for top in &mut *top {
                *top = if *top == f64::NEG_INFINITY { 0.0 } else { *top };
            }
            for (row, shifted) in z.chunks_exact(inner).zip(shifted.chunks_exact_mut(inner)) {
                for ((s, &z), &top) in shifted.iter_mut().zip(row).zip(&*top) {
                    *s = Float::exp(z - top);
                }
            }
        }
        if inner == 1 {
            for (out, shifted) in out.chunks_exact_mut(n).zip(shifted.chunks_exact(n)) {
                product(1, n, shifted, &side.flipped, out);
            }
        } else {
            let slabs = out.chunks_exact_mut(n * inner).zip(shifted.chunks_exact(n * inner));
            for (out, shifted) in slabs {
                product(n, inner, &side.kernel, shifted, out);
            }
        }
        let slabs = z.chunks_exact_mut(n * inner).zip(out.chunks_exact_mut(n * inner));
        for ((z, out), top) in slabs.zip(top.chunks_exact(inner)) {
            let lost = out.iter().any(|&sum| sum < SAFE);
            for row in out.chunks_exact_mut(inner) {
                for (out, &top) in row.iter_mut().zip(top) {
                    *out = top + Float::ln(*out);
                }
            }
            if lost {
                exactly(n, inner, &side.exponents, z, out, top);
            }
            z.copy_from_slice(out);
        }
    }
}

/// c = a b for `a` with `rows` rows and `b` with `columns` columns.
#[inline(always)]
fn product(rows: usize, columns: usize, a: &[f64], b: &[f64], c: &mut [f64]) {
    c.fill(0.0);
    for (a, c) in a.chunks_exact(a.len() / rows).zip(c.chunks_exact_mut(columns)) {
        for (a, b) in a.iter().zip(b.chunks_exact(columns)) {
            for (c, b) in c.iter_mut().zip(b) {
                *c += a * b;
            }
        }
    }
}

/// Recomputes the entries of `out` whose sum was lost.
#[cold]
fn exactly(n: usize, inner: usize, exponents: &[f64], z: &[f64], out: &mut [f64], top: &[f64]) {
    let trusted = SAFE.ln();
    for i in 0..n {
        for c in 0..inner {
            if out[i * inner + c] - top[c] >= trusted {
                continue;
            }
            let term = |j: usize| z[j * inner + c] + exponents[i * n + j];
            let top = (0..n).map(term).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..n).map(|j| (term(j) - top).exp()).sum();
            out[i * inner + c] = if top.is_finite() { top + sum.ln() } else { top };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(sizes: &[usize]) -> Vec<Vec<f64>> {
        let entry = |i: usize, j: usize| (i as f64 - 1.3 * j as f64).abs() + 0.1 * (i * j) as f64;
        sizes.iter().map(|&n| (0..n * n).map(|at| entry(at / n, at % n)).collect()).collect()
    }

    #[test]
    fn axis_by_axis_equals_the_whole_sum() {
        let sizes = [3, 2, 4];
        let costs = costs(&sizes);
        let views: Vec<&[f64]> = costs.iter().map(Vec::as_slice).collect();
        let index = |at: usize| [at / 8, at / 4 % 2, at % 4];
        // The smallest gamma makes most terms underflow.
        for gamma in [1.0, 0.05, 1e-4] {
            let gibbs = Gibbs::new(&views, &sizes, gamma);
            for transpose in [false, true] {
                let mut z: Vec<f64> = (0..24).map(|k| ((k * 7) % 11) as f64 / gamma).collect();
                z[5] = f64::NEG_INFINITY;
                let cost = |i: usize, j: usize| -> f64 {
                    let (i, j) =
                        if transpose { (index(j), index(i)) } else { (index(i), index(j)) };
                    (0..3).map(|k| costs[k][i[k] * sizes[k] + j[k]]).sum()
                };
                let expected: Vec<f64> = (0..24)
                    .map(|i| {
                        let terms: Vec<f64> = (0..24).map(|j| z[j] - cost(i, j) / gamma).collect();
                        let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                        top + terms.iter().map(|t| (t - top).exp()).sum::<f64>().ln()
                    })
                    .collect();
                gibbs.apply(transpose, &mut z, &mut Scratch::default());
                for (z, expected) in z.iter().zip(&expected) {
                    assert!((z - expected).abs() <= 1e-12 * (1.0 + expected.abs()));
                }
            }
        }
    }

    #[test]
    fn no_mass_stays_no_mass() {
        let costs = costs(&[2]);
        let mut z = [f64::NEG_INFINITY; 2];
        Gibbs::new(&[&costs[0]], &[2], 0.1).apply(false, &mut z, &mut Scratch::default());
        assert_eq!(z, [f64::NEG_INFINITY; 2]);
    }
}
