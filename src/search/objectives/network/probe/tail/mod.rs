//! What a changed output of one unit does to the losses of its samples.

mod attended;
mod attention;
pub mod deep;
mod linear;
mod rectified;
mod routed;
mod spiking;
mod top;

use super::super::Network;
use super::super::layer::Layer;
use super::super::state::State;
use super::super::unit::Unit;
use super::Items;
use crate::engine::lanes::Lanes;
use attended::Attended;
use deep::Deep;
use linear::Linear;
use rectified::Rectified;
use spiking::Spiking;
use top::Top;

/// The way from a layer to the loss.
pub enum Tail<'a> {
    /// The unit is an output of the network.
    Top(Top<'a>),
    /// One layer of constant units lies above.
    Linear(Linear<'a>),
    /// One layer of spiking units lies above a spiking one.
    Spiking(Spiking<'a>),
    /// Rectifiers and a linear layer lie above.
    Rectified(Rectified<'a>),
    /// Attention and a linear layer lie above.
    Attended(Attended<'a>),
    /// Several layers lie above.
    Deep(Deep<'a>),
}

impl<'a> Tail<'a> {
    /// The tail of `layer`.
    pub fn new(network: &'a Network, state: &'a State, layer: usize) -> Self {
        match &network.layers[layer + 1..] {
            [] => Self::Top(Top { network, state }),
            [Layer::Dense(next)] if next.unit.lif().is_none() => {
                Self::Linear(Linear::new(network, state, next))
            }
            [Layer::Dense(next)] if network.layers[layer].unit().lif().is_some() => {
                Self::Spiking(Spiking::new(network, state, layer, next))
            }
            [Layer::Dense(middle), Layer::Dense(top)]
                if middle.unit == Unit::Relu && top.unit == Unit::Linear =>
            {
                let z = &state.responses[layer + 1].z;
                Self::Rectified(Rectified::new(network, state, middle, z, top))
            }
            [Layer::Attention { keys, values }, Layer::Dense(top)] if top.unit == Unit::Linear => {
                let parts = [keys, values, top];
                Self::Attended(Attended::new(network, state, layer + 1, parts))
            }
            _ => Self::Deep(Deep::new(network, state, layer)),
        }
    }

    /// Whether spike times matter above, and not only their count.
    #[inline(always)]
    pub fn reads_trains(&self) -> bool {
        match self {
            Self::Top(_) | Self::Linear(_) | Self::Rectified(_) | Self::Attended(_) => false,
            Self::Spiking(_) => true,
            Self::Deep(deep) => deep.reads_trains(),
        }
    }

    /// What all probes of `unit` share.
    #[inline(always)]
    pub fn prepare(&self, unit: usize) -> Vec<Lanes> {
        match self {
            Self::Rectified(tail) => tail.slopes(unit),
            _ => Vec::new(),
        }
    }

    /// Loss changes of the items of `unit`; `shared` is what [`Self::prepare`] gave for it.
    #[inline(always)]
    pub fn changes(&self, unit: usize, shared: &[Lanes], items: &Items, changes: &mut [Lanes]) {
        match self {
            Self::Rectified(tail) => tail.changes(unit, shared, items, changes),
            Self::Attended(tail) => tail.changes(unit, items, changes),
            Self::Top(tail) => tail.changes(unit, items, changes),
            Self::Linear(tail) => tail.changes(unit, items, changes),
            Self::Spiking(tail) => tail.changes(unit, items, changes),
            Self::Deep(tail) => tail.changes(unit, items, changes),
        }
    }
}

/// New loss minus old one for sixteen items with these logits.
#[inline(always)]
pub fn loss_change(
    network: &Network,
    state: &State,
    logits: &mut [Lanes],
    samples: &[u32; 16],
) -> Lanes {
    let mut change = network.loss.block(logits, samples, &state.batch.targets);
    let losses = state.losses.as_flattened();
    for l in 0..16 {
        change[l] -= losses[samples[l] as usize];
    }
    change
}

/// The values of sixteen samples in a row `[block]`: one load where they are neighbours.
#[inline(always)]
fn collect(row: &[Lanes], samples: &[u32; 16], neighbours: bool) -> Lanes {
    if neighbours {
        return row[samples[0] as usize / 16];
    }
    let flat = row.as_flattened();
    let mut values = [0.0; 16];
    for l in 0..16 {
        values[l] = flat[samples[l] as usize];
    }
    values
}

/// Whether the samples are one block of the batch, in order.
#[inline(always)]
fn are_neighbours(samples: &[u32; 16]) -> bool {
    let mut yes = samples[0].is_multiple_of(16);
    for l in 1..16 {
        yes &= samples[l] == samples[0] + l as u32;
    }
    yes
}
