//! Binding of moves along noise.

use crate::engine::rng::Philox;
use crate::engine::tensor::check_overlap;
use crate::python::array::Span;
use crate::python::clip::spans;
use crate::search::mezo::{self, Walk};
use pyo3::prelude::*;
use pyo3::types::PyList;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(search_walk, module)?)
}

/// Moves every tensor of a list along noise of its own, in place: `x = a x + b z` for each pair
/// (a, b) of its `moves`, z from the stream of its number. With a `dither` step the last move is
/// rounded stochastically. False, with nothing written, if a tensor is out of the core's reach or
/// two share memory.
#[pyfunction]
#[pyo3(signature = (tensors, moves, seed, streams, dither=None))]
fn search_walk(
    py: Python<'_>,
    tensors: &Bound<'_, PyList>,
    moves: Vec<Vec<[f64; 2]>>,
    seed: u64,
    streams: Vec<u64>,
    dither: Option<u64>,
) -> PyResult<bool> {
    let fits = [moves.len(), streams.len()] == [tensors.len(); 2];
    let Some(spans) = spans(tensors)?.filter(|_| fits) else { return Ok(false) };
    let apart =
        check_overlap(spans.iter().map(Span::addresses), std::iter::empty(), |_, _| String::new());
    if apart.is_err() {
        return Ok(false);
    }
    let walks = spans.iter().zip(moves).zip(streams).map(|((span, moves), stream)| {
        // SAFETY: dense, on the processor, apart from each other; the list keeps the tensors alive,
        // and torch's are initialised and aligned.
        Walk { x: unsafe { span.tensor() }, stream, moves }
    });
    let walks = walks.collect();
    py.detach(|| mezo::walk(walks, Philox::new(seed), dither));
    Ok(true)
}
