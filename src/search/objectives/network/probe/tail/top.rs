//! The probed unit is an output of the network: one logit is replaced.

use super::super::super::Network;
use super::super::super::state::State;
use super::super::Items;
use super::{are_neighbours, collect, loss_change};
use crate::engine::lanes::{LANES, Lanes};

/// Loss changes of changed logits.
pub struct Top<'a> {
    pub network: &'a Network,
    pub state: &'a State,
}

impl Top<'_> {
    /// Loss changes of the items of `unit`.
    #[inline(always)]
    pub fn changes(&self, unit: usize, items: &Items, changes: &mut [Lanes]) {
        let base = self.state.logits();
        let mut logits = vec![[0.0; LANES]; base.units()];
        let samples = items.samples.as_chunks::<LANES>().0;
        let deltas = items.deltas.as_chunks::<LANES>().0;
        for ((change, samples), delta) in changes.iter_mut().zip(samples).zip(deltas) {
            let neighbours = are_neighbours(samples);
            for (o, logit) in logits.iter_mut().enumerate() {
                *logit = collect(base.unit(o), samples, neighbours);
            }
            for l in 0..LANES {
                logits[unit][l] += delta[l];
            }
            *change = loss_change(self.network, self.state, &mut logits, samples);
        }
    }
}
