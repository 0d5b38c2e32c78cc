//! Bindings of sums and products over lists of tensors.

use super::array::{Span, Torch};
use crate::engine::pass::Entry;
use crate::engine::tensor::check_overlap;
use crate::optim::blend;
use pyo3::prelude::*;
use pyo3::types::PyList;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(optim_blend, module)?)?;
    module.add_function(wrap_pyfunction!(optim_products, module)?)?;
    Ok(())
}

/// The memory of one element of each list.
type Rows = Vec<([Span; 2], Option<Span>)>;

/// The memory of the tensors of two or three lists of equal length, which must be dense and laid out
/// alike; none if one is out of the core's reach, or what is written shares memory.
fn rows(
    first: &Bound<'_, PyList>,
    second: &Bound<'_, PyList>,
    third: Option<&Bound<'_, PyList>>,
) -> PyResult<Option<Rows>> {
    let torch = Torch::get(first.py())?;
    let lengths = [Some(second), third].into_iter().flatten().map(PyListMethods::len);
    if lengths.into_iter().any(|len| len != first.len()) {
        return Ok(None);
    }
    let mut rows = Rows::with_capacity(first.len());
    for (index, tensor) in first.iter().enumerate() {
        let view = if torch.is_plain(&tensor) { torch.view(&tensor)? } else { None };
        let Some(view) = view.filter(|view| view.cpu && view.is_dense()) else { return Ok(None) };
        let like = |list: &Bound<'_, PyList>| {
            let tensor = list.get_item(index)?;
            if torch.is_plain(&tensor) { torch.span_like(&tensor, &view, false) } else { Ok(None) }
        };
        let other = like(second)?;
        let last = third.map(like).transpose()?;
        match (view.span(), other, last) {
            (Some(x), Some(g), None) => rows.push(([x, g], None)),
            (Some(x), Some(g), Some(Some(h))) => rows.push(([x, g], Some(h))),
            _ => return Ok(None),
        }
    }
    let written = rows.iter().flat_map(|([x, _], h)| [Some(x), h.as_ref()]).flatten();
    let read = rows.iter().map(|([_, g], _)| g.addresses());
    let name = |_, _| String::new();
    let apart = check_overlap(written.map(Span::addresses), read, name);
    Ok(apart.is_ok().then_some(rows))
}

/// The entries of a pass.
fn entries<'a>(rows: &Rows) -> Vec<Entry<'a>> {
    let entry = |([x, g], h): &([Span; 2], Option<Span>)| {
        // SAFETY: dense, on the processor and apart from each other; the lists keep the tensors alive,
        // and torch's are initialised and aligned.
        unsafe {
            let state = h.iter().map(|h| h.tensor()).collect();
            Entry { x: x.tensor(), g: g.read(), state, direction: None }
        }
    };
    rows.iter().map(entry).collect()
}

/// Replaces every tensor of `x` by the weighted sum of it, `a` and `b`, in one pass; returns the sum
/// of the squares of all results. None, with nothing written, if a tensor is out of the core's reach.
#[pyfunction]
#[pyo3(signature = (x, a, b, weights))]
fn optim_blend(
    py: Python<'_>,
    x: &Bound<'_, PyList>,
    a: &Bound<'_, PyList>,
    b: Option<&Bound<'_, PyList>>,
    weights: Vec<[f64; 3]>,
) -> PyResult<Option<f64>> {
    let Some(rows) = rows(x, a, b)?.filter(|rows| rows.len() == weights.len()) else {
        return Ok(None);
    };
    let entries = entries(&rows);
    Ok(Some(py.detach(|| blend::blend(entries, &weights))))
}

/// For every tensor of `g`, with `y = other - g` and `h` of `former` (or `g`): the products `<g, g>`,
/// `<y, y>`, `<y, g>`, `<y, h>` and `<g, h>`. None if a tensor is out of the core's reach.
#[pyfunction]
#[pyo3(signature = (g, other, former=None))]
fn optim_products(
    py: Python<'_>,
    g: &Bound<'_, PyList>,
    other: &Bound<'_, PyList>,
    former: Option<&Bound<'_, PyList>>,
) -> PyResult<Option<Vec<Vec<f64>>>> {
    let Some(rows) = rows(g, other, former)? else { return Ok(None) };
    let entries = entries(&rows);
    let products = py.detach(|| blend::products(entries));
    Ok(Some(products.iter().map(|row| row.to_vec()).collect()))
}
