//! Several layers above: the change runs upwards sample by sample, through changed units only.
//!
//! Rows hold the units of one sample side by side, `[sample][step][block of units]`.

use super::super::super::Network;
use super::super::super::state::State;
use super::super::super::unit::lif::MAX_STEPS;
use super::super::Items;
use super::loss_change;
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
}

/// One layer above the probed one.
struct Floor {
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
            .map(|index| {
                let response = &state.responses[index];
                let out = match network.layers.get(index + 1) {
                    Some(above) => response.seen_by(above),
                    None => &response.out,
                };
                Floor {
                    steps: response.z.steps,
                    out_steps: out.steps,
                    width: blocks(network.layers[index].outputs),
                    z: response.z.rows(),
                    out: out.rows(),
                    columns: network.layers[index].columns(),
                }
            })
            .collect();
        Self { network, state, layer, floors }
    }

    /// Whether spike times matter above, and not only their count.
    #[inline(always)]
    pub fn reads_trains(&self) -> bool {
        self.floors[0].steps > 1
    }

    /// Loss changes of the items of `unit`.
    #[inline(always)]
    pub fn changes(&self, unit: usize, items: &Items, changes: &mut [Lanes]) {
        let widest = self.floors.iter().map(|f| f.width * f.steps.max(f.out_steps)).max();
        let mut row = vec![[0.0; LANES]; widest.unwrap_or(0)];
        let mut moved = row.clone();
        let outputs = self.network.outputs();
        let mut logits = vec![[0.0; LANES]; outputs];
        let samples = items.samples.as_chunks::<LANES>().0;
        for (group, (change, samples)) in changes.iter_mut().zip(samples).enumerate() {
            for l in 0..LANES.min(items.count - group * LANES) {
                let n = samples[l] as usize;
                self.enter(unit, n, items, group * LANES + l, &mut row);
                for (index, floor) in self.floors.iter().enumerate() {
                    self.fire(index, n, &mut row, &mut moved);
                    if let Some(next) = self.floors.get(index + 1) {
                        next.add(floor, n, &moved, &mut row);
                    }
                }
                let top = &self.floors[self.floors.len() - 1];
                let base = &top.out[n * top.width..][..top.width];
                for (o, logit) in logits.iter_mut().enumerate() {
                    logit[l] = base[o / LANES][o % LANES] + moved[o / LANES][o % LANES];
                }
            }
            *change = loss_change(self.network, self.state, &mut logits, samples);
        }
    }

    /// Pre-activations of the first floor after the change of `unit`.
    #[inline(always)]
    fn enter(&self, unit: usize, n: usize, items: &Items, item: usize, row: &mut [Lanes]) {
        let floor = &self.floors[0];
        let column = &floor.columns[unit * floor.width..(unit + 1) * floor.width];
        let size = floor.steps * floor.width;
        let z = &floor.z[n * size..(n + 1) * size];
        let mut delta = [0.0; MAX_STEPS];
        delta[0] = items.deltas[item];
        if floor.steps > 1 {
            let trains = &self.state.responses[self.layer].trains;
            let old = trains[unit * self.state.batch.input.blocks * LANES + n];
            signs(items.trains[item], old, &mut delta);
        }
        for step in 0..floor.steps {
            let span = step * floor.width..(step + 1) * floor.width;
            for ((row, z), w) in row[span.clone()].iter_mut().zip(&z[span]).zip(column) {
                for l in 0..LANES {
                    row[l] = z[l] + delta[step] * w[l];
                }
            }
        }
    }

    /// New outputs of a floor minus old ones, from its pre-activations.
    #[inline(always)]
    fn fire(&self, index: usize, n: usize, row: &mut [Lanes], moved: &mut [Lanes]) {
        let floor = &self.floors[index];
        let unit = &self.network.layers[self.layer + 1 + index].unit;
        let size = floor.out_steps * floor.width;
        let base = &floor.out[n * size..(n + 1) * size];
        let train_of = unit.lif().filter(|_| floor.steps > 1 || floor.out_steps > 1);
        let Some(lif) = train_of else {
            for ((moved, base), z) in moved.iter_mut().zip(base).zip(row.iter()) {
                let new = unit.outputs(z);
                for l in 0..LANES {
                    moved[l] = new[l] - base[l];
                }
            }
            // a unit that is not there has no weights above it
            let units = self.network.layers[self.layer + 1 + index].outputs;
            for absent in units..floor.width * LANES {
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
}

impl Floor {
    /// Pre-activations of this floor after the outputs of the one below moved.
    #[inline(always)]
    fn add(&self, below: &Self, n: usize, moved: &[Lanes], row: &mut [Lanes]) {
        let size = self.steps * self.width;
        row[..size].copy_from_slice(&self.z[n * size..(n + 1) * size]);
        for step in 0..self.steps {
            let row = &mut row[step * self.width..(step + 1) * self.width];
            for b in 0..below.width {
                let moved = &moved[step * below.width + b];
                let mut any = false;
                for l in 0..LANES {
                    any |= moved[l] != 0.0;
                }
                if !any {
                    continue;
                }
                for l in 0..LANES {
                    let delta = moved[l];
                    if delta != 0.0 {
                        let column = &self.columns[(b * LANES + l) * self.width..][..self.width];
                        for (row, w) in row.iter_mut().zip(column) {
                            for l in 0..LANES {
                                row[l] += delta * w[l];
                            }
                        }
                    }
                }
            }
        }
    }
}
