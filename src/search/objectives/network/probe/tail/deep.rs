//! Several layers above: the change runs upwards sample by sample, through changed units only.
//!
//! Rows hold the units of one sample side by side, `[sample][step][block of units]`.

use super::super::super::Network;
use super::super::super::dense::Dense;
use super::super::super::layer::Layer;
use super::super::super::state::State;
use super::super::super::unit::Unit;
use super::super::super::unit::lif::MAX_STEPS;
use super::super::Items;
use super::attention::AttentionFloor;
use super::loss_change;
use super::routed::RoutedFloor;
use super::spiking::signs;
use crate::engine::lanes::{LANES, Lanes, blocks};

/// Loss changes through several layers.
pub struct Deep<'a> {
    network: &'a Network,
    state: &'a State,
    /// The layer of the probed unit.
    layer: usize,
    /// The layers above it.
    floors: Vec<Floor>,
    /// Outputs of the network, `[sample][block]`.
    logits: Vec<Lanes>,
}

/// Rows in use on the way up.
pub struct Scratch {
    row: Vec<Lanes>,
    /// Change of the outputs of a layer.
    pub moved: Vec<Lanes>,
    other: Vec<Lanes>,
}

/// One layer above the probed one.
enum Floor {
    Dense(DenseFloor),
    Attention(AttentionFloor),
    Routed(RoutedFloor),
}

/// A dense layer above the probed one.
struct DenseFloor {
    unit: Unit,
    units: usize,
    /// Steps of its pre-activations.
    steps: usize,
    /// Steps of its output as the next floor reads it.
    out_steps: usize,
    /// Blocks of its units.
    width: usize,
    /// Pre-activations.
    z: Vec<Lanes>,
    /// Outputs as the next floor reads them.
    out: Vec<Lanes>,
    /// Weights `[input][block of units]`.
    columns: Vec<Lanes>,
}

impl<'a> Deep<'a> {
    /// The tail of `layer`.
    pub fn new(network: &'a Network, state: &'a State, layer: usize) -> Self {
        let floors = (layer + 1..network.layers.len())
            .map(|index| match &network.layers[index] {
                Layer::Dense(_) => Floor::Dense(DenseFloor::new(network, state, index)),
                Layer::Attention { keys, values } => {
                    Floor::Attention(AttentionFloor::new(keys, values, &state.responses[index]))
                }
                Layer::Routed { gate, hidden, out } => {
                    Floor::Routed(RoutedFloor::new(gate, hidden, out, &state.responses[index]))
                }
            })
            .collect();
        Self { network, state, layer, floors, logits: state.logits().rows() }
    }

    /// Whether spike times matter above, and not only their count.
    #[inline(always)]
    pub fn reads_trains(&self) -> bool {
        matches!(self.floors.first(), Some(Floor::Dense(floor)) if floor.steps > 1)
    }

    /// Buffers for rows on the way up.
    pub fn scratch(&self) -> Scratch {
        let size = |layer: &Layer| {
            let steps = layer.unit().lif().map_or(1, |lif| lif.steps);
            blocks(layer.outputs().max(layer.inputs())) * steps
        };
        let widest = self.network.layers.iter().map(size).max().unwrap_or(0);
        let row = vec![[0.0; LANES]; widest];
        Scratch { row: row.clone(), moved: row.clone(), other: row }
    }

    /// Loss changes of the items of `unit`.
    #[inline(always)]
    pub fn changes(&self, unit: usize, items: &Items, changes: &mut [Lanes]) {
        let mut scratch = self.scratch();
        let mut logits = vec![[0.0; LANES]; self.network.outputs()];
        let samples = items.samples.as_chunks::<LANES>().0;
        for (group, (change, samples)) in changes.iter_mut().zip(samples).enumerate() {
            for l in 0..LANES.min(items.count - group * LANES) {
                let n = samples[l] as usize;
                let first = match &self.floors[0] {
                    Floor::Dense(floor) => {
                        self.enter(floor, unit, n, items, group * LANES + l, &mut scratch.row);
                        floor.fire(n, &mut scratch.row, &mut scratch.moved);
                        1
                    }
                    _ => {
                        scratch.moved.fill([0.0; LANES]);
                        scratch.moved[unit / LANES][unit % LANES] = items.deltas[group * LANES + l];
                        0
                    }
                };
                self.finish(first, n, &mut scratch, &mut logits, l);
            }
            *change = loss_change(self.network, self.state, &mut logits, samples);
        }
    }

    /// Runs `scratch.moved`, a change of the outputs below floor `first`, up to lane `l` of the
    /// logits.
    #[inline(always)]
    pub fn finish(
        &self,
        first: usize,
        n: usize,
        scratch: &mut Scratch,
        logits: &mut [Lanes],
        l: usize,
    ) {
        let Scratch { row, moved, other } = scratch;
        for floor in &self.floors[first..] {
            match floor {
                Floor::Dense(floor) => {
                    floor.add(n, moved, row);
                    floor.fire(n, row, moved);
                }
                Floor::Attention(floor) => floor.pass(n, row, moved),
                Floor::Routed(floor) => floor.pass(n, row, other, moved),
            }
        }
        let width = blocks(logits.len());
        let base = &self.logits[n * width..(n + 1) * width];
        for (o, logit) in logits.iter_mut().enumerate() {
            logit[l] = base[o / LANES][o % LANES] + moved[o / LANES][o % LANES];
        }
    }

    /// Pre-activations of the first floor after the change of `unit`.
    #[inline(always)]
    fn enter(
        &self,
        floor: &DenseFloor,
        unit: usize,
        n: usize,
        items: &Items,
        item: usize,
        row: &mut [Lanes],
    ) {
        let column = &floor.columns[unit * floor.width..(unit + 1) * floor.width];
        let size = floor.steps * floor.width;
        let z = &floor.z[n * size..(n + 1) * size];
        let mut delta = [0.0; MAX_STEPS];
        delta[0] = items.deltas[item];
        if floor.steps > 1 {
            let trains = &self.state.responses[self.layer].trains;
            let old = trains[unit * self.state.batch.input.blocks * LANES + n];
            signs(items.trains[item], old, &mut delta[..floor.steps]);
        }
        for step in 0..floor.steps {
            let span = step * floor.width..(step + 1) * floor.width;
            let pairs = z[span.clone()].as_flattened().iter().zip(column.as_flattened());
            for (row, (z, w)) in row[span].as_flattened_mut().iter_mut().zip(pairs) {
                *row = z + delta[step] * w;
            }
        }
    }
}

impl DenseFloor {
    fn new(network: &Network, state: &State, index: usize) -> Self {
        let layer = &network.layers[index];
        let response = &state.responses[index];
        let out = match network.layers.get(index + 1) {
            Some(above) => response.seen_by(above),
            None => &response.out,
        };
        Self {
            unit: layer.unit().clone(),
            units: layer.outputs(),
            steps: response.z.steps,
            out_steps: out.steps,
            width: blocks(layer.outputs()),
            z: response.z.rows(),
            out: out.rows(),
            columns: layer.dense().map(Dense::columns).unwrap_or_default(),
        }
    }

    /// New outputs of a floor minus old ones, from its pre-activations.
    #[inline(always)]
    fn fire(&self, n: usize, row: &mut [Lanes], moved: &mut [Lanes]) {
        let (floor, unit) = (self, &self.unit);
        let size = floor.out_steps * floor.width;
        let base = &floor.out[n * size..(n + 1) * size];
        let train_of = unit.lif().filter(|_| floor.steps > 1 || floor.out_steps > 1);
        let Some(lif) = train_of else {
            // flat loops: over blocks, the compiler would gather across them
            let moved_flat = moved[..size].as_flattened_mut();
            unit.outputs_of(row[..size].as_flattened(), moved_flat);
            for (moved, base) in moved_flat.iter_mut().zip(base.as_flattened()) {
                *moved -= base;
            }
            // a unit that is not there has no weights above it
            for absent in floor.units..floor.width * LANES {
                moved[absent / LANES][absent % LANES] = 0.0;
            }
            return;
        };
        for b in 0..floor.width {
            let (mut v, mut count) = ([0.0; LANES], [0.0; LANES]);
            for t in 0..lif.steps {
                let current = &row[if floor.steps > 1 { t * floor.width + b } else { b }];
                let spikes = lif.step(&mut v, current);
                for l in 0..LANES {
                    count[l] += spikes[l];
                    if floor.out_steps > 1 {
                        let at = t * floor.width + b;
                        moved[at][l] = spikes[l] - base[at][l];
                    }
                }
            }
            if floor.out_steps == 1 {
                for l in 0..LANES {
                    moved[b][l] = count[l] - base[b][l];
                }
            }
        }
    }

    /// Pre-activations of this floor after the outputs of the one below moved.
    #[inline(always)]
    fn add(&self, n: usize, moved: &[Lanes], row: &mut [Lanes]) {
        let below = blocks(self.columns.len() / self.width);
        let size = self.steps * self.width;
        row[..size].copy_from_slice(&self.z[n * size..(n + 1) * size]);
        for step in 0..self.steps {
            let row = &mut row[step * self.width..(step + 1) * self.width];
            add_columns(&moved[step * below..(step + 1) * below], &self.columns, self.width, row);
        }
    }
}

/// row += sum_i moved_i column_i over the inputs that moved.
#[inline(always)]
pub fn add_columns(moved: &[Lanes], columns: &[Lanes], width: usize, row: &mut [Lanes]) {
    for (b, moved) in moved.iter().enumerate() {
        let mut rest = 0u32;
        for l in 0..LANES {
            rest |= u32::from(moved[l] != 0.0) << l;
        }
        while rest != 0 {
            let l = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            let (delta, first) = (moved[l], (b * LANES + l) * width);
            let column = columns[first..first + width].as_flattened();
            for (row, w) in row.as_flattened_mut().iter_mut().zip(column) {
                *row += delta * w;
            }
        }
    }
}
