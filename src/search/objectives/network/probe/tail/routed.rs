//! Experts above the probed unit: the gate is read anew, and only the chosen expert runs.

use super::super::super::dense::Dense;
use super::super::super::select::{PER_EXPERT, winner};
use super::super::super::state::Response;
use super::super::super::unit::relu::relu;
use super::deep::add_columns;
use crate::engine::lanes::{LANES, Lanes, blocks};

/// A routed layer on the way up.
pub struct RoutedFloor {
    inputs: usize,
    width: usize,
    scores: Vec<Lanes>,
    gate_columns: Vec<Lanes>,
    out: Vec<Lanes>,
    experts: Vec<Expert>,
}

struct Expert {
    units: usize,
    /// Rows of pre-activations, outputs of the hidden units, outputs.
    z: Vec<Lanes>,
    hidden: Vec<Lanes>,
    out: Vec<Lanes>,
    in_columns: Vec<Lanes>,
    out_columns: Vec<Lanes>,
}

impl RoutedFloor {
    /// From the layer and its response.
    pub fn new(gate: &Dense, hidden: &[Dense], out: &[Dense], response: &Response) -> Self {
        let expert = |e: usize| {
            let rows = |part: usize| response.inner[PER_EXPERT * e + part].rows();
            Expert {
                units: hidden[e].outputs,
                z: rows(0),
                hidden: rows(1),
                out: rows(2),
                in_columns: hidden[e].columns(),
                out_columns: out[e].columns(),
            }
        };
        Self {
            inputs: blocks(gate.inputs),
            width: blocks(out[0].outputs),
            scores: response.z.rows(),
            gate_columns: gate.columns(),
            out: response.out.rows(),
            experts: (0..gate.outputs).map(expert).collect(),
        }
    }

    /// `moved` inputs of sample `n` become moved outputs; `row` and `other` are scratch.
    #[inline(always)]
    pub fn pass(
        &self,
        n: usize,
        row: &mut Vec<Lanes>,
        other: &mut Vec<Lanes>,
        moved: &mut [Lanes],
    ) {
        let mut scores = self.scores[n..n + 1].to_owned();
        add_columns(&moved[..self.inputs], &self.gate_columns, 1, &mut scores);
        let expert = &self.experts[winner(self.experts.len(), |k| scores[0][k])];
        let width = blocks(expert.units);
        row.resize(row.len().max(width), [0.0; LANES]);
        other.resize(other.len().max(self.width), [0.0; LANES]);
        let row = &mut row[..width];
        row.copy_from_slice(&expert.z[n * width..(n + 1) * width]);
        add_columns(&moved[..self.inputs], &expert.in_columns, width, row);
        let hidden = expert.hidden[n * width..(n + 1) * width].as_flattened();
        for (row, old) in row.as_flattened_mut().iter_mut().zip(hidden) {
            *row = relu(*row) - old;
        }
        let span = n * self.width..(n + 1) * self.width;
        let other = &mut other[..self.width];
        other.copy_from_slice(&expert.out[span.clone()]);
        add_columns(row, &expert.out_columns, self.width, other);
        let pairs = other.as_flattened().iter().zip(self.out[span].as_flattened());
        for (moved, (new, old)) in moved.as_flattened_mut().iter_mut().zip(pairs) {
            *moved = new - old;
        }
    }
}
