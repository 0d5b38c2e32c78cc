//! Costs of probes: one unit's weights moved along a direction, everything else as it is.
//!
//! A probe of unit j by r u changes its pre-activation by r x.u, and x.u is shared by all units of
//! a layer. A head turns the changed pre-activations into changed outputs of that unit; a tail
//! turns those into changes of the samples' losses, from what the forward pass left.
//!
//! Source: `docs/network.md`; An T. Le 2026, arXiv 2605.01928, for the use of such probes.

mod coded;
mod continuous;
mod items;
mod select;
mod series;
mod tail;

use super::Network;
use super::batch::Signal;
use super::dense::Dense;
use super::state::State;
use crate::engine::lanes::{LANES, Lanes};
use crate::engine::threads;
use crate::linalg::gemm::gemm;
use items::Items;
use tail::Tail;

/// Directions in the input space of a layer, and how far each unit goes along them.
#[derive(Debug, Clone, Copy)]
pub struct Probe<'a> {
    /// (p, inputs + 1) row-major; the last entry moves the bias.
    pub directions: &'a [f32],
    /// x.u of every direction on the batch.
    pub shifts: &'a Signal,
    /// Radius of each unit.
    pub radius: &'a [f32],
}

/// x.u for every direction, step and sample.
pub fn shifts(directions: &[f32], input: &Signal) -> Signal {
    let inputs = input.units();
    let (mut u, mut bias) = (Vec::with_capacity(directions.len()), Vec::new());
    for direction in directions.chunks_exact(inputs + 1) {
        u.extend_from_slice(&direction[..inputs]);
        bias.push(direction[inputs]);
    }
    let width = input.steps * input.blocks;
    let mut data = vec![[0.0; LANES]; bias.len() * width];
    gemm(&u, inputs, &bias, &input.data, &mut data, width);
    Signal { steps: input.steps, blocks: input.blocks, data }
}

impl State {
    /// Cost changes of all units of a matrix, `[unit][2 p]`: +u_1 .. +u_p, then -u_1 .. -u_p.
    pub fn probe(&self, network: &Network, matrix: usize, probe: Probe<'_>) -> Vec<f64> {
        let (layer, part) = network.address(matrix);
        let dense = network.matrices()[matrix];
        let input = self.matrix_input(network, matrix);
        let tail = Tail::new(network, self, layer);
        let select = select::Select::new(network, self, layer, part);
        let count = probe.shifts.units() * 2;
        let mut costs = vec![0.0; dense.outputs * count];
        threads::for_each_chunk(&mut costs, count, |unit, sums| {
            let z = select.as_ref().map_or(&self.responses[layer].z, |select| select.signal());
            let base = z.unit(unit);
            let moves = Moves { state: self, layer, dense, input, base, unit, probe };
            match (&select, dense.unit.codes(), dense.unit.lif()) {
                (Some(select), ..) => select.probe(&moves, &tail, sums),
                (_, _, Some(lif)) if probe.shifts.steps > 1 => {
                    series::probe(&moves, lif, &tail, sums);
                }
                (_, Some(codes), lif) => coded::probe(&moves, codes, lif, &tail, sums),
                _ => continuous::probe(&moves, &dense.unit, &tail, sums),
            }
        });
        for cost in &mut costs {
            let positives = self.batch.positives;
            *cost = network.loss.difference(self.sum, *cost, self.batch.size, positives);
        }
        costs
    }
}

/// The moves of one unit.
struct Moves<'a> {
    state: &'a State,
    layer: usize,
    dense: &'a Dense,
    input: &'a Signal,
    /// Pre-activations of the unit.
    base: &'a [Lanes],
    unit: usize,
    probe: Probe<'a>,
}

impl Moves<'_> {
    /// Direction and signed radius of probe `index`.
    #[inline(always)]
    fn along(&self, index: usize) -> (usize, f32) {
        let count = self.probe.shifts.units();
        let sign = if index < count { 1.0 } else { -1.0 };
        (index % count, sign * self.probe.radius[self.unit])
    }

    /// Pre-activations `[step][block]` of the unit in probe `index`.
    #[inline(always)]
    fn preactivations(&self, index: usize, out: &mut [Lanes]) {
        let (direction, radius) = self.along(index);
        if self.dense.rounding.is_some() {
            return self.rounded(direction, radius, self.base, out);
        }
        let shift = self.probe.shifts.unit(direction);
        let pairs = self.base.as_flattened().iter().zip(shift.as_flattened());
        for (out, (base, shift)) in out.as_flattened_mut().iter_mut().zip(pairs) {
            *out = base + radius * shift;
        }
    }

    /// The same where the moved weights are rounded: only those that change their grid point count.
    #[inline(always)]
    fn rounded(&self, direction: usize, radius: f32, base: &[Lanes], out: &mut [Lanes]) {
        let layer = self.dense;
        let Some(grid) = layer.rounding else { return };
        let inputs = layer.inputs;
        let u = &self.probe.directions[direction * (inputs + 1)..][..inputs + 1];
        let weights = &layer.weights[self.unit * inputs..][..inputs];
        let change = |w: f32, u: f32| grid.of(w + radius * u) - grid.of(w);
        let bias = change(layer.bias[self.unit], u[inputs]);
        let changes: Vec<(usize, f32)> = weights
            .iter()
            .zip(u)
            .map(|(&w, &u)| change(w, u))
            .enumerate()
            .filter(|&(_, change)| change != 0.0)
            .collect();
        let width = out.len();
        const TILE: usize = 4;
        let mut x = 0;
        while x < width {
            let tile = TILE.min(width - x);
            let mut sum = [[bias; LANES]; TILE];
            for &(i, change) in &changes {
                let h = &self.input.data[i * width + x..][..tile];
                let flat = sum.as_flattened_mut().iter_mut();
                flat.zip(h.as_flattened()).for_each(|(sum, h)| *sum += change * h);
            }
            let pairs = base[x..].as_flattened().iter().zip(sum[..tile].as_flattened());
            for (out, (base, sum)) in out[x..].as_flattened_mut().iter_mut().zip(pairs) {
                *out = base + sum;
            }
            x += tile;
        }
    }
}
