//! Bindings of [`crate::aggregate`]: Gramians in, weights out. What needs the rows themselves is in
//! [`aggregate_rows`](super::aggregate_rows).

use crate::aggregate::{self as agg, Gram, Weighting};
use crate::engine::Error;
use numpy::{
    PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray2,
};
use pyo3::prelude::*;

type Square<'py> = PyReadonlyArray2<'py, f64>;
type Weights<'py> = PyResult<Bound<'py, PyArray1<f64>>>;

pub(super) fn slice<'a>(values: &'a PyReadonlyArray1<'_, f64>) -> PyResult<&'a [f64]> {
    Ok(values.as_slice()?)
}

pub(super) fn owned(values: Option<PyReadonlyArray1<'_, f64>>) -> PyResult<Option<Vec<f64>>> {
    values.map(|values| Ok(slice(&values)?.to_vec())).transpose()
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
#[pyo3(signature = (gramian, c, rescale, count_zero_rows, norm_eps=None))]
fn aggregate_cagrad<'py>(
    py: Python<'py>,
    gramian: Square<'py>,
    c: f64,
    rescale: &str,
    count_zero_rows: bool,
    norm_eps: Option<f64>,
) -> Weights<'py> {
    let rescale = match rescale {
        "none" => agg::Rescale::None,
        "1+c^2" => agg::Rescale::Square,
        "1+c" => agg::Rescale::Linear,
        other => return Err(unknown("rescale", "\"none\", \"1+c^2\" or \"1+c\"", other)),
    };
    weigh(py, &gramian, agg::Cagrad { c, rescale, count_zero_rows, norm_eps })
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
        aggregate_gcond,
    );
    Ok(())
}
