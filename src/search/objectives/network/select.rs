//! Forward passes of the layers that select: attention and routing.
//!
//! The response holds the scores in `z`, the winner of every sample in `codes`, the outputs in
//! `out`. `inner` holds, for attention, V h + c; for routing, three signals an expert:
//! pre-activations and outputs of its hidden units, and its output, all for every sample, so that
//! a changed route finds its expert ready.

use super::batch::Signal;
use super::dense::Dense;
use super::layer::Layer;
use super::state::{Response, preactivations};
use super::unit::relu::relu;
use crate::engine::lanes::{LANES, Lanes};
use crate::engine::real::Float;

/// Signals an expert leaves.
pub const PER_EXPERT: usize = 3;

/// The response of a selecting layer.
pub fn respond(layer: &Layer, input: &Signal) -> Response {
    let (scores, inner) = match layer {
        Layer::Dense(dense) => (preactivations(dense, input), Vec::new()),
        Layer::Attention { keys, values } => {
            (preactivations(keys, input), vec![preactivations(values, input)])
        }
        Layer::Routed { gate, hidden, out } => {
            let mut inner = Vec::with_capacity(PER_EXPERT * out.len());
            for (hidden, out) in hidden.iter().zip(out) {
                let z = preactivations(hidden, input);
                let mut h = z.clone();
                h.data.as_flattened_mut().iter_mut().for_each(|h| *h = relu(*h));
                let y = preactivations(out, &h);
                inner.extend([z, h, y]);
            }
            (preactivations(gate, input), inner)
        }
    };
    let blocks = input.blocks;
    let choice = winners(&scores);
    let mut out = Signal { steps: 1, blocks, data: vec![[0.0; LANES]; layer.outputs() * blocks] };
    let gates = match layer {
        Layer::Attention { keys, .. } => (0..keys.outputs).map(|k| gate_of(keys, k)).collect(),
        _ => Vec::new(),
    };
    for (unit, out) in out.data.chunks_exact_mut(blocks).enumerate() {
        for (n, &chosen) in choice.iter().enumerate() {
            let chosen = chosen as usize;
            let at = |signal: &Signal| signal.unit(unit)[n / LANES][n % LANES];
            out[n / LANES][n % LANES] = match layer {
                Layer::Attention { .. } => at(&inner[0]) * gate(&gates[chosen], unit),
                _ => at(&inner[PER_EXPERT * chosen + 2]),
            };
        }
    }
    let (spikes, trains) = (None, Vec::new());
    Response { z: scores, out, spikes, codes: choice, trains, inner }
}

/// Output of the hidden units of an expert.
pub fn hidden(response: &Response, expert: usize) -> &Signal {
    &response.inner[PER_EXPERT * expert + 1]
}

/// The first largest score of every sample.
fn winners(scores: &Signal) -> Vec<u8> {
    let lanes = scores.blocks * LANES;
    (0..lanes).map(|n| winner(scores.units(), |k| scores.at(k, 0, n)) as u8).collect()
}

/// The first largest of `count` scores.
#[inline(always)]
pub fn winner(count: usize, score: impl Fn(usize) -> f32) -> usize {
    let (mut best, mut top) = (0, score(0));
    for k in 1..count {
        let value = score(k);
        if value > top {
            (best, top) = (k, value);
        }
    }
    best
}

/// sigmoid(key) of a slot, in blocks of units.
pub fn gate_of(keys: &Dense, slot: usize) -> Vec<Lanes> {
    gate_moved(keys, slot, &[], 0.0)
}

/// sigmoid(key + radius u) of a slot.
pub fn gate_moved(keys: &Dense, slot: usize, u: &[f32], radius: f32) -> Vec<Lanes> {
    let key = &keys.weights[slot * keys.inputs..(slot + 1) * keys.inputs];
    let mut gate = vec![[0.0; LANES]; key.len().div_ceil(LANES)];
    for (i, &key) in key.iter().enumerate() {
        let key = key + radius * u.get(i).copied().unwrap_or(0.0);
        gate[i / LANES][i % LANES] = 1.0 / (1.0 + Float::exp(-key));
    }
    gate
}

/// The entry of a unit in blocks of units.
#[inline(always)]
pub fn gate(blocks: &[Lanes], unit: usize) -> f32 {
    blocks[unit / LANES][unit % LANES]
}
