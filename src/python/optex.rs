//! Bindings of OptEx: histories as blocks, small matrices as arrays.

use super::aggregate::slice;
use super::aggregate_rows::{Block, rows, same_type};
use crate::engine::Error;
use crate::optim::optex;
use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyReadwriteArray1, PyUntypedArrayMethods,
};
use pyo3::prelude::*;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(optex_distances, module)?)?;
    module.add_function(wrap_pyfunction!(optex_products, module)?)?;
    module.add_function(wrap_pyfunction!(optex_factor, module)?)?;
    module.add_function(wrap_pyfunction!(optex_weights, module)?)?;
    module.add_function(wrap_pyfunction!(optex_length, module)?)?;
    Ok(())
}

/// A point of either type.
#[derive(FromPyObject)]
enum Point<'py> {
    Single(PyReadonlyArray1<'py, f32>),
    Double(PyReadonlyArray1<'py, f64>),
}

/// Calls one of two functions with rows and point of one type, and the place for a number a row.
macro_rules! over_rows {
    ($py:ident, $block:ident, $point:ident, $out:ident, $function:path) => {{
        let out = $out.as_slice_mut()?;
        match (&$block, &$point) {
            (Block::Single(block), Point::Single(point)) => {
                let (rows, point) = (rows(block)?, point.as_slice()?);
                check(&[rows.len() == out.len(), block.shape()[1] == point.len()])?;
                $py.detach(|| $function(&rows, point, out));
            }
            (Block::Double(block), Point::Double(point)) => {
                let (rows, point) = (rows(block)?, point.as_slice()?);
                check(&[rows.len() == out.len(), block.shape()[1] == point.len()])?;
                $py.detach(|| $function(&rows, point, out));
            }
            _ => return Err(same_type()),
        }
        Ok(())
    }};
}

fn check(fits: &[bool]) -> PyResult<()> {
    if fits.iter().all(|&fits| fits) {
        return Ok(());
    }
    let fix = "pass what belongs to the history";
    Err(Error::value("shape", "that of the history", "another", fix).into())
}

/// Adds the squared distance of each row of a block to `point`.
#[pyfunction]
fn optex_distances(
    py: Python<'_>,
    block: Block<'_>,
    point: Point<'_>,
    mut out: PyReadwriteArray1<'_, f64>,
) -> PyResult<()> {
    over_rows!(py, block, point, out, optex::add_distances)
}

/// Adds the inner product of each row of a block with `point`.
#[pyfunction]
fn optex_products(
    py: Python<'_>,
    block: Block<'_>,
    point: Point<'_>,
    mut out: PyReadwriteArray1<'_, f64>,
) -> PyResult<()> {
    over_rows!(py, block, point, out, optex::add_products)
}

/// The factor of the kernel matrix with noise, from the squared distances of the history.
#[pyfunction]
fn optex_factor<'py>(
    py: Python<'py>,
    distances: PyReadonlyArray2<'py, f64>,
    length: f64,
    noise: f64,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let n = distances.shape()[0];
    check(&[distances.shape()[1] == n])?;
    let distances = distances.as_slice()?;
    let factor = py.detach(|| optex::factor(distances, n, length, noise))?;
    factor.into_pyarray(py).reshape([n, n])
}

/// The weights of the gradients of the history, from the squared distances of a point to it.
#[pyfunction]
fn optex_weights<'py>(
    py: Python<'py>,
    factor: PyReadonlyArray2<'py, f64>,
    distances: PyReadonlyArray1<'py, f64>,
    length: f64,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let distances = slice(&distances)?;
    check(&[factor.shape() == [distances.len(); 2]])?;
    Ok(optex::weights(factor.as_slice()?, distances, length).into_pyarray(py))
}

/// The length scale among `candidates` that predicts the newest `held` gradients best from the older.
#[pyfunction]
fn optex_length(
    py: Python<'_>,
    distances: PyReadonlyArray2<'_, f64>,
    gramian: PyReadonlyArray2<'_, f64>,
    held: usize,
    candidates: PyReadonlyArray1<'_, f64>,
    noise: f64,
) -> PyResult<Option<f64>> {
    let n = distances.shape()[0];
    check(&[distances.shape() == [n, n], gramian.shape() == [n, n]])?;
    let (distances, gramian) = (distances.as_slice()?, gramian.as_slice()?);
    let candidates = slice(&candidates)?;
    Ok(py.detach(|| optex::best_length(distances, gramian, n, held, candidates, noise)))
}
