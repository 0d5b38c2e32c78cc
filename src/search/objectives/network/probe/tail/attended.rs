//! Argmax attention and a linear layer above the probed unit: for a fixed slot the logits are
//! linear in the unit's output, so a probe reads the scores anew and takes one slope.

use super::super::super::Network;
use super::super::super::dense::Dense;
use super::super::super::select::{gate_of, winner};
use super::super::super::state::State;
use super::super::Items;
use super::deep::add_columns;
use super::loss_change;
use crate::engine::lanes::{LANES, Lanes, blocks};
use crate::engine::threads;

/// Loss changes through attention and a linear layer.
pub struct Attended<'a> {
    network: &'a Network,
    state: &'a State,
    layer: usize,
    slots: usize,
    width: usize,
    scores: Vec<Lanes>,
    key_columns: Vec<Lanes>,
    logits: Vec<Lanes>,
    /// Logits without bias if a slot won, `[sample][slot][block]`.
    if_won: Vec<Lanes>,
    /// Slopes of the logits in a unit, `[unit][slot][block]`.
    slopes: Vec<Lanes>,
}

impl<'a> Attended<'a> {
    /// The tail of the layer below attention layer `layer`, itself below `top`, the last one.
    pub fn new(
        network: &'a Network,
        state: &'a State,
        layer: usize,
        [keys, values, top]: [&Dense; 3],
    ) -> Self {
        let (slots, width, inner) = (keys.outputs, blocks(top.outputs), blocks(values.outputs));
        let gates: Vec<_> = (0..slots).map(|slot| gate_of(keys, slot)).collect();
        let out_columns = top.columns();
        let through = |rows: &[Lanes]| {
            let count = rows.len() / inner;
            let mut out = vec![[0.0; LANES]; count * slots * width];
            threads::for_each_chunk(&mut out, slots * width, |row, out| {
                let row = rows[row * inner..(row + 1) * inner].as_flattened();
                let mut gated = vec![[0.0; LANES]; inner];
                for (gate, out) in gates.iter().zip(out.chunks_exact_mut(width)) {
                    let pairs = row.iter().zip(gate.as_flattened());
                    for (gated, (value, gate)) in gated.as_flattened_mut().iter_mut().zip(pairs) {
                        *gated = value * gate;
                    }
                    add_columns(&gated, &out_columns, width, out);
                }
            });
            out
        };
        let response = &state.responses[layer];
        Self {
            network,
            state,
            layer,
            slots,
            width,
            scores: response.z.rows(),
            key_columns: keys.columns(),
            logits: state.logits().rows(),
            if_won: through(&response.inner[0].rows()),
            slopes: through(&values.columns()),
        }
    }

    /// Loss changes of the items of `unit`.
    #[inline(always)]
    pub fn changes(&self, unit: usize, items: &Items, changes: &mut [Lanes]) {
        let won = &self.state.responses[self.layer].codes;
        let (slots, width) = (self.slots, self.width);
        let key = &self.key_columns[unit];
        let slopes = &self.slopes[unit * slots * width..(unit + 1) * slots * width];
        let mut logits = vec![[0.0; LANES]; self.network.outputs()];
        let samples = items.samples.as_chunks::<LANES>().0;
        let deltas = items.deltas.as_chunks::<LANES>().0;
        for ((change, samples), deltas) in changes.iter_mut().zip(samples).zip(deltas) {
            for l in 0..LANES {
                let (n, delta) = (samples[l] as usize, deltas[l]);
                let score = &self.scores[n];
                let new = winner(slots, |k| score[k] + delta * key[k]);
                let old = won[n] as usize;
                for (o, logit) in logits.iter_mut().enumerate() {
                    let (b, k) = (o / LANES, o % LANES);
                    let at = |slot: usize| self.if_won[(n * slots + slot) * width + b][k];
                    let jump = if new == old { 0.0 } else { at(new) - at(old) };
                    let slope = slopes[new * width + b][k];
                    logit[l] = self.logits[n * width + b][k] + jump + delta * slope;
                }
            }
            *change = loss_change(self.network, self.state, &mut logits, samples);
        }
    }
}
