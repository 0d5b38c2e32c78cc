//! One layer above, of units without time: every output moves by the change times one weight.

use super::super::super::Network;
use super::super::super::dense::Dense;
use super::super::super::state::State;
use super::super::Items;
use super::{are_neighbours, collect, loss_change};
use crate::engine::lanes::{LANES, Lanes};
use std::borrow::Cow;

/// Loss changes through one layer.
pub struct Linear<'a> {
    network: &'a Network,
    state: &'a State,
    layer: &'a Dense,
    weights: Cow<'a, [f32]>,
}

impl<'a> Linear<'a> {
    /// The tail below `layer`, the last one.
    pub fn new(network: &'a Network, state: &'a State, layer: &'a Dense) -> Self {
        Self { network, state, layer, weights: layer.used_weights() }
    }

    /// Loss changes of the items of `unit`.
    #[inline(always)]
    pub fn changes(&self, unit: usize, items: &Items, changes: &mut [Lanes]) {
        let base = &self.state.responses[self.state.responses.len() - 1].z;
        let inputs = self.layer.inputs;
        let mut column: Vec<f32> = Vec::with_capacity(self.layer.outputs);
        column.extend(self.weights[unit..].iter().step_by(inputs));
        let mut logits = vec![[0.0; LANES]; column.len()];
        let samples = items.samples.as_chunks::<LANES>().0;
        let deltas = items.deltas.as_chunks::<LANES>().0;
        for ((change, samples), delta) in changes.iter_mut().zip(samples).zip(deltas) {
            let neighbours = are_neighbours(samples);
            for (o, (logit, &weight)) in logits.iter_mut().zip(&column).enumerate() {
                let mut z = collect(base.unit(o), samples, neighbours);
                for l in 0..LANES {
                    z[l] += delta[l] * weight;
                }
                *logit = self.layer.unit.outputs(&z);
            }
            *change = loss_change(self.network, self.state, &mut logits, samples);
        }
    }
}
