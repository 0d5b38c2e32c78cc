//! Bindings of what aggregation does with the rows themselves: blocks in, vectors out.

use super::aggregate::{owned, slice};
use crate::aggregate as agg;
use crate::engine::real::Float;
use crate::engine::{Error, Result, reduce};
use crate::linalg::cone::{self, Row};
use crate::linalg::{combine, gram};
use numpy::ndarray::Axis;
use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray1, PyReadwriteArray2};
use pyo3::prelude::*;

/// A Jacobian block of either type.
#[derive(FromPyObject)]
pub enum Block<'py> {
    Single(PyReadonlyArray2<'py, f32>),
    Double(PyReadonlyArray2<'py, f64>),
}

/// A writable vector of either type.
#[derive(FromPyObject)]
enum Vector<'py> {
    Single(PyReadwriteArray1<'py, f32>),
    Double(PyReadwriteArray1<'py, f64>),
}

/// A writable matrix of either type.
#[derive(FromPyObject)]
enum Matrix<'py> {
    Single(PyReadwriteArray2<'py, f32>),
    Double(PyReadwriteArray2<'py, f64>),
}

/// The rows of a block whose columns are contiguous.
pub fn rows<'a, F: numpy::Element + Float>(
    block: &'a PyReadonlyArray2<'_, F>,
) -> Result<Vec<&'a [F]>> {
    let mut view = block.as_array();
    let columns_contiguous = Error::Unsupported {
        what: "a Jacobian with strided columns".into(),
        fix: "pass numpy.ascontiguousarray(jacobian)".into(),
    };
    let mut rows = Vec::with_capacity(view.nrows());
    while view.nrows() > 0 {
        let (row, rest) = view.split_at(Axis(0), 1);
        rows.push(row.to_slice().ok_or_else(|| columns_contiguous.clone())?);
        view = rest;
    }
    Ok(rows)
}

pub fn same_type() -> PyErr {
    let fix = "give it the dtype of the Jacobian";
    Error::kind("out", "of the dtype of the Jacobian", "another dtype", fix).into()
}

/// Adds the Gramian of a block of columns to `gramian`; of its rows and those of `other` together
/// where that is given.
#[pyfunction]
#[pyo3(signature = (block, gramian, other=None))]
fn aggregate_gramian(
    py: Python<'_>,
    block: Block<'_>,
    mut gramian: PyReadwriteArray2<'_, f64>,
    other: Option<Block<'_>>,
) -> PyResult<()> {
    let out = gramian.as_slice_mut()?;
    match (&block, &other) {
        (Block::Single(block), None) => {
            let rows = rows(block)?;
            py.detach(|| gram::add_gramian(&rows, out));
        }
        (Block::Double(block), None) => {
            let rows = rows(block)?;
            py.detach(|| gram::add_gramian(&rows, out));
        }
        (Block::Single(block), Some(Block::Single(other))) => {
            let rows = [rows(block)?, rows(other)?].concat();
            py.detach(|| gram::add_gramian(&rows, out));
        }
        (Block::Double(block), Some(Block::Double(other))) => {
            let rows = [rows(block)?, rows(other)?].concat();
            py.detach(|| gram::add_gramian(&rows, out));
        }
        _ => return Err(same_type()),
    }
    Ok(())
}

/// Adds the squares of a block to `squares` and the excess of each row to `out`.
#[pyfunction]
fn aggregate_excess(
    py: Python<'_>,
    block: Block<'_>,
    squares: Matrix<'_>,
    mut out: PyReadwriteArray1<'_, f64>,
) -> PyResult<()> {
    fn all<F: Float>(rows: &[&[F]], squares: &mut [F], out: &mut [f64]) {
        let d = rows.first().map_or(0, |row| row.len());
        for ((row, squares), out) in rows.iter().zip(squares.chunks_mut(d.max(1))).zip(out) {
            *out += agg::excess(row, squares);
        }
    }
    let out = out.as_slice_mut()?;
    match (&block, squares) {
        (Block::Single(block), Matrix::Single(mut squares)) => {
            let (rows, squares) = (rows(block)?, squares.as_slice_mut()?);
            py.detach(|| all(&rows, squares, out));
        }
        (Block::Double(block), Matrix::Double(mut squares)) => {
            let (rows, squares) = (rows(block)?, squares.as_slice_mut()?);
            py.detach(|| all(&rows, squares, out));
        }
        _ => return Err(same_type()),
    }
    Ok(())
}

/// Writes the weighted sum of the rows of a block; returns its squared length.
#[pyfunction]
fn aggregate_combine(
    py: Python<'_>,
    block: Block<'_>,
    weights: PyReadonlyArray1<'_, f64>,
    out: Vector<'_>,
) -> PyResult<f64> {
    let weights = slice(&weights)?;
    match (&block, out) {
        (Block::Single(block), Vector::Single(mut out)) => {
            let (rows, out) = (rows(block)?, out.as_slice_mut()?);
            Ok(py.detach(|| combine::combine(&rows, weights, out)))
        }
        (Block::Double(block), Vector::Double(mut out)) => {
            let (rows, out) = (rows(block)?, out.as_slice_mut()?);
            Ok(py.detach(|| combine::combine(&rows, weights, out)))
        }
        _ => Err(same_type()),
    }
}

/// Whether a block holds neither NaN nor infinity.
#[pyfunction]
fn aggregate_finite(py: Python<'_>, block: Block<'_>) -> PyResult<bool> {
    fn finite<F: Float>(rows: &[&[F]]) -> bool {
        rows.iter().all(|row| reduce::max_abs(row).is_finite())
    }
    match &block {
        Block::Single(block) => rows(block).map(|rows| py.detach(|| finite(&rows))),
        Block::Double(block) => rows(block).map(|rows| py.detach(|| finite(&rows))),
    }
    .map_err(Into::into)
}

/// The update of UPGrad (`each`) or DualProj from the rows themselves, over all blocks one after
/// the other; None where `update` conflicts with no row by more than `tolerance`.
#[pyfunction]
#[pyo3(signature = (blocks, update, tolerance, each, preference=None))]
fn aggregate_cone<'py>(
    py: Python<'py>,
    blocks: Vec<PyReadonlyArray2<'py, f64>>,
    update: Vec<PyReadonlyArray1<'py, f64>>,
    tolerance: f64,
    each: bool,
    preference: Option<PyReadonlyArray1<'py, f64>>,
) -> PyResult<Option<Bound<'py, PyArray1<f64>>>> {
    let parts = blocks.iter().map(rows).collect::<Result<Vec<_>>>()?;
    let m = parts.first().map_or(0, Vec::len);
    let segments = |i: usize| parts.iter().map(|part| part[i]).collect();
    let rows: Vec<Row<'_>> = (0..m).map(|i| Row::new(segments(i))).collect();
    let update = update.iter().map(|part| Ok(part.as_slice()?)).collect::<PyResult<Vec<_>>>()?;
    let mut out = update.concat();
    let preference = owned(preference)?;
    let found = py.detach(|| {
        if cone::conflict(&rows, &out) <= tolerance {
            return Ok(None);
        }
        if each {
            agg::UpGrad { preference, compat: None }.aggregate(&rows, &mut out)?;
        } else {
            agg::DualProj { preference, compat: None }.aggregate(&rows, &mut out)?;
        }
        Ok::<_, Error>(Some(out))
    })?;
    Ok(found.map(|out| PyArray1::from_vec(py, out)))
}

/// Writes the update of GradDrop for one block of columns, the first of them number `first`.
#[pyfunction]
fn aggregate_graddrop(
    py: Python<'_>,
    block: Block<'_>,
    leak: Vec<f64>,
    seed: u64,
    step: u64,
    first: u64,
    out: Vector<'_>,
) -> PyResult<()> {
    let method = agg::GradDrop { leak, seed, step };
    match (&block, out) {
        (Block::Single(block), Vector::Single(mut out)) => {
            let (rows, out) = (rows(block)?, out.as_slice_mut()?);
            py.detach(|| method.aggregate(&rows, first, out))?;
        }
        (Block::Double(block), Vector::Double(mut out)) => {
            let (rows, out) = (rows(block)?, out.as_slice_mut()?);
            py.detach(|| method.aggregate(&rows, first, out))?;
        }
        _ => return Err(same_type()),
    }
    Ok(())
}

/// The uniform numbers that `aggregate_graddrop` draws for columns `first..first + n`.
#[pyfunction]
fn aggregate_draws(
    py: Python<'_>,
    seed: u64,
    step: u64,
    first: u64,
    n: usize,
) -> Bound<'_, PyArray1<f64>> {
    PyArray1::from_vec(py, agg::draws(seed, step, first, n))
}

#[pyfunction]
fn aggregate_trimmed_mean(
    py: Python<'_>,
    block: Block<'_>,
    trim: usize,
    out: Vector<'_>,
) -> PyResult<()> {
    let method = agg::TrimmedMean { trim };
    match (&block, out) {
        (Block::Single(block), Vector::Single(mut out)) => {
            let (rows, out) = (rows(block)?, out.as_slice_mut()?);
            py.detach(|| method.aggregate(&rows, out))?;
        }
        (Block::Double(block), Vector::Double(mut out)) => {
            let (rows, out) = (rows(block)?, out.as_slice_mut()?);
            py.detach(|| method.aggregate(&rows, out))?;
        }
        _ => return Err(same_type()),
    }
    Ok(())
}

/// Moves the running means of a block (m x d); writes the modulated sum where there is a `factor`.
#[pyfunction]
fn aggregate_samgs(
    py: Python<'_>,
    block: Block<'_>,
    means: Matrix<'_>,
    beta: f64,
    factor: Option<f64>,
    out: Vector<'_>,
) -> PyResult<()> {
    match (&block, means, out) {
        (Block::Single(block), Matrix::Single(mut means), Vector::Single(mut out)) => {
            let (rows, means, out) = (rows(block)?, means.as_slice_mut()?, out.as_slice_mut()?);
            py.detach(|| agg::modulate(&rows, means, beta, factor, out));
        }
        (Block::Double(block), Matrix::Double(mut means), Vector::Double(mut out)) => {
            let (rows, means, out) = (rows(block)?, means.as_slice_mut()?, out.as_slice_mut()?);
            py.detach(|| agg::modulate(&rows, means, beta, factor, out));
        }
        _ => return Err(same_type()),
    }
    Ok(())
}

/// Moves running means, one a row of the block.
#[pyfunction]
fn aggregate_average(
    py: Python<'_>,
    block: Block<'_>,
    means: Matrix<'_>,
    beta: f64,
) -> PyResult<()> {
    fn all<F: Float>(rows: &[&[F]], means: &mut [F], beta: f64) {
        let d = rows.first().map_or(0, |row| row.len());
        for (row, mean) in rows.iter().zip(means.chunks_mut(d.max(1))) {
            agg::average(row, mean, beta);
        }
    }
    match (&block, means) {
        (Block::Single(block), Matrix::Single(mut means)) => {
            let (rows, means) = (rows(block)?, means.as_slice_mut()?);
            py.detach(|| all(&rows, means, beta));
        }
        (Block::Double(block), Matrix::Double(mut means)) => {
            let (rows, means) = (rows(block)?, means.as_slice_mut()?);
            py.detach(|| all(&rows, means, beta));
        }
        _ => return Err(same_type()),
    }
    Ok(())
}

/// Replaces the direction of M-ConFIG by its update; moves the state.
#[pyfunction]
fn aggregate_mconfig(
    py: Python<'_>,
    direction: Vector<'_>,
    previous: Vector<'_>,
    squares: Vector<'_>,
    betas: [f64; 2],
    eps: f64,
    step: i32,
) -> PyResult<()> {
    let method = agg::MConfig { betas, eps, step };
    match (direction, previous, squares) {
        (Vector::Single(mut u), Vector::Single(mut f), Vector::Single(mut s)) => {
            let (u, f, s) = (u.as_slice_mut()?, f.as_slice_mut()?, s.as_slice_mut()?);
            py.detach(|| method.scale(u, f, s));
        }
        (Vector::Double(mut u), Vector::Double(mut f), Vector::Double(mut s)) => {
            let (u, f, s) = (u.as_slice_mut()?, f.as_slice_mut()?, s.as_slice_mut()?);
            py.detach(|| method.scale(u, f, s));
        }
        _ => return Err(same_type()),
    }
    Ok(())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    macro_rules! add {
        ($($name:ident),* $(,)?) => {
            $(module.add_function(wrap_pyfunction!($name, module)?)?;)*
        };
    }
    add!(
        aggregate_gramian,
        aggregate_combine,
        aggregate_excess,
        aggregate_finite,
        aggregate_cone,
        aggregate_graddrop,
        aggregate_draws,
        aggregate_trimmed_mean,
        aggregate_samgs,
        aggregate_average,
        aggregate_mconfig,
    );
    Ok(())
}
