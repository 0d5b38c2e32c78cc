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
        let stride = codes.levels();
        let fresh = |n: usize| reached.as_flattened()[n] & !(1 << base[n]);
        let count = (0..state.batch.size).map(|n| fresh(n).count_ones() as usize).sum();
        let mut items = Items::sized(count);
        let mut slots = vec![0; count];
        let samples = &mut items.samples[..count];
        let deltas = &mut items.deltas[..count];
        let trains = &mut items.trains[..count];
        let mut item = 0;
        for n in 0..state.batch.size {
            let old = codes.values[base[n] as usize];
            let mut rest = fresh(n);
            while rest != 0 {
                let code = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                samples[item] = n as u32;
                deltas[item] = codes.values[code] - old;
                trains[item] = lif.map_or(0, |lif| lif.trains[code]);
                slots[item] = n * stride + code;
                item += 1;
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
    // Eight sums: sixteen would not stay in registers beside their addresses.
    const SUMS: usize = 8;
    let mut sums = [0.0f32; SUMS];
    let codes = probed.as_flattened().as_chunks::<SUMS>().0;
    for (rows, codes) in table.chunks_exact(SUMS * stride).zip(codes) {
        for i in 0..SUMS {
            sums[i] += rows[i * stride + codes[i] as usize];
        }
    }
    sums.into_iter().map(f64::from).sum()
}
