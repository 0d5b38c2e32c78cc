//! Bindings of the blocks of a ReLU network.

use crate::coordinate::splitting::{self, Between, Layer, Strengths, Sums};
use crate::engine::real::Float;
use crate::engine::{Error, Result};
use numpy::{
    Element, PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray2, PyUntypedArrayMethods,
};
use pyo3::prelude::*;

/// Names of what this job adds to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(splitting_relu_prox, module)?)?;
    module.add_function(wrap_pyfunction!(splitting_layer, module)?)?;
    module.add_function(wrap_pyfunction!(splitting_activation, module)?)
}

type Vector<'py, F> = PyReadonlyArray1<'py, F>;
type Block<'py, F> = PyReadonlyArray2<'py, F>;
type Written<'py, F> = PyReadwriteArray2<'py, F>;

/// Input, weights, bias, U, V, targets of the last layer.
type LayerOf<'py, F> = (
    Block<'py, F>,
    Block<'py, F>,
    Vector<'py, F>,
    Written<'py, F>,
    Written<'py, F>,
    Option<Block<'py, F>>,
);
#[derive(FromPyObject)]
enum AnyLayer<'py> {
    F32(LayerOf<'py, f32>),
    F64(LayerOf<'py, f64>),
}

/// V, U, input of the layer below where it is added, U above, V above where this is added, weights and
/// bias above, gain.
type BetweenOf<'py, F> = (
    Written<'py, F>,
    Block<'py, F>,
    Option<Block<'py, F>>,
    Block<'py, F>,
    Option<Block<'py, F>>,
    Block<'py, F>,
    Vector<'py, F>,
    Block<'py, F>,
);
#[derive(FromPyObject)]
enum AnyBetween<'py> {
    F32(BetweenOf<'py, f32>),
    F64(BetweenOf<'py, f64>),
}

/// Each array has the rows and columns named beside it.
fn check(shapes: &[(&str, &[usize], [usize; 2])]) -> Result<()> {
    match shapes.iter().find(|(_, shape, expected)| shape != expected) {
        None => Ok(()),
        Some((name, shape, expected)) => Err(Error::Shape {
            name: (*name).into(),
            given: format!("{shape:?}"),
            other: "the layer".into(),
            expected: format!("{expected:?}"),
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

fn layer<F: Float + Element>(
    py: Python<'_>,
    (input, weights, bias, mut u, mut v, y): LayerOf<'_, F>,
    skip: bool,
    strengths: Strengths,
    chunk: usize,
    cross: &mut [f64],
    gram: Option<&mut [f64]>,
) -> PyResult<Sums> {
    let (n, [d, wide]) = (input.shape()[0], [weights.shape()[0], weights.shape()[1]]);
    let y_shape = y.as_ref().map_or(u.shape(), |y| y.shape());
    check(&[
        ("input", input.shape(), [n, wide]),
        ("bias", &[1, bias.len()], [1, d]),
        ("u", u.shape(), [n, d]),
        ("v", v.shape(), [n, d]),
        ("y", y_shape, [n, d]),
        ("cross", &[1, cross.len()], [1, d * wide]),
    ])?;
    let layer = Layer {
        input: input.as_slice()?,
        weights: weights.as_slice()?,
        bias: bias.as_slice()?,
        u: u.as_slice_mut()?,
        v: v.as_slice_mut()?,
        y: y.as_ref().map(|y| y.as_slice()).transpose()?,
        skip,
    };
    Ok(py.detach(|| splitting::update_layer(layer, strengths, chunk, cross, gram)))
}

/// Update the blocks of a layer in place: `blocks` are input, weights, bias, U, V, targets or None;
/// `strengths` gamma, rho, alpha. Adds to `cross` and to the lower triangle of `gram`.
#[pyfunction]
#[pyo3(signature = (blocks, skip, strengths, chunk, cross, gram))]
#[allow(clippy::type_complexity)]
fn splitting_layer<'py>(
    py: Python<'py>,
    blocks: AnyLayer<'py>,
    skip: bool,
    strengths: [f64; 3],
    chunk: usize,
    mut cross: PyReadwriteArray2<'py, f64>,
    mut gram: Option<PyReadwriteArray2<'py, f64>>,
) -> PyResult<(f64, [f64; 2], Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>)> {
    let [gamma, rho, alpha] = strengths;
    let strengths = Strengths { gamma, rho, alpha };
    let cross = cross.as_slice_mut()?;
    let gram = gram.as_mut().map(|gram| gram.as_slice_mut()).transpose()?;
    let sums = match blocks {
        AnyLayer::F32(blocks) => layer(py, blocks, skip, strengths, chunk, cross, gram),
        AnyLayer::F64(blocks) => layer(py, blocks, skip, strengths, chunk, cross, gram),
    }?;
    let [target, residual] = [sums.target, sums.residual].map(|sum| PyArray1::from_vec(py, sum));
    Ok((sums.layer, sums.output, target, residual))
}

fn between<F: Float + Element>(
    py: Python<'_>,
    (mut v, u, skip, asked, above, weights, bias, gain): BetweenOf<'_, F>,
    last: bool,
    strengths: Strengths,
    chunk: usize,
) -> PyResult<f64> {
    let (n, [out, d]) = (u.shape()[0], [weights.shape()[0], weights.shape()[1]]);
    let small = out < d && above.is_none();
    let [skipped, above_it] = [&skip, &above].map(|a| a.as_ref().map_or(u.shape(), |a| a.shape()));
    check(&[
        ("v", v.shape(), [n, d]),
        ("u", u.shape(), [n, d]),
        ("skip", skipped, [n, d]),
        ("asked", asked.shape(), [n, if above.is_some() { d } else { out }]),
        ("above", above_it, [n, d]),
        ("bias", &[1, bias.len()], [1, out]),
        ("gain", gain.shape(), [if small { out } else { d }, d]),
    ])?;
    let between = Between {
        v: v.as_slice_mut()?,
        u: u.as_slice()?,
        skip: skip.as_ref().map(|skip| skip.as_slice()).transpose()?,
        asked: asked.as_slice()?,
        above: above.as_ref().map(|above| above.as_slice()).transpose()?,
        last,
        weights: weights.as_slice()?,
        bias: bias.as_slice()?,
        gain: gain.as_slice()?,
    };
    Ok(py.detach(|| splitting::update_activation(between, strengths, chunk)))
}

/// Update a hidden activation in place: `blocks` are V, U, input of the layer below where it is added,
/// U above, V above where this is added, weights and bias above, gain; `strengths` gamma, rho.
#[pyfunction]
#[pyo3(signature = (blocks, last, strengths, chunk))]
fn splitting_activation<'py>(
    py: Python<'py>,
    blocks: AnyBetween<'py>,
    last: bool,
    strengths: [f64; 2],
    chunk: usize,
) -> PyResult<f64> {
    let [gamma, rho] = strengths;
    let strengths = Strengths { gamma, rho, alpha: 0.0 };
    match blocks {
        AnyBetween::F32(blocks) => between(py, blocks, last, strengths, chunk),
        AnyBetween::F64(blocks) => between(py, blocks, last, strengths, chunk),
    }
}
