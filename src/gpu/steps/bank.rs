//! The memory of one group: its parameters, gradients and states in segments.

use super::layout::Layout;
use super::shader::slot;
use super::storage::block_bytes;
use crate::engine::codes::BLOCK;
use crate::engine::{Error, Result};
use crate::gpu::{Buffer, Device};
use crate::optim::Group;
use crate::optim::precision::{Precision, Rounding, StateDtype};
use bytemuck::Pod;
use std::collections::HashMap;
use std::sync::Arc;

/// Tensors of a pass: their number in the bank, and where their row begins.
pub type Tensors = Vec<(usize, u32)>;

/// Buffers of one segment.
pub struct Segment {
    buffers: Vec<(u32, Arc<Buffer>)>,
    /// Tables of runs, by the tensors they are for, with their number of runs.
    runs: HashMap<Tensors, (Arc<Buffer>, usize)>,
}

/// Tables of runs that are kept; a table is made anew when a step takes other tensors.
const KEPT: usize = 8;

impl Segment {
    /// The buffer of a slot, if there is one.
    pub fn buffer(&self, slot: u32) -> Option<&Arc<Buffer>> {
        self.buffers.iter().find(|(known, _)| *known == slot).map(|(_, buffer)| buffer)
    }
}

/// A group and its memory.
pub struct Bank {
    /// The rule and its modifiers.
    pub group: Group,
    /// How states are stored.
    pub kind: StateDtype,
    /// Number of states.
    pub states: usize,
    /// Where the tensors lie.
    pub layout: Layout,
    /// Their numbers of elements.
    pub lengths: Vec<usize>,
    segments: Vec<Segment>,
}

/// What lies in a bank for each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Parameters, float32.
    Param,
    /// Gradients, float32.
    Grad,
    /// A state by its number, as it is stored.
    State(usize),
    /// The scales of an int8 state, one float32 for each block.
    Scale(usize),
}

impl Bank {
    /// Memory for tensors of so many elements, filled with zeros.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a rounding of parameters, [`Error::Value`] if a tensor is too
    /// large, [`Error::Memory`] if there is not enough memory.
    pub fn new(
        device: &Device,
        group: Group,
        precision: Precision,
        lengths: Vec<usize>,
    ) -> Result<Self> {
        if precision.rounding != Rounding::Nearest {
            return Err(Error::Unsupported {
                what: "rounding of float32 parameters".into(),
                fix: "leave out rounding; it is for parameters of two bytes".into(),
            });
        }
        let (kind, states) = (precision.state, group.rule.states().len());
        let matrix = group.rule.matrix(1, 1).is_some();
        let widest = (4 * BLOCK).max(states * block_bytes(kind));
        let capacity = device.largest() as usize / widest;
        let layout = Layout::new(&lengths, capacity, matrix)?;
        let segments = layout.segments.iter().map(|&blocks| {
            let single = (blocks * BLOCK * 4) as u64;
            let state = (blocks * states * block_bytes(kind)) as u64;
            let mut sizes = vec![(slot::PARAM, single), (slot::GRAD, single)];
            if states > 0 {
                sizes.push((slot::STATE, state));
            }
            if states > 0 && kind == StateDtype::Int8 {
                sizes.push((slot::SCALE, (blocks * states * 4) as u64));
            }
            if matrix {
                sizes.push((slot::DIRECTION, single));
            }
            let buffers: Result<Vec<_>> = sizes
                .into_iter()
                .map(|(slot, bytes)| Ok((slot, Arc::new(device.buffer(bytes)?))))
                .collect();
            Ok(Segment { buffers: buffers?, runs: HashMap::new() })
        });
        let segments: Result<Vec<_>> = segments.collect();
        Ok(Self { segments: segments?, group, kind, states, layout, lengths })
    }

    /// A segment by its number.
    pub fn segment(&self, number: usize) -> &Segment {
        &self.segments[number]
    }

    /// The table of runs of these tensors in a segment, none if they have nothing there.
    ///
    /// # Errors
    /// [`Error::Memory`] or [`Error::Device`].
    pub fn runs(
        &mut self,
        device: &Device,
        segment: usize,
        tensors: &Tensors,
    ) -> Result<Option<(Arc<Buffer>, usize)>> {
        if let Some((buffer, count)) = self.segments[segment].runs.get(tensors) {
            return Ok(Some((buffer.clone(), *count)));
        }
        let runs = self.layout.runs(segment, tensors);
        if runs.is_empty() {
            return Ok(None);
        }
        let table = (Arc::new(device.upload(&runs)?), runs.len());
        let known = &mut self.segments[segment].runs;
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(tensors.clone(), table.clone());
        Ok(Some(table))
    }

    /// Slot, first byte of a block and bytes a block of a column in a segment.
    fn place(&self, segment: usize, column: Column, block: usize) -> (u32, u64, usize) {
        let blocks = self.layout.segments[segment];
        let (slot, state, bytes) = match column {
            Column::Param => (slot::PARAM, 0, 4 * BLOCK),
            Column::Grad => (slot::GRAD, 0, 4 * BLOCK),
            Column::State(k) => (slot::STATE, k, block_bytes(self.kind)),
            Column::Scale(k) => (slot::SCALE, k, 4),
        };
        (slot, ((state * blocks + block) * bytes) as u64, bytes)
    }

    /// Bytes that a column of a tensor has.
    pub fn column_bytes(&self, tensor: usize, column: Column) -> usize {
        let len = self.lengths[tensor];
        match column {
            Column::Param | Column::Grad => 4 * len,
            Column::State(_) => len * block_bytes(self.kind) / BLOCK,
            Column::Scale(_) => 4 * len.div_ceil(BLOCK),
        }
    }

    /// The stretches of a column of a tensor: buffer, first byte there, and bytes of the tensor.
    fn stretches(&self, tensor: usize, column: Column) -> Vec<(&Buffer, u64, [usize; 2])> {
        let total = self.column_bytes(tensor, column);
        let stretch = |piece: &super::layout::Piece| {
            let (slot, offset, bytes) = self.place(piece.segment, column, piece.first);
            let buffer = self.segments[piece.segment].buffer(slot)?;
            let [start, end] = [piece.place, piece.place + piece.blocks].map(|b| b * bytes);
            Some((&**buffer, offset, [start, end.min(total)]))
        };
        self.layout.tensors[tensor].iter().filter_map(stretch).collect()
    }

    /// Writes a column of a tensor.
    ///
    /// # Errors
    /// [`Error::Device`] or [`Error::Memory`].
    pub fn write<T: Pod>(
        &self,
        device: &Device,
        tensor: usize,
        column: Column,
        values: &[T],
    ) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        for (buffer, offset, [start, end]) in self.stretches(tensor, column) {
            device.write(buffer, offset, &bytes[start..end])?;
        }
        Ok(())
    }

    /// Reads a column of a tensor.
    ///
    /// # Errors
    /// [`Error::Device`] or [`Error::Memory`].
    pub fn read<T: Pod>(
        &self,
        device: &Device,
        tensor: usize,
        column: Column,
        out: &mut [T],
    ) -> Result<()> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(out);
        for (buffer, offset, [start, end]) in self.stretches(tensor, column) {
            device.read(buffer, offset, &mut bytes[start..end])?;
        }
        Ok(())
    }
}
