//! Bindings of passes over lists of tensors that are no steps.

use super::array::{Span, Torch};
use crate::engine::tensor::check_overlap;
use crate::engine::{Error, Result};
use crate::optim::clip::{self, Ascent, Norm};
use pyo3::prelude::*;
use pyo3::types::PyList;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(optim_total_norm, module)?)?;
    module.add_function(wrap_pyfunction!(optim_scale, module)?)?;
    module.add_function(wrap_pyfunction!(optim_ascend, module)?)?;
    Ok(())
}

/// The memory of each tensor; none if one is out of the core's reach.
pub fn spans(tensors: &Bound<'_, PyList>) -> PyResult<Option<Vec<Span>>> {
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

/// Writes `param + factor * gradient` into each of `values`, `adaptive` with the gradient times the
/// square of the parameter; false, with nothing written, if a tensor is out of the core's reach, its
/// three parts differ in layout, or two share memory.
#[pyfunction]
fn optim_ascend(
    py: Python<'_>,
    values: &Bound<'_, PyList>,
    params: &Bound<'_, PyList>,
    gradients: &Bound<'_, PyList>,
    factor: f64,
    adaptive: bool,
) -> PyResult<bool> {
    let torch = Torch::get(py)?;
    let mut rows = Vec::with_capacity(values.len());
    for ((value, param), gradient) in values.iter().zip(params).zip(gradients) {
        if ![&value, &param, &gradient].into_iter().all(|tensor| torch.is_plain(tensor)) {
            return Ok(false);
        }
        let views = [torch.view(&value)?, torch.view(&param)?, torch.view(&gradient)?];
        let [Some(value), Some(param), Some(gradient)] = views else { return Ok(false) };
        let param = Some(param).filter(|view| view.cpu && view.is_dense());
        let Some(param) = param else { return Ok(false) };
        let spans = [value.span_like(&param), param.span(), gradient.span_like(&param)];
        let [Some(value), Some(param), Some(gradient)] = spans else { return Ok(false) };
        rows.push((value, param, gradient));
    }
    let written = rows.iter().flat_map(|(value, param, _)| [value.addresses(), param.addresses()]);
    let read = rows.iter().map(|(_, _, gradient)| gradient.addresses());
    if check_overlap(written, read, |_, _| String::new()).is_err() {
        return Ok(false);
    }
    // SAFETY: as above; values and parameters are apart from each other and from the gradients.
    let tensors = rows
        .iter()
        .map(|(value, param, gradient)| unsafe {
            Ascent { value: value.tensor(), param: param.tensor(), gradient: gradient.read() }
        })
        .collect();
    py.detach(|| clip::ascend(tensors, factor, adaptive));
    Ok(true)
}
