//! Bindings of coordinate descent.

use crate::coordinate::datafit::{Huber, Logistic, Loss, Poisson, Quadratic, SquaredHinge};
use crate::coordinate::design::{Csc, Dense, Design, Rows};
use crate::coordinate::penalty::{ElasticNet, Factors, Mcp, Penalty, Scad};
use crate::coordinate::solver::{self, Cache, Order, Problem, Progress, Settings, Status};
use crate::coordinate::{nmf, svm};
use crate::engine::Error;
use crate::engine::real::Float;
use crate::engine::sparse::Index;
use numpy::{
    Element, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyReadwriteArray2, PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Names of what this job adds to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(coordinate_path, module)?)?;
    module.add_function(wrap_pyfunction!(coordinate_block, module)?)?;
    module.add_function(wrap_pyfunction!(coordinate_svm, module)?)?;
    module.add_function(wrap_pyfunction!(coordinate_nmf, module)?)?;
    Ok(())
}

/// A matrix borrowed from Python: a 2-D array, or the parts of a sparse one by columns.
pub(super) struct Matrix<'py>(Box<dyn Borrow + 'py>);

trait Borrow {
    fn with(&self, call: &mut dyn FnMut(&dyn Design) -> PyResult<()>) -> PyResult<()>;
}

struct DenseParts<'py, F: Element>(PyReadonlyArray2<'py, F>);
impl<F: Element + Float> Borrow for DenseParts<'_, F> {
    fn with(&self, call: &mut dyn FnMut(&dyn Design) -> PyResult<()>) -> PyResult<()> {
        let [rows, cols] = [self.0.shape()[0], self.0.shape()[1]];
        let data = self.0.as_slice().map_err(|_| {
            let fix = "copy it with np.asfortranarray(X)";
            Error::value("X", "contiguous in C or Fortran order", "strided", fix)
        })?;
        if self.0.is_fortran_contiguous() {
            call(&Dense::new(data, rows, cols)?)
        } else {
            call(&Rows::new(data, rows, cols)?)
        }
    }
}

struct SparseParts<'py, F: Element, I: Element> {
    data: PyReadonlyArray1<'py, F>,
    indices: PyReadonlyArray1<'py, I>,
    starts: PyReadonlyArray1<'py, I>,
    rows: usize,
}
impl<F: Element + Float, I: Element + Index> Borrow for SparseParts<'_, F, I> {
    fn with(&self, call: &mut dyn FnMut(&dyn Design) -> PyResult<()>) -> PyResult<()> {
        let (data, indices) = (self.data.as_slice()?, self.indices.as_slice()?);
        call(&Csc::new(data, indices, self.starts.as_slice()?, self.rows)?)
    }
}

impl<'py> FromPyObject<'_, 'py> for Matrix<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(x) = object.extract::<PyReadonlyArray2<'py, f64>>() {
            return Ok(Self(Box::new(DenseParts(x))));
        }
        if let Ok(x) = object.extract::<PyReadonlyArray2<'py, f32>>() {
            return Ok(Self(Box::new(DenseParts(x))));
        }
        macro_rules! sparse {
            ($($float:ty, $index:ty);*) => {$(
                if let Ok((data, indices, starts, rows)) = object.extract::<(
                    PyReadonlyArray1<'py, $float>,
                    PyReadonlyArray1<'py, $index>,
                    PyReadonlyArray1<'py, $index>,
                    usize,
                )>() {
                    return Ok(Self(Box::new(SparseParts { data, indices, starts, rows })));
                }
            )*};
        }
        sparse!(f64, i32; f64, i64; f32, i32; f32, i64);
        Err(Error::kind(
            "X",
            "a 2-D array of float32 or float64, or the parts of a sparse matrix",
            object.get_type(),
            "convert it with np.asarray(X, dtype=np.float64)",
        )
        .into())
    }
}

impl Matrix<'_> {
    pub(super) fn with<T>(&self, mut call: impl FnMut(&dyn Design) -> PyResult<T>) -> PyResult<T> {
        let mut out = None;
        self.0.with(&mut |design| {
            out = Some(call(design)?);
            Ok(())
        })?;
        // `with` returned Ok, so it made the call.
        Ok(out.expect("the call was made"))
    }
}

fn named(name: &str, given: &str, allowed: &str) -> PyErr {
    Error::value(name, format!("one of {allowed}"), format!("'{given}'"), "check its spelling")
        .into()
}

fn loss_named(name: &str, delta: f64) -> PyResult<Box<dyn Loss>> {
    Ok(match name {
        "quadratic" => Box::new(Quadratic),
        "logistic" => Box::new(Logistic),
        "squared_hinge" => Box::new(SquaredHinge),
        "huber" => Box::new(Huber { delta }),
        "poisson" => Box::new(Poisson),
        _ => {
            return Err(named(
                "datafit",
                name,
                "quadratic, logistic, squared_hinge, huber, poisson",
            ));
        }
    })
}

#[derive(FromPyObject)]
struct PenaltySpec<'py> {
    #[pyo3(item)]
    name: String,
    #[pyo3(item)]
    l1_ratio: f64,
    #[pyo3(item)]
    gamma: f64,
    #[pyo3(item)]
    bounds: (f64, f64),
    #[pyo3(item)]
    factors: Option<PyReadonlyArray1<'py, f64>>,
}

/// A penalty for each strength.
fn family<'a>(
    spec: &PenaltySpec<'_>,
    factors: Option<&'a [f64]>,
) -> PyResult<impl Fn(f64) -> Box<dyn Penalty + 'a> + Sync + use<'a>> {
    let kinds = ["elastic_net", "mcp", "scad"];
    let Some(kind) = kinds.iter().position(|kind| *kind == spec.name) else {
        return Err(named("penalty", &spec.name, "elastic_net, mcp, scad"));
    };
    let (factors, gamma, l1_ratio, (low, high)) =
        (Factors(factors), spec.gamma, spec.l1_ratio, spec.bounds);
    Ok(move |alpha| -> Box<dyn Penalty + 'a> {
        match kind {
            0 => Box::new(ElasticNet { alpha, l1_ratio, factors, low, high }),
            1 => Box::new(Mcp { alpha, gamma, factors }),
            _ => Box::new(Scad { alpha, gamma, factors }),
        }
    })
}

#[derive(FromPyObject)]
pub(super) struct SettingsSpec {
    #[pyo3(item)]
    tol: f64,
    #[pyo3(item)]
    max_iter: usize,
    #[pyo3(item)]
    max_epochs: usize,
    #[pyo3(item)]
    p0: usize,
    #[pyo3(item)]
    working_set: bool,
    #[pyo3(item)]
    accelerate: bool,
    #[pyo3(item)]
    selection: String,
    #[pyo3(item)]
    seed: u64,
}

impl SettingsSpec {
    pub(super) fn read(&self) -> PyResult<Settings> {
        let order = match self.selection.as_str() {
            "cyclic" => Order::Cyclic,
            "shuffled" => Order::Shuffled,
            "random" => Order::Random,
            "greedy" => Order::Greedy,
            name => return Err(named("selection", name, "cyclic, shuffled, random, greedy")),
        };
        Ok(Settings {
            tol: self.tol,
            max_iter: self.max_iter,
            max_epochs: self.max_epochs,
            p0: self.p0,
            working_set: self.working_set,
            accelerate: self.accelerate,
            order,
            seed: self.seed,
        })
    }
}

/// Checks for signals and reports to Python; keeps the error that stops the work.
pub(super) struct Reporter<'a> {
    pub(super) callback: Option<&'a Py<PyAny>>,
    pub(super) error: Option<PyErr>,
}

impl Reporter<'_> {
    pub(super) fn report(&mut self, row: &[f64]) -> bool {
        let result = Python::attach(|py| -> PyResult<bool> {
            py.check_signals()?;
            match self.callback {
                Some(callback) => callback.call1(py, (row.to_vec(),)).map(|_| true),
                None => Ok(true),
            }
        });
        result.unwrap_or_else(|error| {
            self.error = Some(error);
            false
        })
    }
}

fn row(p: &Progress) -> [f64; 6] {
    [p.objective, p.gap, p.violation, p.remaining as f64, p.support as f64, p.epochs as f64]
}

/// Solve for each strength in turn, every one from the solution before it.
#[pyfunction]
#[pyo3(signature = (x, y, weights, loss, delta, penalty, alphas, intercept, settings, start=None, callback=None))]
#[allow(clippy::too_many_arguments)]
fn coordinate_path<'py>(
    py: Python<'py>,
    x: Matrix<'py>,
    y: PyReadonlyArray1<'py, f64>,
    weights: PyReadonlyArray1<'py, f64>,
    loss: &str,
    delta: f64,
    penalty: PenaltySpec<'py>,
    alphas: Vec<f64>,
    intercept: bool,
    settings: SettingsSpec,
    start: Option<(PyReadonlyArray1<'py, f64>, f64)>,
    callback: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let loss = loss_named(loss, delta)?;
    let factors = penalty.factors.as_ref().map(|f| f.as_slice()).transpose()?;
    let penalty = family(&penalty, factors)?;
    let (settings, start) = (
        settings.read()?,
        start.as_ref().map(|(w, b)| Ok::<_, PyErr>((w.as_slice()?, *b))).transpose()?,
    );
    let (y, weights) = (y.as_slice()?, weights.as_slice()?);
    let solutions = x.with(|design| {
        solver::check(design, y, weights, loss.as_ref(), factors, start)?;
        let mut reporter = Reporter { callback: callback.as_ref(), error: None };
        let solutions = py.detach(|| {
            let problem =
                Problem { design, loss: loss.as_ref(), y, weights, penalty: &penalty, intercept };
            let mut observe = |p: &Progress| reporter.report(&row(p));
            solver::path(&problem, &alphas, &settings, start, &mut Cache::default(), &mut observe)
        })?;
        match reporter.error.take() {
            Some(error) => Err(error),
            None => Ok(solutions),
        }
    })?;
    let result = PyDict::new(py);
    let p = solutions.first().map_or(0, |s| s.coef.len());
    let coefs = PyArray2::<f64>::zeros(py, [solutions.len(), p], false);
    let duals = PyArray2::<f64>::zeros(py, [solutions.len(), y.len()], false);
    for (k, s) in solutions.iter().enumerate() {
        let (mut coefs, mut duals) = (coefs.readwrite(), duals.readwrite());
        coefs.as_slice_mut()?[k * p..(k + 1) * p].copy_from_slice(&s.coef);
        duals.as_slice_mut()?[k * y.len()..(k + 1) * y.len()].copy_from_slice(&s.dual);
    }
    result.set_item("coefs", coefs)?;
    result.set_item("duals", duals)?;
    result
        .set_item("intercepts", PyArray1::from_iter(py, solutions.iter().map(|s| s.intercept)))?;
    result.set_item("targets", PyArray1::from_iter(py, solutions.iter().map(|s| s.target)))?;
    result.set_item(
        "statuses",
        solutions.iter().map(|s: &solver::Solution| Status::name(s.status)).collect::<Vec<_>>(),
    )?;
    let histories: Vec<Vec<[f64; 6]>> =
        solutions.iter().map(|s| s.history.iter().map(row).collect()).collect();
    result.set_item("histories", histories)?;
    Ok(result)
}

/// Least squares with penalties on groups of features and tasks.
#[pyfunction]
#[pyo3(signature = (x, y, weights, alphas, groups, norm, ridge, l1, positive, intercept, settings, start=None, callback=None))]
#[allow(clippy::too_many_arguments)]
fn coordinate_block<'py>(
    py: Python<'py>,
    x: Matrix<'py>,
    y: PyReadonlyArray2<'py, f64>,
    weights: PyReadonlyArray1<'py, f64>,
    alphas: Vec<f64>,
    groups: Vec<Vec<usize>>,
    norm: Vec<f64>,
    ridge: Vec<f64>,
    l1: f64,
    positive: bool,
    intercept: bool,
    settings: SettingsSpec,
    start: Option<PyReadonlyArray1<'py, f64>>,
    callback: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    let (settings, tasks) = (settings.read()?, y.shape()[0]);
    let start = start.as_ref().map(|start| start.as_slice()).transpose()?;
    let (y, weights) = (y.as_slice()?, weights.as_slice()?);
    let solutions = x.with(|design| {
        solver::check(design, &y[..y.len() / tasks.max(1)], weights, &Quadratic, None, None)?;
        solver::block::check(design.cols(), &groups, &norm, &ridge, y, start, tasks)?;
        let mut reporter = Reporter { callback: callback.as_ref(), error: None };
        let (groups, norm, ridge) = (&groups[..], &norm[..], &ridge[..]);
        let solutions = py.detach(|| {
            let alpha = 0.0;
            let problem = solver::block::Problem {
                design,
                y,
                tasks,
                weights,
                groups,
                alpha,
                norm,
                ridge,
                l1,
                positive,
                intercept,
            };
            let mut observe = |p: &Progress| reporter.report(&row(p));
            let mut cache = Cache::default();
            solver::block::path(problem, &alphas, &settings, start, &mut cache, &mut observe)
        })?;
        reporter.error.take().map_or(Ok(solutions), Err)
    })?;
    let results = PyList::empty(py);
    for solution in solutions {
        let result = PyDict::new(py);
        result.set_item("coef", PyArray1::from_vec(py, solution.coef))?;
        result.set_item("intercept", PyArray1::from_vec(py, solution.intercept))?;
        result.set_item("target", solution.target)?;
        result.set_item("status", solution.status.name())?;
        result.set_item("history", solution.history.iter().map(row).collect::<Vec<_>>())?;
        results.append(result)?;
    }
    Ok(results)
}

/// Linear support vector machine; the samples are the columns of `x`.
#[pyfunction]
#[pyo3(signature = (x, y, cost, squared, scaling, tol, max_iter, seed, callback=None))]
#[allow(clippy::too_many_arguments)]
fn coordinate_svm<'py>(
    py: Python<'py>,
    x: Matrix<'py>,
    y: PyReadonlyArray1<'py, f64>,
    cost: PyReadonlyArray1<'py, f64>,
    squared: bool,
    scaling: f64,
    tol: f64,
    max_iter: usize,
    seed: u64,
    callback: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let (y, cost) = (y.as_slice()?, cost.as_slice()?);
    let solution = x.with(|samples| {
        svm::check(samples, y, cost)?;
        let mut reporter = Reporter { callback: callback.as_ref(), error: None };
        let solution = py.detach(|| {
            let problem = svm::Problem { samples, y, cost, squared, scaling };
            svm::solve(&problem, tol, max_iter, seed, &mut |row| reporter.report(row))
        })?;
        reporter.error.take().map_or(Ok(solution), Err)
    })?;
    let result = PyDict::new(py);
    result.set_item("coef", PyArray1::from_vec(py, solution.coef))?;
    result.set_item("intercept", solution.intercept)?;
    result.set_item("dual", PyArray1::from_vec(py, solution.dual))?;
    result.set_item("objective", solution.objective)?;
    result.set_item("gap", solution.gap)?;
    result.set_item("n_iter", solution.n_iter)?;
    result.set_item("status", solution.status.name())?;
    Ok(result)
}

/// Factorize in place: `w` (n, k) and `h` (p, k); `xt` is `x` transposed.
#[pyfunction]
#[pyo3(signature = (x, xt, w, h, strengths, fix_h, tol, max_iter, callback=None))]
#[allow(clippy::too_many_arguments)]
fn coordinate_nmf<'py>(
    py: Python<'py>,
    x: Matrix<'py>,
    xt: Matrix<'py>,
    mut w: PyReadwriteArray2<'py, f64>,
    mut h: PyReadwriteArray2<'py, f64>,
    strengths: [f64; 4],
    fix_h: bool,
    tol: f64,
    max_iter: usize,
    callback: Option<Py<PyAny>>,
) -> PyResult<(usize, f64, &'static str)> {
    let k = w.shape()[1];
    let (w, h) = (w.as_slice_mut()?, h.as_slice_mut()?);
    let [l1_w, l2_w, l1_h, l2_h] = strengths;
    let strengths = [nmf::Strength { l1: l1_w, l2: l2_w }, nmf::Strength { l1: l1_h, l2: l2_h }];
    let mut reporter = Reporter { callback: callback.as_ref(), error: None };
    let (n_iter, ratio, status) = x.with(|x| {
        xt.with(|xt| {
            nmf::check(x, xt, w, h, k)?;
            Ok(py.detach(|| {
                let mut observe = |row: &[f64]| reporter.report(row);
                nmf::factorize(x, xt, w, h, k, strengths, fix_h, tol, max_iter, &mut observe)
            }))
        })
    })?;
    reporter.error.take().map_or(Ok((n_iter, ratio, status.name())), Err)
}
