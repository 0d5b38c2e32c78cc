//! Bindings of [`crate::aggregate`]: Gramians in, weights out; rows in, a vector out.

use crate::aggregate::{self as agg, Gram, Weighting};
use crate::engine::real::Float;
use crate::engine::{Error, Result, reduce};
use crate::linalg::gram;
use numpy::ndarray::Axis;
use numpy::{
    PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray1,
    PyReadwriteArray2,
};
use pyo3::prelude::*;

type Square<'py> = PyReadonlyArray2<'py, f64>;
type Weights<'py> = PyResult<Bound<'py, PyArray1<f64>>>;

/// A Jacobian block of either type.
#[derive(FromPyObject)]
enum Block<'py> {
    Single(PyReadonlyArray2<'py, f32>),
    Double(PyReadonlyArray2<'py, f64>),
}

/// A writable vector of either type.
#[derive(FromPyObject)]
enum Vector<'py> {
    Single(PyReadwriteArray1<'py, f32>),
    Double(PyReadwriteArray1<'py, f64>),
}

/// The rows of a block whose columns are contiguous.
fn rows<'a, F: numpy::Element + Float>(block: &'a PyReadonlyArray2<'_, F>) -> Result<Vec<&'a [F]>> {
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

fn slice<'a>(values: &'a PyReadonlyArray1<'_, f64>) -> PyResult<&'a [f64]> {
    Ok(values.as_slice()?)
}

fn owned(values: Option<PyReadonlyArray1<'_, f64>>) -> PyResult<Option<Vec<f64>>> {
    values.map(|values| Ok(slice(&values)?.to_vec())).transpose()
}

fn same_type() -> PyErr {
    let fix = "give it the dtype of the Jacobian";
    Error::kind("out", "of the dtype of the Jacobian", "another dtype", fix).into()
}

fn weigh<'py>(
    py: Python<'py>,
    gramian: &Square<'py>,
    method: impl Weighting + Sync,
) -> Weights<'py> {
    let m = gramian.as_array().nrows();
    let values = gramian.as_slice()?;
    let weights = py.detach(|| Gram::new(values, m).and_then(|gram| method.weights(&gram)))?;
    Ok(PyArray1::from_vec(py, weights))
}

fn unknown(name: &str, allowed: &str, given: &str) -> PyErr {
    Error::value(name, allowed, format!("{given:?}"), "choose one of these").into()
}

/// Adds the Gramian of a block of columns to `gramian`.
#[pyfunction]
fn aggregate_gramian(
    py: Python<'_>,
    block: Block<'_>,
    mut gramian: PyReadwriteArray2<'_, f64>,
) -> PyResult<()> {
    let out = gramian.as_slice_mut()?;
    match &block {
        Block::Single(block) => {
            let rows = rows(block)?;
            py.detach(|| gram::add_gramian(&rows, out));
        }
        Block::Double(block) => {
            let rows = rows(block)?;
            py.detach(|| gram::add_gramian(&rows, out));
        }
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
            Ok(py.detach(|| gram::combine(&rows, weights, out)))
        }
        (Block::Double(block), Vector::Double(mut out)) => {
            let (rows, out) = (rows(block)?, out.as_slice_mut()?);
            Ok(py.detach(|| gram::combine(&rows, weights, out)))
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

#[pyfunction]
#[pyo3(signature = (gramian, preference=None, compat=None))]
fn aggregate_upgrad<'py>(
    py: Python<'py>,
    gramian: Square<'py>,
    preference: Option<PyReadonlyArray1<'py, f64>>,
    compat: Option<(f64, f64)>,
) -> Weights<'py> {
    let compat = compat.map(|(norm_eps, reg_eps)| agg::Compat { norm_eps, reg_eps });
    weigh(py, &gramian, agg::UpGrad { preference: owned(preference)?, compat })
}

#[pyfunction]
#[pyo3(signature = (gramian, preference=None, compat=None))]
fn aggregate_dualproj<'py>(
    py: Python<'py>,
    gramian: Square<'py>,
    preference: Option<PyReadonlyArray1<'py, f64>>,
    compat: Option<(f64, f64)>,
) -> Weights<'py> {
    let compat = compat.map(|(norm_eps, reg_eps)| agg::Compat { norm_eps, reg_eps });
    weigh(py, &gramian, agg::DualProj { preference: owned(preference)?, compat })
}

#[pyfunction]
#[pyo3(signature = (gramian, frank_wolfe=None))]
fn aggregate_mgda<'py>(
    py: Python<'py>,
    gramian: Square<'py>,
    frank_wolfe: Option<(f64, usize)>,
) -> Weights<'py> {
    let frank_wolfe =
        frank_wolfe.map(|(epsilon, max_iters)| agg::FrankWolfe { epsilon, max_iters });
    weigh(py, &gramian, agg::Mgda { frank_wolfe })
}

#[pyfunction]
fn aggregate_pcd<'py>(
    py: Python<'py>,
    gramian: Square<'py>,
    tau: Vec<f64>,
    scales: Vec<f64>,
) -> Weights<'py> {
    weigh(py, &gramian, agg::Pcd { tau, scales })
}

#[pyfunction]
fn aggregate_cagrad<'py>(
    py: Python<'py>,
    gramian: Square<'py>,
    c: f64,
    rescale: &str,
    count_zero_rows: bool,
) -> Weights<'py> {
    let rescale = match rescale {
        "none" => agg::Rescale::None,
        "1+c^2" => agg::Rescale::Square,
        "1+c" => agg::Rescale::Linear,
        other => return Err(unknown("rescale", "\"none\", \"1+c^2\" or \"1+c\"", other)),
    };
    weigh(py, &gramian, agg::Cagrad { c, rescale, count_zero_rows })
}

#[pyfunction]
#[pyo3(signature = (gramian, preference=None, length="projection", row=None))]
fn aggregate_config<'py>(
    py: Python<'py>,
    gramian: Square<'py>,
    preference: Option<PyReadonlyArray1<'py, f64>>,
    length: &str,
    row: Option<usize>,
) -> Weights<'py> {
    let allowed = "\"projection\", \"min\", \"max\", \"harmonic\", \"arithmetic\", \"geometric\" \
                   or the index of a row";
    let length = match (row, length) {
        (Some(row), _) => agg::Length::Row(row),
        (None, "projection") => agg::Length::Projection,
        (None, "min") => agg::Length::Min,
        (None, "max") => agg::Length::Max,
        (None, "harmonic") => agg::Length::Harmonic,
        (None, "arithmetic") => agg::Length::Arithmetic,
        (None, "geometric") => agg::Length::Geometric,
        (None, other) => return Err(unknown("length", allowed, other)),
    };
    weigh(py, &gramian, agg::Config { preference: owned(preference)?, length })
}

#[pyfunction]
fn aggregate_imtlg<'py>(py: Python<'py>, gramian: Square<'py>, raw: bool) -> Weights<'py> {
    weigh(py, &gramian, agg::ImtlG { raw })
}

#[pyfunction]
#[pyo3(signature = (gramian, preference=None, scale="min"))]
fn aggregate_alignedmtl<'py>(
    py: Python<'py>,
    gramian: Square<'py>,
    preference: Option<PyReadonlyArray1<'py, f64>>,
    scale: &str,
) -> Weights<'py> {
    let scale = match scale {
        "min" => agg::Scale::Min,
        "median" => agg::Scale::Median,
        "rmse" => agg::Scale::Rmse,
        other => return Err(unknown("scale_mode", "\"min\", \"median\" or \"rmse\"", other)),
    };
    weigh(py, &gramian, agg::AlignedMtl { preference: owned(preference)?, scale })
}

#[pyfunction]
fn aggregate_fairgrad<'py>(py: Python<'py>, gramian: Square<'py>, alpha: f64) -> Weights<'py> {
    weigh(py, &gramian, agg::FairGrad { alpha })
}

#[pyfunction]
fn aggregate_nashmtl<'py>(py: Python<'py>, gramian: Square<'py>, max_norm: f64) -> Weights<'py> {
    weigh(py, &gramian, agg::NashMtl { max_norm })
}

#[pyfunction]
fn aggregate_pcgrad<'py>(
    py: Python<'py>,
    gramian: Square<'py>,
    orders: Vec<usize>,
) -> Weights<'py> {
    weigh(py, &gramian, agg::PcGrad { orders })
}

/// The visiting orders of PCGrad and GradVac, flat.
#[pyfunction]
fn aggregate_orders(seed: u64, step: u64, m: usize) -> Vec<usize> {
    agg::orders(seed, step, m)
}

#[pyfunction]
fn aggregate_gradvac<'py>(
    py: Python<'py>,
    gramian: Square<'py>,
    mut targets: PyReadwriteArray2<'py, f64>,
    orders: Vec<usize>,
    beta: f64,
    eps: f64,
) -> Weights<'py> {
    let gram = Gram::new(gramian.as_slice()?, gramian.as_array().nrows())?;
    let weights = agg::GradVac { orders, beta, eps }.weights(&gram, targets.as_slice_mut()?)?;
    Ok(PyArray1::from_vec(py, weights))
}

#[pyfunction]
fn aggregate_krum<'py>(
    py: Python<'py>,
    distances: Square<'py>,
    byzantine: usize,
    selected: usize,
    squared: bool,
) -> Weights<'py> {
    let m = distances.as_array().nrows();
    let weights = agg::Krum { byzantine, selected, squared }.weights(distances.as_slice()?, m)?;
    Ok(PyArray1::from_vec(py, weights))
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

/// The coefficients of the resolved gradients, the running norms and the winners.
#[pyfunction]
#[pyo3(signature = (gramian, cross, previous, norms, winners, *, thresholds, power, window, tie,
                    norm_beta, norm_cap, max_iters, absolute, staged))]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn aggregate_gcond<'py>(
    py: Python<'py>,
    gramian: Square<'py>,
    cross: Square<'py>,
    previous: Vec<f64>,
    norms: Vec<f64>,
    winners: Vec<usize>,
    thresholds: [f64; 3],
    power: f64,
    window: usize,
    tie: [f64; 2],
    norm_beta: f64,
    norm_cap: Option<f64>,
    max_iters: Option<usize>,
    absolute: Option<f64>,
    staged: bool,
) -> PyResult<(Bound<'py, PyArray2<f64>>, Vec<f64>, Vec<usize>)> {
    let m = gramian.as_array().nrows();
    let resolution = if staged { agg::Resolution::Staged } else { agg::Resolution::Smooth };
    let method = agg::GCond {
        thresholds,
        power,
        window,
        tie,
        norm_beta,
        norm_cap,
        max_iters,
        absolute,
        resolution,
    };
    let mut memory = agg::Memory { norms, winners };
    let gram = Gram::new(gramian.as_slice()?, m)?;
    let c = method.resolve(&gram, cross.as_slice()?, &previous, &mut memory)?;
    Ok((PyArray1::from_vec(py, c).reshape([m, m])?, memory.norms, memory.winners))
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
        aggregate_finite,
        aggregate_upgrad,
        aggregate_dualproj,
        aggregate_mgda,
        aggregate_pcd,
        aggregate_cagrad,
        aggregate_config,
        aggregate_imtlg,
        aggregate_alignedmtl,
        aggregate_fairgrad,
        aggregate_nashmtl,
        aggregate_pcgrad,
        aggregate_orders,
        aggregate_gradvac,
        aggregate_krum,
        aggregate_graddrop,
        aggregate_draws,
        aggregate_trimmed_mean,
        aggregate_gcond,
    );
    Ok(())
}
