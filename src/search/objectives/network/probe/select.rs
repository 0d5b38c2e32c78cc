//! Heads for the matrices of layers that select.
//!
//! Keys and gates move the output of a whole sample, and only where the winner changes or is the
//! probed slot; values and expert outputs move one output; hidden units of an expert move its
//! output, for the samples routed to it.

use super::super::Network;
use super::super::batch::Signal;
use super::super::dense::Dense;
use super::super::layer::Layer;
use super::super::select::{PER_EXPERT, gate, gate_moved, gate_of, winner};
use super::super::state::State;
use super::super::unit::relu::relu;
use super::tail::deep::{Deep, Scratch};
use super::{Items, Moves, Tail};
use crate::engine::lanes::{self, LANES, Lanes, blocks};
use crate::engine::simd::{self, Kernel};

/// One matrix of a selecting layer.
pub struct Select<'a> {
    network: &'a Network,
    state: &'a State,
    layer: usize,
    part: usize,
    above: Deep<'a>,
    /// Rows of the layer's outputs.
    out: Vec<Lanes>,
    /// Rows of the layer's candidates: values, or the output of each expert.
    candidates: Vec<Vec<Lanes>>,
    gates: Vec<Vec<Lanes>>,
    columns: Vec<Lanes>,
}

impl<'a> Select<'a> {
    /// The head of a part, or None for a dense layer.
    pub fn new(network: &'a Network, state: &'a State, layer: usize, part: usize) -> Option<Self> {
        let response = &state.responses[layer];
        let (candidates, gates, columns) = match &network.layers[layer] {
            Layer::Dense(_) => return None,
            Layer::Attention { keys, .. } => {
                let gates = (0..keys.outputs).map(|slot| gate_of(keys, slot)).collect();
                (vec![response.inner[0].rows()], gates, Vec::new())
            }
            Layer::Routed { out, .. } => {
                let rows = |e: usize| response.inner[PER_EXPERT * e + 2].rows();
                let columns = if part % 2 == 1 { out[part / 2].columns() } else { Vec::new() };
                ((0..out.len()).map(rows).collect(), Vec::new(), columns)
            }
        };
        let above = Deep::new(network, state, layer);
        let out = response.out.rows();
        Some(Self { network, state, layer, part, above, out, candidates, gates, columns })
    }

    /// The pre-activations of the part.
    pub fn signal(&self) -> &Signal {
        let response = &self.state.responses[self.layer];
        match (&self.network.layers[self.layer], self.part) {
            (_, 0) => &response.z,
            (Layer::Attention { .. }, _) => &response.inner[0],
            (_, part) if part % 2 == 1 => &response.inner[PER_EXPERT * (part / 2)],
            (_, part) => &response.inner[PER_EXPERT * (part / 2 - 1) + 2],
        }
    }

    /// Sums of loss changes of the probes of one unit.
    pub fn probe(&self, moves: &Moves<'_>, tail: &Tail<'_>, sums: &mut [f64]) {
        simd::dispatch(Probe { select: self, moves, tail, sums });
    }

    /// Moves the output of sample `n` in `moved`; false where it stays.
    #[inline(always)]
    fn row(&self, moves: &Moves<'_>, n: usize, z: f32, key: &[Lanes], moved: &mut [Lanes]) -> bool {
        let response = &self.state.responses[self.layer];
        let old = response.codes[n] as usize;
        let width = blocks(self.network.layers[self.layer].outputs());
        let span = n * width..(n + 1) * width;
        if self.part == 0 {
            let scores = &response.z;
            let score = |k: usize| if k == moves.unit { z } else { scores.at(k, 0, n) };
            let new = winner(scores.units(), score);
            let gated = !self.gates.is_empty();
            if new == old && !(gated && new == moves.unit) {
                return false;
            }
            let gate = if new == moves.unit { key } else { self.gates.get(new).map_or(key, |g| g) };
            let candidate = &self.candidates[if gated { 0 } else { new }][span.clone()];
            for (b, (new, old)) in candidate.iter().zip(&self.out[span]).enumerate() {
                for l in 0..LANES {
                    let value = if gated { new[l] * gate[b][l] } else { new[l] };
                    moved[b][l] = value - old[l];
                }
            }
            return true;
        }
        // a hidden unit of an expert
        if old != self.part / 2 {
            return false;
        }
        let hidden = &response.inner[PER_EXPERT * old + 1];
        let delta = relu(z) - hidden.at(moves.unit, 0, n);
        let column = &self.columns[moves.unit * width..(moves.unit + 1) * width];
        for (moved, w) in moved.iter_mut().zip(column) {
            for l in 0..LANES {
                moved[l] = delta * w[l];
            }
        }
        delta != 0.0
    }

    /// Whether a probe moves one output of the layer, and by how much a unit of pre-activation
    /// moves it for sample `n`.
    #[inline(always)]
    fn single(&self, unit: usize, n: usize) -> f32 {
        let chosen = self.state.responses[self.layer].codes[n] as usize;
        match &self.network.layers[self.layer] {
            Layer::Attention { .. } => gate(&self.gates[chosen], unit),
            _ if chosen == self.part / 2 - 1 => 1.0,
            _ => 0.0,
        }
    }

    fn moves_one_output(&self) -> bool {
        self.part > 0
            && (self.part.is_multiple_of(2)
                || matches!(self.network.layers[self.layer], Layer::Attention { .. }))
    }

    fn keys(&self) -> Option<&Dense> {
        match &self.network.layers[self.layer] {
            Layer::Attention { keys, .. } if self.part == 0 => Some(keys),
            _ => None,
        }
    }
}

struct Probe<'a> {
    select: &'a Select<'a>,
    moves: &'a Moves<'a>,
    tail: &'a Tail<'a>,
    sums: &'a mut [f64],
}

impl Kernel for Probe<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { select, moves, tail, sums } = self;
        let size = select.state.batch.size;
        let mut z = vec![[0.0; LANES]; moves.base.len()];
        let mut items = Items::default();
        let mut changes = vec![[0.0; LANES]; moves.base.len()];
        let mut scratch = select.above.scratch();
        let one = select.moves_one_output();
        let shared = if one { tail.prepare(moves.unit) } else { Vec::new() };
        for (index, sum) in sums.iter_mut().enumerate() {
            moves.preactivations(index, &mut z);
            items.clear();
            if one {
                for n in 0..size {
                    let moved = z[n / LANES][n % LANES] - moves.base[n / LANES][n % LANES];
                    let delta = moved * select.single(moves.unit, n);
                    if delta != 0.0 {
                        items.push(n as u32, delta, 0);
                    }
                }
                items.pad();
                tail.changes(moves.unit, &shared, &items, &mut changes[..items.groups()]);
            } else {
                rows(select, moves, index, &z, &mut items, &mut changes, &mut scratch);
            }
            *sum = lanes::sum(&changes.as_flattened()[..items.count]);
        }
    }
}

/// Loss changes of a probe that moves whole outputs.
#[inline(always)]
fn rows(
    select: &Select<'_>,
    moves: &Moves<'_>,
    index: usize,
    z: &[Lanes],
    items: &mut Items,
    changes: &mut [Lanes],
    scratch: &mut Scratch,
) {
    let (direction, radius) = moves.along(index);
    let inputs = moves.dense.inputs;
    let u = &moves.probe.directions[direction * (inputs + 1)..][..inputs];
    let key = select.keys().map_or(Vec::new(), |keys| gate_moved(keys, moves.unit, u, radius));
    let mut logits = vec![[0.0; LANES]; select.network.outputs()];
    let mut samples = [0u32; LANES];
    let mut lane = 0;
    for n in 0..select.state.batch.size {
        if !select.row(moves, n, z[n / LANES][n % LANES], &key, &mut scratch.moved) {
            continue;
        }
        select.above.finish(0, n, scratch, &mut logits, lane);
        samples[lane] = n as u32;
        items.push(n as u32, 0.0, 0);
        lane += 1;
        if lane == LANES {
            changes[items.count / LANES - 1] =
                super::tail::loss_change(select.network, select.state, &mut logits, &samples);
            lane = 0;
        }
    }
    if lane > 0 {
        changes[items.count / LANES] =
            super::tail::loss_change(select.network, select.state, &mut logits, &samples);
    }
}
