//! Head for spiking units whose current varies in time: the train of every probe is run, samples
//! side by side, and only samples whose train changed go on.

use super::super::unit::Lif;
use super::{Items, Moves, Tail};
use crate::engine::lanes::{self, LANES};
use crate::engine::simd::{self, Kernel};

/// Sums of loss changes of the probes of one unit.
pub fn probe(moves: &Moves<'_>, lif: &Lif, tail: &Tail<'_>, sums: &mut [f64]) {
    simd::dispatch(Series { moves, lif, tail, sums });
}

struct Series<'a> {
    moves: &'a Moves<'a>,
    lif: &'a Lif,
    tail: &'a Tail<'a>,
    sums: &'a mut [f64],
}

impl Kernel for Series<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { moves, lif, tail, sums } = self;
        let state = moves.state;
        let response = &state.responses[moves.layer];
        let blocks = response.z.blocks;
        let lanes = blocks * LANES;
        let base = &response.trains[moves.unit * lanes..][..lanes];
        let counts = response.out.unit(moves.unit);
        let timed = tail.reads_trains();
        let mut z = vec![[0.0; LANES]; lif.steps * blocks];
        let mut items = Items::default();
        let mut changes = Vec::new();
        let shared = tail.prepare(moves.unit);
        for (index, sum) in sums.iter_mut().enumerate() {
            moves.preactivations(index, &mut z);
            items.clear();
            for block in 0..blocks {
                let (mut v, mut count) = ([0.0; LANES], [0.0f32; LANES]);
                let (mut low, mut high) = ([0u32; LANES], [0u32; LANES]);
                for t in 0..lif.steps {
                    let spikes = lif.step(&mut v, &z[t * blocks + block]);
                    let (to_low, to_high) =
                        if t < 32 { (1u32 << t, 0) } else { (0, 1u32 << (t - 32)) };
                    for l in 0..LANES {
                        count[l] += spikes[l];
                        let fires = if spikes[l] > 0.0 { u32::MAX } else { 0 };
                        low[l] |= to_low & fires;
                        high[l] |= to_high & fires;
                    }
                }
                let size = state.batch.size.saturating_sub(block * LANES).min(LANES);
                for l in 0..size {
                    let n = block * LANES + l;
                    let train = u64::from(low[l]) | u64::from(high[l]) << 32;
                    let delta = count[l] - counts[block][l];
                    if if timed { train != base[n] } else { delta != 0.0 } {
                        items.push(n as u32, delta, train);
                    }
                }
            }
            *sum = 0.0;
            if items.count > 0 {
                let count = items.count;
                items.pad();
                changes.clear();
                changes.resize(items.groups(), [0.0; LANES]);
                tail.changes(moves.unit, &shared, &items, &mut changes);
                *sum = lanes::sum(&changes.as_flattened()[..count]);
            }
        }
    }
}
