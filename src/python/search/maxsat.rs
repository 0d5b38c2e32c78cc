//! MAX-SAT: clauses, their states, the native runs.

use super::watch::{Watch, report};
use crate::engine::{Error, threads};
use crate::search::objectives::maxsat::{Settings, State, Sweep, blocks, polish, polystep};
use crate::search::objectives::{Formula, MaxSat, dimacs};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::sync::Arc;

type Costs<'py> = Bound<'py, PyArray1<i64>>;
type Clauses<'py> =
    (Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<usize>>, Bound<'py, PyArray1<u64>>);

/// A clause set; use it through `thalweg.search.objectives.MaxSat`.
#[pyclass(name = "SearchMaxSat", module = "thalweg._core", frozen)]
pub struct SearchMaxSat {
    pub problem: Arc<MaxSat>,
}

#[pymethods]
impl SearchMaxSat {
    #[new]
    fn new(
        py: Python<'_>,
        variables: usize,
        literals: PyReadonlyArray1<'_, i32>,
        offsets: PyReadonlyArray1<'_, usize>,
        weights: PyReadonlyArray1<'_, u64>,
    ) -> PyResult<Self> {
        let formula = Formula {
            variables,
            literals: literals.as_slice()?.to_vec(),
            offsets: offsets.as_slice()?.to_vec(),
            weights: weights.as_slice()?.to_vec(),
        };
        let problem = py.detach(|| MaxSat::new(&formula))?;
        Ok(Self { problem: Arc::new(problem) })
    }

    /// Parse DIMACS; `weighted` says what a text without a header is.
    #[staticmethod]
    fn read(py: Python<'_>, text: &[u8], name: &str, weighted: bool) -> PyResult<Self> {
        let problem = py.detach(|| MaxSat::new(&dimacs::read(text, name, weighted)?))?;
        Ok(Self { problem: Arc::new(problem) })
    }

    /// The DIMACS text.
    fn write<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let text = py.detach(|| dimacs::write(&self.problem.formula()));
        PyBytes::new(py, &text)
    }

    /// Literals, offsets and weights (0 for hard, none for all 1).
    fn arrays<'py>(&self, py: Python<'py>) -> Clauses<'py> {
        let Formula { literals, offsets, weights, .. } = py.detach(|| self.problem.formula());
        (literals.into_pyarray(py), offsets.into_pyarray(py), weights.into_pyarray(py))
    }

    #[getter]
    fn variables(&self) -> usize {
        self.problem.variables()
    }

    #[getter]
    fn clauses(&self) -> usize {
        self.problem.clauses()
    }

    #[getter]
    fn total_weight(&self) -> i64 {
        self.problem.total_weight()
    }

    #[getter]
    fn weighted(&self) -> bool {
        self.problem.is_weighted()
    }

    #[getter]
    fn has_hard(&self) -> bool {
        self.problem.has_hard()
    }

    /// Unsatisfied hard clauses, and weight of unsatisfied soft ones.
    fn split(&self, cost: i64) -> (i64, i64) {
        self.problem.split(cost)
    }

    /// Costs of rows of assignments.
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        assignments: PyReadonlyArray2<'_, bool>,
    ) -> PyResult<Costs<'py>> {
        let (rows, all) = (assignments.as_array().nrows(), assignments.as_slice()?);
        let width = self.problem.variables();
        self.problem.check_length(assignments.as_array().ncols())?;
        let costs = py.detach(|| {
            threads::map(rows, |i| self.problem.evaluate(&all[i * width..(i + 1) * width]))
        });
        Ok(costs.into_iter().collect::<Result<Vec<_>, Error>>()?.into_pyarray(py))
    }

    /// An assignment whose flips are followed.
    fn state(
        &self,
        py: Python<'_>,
        assignment: PyReadonlyArray1<'_, bool>,
    ) -> PyResult<SearchMaxSatState> {
        let assignment = assignment.as_slice()?;
        let state = py.detach(|| State::new(&self.problem, assignment))?;
        Ok(SearchMaxSatState { state })
    }

    /// The native polytope search: best assignment, and a dict of what it took.
    fn polystep<'py>(
        &self,
        py: Python<'py>,
        settings: RunSettings,
        start: Option<PyReadonlyArray1<'_, bool>>,
        callback: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let start = start.as_ref().map(|start| start.as_slice()).transpose()?;
        let settings = Settings::from(settings);
        let mut watch = Watch::new(callback);
        let outcome = py.detach(|| {
            polystep::run(&self.problem, &settings, start, &mut |t, best| watch.look(t, best))
        });
        report(py, outcome?, watch)
    }

    /// The walk over unsatisfied clauses.
    #[allow(clippy::too_many_arguments)]
    fn polish<'py>(
        &self,
        py: Python<'py>,
        seed: u64,
        max_flips: Option<u64>,
        seconds: Option<f64>,
        exponent: f64,
        start: PyReadonlyArray1<'_, bool>,
        callback: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let start = start.as_slice()?;
        let walk = polish::Walk { seed, max_flips, seconds, exponent };
        let mut watch = Watch::new(callback);
        let outcome = py.detach(|| {
            polish::run(&self.problem, &walk, start, &mut |t, best| watch.look(t, best))
        });
        report(py, outcome?, watch)
    }
}

/// Settings of a native run, as a dict.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct RunSettings {
    seed: u64,
    max_steps: Option<u64>,
    seconds: Option<f64>,
    epsilon: (f64, f64),
    step_radius: (f64, f64),
    probe_radius: (f64, f64),
    forget: (f64, f64),
    momentum: (f64, f64),
    sigma: f64,
}

impl From<RunSettings> for Settings {
    fn from(given: RunSettings) -> Self {
        let sweep = |(start, end): (f64, f64)| Sweep { start, end };
        Self {
            seed: given.seed,
            max_steps: given.max_steps,
            seconds: given.seconds,
            epsilon: sweep(given.epsilon),
            step_radius: sweep(given.step_radius),
            probe_radius: sweep(given.probe_radius),
            forget: sweep(given.forget),
            momentum: sweep(given.momentum),
            sigma: given.sigma,
        }
    }
}

/// An assignment with its cost and the gain of every flip.
#[pyclass(name = "SearchMaxSatState", module = "thalweg._core")]
struct SearchMaxSatState {
    state: State<i64>,
}

#[pymethods]
impl SearchMaxSatState {
    #[getter]
    fn cost(&self) -> i64 {
        self.state.cost()
    }

    fn assignment<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<bool>> {
        self.state.assignment().into_pyarray(py)
    }

    fn gains<'py>(&self, py: Python<'py>) -> Costs<'py> {
        PyArray1::from_slice(py, self.state.gains())
    }

    fn flip(&mut self, py: Python<'_>, variables: PyReadonlyArray1<'_, u32>) -> PyResult<()> {
        let variables = variables.as_slice()?;
        Ok(py.detach(|| blocks::flip(&mut self.state, variables))?)
    }

    fn probe<'py>(
        &self,
        py: Python<'py>,
        variables: PyReadonlyArray1<'_, u32>,
        offsets: PyReadonlyArray1<'_, usize>,
    ) -> PyResult<Costs<'py>> {
        let (variables, offsets) = (variables.as_slice()?, offsets.as_slice()?);
        Ok(py.detach(|| blocks::probe_all(&self.state, variables, offsets))?.into_pyarray(py))
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SearchMaxSat>()?;
    module.add_class::<SearchMaxSatState>()
}
