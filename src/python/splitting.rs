//! Bindings of the blocks of a ReLU network.

use crate::coordinate::splitting::{self, Next, Strengths, Sums};
use crate::engine::real::Float;
use crate::engine::{Error, Result};
use numpy::{
    Element, PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray2, PyUntypedArrayMethods,
};
use pyo3::prelude::*;

/// Names of what this job adds to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(splitting_relu_prox, module)?)?;
    module.add_function(wrap_pyfunction!(splitting_hidden_f32, module)?)?;
    module.add_function(wrap_pyfunction!(splitting_hidden_f64, module)?)?;
    module.add_function(wrap_pyfunction!(splitting_output_f32, module)?)?;
    module.add_function(wrap_pyfunction!(splitting_output_f64, module)?)?;
    module.add_function(wrap_pyfunction!(splitting_activation_f32, module)?)?;
    module.add_function(wrap_pyfunction!(splitting_activation_f64, module)?)?;
    Ok(())
}

type Summed<'py> = (f64, [f64; 2], Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>);

fn summed(py: Python<'_>, sums: Sums) -> Summed<'_> {
    let [target, residual] = [sums.target, sums.residual].map(|sum| PyArray1::from_vec(py, sum));
    (sums.layer, sums.output, target, residual)
}

/// All arrays of a call have one shape, whose rows are as long as `width`.
fn check(shapes: &[&[usize]], width: usize) -> Result<()> {
    match shapes.iter().find(|shape| **shape != shapes[0] || shape[1] != width) {
        None => Ok(()),
        Some(shape) => Err(Error::Shape {
            name: "an array".into(),
            given: format!("{shape:?}"),
            other: "the others".into(),
            expected: format!("{:?} and a bias of {width}", shapes[0]),
            fix: "pass blocks of one layer".into(),
        }),
    }
}

/// Minimise (a - relu(u))^2 / 2 + g (u - c)^2 / 2, elementwise.
#[pyfunction]
fn splitting_relu_prox<'py>(
    py: Python<'py>,
    a: PyReadonlyArray1<'py, f64>,
    c: PyReadonlyArray1<'py, f64>,
    g: f64,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let (a, c, root) = (a.as_slice()?, c.as_slice()?, splitting::root(g));
    let prox = a.iter().zip(c).map(|(a, c)| splitting::relu_prox(*a, *c, g, root));
    Ok(PyArray1::from_iter(py, prox))
}

fn hidden<'py, F: Float + Element>(
    py: Python<'py>,
    [mut z, mut u]: [PyReadwriteArray2<'py, F>; 2],
    v: PyReadonlyArray2<'py, F>,
    skip: Option<PyReadonlyArray2<'py, F>>,
    bias: PyReadonlyArray1<'py, F>,
    [gamma, rho, alpha]: [f64; 3],
) -> PyResult<Summed<'py>> {
    let bias = bias.as_slice()?;
    let last = skip.as_ref().map_or(v.shape(), |skip| skip.shape());
    check(&[z.shape(), u.shape(), v.shape(), last], bias.len())?;
    let (z, u, v) = (z.as_slice_mut()?, u.as_slice_mut()?, v.as_slice()?);
    let skip = skip.as_ref().map(|skip| skip.as_slice()).transpose()?;
    let strengths = Strengths { gamma, rho, alpha };
    let sums = py.detach(|| splitting::hidden(z, u, v, skip, bias, strengths));
    Ok(summed(py, sums))
}

fn output<'py, F: Float + Element>(
    py: Python<'py>,
    [mut z, mut u, mut v]: [PyReadwriteArray2<'py, F>; 3],
    y: PyReadonlyArray2<'py, F>,
    skip: Option<PyReadonlyArray2<'py, F>>,
    bias: PyReadonlyArray1<'py, F>,
    [gamma, rho, alpha]: [f64; 3],
) -> PyResult<Summed<'py>> {
    let bias = bias.as_slice()?;
    let last = skip.as_ref().map_or(y.shape(), |skip| skip.shape());
    check(&[z.shape(), u.shape(), v.shape(), y.shape(), last], bias.len())?;
    let (z, u, v) = (z.as_slice_mut()?, u.as_slice_mut()?, v.as_slice_mut()?);
    let (y, skip) = (y.as_slice()?, skip.as_ref().map(|skip| skip.as_slice()).transpose()?);
    let strengths = Strengths { gamma, rho, alpha };
    let sums = py.detach(|| splitting::output(z, u, v, y, skip, bias, strengths));
    Ok(summed(py, sums))
}

type Ahead<'py, F> = (PyReadonlyArray2<'py, F>, PyReadonlyArray2<'py, F>, bool);

#[allow(clippy::too_many_arguments)]
fn activation<'py, F: Float + Element>(
    py: Python<'py>,
    mut t: PyReadwriteArray2<'py, F>,
    v: PyReadonlyArray2<'py, F>,
    u: PyReadonlyArray2<'py, F>,
    skip: Option<PyReadonlyArray2<'py, F>>,
    next: Option<Ahead<'py, F>>,
    row: PyReadonlyArray1<'py, F>,
    [gamma, rho]: [f64; 2],
) -> PyResult<f64> {
    let row = row.as_slice()?;
    let skipped = skip.as_ref().map_or(v.shape(), |skip| skip.shape());
    let ahead = next.as_ref().map_or([v.shape(); 2], |(v, u, _)| [v.shape(), u.shape()]);
    check(&[t.shape(), v.shape(), u.shape(), skipped, ahead[0], ahead[1]], row.len())?;
    let (t, v, u) = (t.as_slice_mut()?, v.as_slice()?, u.as_slice()?);
    let skip = skip.as_ref().map(|skip| skip.as_slice()).transpose()?;
    let next = match &next {
        Some((v, u, last)) => Some(Next { v: v.as_slice()?, u: u.as_slice()?, last: *last }),
        None => None,
    };
    Ok(py.detach(|| splitting::activation(t, v, u, skip, next, row, gamma, rho)))
}

/// Update a hidden block `u` in place; `z` becomes what the layer is fitted to.
#[pyfunction]
#[pyo3(signature = (z, u, v, skip, bias, strengths))]
#[allow(clippy::type_complexity)]
fn splitting_hidden_f32<'py>(
    py: Python<'py>,
    z: PyReadwriteArray2<'py, f32>,
    u: PyReadwriteArray2<'py, f32>,
    v: PyReadonlyArray2<'py, f32>,
    skip: Option<PyReadonlyArray2<'py, f32>>,
    bias: PyReadonlyArray1<'py, f32>,
    strengths: [f64; 3],
) -> PyResult<(f64, [f64; 2], Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>)> {
    hidden(py, [z, u], v, skip, bias, strengths)
}

/// Update the blocks `u` and `v` of the last layer in place; `z` as of a hidden one.
#[pyfunction]
#[pyo3(signature = (z, u, v, y, skip, bias, strengths))]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn splitting_output_f32<'py>(
    py: Python<'py>,
    z: PyReadwriteArray2<'py, f32>,
    u: PyReadwriteArray2<'py, f32>,
    v: PyReadwriteArray2<'py, f32>,
    y: PyReadonlyArray2<'py, f32>,
    skip: Option<PyReadonlyArray2<'py, f32>>,
    bias: PyReadonlyArray1<'py, f32>,
    strengths: [f64; 3],
) -> PyResult<(f64, [f64; 2], Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>)> {
    output(py, [z, u, v], y, skip, bias, strengths)
}

/// Complete the right-hand side `t` of the normal equations of a hidden activation `v`.
#[pyfunction]
#[pyo3(signature = (t, v, u, skip, next, row, strengths))]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn splitting_activation_f32<'py>(
    py: Python<'py>,
    t: PyReadwriteArray2<'py, f32>,
    v: PyReadonlyArray2<'py, f32>,
    u: PyReadonlyArray2<'py, f32>,
    skip: Option<PyReadonlyArray2<'py, f32>>,
    next: Option<(PyReadonlyArray2<'py, f32>, PyReadonlyArray2<'py, f32>, bool)>,
    row: PyReadonlyArray1<'py, f32>,
    strengths: [f64; 2],
) -> PyResult<f64> {
    activation(py, t, v, u, skip, next, row, strengths)
}

/// Update a hidden block `u` in place; `z` becomes what the layer is fitted to.
#[pyfunction]
#[pyo3(signature = (z, u, v, skip, bias, strengths))]
#[allow(clippy::type_complexity)]
fn splitting_hidden_f64<'py>(
    py: Python<'py>,
    z: PyReadwriteArray2<'py, f64>,
    u: PyReadwriteArray2<'py, f64>,
    v: PyReadonlyArray2<'py, f64>,
    skip: Option<PyReadonlyArray2<'py, f64>>,
    bias: PyReadonlyArray1<'py, f64>,
    strengths: [f64; 3],
) -> PyResult<(f64, [f64; 2], Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>)> {
    hidden(py, [z, u], v, skip, bias, strengths)
}

/// Update the blocks `u` and `v` of the last layer in place; `z` as of a hidden one.
#[pyfunction]
#[pyo3(signature = (z, u, v, y, skip, bias, strengths))]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn splitting_output_f64<'py>(
    py: Python<'py>,
    z: PyReadwriteArray2<'py, f64>,
    u: PyReadwriteArray2<'py, f64>,
    v: PyReadwriteArray2<'py, f64>,
    y: PyReadonlyArray2<'py, f64>,
    skip: Option<PyReadonlyArray2<'py, f64>>,
    bias: PyReadonlyArray1<'py, f64>,
    strengths: [f64; 3],
) -> PyResult<(f64, [f64; 2], Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>)> {
    output(py, [z, u, v], y, skip, bias, strengths)
}

/// Complete the right-hand side `t` of the normal equations of a hidden activation `v`.
#[pyfunction]
#[pyo3(signature = (t, v, u, skip, next, row, strengths))]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn splitting_activation_f64<'py>(
    py: Python<'py>,
    t: PyReadwriteArray2<'py, f64>,
    v: PyReadonlyArray2<'py, f64>,
    u: PyReadonlyArray2<'py, f64>,
    skip: Option<PyReadonlyArray2<'py, f64>>,
    next: Option<(PyReadonlyArray2<'py, f64>, PyReadonlyArray2<'py, f64>, bool)>,
    row: PyReadonlyArray1<'py, f64>,
    strengths: [f64; 2],
) -> PyResult<f64> {
    activation(py, t, v, u, skip, next, row, strengths)
}
