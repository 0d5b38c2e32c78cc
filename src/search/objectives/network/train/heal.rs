//! Units whose probes change nothing: detected, probed wider, and lifted back into play.
//!
//! A unit that fires for no sample, and would not at any probe, has a flat cost and never moves;
//! one dead output class caps the accuracy for good. After `patience` silent steps in a row its
//! bias moves by one probe radius: up, or towards the middle for units with two flat sides.

use super::super::Network;
use super::super::state::State;
use super::super::unit::Unit;
use super::Plan;

/// Silent steps of every unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// One list a layer.
    pub silent: Vec<Vec<u32>>,
}

/// Widest radius of a silent unit, in probe radii.
const WIDEST: f32 = 4.0;

impl Health {
    /// All units alive.
    pub fn new(network: &Network) -> Self {
        Self { silent: network.matrices().iter().map(|m| vec![0; m.outputs]).collect() }
    }

    /// Probe radius of every unit: a silent one looks further each time.
    pub fn radii(&self, layer: usize, radius: f32) -> Vec<f32> {
        let widen = |&silent: &u32| radius * (1.0 + silent as f32 * 0.25).min(WIDEST);
        self.silent[layer].iter().map(widen).collect()
    }

    /// Notes which units of a layer were silent, and counts them.
    pub fn watch(&mut self, layer: usize, costs: &[f64], probes: usize) -> usize {
        let mut count = 0;
        for (silent, costs) in self.silent[layer].iter_mut().zip(costs.chunks_exact(probes)) {
            let dead = costs.iter().all(|&cost| cost == 0.0);
            *silent = if dead { silent.saturating_add(1) } else { 0 };
            count += usize::from(dead);
        }
        count
    }

    /// Lifts units that were silent for `patience` steps, and counts them.
    pub fn heal(
        &mut self,
        network: &mut Network,
        state: &State,
        plans: &[Plan],
        patience: u32,
    ) -> usize {
        let mut healed = 0;
        let addresses: Vec<_> = (0..plans.len()).map(|index| network.address(index)).collect();
        for (index, layer) in network.matrices_mut().into_iter().enumerate() {
            if addresses[index].1 > 0 {
                // values and experts that no sample uses wait for their gate
                continue;
            }
            for (unit, silent) in self.silent[index].iter_mut().enumerate() {
                if *silent < patience {
                    continue;
                }
                let z = state.responses[addresses[index].0].z.unit(unit);
                let mean = z.as_flattened().iter().map(|&z| f64::from(z)).sum::<f64>();
                let down = matches!(layer.unit, Unit::Codes(_) | Unit::Tanh) && mean > 0.0;
                let lift = plans[index].probe_radius;
                layer.bias[unit] += if down { -lift } else { lift };
                *silent = 0;
                healed += 1;
            }
        }
        healed
    }
}
