//! The duals of the two kinds of block, as smooth convex functions to minimise.
//!
//!   codes, one sample   H(g) + R*(-D^T g),                       gradient q - D l
//!   factor of one mode  sum_s H_s(g_s) + sum_r R*(-z_r),         gradient q_s - D(U) l_s
//!                       z_r = sum_s l_sr g_s, contracted with the other factors
//!
//! q = grad H is the second marginal of a plan, l and U are grad R*. The residual is the distance
//! |q - D l|_1 between the two, for the worst sample: of a mass of 1, how much is misplaced.

use super::conjugate::{Memory, conjugate};
use super::gibbs::Gibbs;
use super::regulariser::Regulariser;
use super::tensor::{compose, contract};
use crate::engine::gemm::{Matrix, gemm};
use crate::engine::reduce::{dot, sum_of_abs};
use crate::engine::threads;
use crate::linalg::lbfgs::Smooth;

/// What all blocks share.
pub struct Shared<'a> {
    pub gibbs: &'a Gibbs,
    pub gamma: f64,
    /// Logarithms of the samples, S x M.
    pub log_x: &'a [f64],
    pub regulariser: Regulariser,
}

/// The code of one sample.
pub struct Code<'a> {
    pub shared: &'a Shared<'a>,
    pub log_x: &'a [f64],
    /// R x M.
    pub dictionary: &'a [f64],
    pub previous: &'a [f64],
    pub code: &'a mut [f64],
    pub z: Vec<f64>,
    pub memory: Memory,
}

impl Smooth for Code<'_> {
    fn evaluate(&mut self, g: &[f64], gradient: &mut [f64]) -> f64 {
        let Self { shared, log_x, dictionary, previous, code, z, memory } = self;
        let Shared { gibbs, gamma, regulariser, .. } = shared;
        let transport = conjugate(gibbs, *gamma, log_x, g, gradient, memory);
        let columns = dictionary.chunks_exact(g.len());
        z.iter_mut().zip(columns.clone()).for_each(|(z, column)| *z = -dot(column, g));
        let value = transport + regulariser.conjugate(z, previous, code);
        for (l, column) in code.iter().zip(columns) {
            gradient.iter_mut().zip(column).for_each(|(q, d)| *q -= l * d);
        }
        value
    }

    fn residual(&self, gradient: &[f64]) -> f64 {
        sum_of_abs(gradient)
    }
}

/// The factor of one mode.
pub struct Factor<'a> {
    pub shared: &'a Shared<'a>,
    pub sizes: &'a [usize],
    pub mode: usize,
    /// S x R.
    pub codes: &'a [f64],
    pub previous: &'a [f64],
    /// All factors; that of the mode is written.
    pub factors: &'a mut [Vec<f64>],
    /// Composed from the factors, R x M.
    pub dictionary: &'a mut [f64],
    pub weighted: Vec<f64>,
    pub z: Vec<f64>,
    pub memories: Vec<Memory>,
}

impl Smooth for Factor<'_> {
    fn evaluate(&mut self, g: &[f64], gradient: &mut [f64]) -> f64 {
        let Self { shared, sizes, mode, codes, previous, factors, dictionary, .. } = self;
        let Shared { gibbs, gamma, log_x, regulariser } = shared;
        let (m, samples) = (gibbs.entries(), g.len() / gibbs.entries());
        let r = codes.len() / samples;
        let mut slots: Vec<(&mut [f64], &mut Memory, f64)> = gradient
            .chunks_exact_mut(m)
            .zip(&mut self.memories)
            .map(|(q, w)| (q, w, 0.0))
            .collect();
        threads::for_each_chunk(&mut slots, 1, |s, slot| {
            let (q, memory, value) = &mut slot[0];
            let range = s * m..(s + 1) * m;
            *value = conjugate(gibbs, *gamma, &log_x[range.clone()], &g[range], q, memory);
        });
        let mut value: f64 = slots.iter().map(|slot| slot.2).sum();
        let codes = Matrix::new(codes, samples, r);
        gemm(-1.0, codes.transpose(), Matrix::new(g, samples, m), 0.0, &mut self.weighted);
        contract(&mut self.weighted, factors, sizes, *mode, &mut self.z);
        let n = sizes[*mode];
        let columns = factors[*mode].chunks_exact_mut(n).zip(self.z.chunks_exact(n));
        for ((column, z), previous) in columns.zip(previous.chunks_exact(n)) {
            value += regulariser.conjugate(z, previous, column);
        }
        compose(factors, sizes, dictionary);
        gemm(-1.0, codes, Matrix::new(dictionary, r, m), 1.0, gradient);
        value
    }

    fn residual(&self, gradient: &[f64]) -> f64 {
        let samples = gradient.chunks_exact(self.shared.gibbs.entries());
        samples.map(sum_of_abs).fold(0.0, f64::max)
    }
}
