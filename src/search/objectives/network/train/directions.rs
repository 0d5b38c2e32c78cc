//! Directions to probe along, shared by the units of a layer and drawn anew every step.

use super::super::batch::Signal;
use super::super::state::State;
use super::Plan;
use crate::engine::lanes::{LANES, blocks};
use crate::engine::reduce::{dot, sum_of_squares};
use crate::engine::rng::Philox;
use crate::linalg::gemm::gemm;
use crate::{Error, Result};

/// Where directions come from, before they are made orthonormal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Differences of two random inputs of the batch, with a Gaussian bias coordinate. Better than
    /// random ones by one to two points: they lie where the data vary.
    Differences,
    /// Sums over random halves of the batch of inputs times a random mix of the residuals (softmax
    /// minus class, or output minus value): where the outputs are wrong. No derivative is taken.
    Residuals,
    /// Gaussian.
    Random,
}

impl Source {
    /// A source from its name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "differences" => Ok(Self::Differences),
            "residuals" => Ok(Self::Residuals),
            "random" => Ok(Self::Random),
            _ => {
                let fix = "pick one of these";
                Err(Error::value("directions", "differences, residuals or random", name, fix))
            }
        }
    }
}

/// The stream of random numbers of a layer in a step.
pub fn stream(step: usize, layer: usize) -> u64 {
    1 + ((step as u64) << 16 | layer as u64)
}

/// The stream that shuffles an epoch.
pub fn order_stream(epoch: usize) -> u64 {
    1 << 63 | epoch as u64
}

/// Draws orthonormal directions, (p, inputs + 1) row-major.
pub fn draw(plan: &Plan, input: &Signal, state: &State, rng: &Philox, stream: u64) -> Vec<f32> {
    let size = state.batch.size;
    let inputs = input.units();
    let row = inputs + 1;
    let count = plan.directions.min(row);
    let mut u = vec![0.0f32; count * row];
    let normals = (count * row).div_ceil(2) as u64;
    if plan.source == Source::Residuals {
        mix(&mut u, row, input, state, rng, stream);
        orthonormalise(&mut u, row);
        return u;
    }
    for (k, u) in u.chunks_exact_mut(row).enumerate() {
        match plan.source {
            Source::Random | Source::Residuals => {
                for (i, u) in u.iter_mut().enumerate() {
                    let index = k * row + i;
                    *u = rng.normal(stream, index as u64 / 2)[index % 2] as f32;
                }
            }
            Source::Differences => {
                let pick = |which: u64, bound: usize| {
                    rng.below(stream, normals + k as u64 * 4 + which, bound as u64) as usize
                };
                let (a, b) = (pick(0, size), pick(1, size));
                let step = pick(2, input.steps);
                for (i, u) in u[..inputs].iter_mut().enumerate() {
                    *u = input.at(i, step, a) - input.at(i, step, b);
                }
                u[inputs] = rng.normal(stream, k as u64)[0] as f32;
            }
        }
    }
    orthonormalise(&mut u, row);
    u
}

/// Fills rows of `u` with mixes of inputs, each sample by a mix of its residuals or left out.
fn mix(u: &mut [f32], row: usize, input: &Signal, state: &State, rng: &Philox, stream: u64) {
    let (size, count) = (state.batch.size, u.len() / row);
    let residuals = state.residuals();
    let width = blocks(count);
    let mut factors = vec![[0.0f32; LANES]; input.blocks * LANES * width];
    for k in 0..count {
        let mut bias = 0.0;
        let first = k * residuals.len();
        let normal = |i: usize| rng.normal(stream, i as u64 / 2)[i % 2] as f32;
        let classes: Vec<f32> = (first..first + residuals.len()).map(normal).collect();
        for n in 0..size {
            let index = 1 << 40 | (k * size + n) as u64;
            // one word serves 128 coins
            let coins = rng.words(stream, index / 128);
            let coin = coins[(index % 128 / 32) as usize] >> (index % 32) & 1;
            if coin == 1 {
                let residual = |(c, r): (&f32, &Vec<f32>)| c * r[n];
                let factor: f32 = classes.iter().zip(&residuals).map(residual).sum();
                factors[n * width + k / LANES][k % LANES] = factor;
                bias += factor;
            }
        }
        u[(k + 1) * row - 1] = bias * input.steps as f32;
    }
    let lanes = input.blocks * LANES;
    let mut sums = vec![[0.0; LANES]; (row - 1) * width];
    for step in 0..input.steps {
        let values: Vec<f32> = (0..row - 1)
            .flat_map(|i| &input.unit(i).as_flattened()[step * lanes..(step + 1) * lanes])
            .copied()
            .collect();
        let mut part = sums.clone();
        gemm(&values, lanes, &[], &factors, &mut part, width);
        for (sum, part) in sums.as_flattened_mut().iter_mut().zip(part.as_flattened()) {
            *sum += part;
        }
    }
    for (k, u) in u.chunks_exact_mut(row).enumerate() {
        for (i, u) in u[..row - 1].iter_mut().enumerate() {
            *u = sums[i * width + k / LANES][k % LANES];
        }
    }
}

/// Modified Gram-Schmidt; a row that vanishes is left at zero and so probes nothing.
fn orthonormalise(u: &mut [f32], row: usize) {
    for k in 0..u.len() / row {
        let (done, rest) = u.split_at_mut(k * row);
        let v = &mut rest[..row];
        let before = sum_of_squares(v);
        for w in done.chunks_exact(row) {
            let along = dot(v, w) as f32;
            for (v, w) in v.iter_mut().zip(w) {
                *v -= along * w;
            }
        }
        let left = sum_of_squares(v);
        let scale =
            if left > 1e-8 * before && left > 0.0 { (1.0 / left.sqrt()) as f32 } else { 0.0 };
        v.iter_mut().for_each(|v| *v *= scale);
    }
}

/// Rescales every direction so that x.u has root mean square 1 on the batch.
pub fn normalise(u: &mut [f32], shifts: &mut Signal, size: usize) {
    let count = shifts.units();
    let (row, width) = (u.len() / count.max(1), shifts.steps * shifts.blocks);
    for (u, shift) in u.chunks_exact_mut(row).zip(shifts.data.chunks_exact_mut(width)) {
        let mut squares = 0.0;
        for step in shift.chunks_exact(blocks(size)) {
            squares += sum_of_squares(&step.as_flattened()[..size]);
        }
        let mean = squares / (size * shifts.steps) as f64;
        if mean > 1e-12 {
            let scale = (1.0 / mean.sqrt()) as f32;
            u.iter_mut().for_each(|u| *u *= scale);
            shift.as_flattened_mut().iter_mut().for_each(|s| *s *= scale);
        }
    }
}
