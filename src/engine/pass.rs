//! One pass over a whole parameter list: a table of chunks across all tensors, run in parallel.
//!
//! Chunks have a fixed size, so what is computed does not depend on the number of threads. Inside a
//! chunk, work goes block by block: a block and its scratch copies stay in the first-level cache,
//! so that several small loops over it cost one trip to memory.

use super::real::Float;
use super::sweep::MAX_STATE;
use super::tensor::{Block, Tensor, View};
use super::threads;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::ops::Range;

/// Elements a chunk.
pub const CHUNK: usize = 1 << 15;
/// Bytes of one array in a block. Widening, formula and rounding are loops of their own over a block;
/// with short ones the processor begins the next while memory still answers the last.
const BLOCK_BYTES: usize = 2048;
/// Most elements of a [`Part`].
pub const fn block_len<F>() -> usize {
    BLOCK_BYTES / size_of::<F>()
}

/// Below this many elements a pass stays on the calling thread: waking others costs more.
const SERIAL: usize = 1 << 17;

/// Most state buffers of an entry: those of a rule, and one of the engine.
pub const BUFFERS: usize = MAX_STATE + 1;

/// State buffers, at most [`BUFFERS`]; inline, because a step over many small tensors must not
/// allocate for each.
pub type States<'a> = SmallVec<[Tensor<'a>; 3]>;

/// Parameter, gradient and state of one tensor, equally long and in the same order of elements.
#[derive(Debug)]
pub struct Entry<'a> {
    /// What the step changes.
    pub x: Tensor<'a>,
    /// Its gradient.
    pub g: View<'a>,
    /// What the rule remembers.
    pub state: States<'a>,
    /// A place for the proposed step, where it is needed as a whole.
    pub direction: Option<Tensor<'a>>,
}

/// An entry that needs nothing beside it.
pub struct Lone<'a>(pub Entry<'a>);

impl<'a> AsRef<Entry<'a>> for Lone<'a> {
    fn as_ref(&self) -> &Entry<'a> {
        &self.0
    }
}

impl<'a> Lone<'a> {
    /// A gradient that is only read.
    pub fn gradient(g: View<'a>) -> Self {
        let x = Tensor::from(&mut [] as &mut [f32]);
        Self(Entry { x, g, state: States::default(), direction: None })
    }

    /// A tensor that is changed without a gradient.
    pub fn target(x: Tensor<'a>) -> Self {
        let g = View::from(&[] as &[f32]);
        Self(Entry { x, g, state: States::default(), direction: None })
    }
}

/// What a pass does to parameters and states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Changes stay.
    Write,
    /// Parameters and states come as copies, and changes to them are forgotten.
    Dry,
    /// The work only looks.
    Read,
}

/// A stretch of one entry.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Which entry.
    pub entry: usize,
    /// Which of its filters.
    pub filter: usize,
    range: Range<usize>,
}

/// The chunks of `lengths`, entry by entry.
pub fn chunks(lengths: impl Iterator<Item = usize>) -> Vec<Chunk> {
    filter_chunks(lengths.map(|len| (len, 1)))
}

/// The chunks of entries of these lengths and numbers of filters; filters are equally long stretches
/// of an entry, and no chunk belongs to two of them.
pub fn filter_chunks(entries: impl Iterator<Item = (usize, usize)>) -> Vec<Chunk> {
    let split = |(entry, (len, filters)): (usize, (usize, usize))| {
        let size = len / filters;
        (0..filters).flat_map(move |filter| {
            let (first, end) = (filter * size, (filter + 1) * size);
            (first..end).step_by(CHUNK).map(move |start| Chunk {
                entry,
                filter,
                range: start..end.min(start + CHUNK),
            })
        })
    };
    entries.enumerate().flat_map(split).collect()
}

/// Calls `work` for every chunk, each with exclusive access to its stretch, and collects what it
/// returns in the order of the chunks.
pub fn run<'a, E: AsRef<Entry<'a>> + Sync, R: Send + Default>(
    entries: &mut [E],
    chunks: &[Chunk],
    access: Access,
    work: impl Fn(Stretch<'_, '_>) -> R + Sync,
) -> Vec<R> {
    let entries = &*entries;
    let mut results: Vec<R> = chunks.iter().map(|_| R::default()).collect();
    let total: usize = chunks.iter().map(|chunk| chunk.range.len()).sum();
    let visit = |first: usize, results: &mut [R]| {
        for (chunk, result) in chunks[first..].iter().zip(results) {
            *result = work(Stretch { entry: entries[chunk.entry].as_ref(), chunk, access });
        }
    };
    if total < SERIAL {
        visit(0, &mut results);
    } else {
        // Chunks of small tensors go in groups of about one full chunk.
        let average = total.div_ceil(chunks.len().max(1));
        let size = (CHUNK / average.max(1)).max(1);
        threads::for_each_chunk(&mut results, size, |group, results| visit(group * size, results));
    }
    results
}

/// One chunk of one entry.
pub struct Stretch<'p, 'a> {
    entry: &'p Entry<'a>,
    chunk: &'p Chunk,
    access: Access,
}

/// A cache-sized part of an entry, in the type that formulas compute in.
pub struct Part<'s, F> {
    /// Parameter.
    pub x: &'s mut [F],
    /// Gradient.
    pub g: &'s [F],
    /// States, and one array of rubbish after them.
    pub state: &'s mut [&'s mut [F]],
    /// The proposed step; holds rubbish at first, or the direction where the entry has one.
    pub u: &'s mut [F],
    /// Rubbish, for a changed gradient.
    pub spare: &'s mut [F],
    /// Place of the first element in the entry.
    pub start: usize,
}

impl Stretch<'_, '_> {
    /// Which entry.
    pub fn entry(&self) -> usize {
        self.chunk.entry
    }

    /// Which of its filters.
    pub fn filter(&self) -> usize {
        self.chunk.filter
    }

    /// Calls `work` for one part of the gradient after the other, and touches nothing else.
    pub fn gradient<F: Float>(&self, mut work: impl FnMut(&[F])) {
        let range = &self.chunk.range;
        if self.entry.g.dtype() == F::DTYPE {
            return work(self.entry.g.read(range.clone(), &mut []));
        }
        with_scratch(|scratch: &mut [F]| {
            for start in range.clone().step_by(block_len::<F>()) {
                let end = range.end.min(start + block_len::<F>());
                work(self.entry.g.read(start..end, scratch));
            }
        });
    }

    /// Calls `work` for one part of what the pass changes after the other, and touches nothing
    /// else.
    pub fn target<F: Float>(&self, mut work: impl FnMut(&mut [F])) {
        let range = &self.chunk.range;
        with_scratch(|scratch: &mut [F]| {
            for start in range.clone().step_by(block_len::<F>()) {
                let end = range.end.min(start + block_len::<F>());
                let block = exclusive(&self.entry.x, &(start..end), scratch, false);
                work(&mut *block.data);
                block.store();
            }
        });
    }

    /// Calls `work(round, start, part)` for one part of what the pass changes after the other, each
    /// `rounds` times, with the place of its first element in the entry. Between rounds a part is
    /// rounded to nearest; only the last round rounds as the tensor asks for.
    pub fn rounds<F: Float>(&self, rounds: usize, mut work: impl FnMut(usize, usize, &mut [F])) {
        let range = &self.chunk.range;
        with_scratch(|scratch: &mut [F]| {
            for start in range.clone().step_by(block_len::<F>()) {
                let end = range.end.min(start + block_len::<F>());
                for round in 0..rounds {
                    let block = exclusive(&self.entry.x, &(start..end), scratch, false);
                    work(round, start, &mut *block.data);
                    if round + 1 < rounds { block.store_nearest() } else { block.store() }
                }
            }
        });
    }

    /// Calls `work(x, g, states)` once, for all of the stretch, if all is stored as `F` and needs no
    /// scratch memory; false if not.
    pub fn whole<F: Float>(&self, work: impl FnOnce(&mut [F], &[F], &mut [&mut [F]])) -> bool {
        let Entry { x, g, state, .. } = self.entry;
        let stored = |dtype| dtype == F::DTYPE;
        if self.access == Access::Dry
            || !(stored(x.dtype()) && stored(g.dtype()))
            || !state.iter().all(|tensor| stored(tensor.dtype()))
        {
            return false;
        }
        let range = &self.chunk.range;
        let mut states: [&mut [F]; BUFFERS] = std::array::from_fn(|_| &mut [][..]);
        for (slice, tensor) in states.iter_mut().zip(state.iter()) {
            *slice = exclusive(tensor, range, &mut [], false).data;
        }
        let x = exclusive(x, range, &mut [], false);
        work(x.data, g.read(range.clone(), &mut []), &mut states[..state.len()]);
        true
    }

    /// Calls `work` for one part after the other.
    pub fn parts<F: Float>(&self, work: impl FnMut(Part<'_, F>)) {
        self.parts_ahead(false, work);
    }

    /// As [`Stretch::parts`]; with `ahead`, memory is asked for one part early, which pays where the
    /// work takes longer than memory.
    pub fn parts_ahead<F: Float>(&self, ahead: bool, mut work: impl FnMut(Part<'_, F>)) {
        let size = block_len::<F>();
        let range = &self.chunk.range;
        with_scratch(|scratch: &mut [F]| {
            for start in range.clone().step_by(size) {
                if ahead {
                    let Entry { x, g, state, .. } = self.entry;
                    let next = start + size..start + 2 * size;
                    x.prefetch(&next);
                    g.prefetch(&next);
                    state.iter().for_each(|tensor| tensor.prefetch(&next));
                }
                self.part(start..range.end.min(start + size), scratch, &mut work);
            }
        });
    }

    fn part<F: Float>(
        &self,
        range: Range<usize>,
        scratch: &mut [F],
        work: &mut impl FnMut(Part<'_, F>),
    ) {
        let Entry { x, g, state, direction } = self.entry;
        let (n, copy) = (range.len(), self.access == Access::Dry);
        let mut arrays = scratch.chunks_exact_mut(block_len::<F>());
        let mut array = || arrays.next().expect("scratch holds ARRAYS arrays");
        let x = exclusive(x, &range, array(), copy);
        let g = g.read(range.clone(), array());
        let (spare, scratch) = (array(), array());
        let u = match direction {
            Some(direction) => exclusive(direction, &range, scratch, false),
            None => Block::scratch(&mut scratch[..n]),
        };
        let mut states: [Block<'_, F>; BUFFERS] = std::array::from_fn(|k| match state.get(k) {
            Some(tensor) => exclusive(tensor, &range, array(), copy),
            None => Block::scratch(&mut []),
        });
        let mut slices: [&mut [F]; BUFFERS + 1] = std::array::from_fn(|_| &mut [][..]);
        for (slice, block) in slices.iter_mut().zip(&mut states) {
            *slice = &mut *block.data;
        }
        slices[state.len()] = &mut array()[..n];
        work(Part {
            x: &mut *x.data,
            g,
            state: &mut slices[..=state.len()],
            u: &mut *u.data,
            spare: &mut spare[..n],
            start: range.start,
        });
        u.store();
        if self.access == Access::Write {
            x.store();
            states.into_iter().for_each(Block::store);
        }
    }
}

fn exclusive<'s, F: Float>(
    tensor: &'s Tensor<'_>,
    range: &Range<usize>,
    scratch: &'s mut [F],
    copy: bool,
) -> Block<'s, F> {
    // SAFETY: `run` visits each chunk once, chunks are disjoint, and so are the parts of one; the
    // tensors of a call are apart by the borrow checker or by `check_overlap`.
    unsafe { tensor.block(range.clone(), scratch, copy) }
}

const ARRAYS: usize = 5 + BUFFERS;

/// Runs `work` on scratch memory of this thread, allocated once.
fn with_scratch<F: Float, R>(work: impl FnOnce(&mut [F]) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.resize(ARRAYS * BLOCK_BYTES / size_of::<f64>(), 0.0);
        let data = scratch.as_mut_ptr().cast::<F>();
        // SAFETY: F is f32 or f64: no stricter alignment than f64, and every bit pattern is valid.
        work(unsafe { std::slice::from_raw_parts_mut(data, ARRAYS * block_len::<F>()) })
    })
}
