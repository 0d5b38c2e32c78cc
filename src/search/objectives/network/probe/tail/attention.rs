//! Argmax attention above the probed unit: scores and values move with the input, then the winner
//! is chosen anew.

use super::super::super::dense::Dense;
use super::super::super::select::{gate_of, winner};
use super::super::super::state::Response;
use super::deep::add_columns;
use crate::engine::lanes::{Lanes, blocks};

/// An attention layer on the way up.
pub struct AttentionFloor {
    slots: usize,
    width: usize,
    scores: Vec<Lanes>,
    values: Vec<Lanes>,
    out: Vec<Lanes>,
    key_columns: Vec<Lanes>,
    value_columns: Vec<Lanes>,
    gates: Vec<Vec<Lanes>>,
}

impl AttentionFloor {
    /// From the layer and its response.
    pub fn new(keys: &Dense, values: &Dense, response: &Response) -> Self {
        Self {
            slots: keys.outputs,
            width: blocks(values.outputs),
            scores: response.z.rows(),
            values: response.inner[0].rows(),
            out: response.out.rows(),
            key_columns: keys.columns(),
            value_columns: values.columns(),
            gates: (0..keys.outputs).map(|slot| gate_of(keys, slot)).collect(),
        }
    }

    /// `moved` inputs of sample `n` become moved outputs.
    #[inline(always)]
    pub fn pass(&self, n: usize, row: &mut [Lanes], moved: &mut [Lanes]) {
        // at most sixteen slots: one block
        let mut scores = self.scores[n..n + 1].to_owned();
        add_columns(&moved[..self.width], &self.key_columns, 1, &mut scores);
        let slot = winner(self.slots, |k| scores[0][k]);
        let span = n * self.width..(n + 1) * self.width;
        let row = &mut row[..self.width];
        row.copy_from_slice(&self.values[span.clone()]);
        add_columns(&moved[..self.width], &self.value_columns, self.width, row);
        let gates = self.gates[slot].as_flattened();
        let gated = row.as_flattened().iter().zip(gates).zip(self.out[span].as_flattened());
        for (moved, ((value, gate), old)) in moved.as_flattened_mut().iter_mut().zip(gated) {
            *moved = value * gate - old;
        }
    }
}
