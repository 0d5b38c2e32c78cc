//! Head for units with continuous outputs: every probe changes every sample.

use super::super::unit::Unit;
use super::{Items, Moves, Tail};
use crate::engine::lanes::{self, LANES};
use crate::engine::simd::{self, Kernel};

/// Sums of loss changes of the probes of one unit.
pub fn probe(moves: &Moves<'_>, unit: &Unit, tail: &Tail<'_>, sums: &mut [f64]) {
    simd::dispatch(Continuous { moves, unit, tail, sums });
}

struct Continuous<'a> {
    moves: &'a Moves<'a>,
    unit: &'a Unit,
    tail: &'a Tail<'a>,
    sums: &'a mut [f64],
}

impl Kernel for Continuous<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { moves, unit, tail, sums } = self;
        let state = moves.state;
        let response = &state.responses[moves.layer];
        let blocks = response.z.blocks;
        let base = response.out.unit(moves.unit);
        let mut z = vec![[0.0; LANES]; blocks];
        let mut changes = vec![[0.0; LANES]; blocks];
        let mut items = Items {
            samples: (0..(blocks * LANES) as u32).collect(),
            deltas: vec![0.0; blocks * LANES],
            trains: Vec::new(),
            count: state.batch.size,
        };
        let shared = tail.prepare(moves.unit);
        for (index, sum) in sums.iter_mut().enumerate() {
            moves.preactivations(index, &mut z);
            unit.outputs_of(z.as_flattened(), &mut items.deltas);
            for (delta, base) in items.deltas.iter_mut().zip(base.as_flattened()) {
                *delta -= base;
            }
            tail.changes(moves.unit, &shared, &items, &mut changes);
            *sum = lanes::sum(&changes.as_flattened()[..state.batch.size]);
        }
    }
}
