//! One formula over many tensors of a bank: prepared, and run.

use super::bank::{Bank, Tensors};
use super::shader::{Frame, Summed, shader, slot};
use crate::engine::Result;
use crate::engine::trace::Expression;
use crate::gpu::dispatch::Pipeline;
use crate::gpu::{Binding, Buffer, Call, Device};
use crate::optim::rule::{MAX_MEASURED, Reduce};
use std::sync::Arc;

/// A dispatch, with all it needs.
pub struct Prepared {
    pipeline: Pipeline,
    buffers: Vec<(u32, Arc<Buffer>)>,
    grid: [u32; 3],
    segment: usize,
    runs: usize,
}

impl Prepared {
    /// As the device takes it.
    pub fn call(&self) -> Call<'_> {
        let bindings =
            self.buffers.iter().map(|(slot, buffer)| Binding::whole(*slot, buffer)).collect();
        Call { pipeline: &self.pipeline, bindings, grid: self.grid }
    }
}

/// Tensors whose formulas have the same text, with their rows.
pub struct Batch {
    expression: Expression,
    tensors: Tensors,
    /// Places in the list that was asked for.
    places: Vec<usize>,
    rows: Vec<u32>,
}

/// Groups tensors by the form of their formulas; `formula` gives the formula and the row of the
/// tensor at a place in the list. Neighbours usually agree.
pub fn batches(
    tensors: &[usize],
    mut formula: impl FnMut(usize) -> (Expression, Vec<u32>),
) -> Vec<Batch> {
    let mut batches: Vec<Batch> = vec![];
    for (place, &tensor) in tensors.iter().enumerate() {
        let (expression, row) = formula(place);
        let same = |batch: &Batch| {
            batch.expression.nodes == expression.nodes
                && batch.expression.outputs == expression.outputs
        };
        let batch = match batches.iter().rposition(same) {
            Some(known) => &mut batches[known],
            None => {
                batches.push(Batch { expression, tensors: vec![], places: vec![], rows: vec![] });
                let last = batches.len() - 1;
                &mut batches[last]
            }
        };
        batch.tensors.push((tensor, batch.rows.len() as u32));
        batch.places.push(place);
        batch.rows.extend(row);
    }
    batches
}

impl Batch {
    /// The dispatches of the batch, one for each segment that its tensors lie in.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) or [`Error::Device`](crate::Error::Device).
    pub fn prepare(
        &self,
        device: &Device,
        bank: &mut Bank,
        frame: &Frame,
        reduce: &[Summed],
    ) -> Result<Vec<Prepared>> {
        let shader = shader(&self.expression, frame, reduce);
        let pipeline = device.pipeline(&shader.text)?;
        let rows = Arc::new(device.upload(&self.rows)?);
        let mut prepared = vec![];
        for segment in 0..bank.layout.segments.len() {
            let Some((table, runs)) = bank.runs(device, segment, &self.tensors)? else { continue };
            let mut buffers = vec![];
            for &slot in &shader.slots {
                let buffer = match slot {
                    slot::RUNS => table.clone(),
                    slot::ROWS => rows.clone(),
                    slot::OUT => Arc::new(device.buffer((runs * reduce.len() * 8) as u64)?),
                    other => match bank.segment(segment).buffer(other) {
                        Some(buffer) => buffer.clone(),
                        // Slots are those of the frame, which is the bank's.
                        None => continue,
                    },
                };
                buffers.push((slot, buffer));
            }
            let grid = device.grid(runs as u64)?;
            prepared.push(Prepared { pipeline: pipeline.clone(), buffers, grid, segment, runs });
        }
        Ok(prepared)
    }

    /// Runs a reduction and adds up, for each place of the list that [`batches`] was given.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) or [`Error::Device`](crate::Error::Device).
    pub fn reduce(
        &self,
        device: &Device,
        bank: &mut Bank,
        frame: &Frame,
        reduce: &[Reduce],
        totals: &mut [[f64; MAX_MEASURED]],
    ) -> Result<()> {
        let sums: Vec<Summed> = reduce.iter().map(|kind| *kind == Reduce::Sum).collect();
        let prepared = self.prepare(device, bank, frame, &sums)?;
        let calls: Vec<Call<'_>> = prepared.iter().map(Prepared::call).collect();
        device.run(&calls)?;
        let mut own = vec![[0.0; MAX_MEASURED]; self.places.len()];
        for pass in &prepared {
            let mut parts = vec![[0f32; 2]; pass.runs * reduce.len()];
            let out = pass.buffers.iter().find(|(slot, _)| *slot == slot::OUT);
            if let Some((_, out)) = out {
                device.read(out, 0, &mut parts)?;
            }
            super::reduce::fold(
                &bank.layout,
                pass.segment,
                &self.tensors,
                reduce,
                &parts,
                &mut own,
            );
        }
        for (&place, own) in self.places.iter().zip(own) {
            totals[place] = own;
        }
        Ok(())
    }
}
