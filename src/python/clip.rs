//! Bindings of norms of gradient lists.

use super::array::{Span, Torch};
use crate::engine::tensor::check_overlap;
use crate::engine::{Error, Result};
use crate::optim::clip::{self, Norm};
use pyo3::prelude::*;
use pyo3::types::PyList;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(optim_total_norm, module)?)?;
    module.add_function(wrap_pyfunction!(optim_scale, module)?)?;
    Ok(())
}

/// The memory of each tensor; none if one is out of the core's reach.
fn spans(tensors: &Bound<'_, PyList>) -> PyResult<Option<Vec<Span>>> {
    let torch = Torch::get(tensors.py())?;
    let mut spans = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let view = if torch.is_plain(&tensor) { torch.view(&tensor)? } else { None };
        let dense = view.filter(|view| view.cpu && view.is_dense());
        match dense.and_then(|view| view.span()) {
            Some(span) => spans.push(span),
            None => return Ok(None),
        }
    }
    Ok(Some(spans))
}

/// The 1-, 2- or infinity norm of all elements of a list of torch tensors; None if a tensor is out
/// of the core's reach.
#[pyfunction]
fn optim_total_norm(
    py: Python<'_>,
    gradients: &Bound<'_, PyList>,
    norm_type: f64,
) -> PyResult<Option<f64>> {
    let norm = match norm_type {
        1.0 => Norm::One,
        2.0 => Norm::Two,
        f64::INFINITY => Norm::Max,
        _ => {
            let fix = "use torch's norm for others";
            return Err(Error::value("norm_type", "1, 2 or infinity", norm_type, fix).into());
        }
    };
    let Some(spans) = spans(gradients)? else { return Ok(None) };
    // SAFETY: dense, on the processor; `gradients` keeps the tensors alive, and torch's are
    // initialised and aligned.
    let views = spans.iter().map(|span| unsafe { span.read() }).collect();
    Ok(Some(py.detach(|| clip::total_norm(views, norm))))
}

/// Multiplies every element of a list of torch tensors, in place; false, with nothing written, if a
/// tensor is out of the core's reach or two share memory.
#[pyfunction]
fn optim_scale(py: Python<'_>, gradients: &Bound<'_, PyList>, factor: f64) -> PyResult<bool> {
    let Some(spans) = spans(gradients)? else { return Ok(false) };
    let name = |_, _| String::new();
    let apart: Result<()> =
        check_overlap(spans.iter().map(Span::addresses), std::iter::empty(), name);
    if apart.is_err() {
        return Ok(false);
    }
    // SAFETY: as above, and apart from each other.
    let tensors = spans.iter().map(|span| unsafe { span.tensor() }).collect();
    py.detach(|| clip::scale(tensors, factor));
    Ok(true)
}
