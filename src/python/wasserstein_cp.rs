//! Bindings of Wasserstein CP dictionary learning.

use super::coordinate::Reporter;
use crate::coordinate::wasserstein_cp::{self, Problem, Progress, Settings, State};
use numpy::{PyReadonlyArray2, PyReadwriteArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

/// Names of what this job adds to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(coordinate_wasserstein_cp, module)?)
}

fn row(p: &Progress) -> [f64; 5] {
    [p.objective, p.stationarity, p.residual, p.evaluations, p.sweep]
}

/// Fit in place: `codes` (S, R), `factors` (R, I_k) for each mode, `potentials` (S, M); `weights` are
/// gamma, rho of codes and factors, tau of codes and factors; `limits` are tol and inner tol.
#[pyfunction]
#[pyo3(signature = (x, sizes, costs, codes, factors, potentials, weights, limits, max_iter, inner_max_iter, fix_factors, callback=None))]
#[allow(clippy::too_many_arguments)]
fn coordinate_wasserstein_cp<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    sizes: Vec<usize>,
    costs: Vec<PyReadonlyArray2<'py, f64>>,
    mut codes: PyReadwriteArray2<'py, f64>,
    mut factors: Vec<PyReadwriteArray2<'py, f64>>,
    mut potentials: PyReadwriteArray2<'py, f64>,
    weights: [f64; 5],
    limits: [f64; 2],
    max_iter: usize,
    inner_max_iter: usize,
    fix_factors: bool,
    callback: Option<Py<PyAny>>,
) -> PyResult<(Vec<f64>, &'static str)> {
    let components = codes.shape()[1];
    let [gamma, rho_codes, rho_factors, tau_codes, tau_factors] = weights;
    let costs = costs.iter().map(|cost| cost.as_slice()).collect::<Result<_, _>>()?;
    let problem = Problem {
        samples: x.as_slice()?,
        sizes: &sizes,
        costs,
        components,
        gamma,
        rho: [rho_codes, rho_factors],
        tau: [tau_codes, tau_factors],
    };
    let [tol, inner_tol] = limits;
    let settings = Settings { tol, max_iter, inner_tol, inner_max_iter, fix_factors };
    let mut state = State {
        codes: codes.as_slice_mut()?,
        factors: factors.iter().map(|f| Ok(f.as_slice()?.to_vec())).collect::<PyResult<_>>()?,
        potentials: potentials.as_slice_mut()?,
    };
    wasserstein_cp::check(&problem, &state)?;
    let mut reporter = Reporter { callback: callback.as_ref(), error: None };
    let (progress, status) = py.detach(|| {
        let mut observe = |p: &Progress| reporter.report(&row(p));
        wasserstein_cp::fit(&problem, &settings, &mut state, &mut observe)
    });
    if let Some(error) = reporter.error.take() {
        return Err(error);
    }
    for (array, factor) in factors.iter_mut().zip(&state.factors) {
        array.as_slice_mut()?.copy_from_slice(factor);
    }
    Ok((row(&progress).to_vec(), status.name()))
}
