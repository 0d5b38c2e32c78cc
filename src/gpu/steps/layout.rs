//! Where the elements of a parameter list lie on a device.
//!
//! Tensors stand one after the other, each from the start of a block of 256 elements, cut into
//! segments that fit into one binding. A segment has a buffer for parameters, one for gradients and
//! one for all states, state after state.

use crate::engine::codes::BLOCK;
use crate::engine::{Error, Result};

/// Blocks that one workgroup works through.
pub const RUN: usize = 16;

/// A stretch of a tensor inside a segment, in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Which segment.
    pub segment: usize,
    /// First block there.
    pub first: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// First block of the tensor.
    pub place: usize,
}

/// The places of all tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Pieces of each tensor.
    pub tensors: Vec<Vec<Piece>>,
    /// Blocks in each segment.
    pub segments: Vec<usize>,
}

impl Layout {
    /// Packs tensors of so many elements into segments of at most `capacity` blocks. Where `whole`,
    /// no tensor is cut.
    ///
    /// # Errors
    /// [`Error::Value`] if a tensor that may not be cut, or has more than 2^32 - 256 elements, does
    /// not fit.
    pub fn new(lengths: &[usize], capacity: usize, whole: bool) -> Result<Self> {
        let mut layout = Self { tensors: vec![], segments: vec![] };
        for (number, &len) in lengths.iter().enumerate() {
            let mut left = len.div_ceil(BLOCK);
            if left > u32::MAX as usize / BLOCK || (whole && left > capacity) {
                let most = if whole { capacity } else { u32::MAX as usize / BLOCK } * BLOCK;
                let name = format!("the number of elements of params[{number}]");
                let allowed = format!("at most {most} on this adapter");
                return Err(Error::value(name, allowed, len, "step it on the CPU"));
            }
            let mut pieces = vec![];
            let mut place = 0;
            while left > 0 {
                let used = layout.segments.last().copied().unwrap_or(capacity);
                if used == capacity || (whole && used + left > capacity) {
                    layout.segments.push(0);
                }
                let segment = layout.segments.len() - 1;
                let first = layout.segments[segment];
                let blocks = left.min(capacity - first);
                pieces.push(Piece { segment, first, blocks, place });
                layout.segments[segment] += blocks;
                (left, place) = (left - blocks, place + blocks);
            }
            layout.tensors.push(pieces);
        }
        Ok(layout)
    }

    /// The work in a segment on these tensors, each with its row of scalars: a row a workgroup, of
    /// first block, number of blocks, first word of the scalars, and first block of the tensor.
    pub fn runs(&self, segment: usize, tensors: &[(usize, u32)]) -> Vec<[u32; 4]> {
        let mut runs = vec![];
        for &(tensor, row) in tensors {
            for piece in self.tensors[tensor].iter().filter(|piece| piece.segment == segment) {
                for start in (0..piece.blocks).step_by(RUN) {
                    let blocks = RUN.min(piece.blocks - start);
                    let [first, place] = [piece.first + start, piece.place + start];
                    runs.push([first as u32, blocks as u32, row, place as u32]);
                }
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_has_one_place() {
        for (lengths, capacity) in
            [(vec![1, 256, 257, 0, 5000], 7), (vec![70_000], 16), (vec![3; 40], 100), (vec![], 5)]
        {
            let layout = Layout::new(&lengths, capacity, false).unwrap();
            let mut seen: Vec<Vec<bool>> =
                layout.segments.iter().map(|&blocks| vec![false; blocks]).collect();
            for (pieces, len) in layout.tensors.iter().zip(&lengths) {
                let mut place = 0;
                for piece in pieces {
                    assert_eq!(piece.place, place);
                    place += piece.blocks;
                    for seen in &mut seen[piece.segment][piece.first..piece.first + piece.blocks] {
                        assert!(!std::mem::replace(seen, true));
                    }
                }
                assert_eq!(place, len.div_ceil(BLOCK));
            }
            assert!(seen.iter().flatten().all(|seen| *seen));
            assert!(layout.segments.iter().all(|&blocks| blocks <= capacity));
        }
    }

    #[test]
    fn runs_cover_the_tensors_they_are_asked_for() {
        let layout = Layout::new(&[256 * 40, 100, 256 * 3], 30, false).unwrap();
        let all = [(0, 7), (2, 9)];
        let runs: Vec<_> =
            (0..layout.segments.len()).flat_map(|segment| layout.runs(segment, &all)).collect();
        assert_eq!(runs.iter().map(|run| run[1]).sum::<u32>(), 43);
        assert!(runs.iter().all(|run| run[1] as usize <= RUN && [7, 9].contains(&run[2])));
    }

    #[test]
    fn matrices_are_not_cut() {
        let layout = Layout::new(&[256 * 3, 256 * 3], 4, true).unwrap();
        assert_eq!(layout.segments, [3, 3]);
        assert!(Layout::new(&[256 * 5], 4, true).is_err());
    }
}
