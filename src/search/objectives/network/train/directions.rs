//! Directions to probe along, shared by the units of a layer and drawn anew every step.

use super::super::batch::Signal;
use super::Plan;
use crate::engine::lanes::blocks;
use crate::engine::reduce::{dot, sum_of_squares};
use crate::engine::rng::Philox;
use crate::{Error, Result};

/// Where directions come from, before they are made orthonormal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Differences of two random inputs of the batch, with a Gaussian bias coordinate. Better than
    /// random ones by one to two points: they lie where the data vary.
    Differences,
    /// Gaussian.
    Random,
}

impl Source {
    /// A source from its name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "differences" => Ok(Self::Differences),
            "random" => Ok(Self::Random),
            _ => {
                let fix = "pick one of these";
                Err(Error::value("directions", "differences or random", name, fix))
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
pub fn draw(plan: &Plan, input: &Signal, size: usize, rng: &Philox, stream: u64) -> Vec<f32> {
    let inputs = input.units();
    let row = inputs + 1;
    let count = plan.directions.min(row);
    let mut u = vec![0.0f32; count * row];
    let normals = (count * row).div_ceil(2) as u64;
    for (k, u) in u.chunks_exact_mut(row).enumerate() {
        match plan.source {
            Source::Random => {
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
