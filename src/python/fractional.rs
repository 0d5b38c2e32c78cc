//! Bindings of fractional coordinate descent.

use super::coordinate::Matrix;
use crate::coordinate::fractional::{
    Denominator, L1, L2, LInf, LeastSquares, Lowest, Method, Numerator, Problem, Progress,
    Quadratic, Selection, Settings, SquaredL4, Status, TopK, check, minimize,
};
use crate::engine::{Error, Result};
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::time::Duration;

/// Names of what this job adds to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(coordinate_fractional, module)?)
}

/// A numerator or a denominator: its kind and its parameters.
#[derive(FromPyObject)]
struct Part<'py> {
    #[pyo3(item)]
    name: String,
    #[pyo3(item)]
    matrix: Matrix<'py>,
    #[pyo3(item)]
    vector: PyReadonlyArray1<'py, f64>,
    #[pyo3(item)]
    number: f64,
    #[pyo3(item)]
    k: usize,
}

#[derive(FromPyObject)]
struct SettingsSpec {
    #[pyo3(item)]
    method: String,
    #[pyo3(item)]
    theta: f64,
    #[pyo3(item)]
    selection: String,
    #[pyo3(item)]
    seed: u64,
    #[pyo3(item)]
    tol: f64,
    #[pyo3(item)]
    max_iter: usize,
    #[pyo3(item)]
    first: usize,
    #[pyo3(item)]
    time_limit: Option<f64>,
}

fn named(name: &str, given: &str, allowed: &str) -> Error {
    Error::value(name, format!("one of {allowed}"), format!("'{given}'"), "check its spelling")
}

impl SettingsSpec {
    fn read(&self) -> Result<Settings> {
        let method = match self.method.as_str() {
            "fcd" => Method::Fractional,
            "pcd" => Method::Parametric,
            name => return Err(named("method", name, "fcd, pcd")),
        };
        let selection = match self.selection.as_str() {
            "cyclic" => Selection::Cyclic,
            "shuffled" => Selection::Shuffled,
            "random" => Selection::Random,
            name => return Err(named("selection", name, "cyclic, shuffled, random")),
        };
        let time_limit = self.time_limit.and_then(|t| Duration::try_from_secs_f64(t).ok());
        Ok(Settings {
            method,
            theta: self.theta,
            selection,
            seed: self.seed,
            tol: self.tol,
            max_iter: self.max_iter,
            first: self.first,
            time_limit,
        })
    }
}

/// Asks Python for signals and calls back; keeps an error that is not Ctrl-C.
struct Reporter<'a> {
    callback: Option<&'a Py<PyAny>>,
    error: Option<PyErr>,
}

impl Reporter<'_> {
    fn observe(&mut self, progress: Option<&Progress>) -> Option<Status> {
        let asked = Python::attach(|py| -> PyResult<bool> {
            py.check_signals()?;
            let (Some(callback), Some(p)) = (self.callback, progress) else { return Ok(false) };
            let row = [p.sweep as f64, p.objective, p.moves as f64, p.certificate];
            callback.call1(py, (row.to_vec(),))?.is_truthy(py)
        });
        match asked {
            Ok(false) => None,
            Ok(true) => Some(Status::Stopped),
            Err(error) => {
                let interrupt =
                    Python::attach(|py| error.is_instance_of::<PyKeyboardInterrupt>(py));
                if !interrupt {
                    self.error = Some(error);
                }
                Some(Status::Interrupted)
            }
        }
    }
}

/// Minimise (numerator + l1 |x|) / denominator over a box, from `x0`, which is left as it is.
#[pyfunction]
#[pyo3(signature = (numerator, denominator, x0, l1, low, high, settings, callback=None))]
#[allow(clippy::too_many_arguments)]
fn coordinate_fractional<'py>(
    py: Python<'py>,
    numerator: Part<'py>,
    denominator: Part<'py>,
    x0: PyReadonlyArray1<'py, f64>,
    l1: f64,
    low: PyReadonlyArray1<'py, f64>,
    high: PyReadonlyArray1<'py, f64>,
    settings: SettingsSpec,
    callback: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let settings = settings.read()?;
    let (x0, low, high) = (x0.as_slice()?, low.as_slice()?, high.as_slice()?);
    let vectors = [numerator.vector.as_slice()?, denominator.vector.as_slice()?];
    let mut reporter = Reporter { callback: callback.as_ref(), error: None };
    let found = numerator.matrix.with(|top| {
        denominator.matrix.with(|bottom| {
            let found = py.detach(|| -> Result<_> {
                let top: Box<dyn Numerator + '_> = match numerator.name.as_str() {
                    "least_squares" => Box::new(LeastSquares::new(top, vectors[0])?),
                    "quadratic" => Box::new(Quadratic::new(top, vectors[0], numerator.number)?),
                    name => return Err(named("numerator", name, "least_squares, quadratic")),
                };
                let bottom: Box<dyn Denominator + '_> = match denominator.name.as_str() {
                    "top_k" => Box::new(TopK::new(x0.len(), denominator.k, denominator.number)?),
                    "l1" => Box::new(L1::new(bottom, denominator.k == 2)),
                    "l2" => Box::new(L2::new(bottom, denominator.k == 2)),
                    "squared_l4" => Box::new(SquaredL4::new(bottom)),
                    "l_inf" => Box::new(LInf::new(bottom)),
                    "lowest" => Box::new(Lowest::new(bottom, vectors[1])?),
                    name => {
                        let all = "top_k, l1, l2, squared_l4, l_inf, lowest";
                        return Err(named("denominator", name, all));
                    }
                };
                let mut problem = Problem { numerator: top, denominator: bottom, l1, low, high };
                check(&mut problem, x0)?;
                minimize(problem, &settings, x0.to_vec(), &mut |p| reporter.observe(p))
            });
            reporter.error.take().map_or(Ok(()), Err)?;
            Ok(found?)
        })
    })?;
    let result = PyDict::new(py);
    result.set_item("x", PyArray1::from_vec(py, found.x))?;
    result.set_item("objective", found.objective)?;
    result.set_item("certificate", found.certificate)?;
    result.set_item("sweeps", found.sweeps)?;
    result.set_item("moves", found.moves)?;
    result.set_item("status", found.status.name())?;
    result.set_item("history", PyArray1::from_vec(py, found.history))?;
    Ok(result)
}
