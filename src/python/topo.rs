//! Bindings of the search over topological orders.

use crate::coordinate::solver::Status;
use crate::coordinate::topo::global::Global;
use crate::coordinate::topo::linear::Linear;
use crate::coordinate::topo::local::{Fit, Local, Question};
use crate::coordinate::topo::logistic::Binary;
use crate::coordinate::topo::{Model, Round, Settings, by_node, check, search};
use numpy::{PyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Mutex;

/// Names of what this job adds to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(topo_linear, module)?)?;
    module.add_function(wrap_pyfunction!(topo_logistic, module)?)?;
    module.add_function(wrap_pyfunction!(topo_local, module)?)?;
    module.add_function(wrap_pyfunction!(topo_global, module)?)?;
    Ok(())
}

#[derive(FromPyObject)]
struct SettingsSpec {
    #[pyo3(item)]
    small: usize,
    #[pyo3(item)]
    large: usize,
    #[pyo3(item)]
    large_searches: usize,
    #[pyo3(item)]
    tol: f64,
    #[pyo3(item)]
    max_iter: usize,
}

impl SettingsSpec {
    fn read(&self, order: &[usize]) -> PyResult<Settings> {
        let Self { small, large, large_searches, tol, max_iter } = *self;
        let settings = Settings { small, large, large_searches, tol, max_iter };
        check(order, &settings)?;
        Ok(settings)
    }
}

/// The error that stopped the work.
#[derive(Default)]
struct Failure(Mutex<Option<PyErr>>);

impl Failure {
    fn keep<T>(&self, result: PyResult<T>) -> Option<T> {
        // A panic while it is locked is impossible: nothing runs then.
        let store = |error| *self.0.lock().expect("not poisoned") = Some(error);
        result.map_err(store).ok()
    }

    fn call<T>(&self, work: impl FnOnce(Python<'_>) -> PyResult<T>) -> Option<T> {
        self.keep(Python::attach(|py| {
            py.check_signals()?;
            work(py)
        }))
    }
}

type Row = (f64, usize, usize, bool);

fn row(round: &Round) -> Row {
    (round.score, round.scored, round.applied, round.large)
}

/// Searches, and returns what was found as a dictionary.
fn run<'py, M: Model + Send>(
    py: Python<'py>,
    model: impl FnOnce() -> Option<M> + Send,
    settings: &Settings,
    callback: Option<&Py<PyAny>>,
    failure: &Failure,
) -> PyResult<Bound<'py, PyDict>> {
    let found = py.detach(|| {
        let mut observe = |round: &Round| {
            let tell =
                |py: Python<'_>| callback.map_or(Ok(()), |f| f.call1(py, row(round)).map(|_| ()));
            failure.call(tell).is_some()
        };
        let mut model = model()?;
        let (rounds, status) = search(&mut model, settings, &mut observe);
        Some((model, rounds, status))
    });
    if let Some(error) = failure.0.lock().expect("not poisoned").take() {
        return Err(error);
    }
    // A model that cannot be made has left an error.
    let (model, rounds, status) = found.expect("a model or an error");
    let result = PyDict::new(py);
    let weights = by_node(&model.weights(), model.order());
    result.set_item("weights", PyArray1::from_vec(py, weights))?;
    result.set_item("order", model.order().to_vec())?;
    result.set_item("score", model.score())?;
    result.set_item("history", rounds.iter().map(row).collect::<Vec<_>>())?;
    result.set_item("status", Status::name(status))?;
    Ok(result)
}

/// Least squares; the variables are the rows of `x`.
#[pyfunction]
#[pyo3(signature = (x, order, ridge, settings, callback=None))]
fn topo_linear<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    order: Vec<usize>,
    ridge: f64,
    settings: SettingsSpec,
    callback: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let settings = settings.read(&order)?;
    let (n, x) = (x.shape()[1], x.as_slice()?);
    let model = py.detach(|| Linear::new(x, n, &order, ridge))?;
    run(py, || Some(model), &settings, callback.as_ref(), &Failure::default())
}

/// Logistic regressions with an l1 penalty; the variables are the rows of `x`.
#[pyfunction]
#[pyo3(signature = (x, order, alpha, intercept, gap, settings, callback=None))]
#[allow(clippy::too_many_arguments)]
fn topo_logistic<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    order: Vec<usize>,
    alpha: f64,
    intercept: bool,
    gap: f64,
    settings: SettingsSpec,
    callback: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let (settings, failure) = (settings.read(&order)?, Failure::default());
    let binary = Binary::new(x.as_slice()?, x.shape()[1], alpha, intercept, gap)?;
    let fit = |questions: &[Question]| {
        failure.call(|_| Ok(()))?;
        failure.keep(binary.fit(questions).map_err(PyErr::from))
    };
    run(py, || Local::new(&order, fit), &settings, callback.as_ref(), &failure)
}

/// Any sum over nodes: `score(node, parents)` returns a value and the weights of the parents.
#[pyfunction]
#[pyo3(signature = (order, score, settings, callback=None))]
fn topo_local<'py>(
    py: Python<'py>,
    order: Vec<usize>,
    score: Py<PyAny>,
    settings: SettingsSpec,
    callback: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let (settings, failure) = (settings.read(&order)?, Failure::default());
    let one = |(node, parents): &Question| {
        failure.call(|py| score.call1(py, (*node, parents.clone()))?.extract::<Fit>(py))
    };
    let fit = |questions: &[Question]| questions.iter().map(one).collect::<Option<Vec<Fit>>>();
    run(py, || Local::new(&order, fit), &settings, callback.as_ref(), &failure)
}

/// Any function of the order: `score(order)` returns a value and the weights by node, in one row.
#[pyfunction]
#[pyo3(signature = (order, score, settings, callback=None))]
fn topo_global<'py>(
    py: Python<'py>,
    order: Vec<usize>,
    score: Py<PyAny>,
    settings: SettingsSpec,
    callback: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let (settings, failure) = (settings.read(&order)?, Failure::default());
    let fit =
        |order: &[usize]| failure.call(|py| score.call1(py, (order.to_vec(),))?.extract::<Fit>(py));
    run(py, || Global::new(&order, fit), &settings, callback.as_ref(), &failure)
}
