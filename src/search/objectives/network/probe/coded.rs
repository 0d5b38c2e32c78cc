//! Head for units with finitely many outputs: the loss change of every code that some probe
//! reaches is computed once a sample; a probe is then a comparison with the thresholds and a table
//! look-up. Unchanged codes cost nothing.

use super::super::unit::{Codes, Lif};
use super::{Items, Moves, Tail};
use crate::engine::lanes::LANES;
use crate::engine::simd::{self, Kernel};

/// Sums of loss changes of the probes of one unit.
pub fn probe(
    moves: &Moves<'_>,
    codes: &Codes,
    lif: Option<&Lif>,
    tail: &Tail<'_>,
    sums: &mut [f64],
) {
    simd::dispatch(Coded { moves, codes, lif, tail, sums });
}

struct Coded<'a> {
    moves: &'a Moves<'a>,
    codes: &'a Codes,
    lif: Option<&'a Lif>,
    tail: &'a Tail<'a>,
    sums: &'a mut [f64],
}

impl Kernel for Coded<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { moves, codes, lif, tail, sums } = self;
        let state = moves.state;
        let response = &state.responses[moves.layer];
        let blocks = response.z.blocks;
        let lanes = blocks * LANES;
        let mut z = vec![[0.0; LANES]; blocks];
        let mut reached = vec![[0u64; LANES]; blocks];
        let mut found = vec![0i32; lanes];
        let mut all = vec![[0u8; LANES]; blocks * sums.len()];
        for (index, probed) in all.chunks_exact_mut(blocks).enumerate() {
            moves.preactivations(index, &mut z);
            codes.encode(z.as_flattened(), &mut found);
            note(&found, probed.as_flattened_mut(), reached.as_flattened_mut());
        }

        let base = &response.codes[moves.unit * lanes..][..lanes];
        let mut items = Items::default();
        let mut slots = Vec::new();
        let stride = codes.levels();
        for (n, &old) in base.iter().enumerate().take(state.batch.size) {
            let mut rest = reached[n / LANES][n % LANES] & !(1 << old);
            while rest != 0 {
                let code = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                let delta = codes.values[code] - codes.values[old as usize];
                items.push(n as u32, delta, lif.map_or(0, |lif| lif.trains[code]));
                slots.push(n * stride + code);
            }
        }
        if items.count == 0 {
            sums.fill(0.0);
            return;
        }
        items.pad();
        let mut changes = vec![[0.0; LANES]; items.groups()];
        tail.changes(moves.unit, &tail.prepare(moves.unit), &items, &mut changes);
        let mut table = vec![0.0f32; lanes * stride];
        for (&slot, &change) in slots.iter().zip(changes.as_flattened()) {
            table[slot] = change;
        }

        for (sum, probed) in sums.iter_mut().zip(all.chunks_exact(blocks)) {
            *sum = look_up(&table, stride, probed);
        }
    }
}

/// Stores the codes of a probe and adds them to the codes reached.
#[inline(always)]
fn note(found: &[i32], probed: &mut [u8], reached: &mut [u64]) {
    for ((&code, probed), reached) in found.iter().zip(probed).zip(reached) {
        *probed = code as u8;
        *reached |= 1u64 << (code & 63);
    }
}

#[inline(always)]
fn look_up(table: &[f32], stride: usize, probed: &[[u8; LANES]]) -> f64 {
    let mut lanes = [0.0f32; LANES];
    for (rows, codes) in table.chunks_exact(stride * LANES).zip(probed) {
        for l in 0..LANES {
            lanes[l] += rows[l * stride + codes[l] as usize];
        }
    }
    let mut sum = 0.0;
    for lane in lanes {
        sum += f64::from(lane);
    }
    sum
}
