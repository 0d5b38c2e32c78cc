//! A layer of rectifiers and a linear one above it.
//!
//! While no rectifier switches, the logits are linear in the change of the probed unit: their
//! slopes, sum over active u of W_ou w_uj, serve all probes of unit j. A probe then costs a look at
//! the signs of the rectifiers, and a correction for each that switches.

use super::super::super::Network;
use super::super::super::batch::Signal;
use super::super::super::dense::Dense;
use super::super::super::state::State;
use super::super::Items;
use super::deep::add_columns;
use super::loss_change;
use crate::engine::lanes::{LANES, Lanes, blocks};

/// Loss changes through rectifiers and a linear layer.
pub struct Rectified<'a> {
    network: &'a Network,
    state: &'a State,
    /// Blocks of rectifiers and of outputs.
    width: usize,
    out_width: usize,
    /// Rows of pre-activations and of logits.
    z: Vec<Lanes>,
    logits: Vec<Lanes>,
    columns: Vec<Lanes>,
    out_columns: Vec<Lanes>,
}

impl<'a> Rectified<'a> {
    /// The tail below `middle` (rectifiers, with pre-activations `z`) and `top` (linear).
    pub fn new(
        network: &'a Network,
        state: &'a State,
        middle: &Dense,
        z: &Signal,
        top: &Dense,
    ) -> Self {
        Self {
            network,
            state,
            width: blocks(middle.outputs),
            out_width: blocks(top.outputs),
            z: z.rows(),
            logits: state.logits().rows(),
            columns: middle.columns(),
            out_columns: top.columns(),
        }
    }

    /// Slopes of the logits in the output of `unit`, `[sample][block]`.
    #[inline(always)]
    pub fn slopes(&self, unit: usize) -> Vec<Lanes> {
        let column = &self.columns[unit * self.width..(unit + 1) * self.width];
        let mut slopes = vec![[0.0; LANES]; self.logits.len()];
        let mut active = vec![[0.0; LANES]; self.width];
        let rows = self.z.chunks_exact(self.width).zip(slopes.chunks_exact_mut(self.out_width));
        for (z, slope) in rows {
            let pairs = z.as_flattened().iter().zip(column.as_flattened());
            for (active, (&z, &w)) in active.as_flattened_mut().iter_mut().zip(pairs) {
                *active = if z > 0.0 { w } else { 0.0 };
            }
            add_columns(&active, &self.out_columns, self.out_width, slope);
        }
        slopes
    }

    /// Loss changes of the items of `unit`.
    #[inline(always)]
    pub fn changes(&self, unit: usize, slopes: &[Lanes], items: &Items, changes: &mut [Lanes]) {
        let column = &self.columns[unit * self.width..(unit + 1) * self.width];
        let mut switched = vec![[0.0; LANES]; self.width];
        let mut row = vec![[0.0; LANES]; self.out_width];
        let mut logits = vec![[0.0; LANES]; self.network.outputs()];
        let samples = items.samples.as_chunks::<LANES>().0;
        let deltas = items.deltas.as_chunks::<LANES>().0;
        for ((change, samples), deltas) in changes.iter_mut().zip(samples).zip(deltas) {
            for l in 0..LANES {
                let (n, delta) = (samples[l] as usize, deltas[l]);
                let z = &self.z[n * self.width..(n + 1) * self.width];
                let pairs = z.as_flattened().iter().zip(column.as_flattened());
                for (switched, (&z, &w)) in switched.as_flattened_mut().iter_mut().zip(pairs) {
                    let new = z + delta * w;
                    // the slope moved an active one all the way, though it stops at zero
                    let error = if z > 0.0 { -new } else { new };
                    *switched = if (z > 0.0) == (new > 0.0) { 0.0 } else { error };
                }
                let span = n * self.out_width..(n + 1) * self.out_width;
                let base = self.logits[span.clone()].as_flattened();
                let pairs = base.iter().zip(slopes[span].as_flattened());
                for (row, (base, slope)) in row.as_flattened_mut().iter_mut().zip(pairs) {
                    *row = base + delta * slope;
                }
                add_columns(&switched, &self.out_columns, self.out_width, &mut row);
                for (o, logit) in logits.iter_mut().enumerate() {
                    logit[l] = row[o / LANES][o % LANES];
                }
            }
            *change = loss_change(self.network, self.state, &mut logits, samples);
        }
    }
}
