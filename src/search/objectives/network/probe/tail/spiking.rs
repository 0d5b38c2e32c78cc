//! One spiking layer above a spiking unit: the output units are run again from the first changed
//! spike on, outputs side by side, several items at a time.

use super::super::super::Network;
use super::super::super::dense::Dense;
use super::super::super::state::State;
use super::super::super::unit::lif::{Lif, MAX_STEPS};
use super::super::Items;
use super::loss_change;
use crate::engine::lanes::{LANES, Lanes, blocks};
use crate::engine::threads;

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
    /// Potential and spike count before each step, laid out alike.
    before: Vec<[Lanes; 2]>,
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
        let (outputs, width) = (next.outputs, blocks(next.outputs));
        let mut before = vec![[[0.0; LANES]; 2]; rows.len()];
        threads::for_each_chunk(&mut before, lif.steps * width, |n, before| {
            let currents = &rows[n * before.len()..];
            for b in 0..width {
                let (mut v, mut count) = ([0.0; LANES], [0.0; LANES]);
                let steps = before.iter_mut().zip(currents).skip(b).step_by(width);
                for (before, current) in steps {
                    *before = [v, count];
                    let spikes = lif.step(&mut v, current);
                    count.iter_mut().zip(spikes).for_each(|(count, spike)| *count += spike);
                }
            }
        });
        Self { network, state, layer, lif, outputs, rows, before, columns: next.columns() }
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
                let mut pairs = [[0; 2]; GROUP];
                let mut rows = [0; GROUP];
                for g in 0..GROUP {
                    let n = samples[first + g] as usize;
                    rows[g] = n * self.lif.steps * width;
                    pairs[g] = [trains[first + g], old[n]];
                }
                // All trains are alike up to here.
                let moved = pairs.iter().fold(0, |moved, [new, old]| moved | (new ^ old));
                let start = (moved.trailing_zeros() as usize).min(self.lif.steps - 1);
                for row in &mut rows {
                    *row += start * width;
                }
                let signs = &mut [[0.0f32; GROUP]; MAX_STEPS][start..self.lif.steps];
                for (signs, t) in signs.iter_mut().zip(start..) {
                    for (out, [new, old]) in signs.iter_mut().zip(pairs) {
                        *out = sign(new >> t, old >> t);
                    }
                }
                for b in 0..width {
                    let count = self.run(signs, rows, &column[b], b);
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

    /// Spike counts of block `block` of the outputs for a group of items, whose last steps begin at
    /// `rows` and have the `signs`.
    #[inline(always)]
    fn run(
        &self,
        signs: &[[f32; GROUP]],
        rows: [usize; GROUP],
        weights: &Lanes,
        block: usize,
    ) -> [Lanes; GROUP] {
        let width = blocks(self.outputs);
        // by value, or it is read again every step
        let weights = *weights;
        let (beta, threshold) = (self.lif.beta, self.lif.threshold);
        let mut v = [[0.0f32; LANES]; GROUP];
        let mut count = [[0.0f32; LANES]; GROUP];
        for g in 0..GROUP {
            [v[g], count[g]] = self.before[rows[g] + block];
        }
        // Chunks side by side need no check of their bounds at each step.
        let steps = |g: usize| self.rows[rows[g]..][..signs.len() * width].chunks_exact(width);
        let currents = steps(0).zip(steps(1)).zip(steps(2)).zip(steps(3));
        for ((((a, b), c), d), signs) in currents.zip(signs) {
            let currents = [&a[block], &b[block], &c[block], &d[block]];
            for g in 0..GROUP {
                for l in 0..LANES {
                    let potential = beta * v[g][l] + (currents[g][l] + signs[g] * weights[l]);
                    let fires = potential >= threshold;
                    count[g][l] += if fires { 1.0 } else { 0.0 };
                    v[g][l] = if fires { 0.0 } else { potential };
                }
            }
        }
        count
    }
}

/// +1 where the new train begins with a spike and the old one does not, -1 the other way round.
#[inline(always)]
fn sign(new: u64, old: u64) -> f32 {
    (new & 1) as i32 as f32 - (old & 1) as i32 as f32
}

/// The signs of all steps.
#[inline(always)]
pub fn signs(new: u64, old: u64, out: &mut [f32]) {
    for (t, out) in out.iter_mut().enumerate() {
        *out = sign(new >> t, old >> t);
    }
}
