//! One spiking layer above a spiking unit: the output units are run again with the changed train,
//! outputs side by side, several items at a time.

use super::super::super::Network;
use super::super::super::dense::Dense;
use super::super::super::state::State;
use super::super::super::unit::lif::{Lif, MAX_STEPS};
use super::super::Items;
use super::loss_change;
use crate::engine::lanes::{LANES, Lanes, blocks};

/// Items run at once: enough to hide the latency of the recursion.
const GROUP: usize = 4;

/// Loss changes through one spiking layer.
pub struct Spiking<'a> {
    network: &'a Network,
    state: &'a State,
    /// The layer of the probed unit.
    layer: usize,
    lif: &'a Lif,
    outputs: usize,
    /// Output currents `[sample][step][block of outputs]`.
    rows: Vec<Lanes>,
    /// Weights `[hidden unit][block of outputs]`.
    columns: Vec<Lanes>,
}

impl<'a> Spiking<'a> {
    /// The tail of `layer` below `next`, the last one.
    ///
    /// # Panics
    ///
    /// If `next` does not spike.
    pub fn new(network: &'a Network, state: &'a State, layer: usize, next: &'a Dense) -> Self {
        let lif = next.unit.lif().expect("the layer above spikes");
        let rows = state.responses[layer + 1].z.rows();
        Self { network, state, layer, lif, outputs: next.outputs, rows, columns: next.columns() }
    }

    /// Loss changes of the items of `unit`.
    #[inline(always)]
    pub fn changes(&self, unit: usize, items: &Items, changes: &mut [Lanes]) {
        let width = blocks(self.outputs);
        let column = &self.columns[unit * width..(unit + 1) * width];
        let trains = &self.state.responses[self.layer].trains;
        let old = &trains[unit * self.state.batch.input.blocks * LANES..];
        let mut logits = vec![[0.0; LANES]; self.outputs];
        let mut counts = vec![[0.0; LANES]; LANES * width];
        let samples = items.samples.as_chunks::<LANES>().0;
        let trains = items.trains.as_chunks::<LANES>().0;
        for ((change, samples), trains) in changes.iter_mut().zip(samples).zip(trains) {
            for first in (0..LANES).step_by(GROUP) {
                let mut steps = [[0.0f32; MAX_STEPS]; GROUP];
                let mut rows = [0; GROUP];
                for g in 0..GROUP {
                    let n = samples[first + g] as usize;
                    rows[g] = n * self.lif.steps * width;
                    signs(trains[first + g], old[n], &mut steps[g]);
                }
                for b in 0..width {
                    let count = self.run(&steps, &rows.map(|row| row + b), &column[b], width);
                    for g in 0..GROUP {
                        counts[(first + g) * width + b] = count[g];
                    }
                }
            }
            for (o, logit) in logits.iter_mut().enumerate() {
                for l in 0..LANES {
                    logit[l] = counts[l * width + o / LANES][o % LANES];
                }
            }
            *change = loss_change(self.network, self.state, &mut logits, samples);
        }
    }

    /// Spike counts of one block of outputs for a group of items.
    #[inline(always)]
    fn run(
        &self,
        steps: &[[f32; MAX_STEPS]; GROUP],
        rows: &[usize; GROUP],
        weights: &Lanes,
        width: usize,
    ) -> [Lanes; GROUP] {
        // by value, or it is read again every step
        let weights = *weights;
        let (beta, threshold) = (self.lif.beta, self.lif.threshold);
        let mut v = [[0.0f32; LANES]; GROUP];
        let mut count = [[0.0f32; LANES]; GROUP];
        for t in 0..self.lif.steps {
            for g in 0..GROUP {
                let current = &self.rows[rows[g] + t * width];
                let sign = steps[g][t];
                for l in 0..LANES {
                    let potential = beta * v[g][l] + (current[l] + sign * weights[l]);
                    let fires = potential >= threshold;
                    count[g][l] += if fires { 1.0 } else { 0.0 };
                    v[g][l] = if fires { 0.0 } else { potential };
                }
            }
        }
        count
    }
}

/// +1 where the new train has a spike and the old one has none, -1 the other way round.
#[inline(always)]
pub fn signs(new: u64, old: u64, out: &mut [f32; MAX_STEPS]) {
    let half = |new: u32, old: u32, out: &mut [f32]| {
        for (t, out) in out.iter_mut().enumerate() {
            let new = (new >> t) & 1;
            let old = (old >> t) & 1;
            *out = new as i32 as f32 - old as i32 as f32;
        }
    };
    half(new as u32, old as u32, &mut out[..32]);
    if (new | old) >> 32 != 0 {
        half((new >> 32) as u32, (old >> 32) as u32, &mut out[32..]);
    }
}
