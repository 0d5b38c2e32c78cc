//! Factor graphs: terms, their states, the native run.

use super::maxsat::RunSettings;
use super::watch::{Watch, report};
use crate::search::objectives::FactorGraph;
use crate::search::objectives::factor_graph::{Kind, State, run};
use crate::search::objectives::run::Settings;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// A sum of terms; use it through `thalweg.search.objectives.FactorGraph`.
#[pyclass(name = "SearchFactorGraph", module = "thalweg._core")]
struct SearchFactorGraph {
    graph: Arc<FactorGraph>,
}

#[pymethods]
impl SearchFactorGraph {
    #[new]
    fn new(domains: PyReadonlyArray1<'_, u32>) -> PyResult<Self> {
        Ok(Self { graph: Arc::new(FactorGraph::new(domains.as_slice()?.to_vec())?) })
    }

    #[getter]
    fn terms(&self) -> usize {
        self.graph.terms()
    }

    fn add_tables(
        &mut self,
        scopes: PyReadonlyArray2<'_, u32>,
        tables: PyReadonlyArray1<'_, f64>,
    ) -> PyResult<()> {
        let arity = scopes.as_array().ncols();
        let graph = Arc::make_mut(&mut self.graph);
        Ok(graph.add_tables(scopes.as_slice()?, arity, tables.as_slice()?)?)
    }

    fn add(
        &mut self,
        kind: &str,
        target: f64,
        scopes: PyReadonlyArray2<'_, u32>,
        weights: PyReadonlyArray1<'_, f64>,
    ) -> PyResult<()> {
        let arity = scopes.as_array().ncols();
        let kind = Kind::named(kind, target)?;
        let graph = Arc::make_mut(&mut self.graph);
        Ok(graph.add(kind, scopes.as_slice()?, arity, weights.as_slice()?)?)
    }

    fn evaluate(&self, py: Python<'_>, values: PyReadonlyArray1<'_, u32>) -> PyResult<f64> {
        let values = values.as_slice()?;
        Ok(py.detach(|| self.graph.evaluate(values))?)
    }

    fn state(
        &self,
        py: Python<'_>,
        values: PyReadonlyArray1<'_, u32>,
    ) -> PyResult<SearchFactorGraphState> {
        let values = values.as_slice()?;
        Ok(SearchFactorGraphState { state: py.detach(|| State::new(&self.graph, values))? })
    }

    fn polystep<'py>(
        &self,
        py: Python<'py>,
        settings: RunSettings,
        start: Option<PyReadonlyArray1<'_, u32>>,
        callback: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let start = start.as_ref().map(|start| start.as_slice()).transpose()?;
        let settings = Settings::from(settings);
        let mut watch = Watch::new(callback);
        let outcome =
            py.detach(|| run(&self.graph, &settings, start, &mut |t, best| watch.look(t, best)));
        report(py, outcome?, watch)
    }
}

/// An assignment with the cost of every term.
#[pyclass(name = "SearchFactorGraphState", module = "thalweg._core")]
struct SearchFactorGraphState {
    state: State,
}

#[pymethods]
impl SearchFactorGraphState {
    #[getter]
    fn cost(&self, py: Python<'_>) -> f64 {
        py.detach(|| self.state.cost())
    }

    fn values<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        PyArray1::from_slice(py, self.state.values())
    }

    fn set(
        &mut self,
        py: Python<'_>,
        variables: PyReadonlyArray1<'_, u32>,
        values: PyReadonlyArray1<'_, u32>,
    ) -> PyResult<()> {
        let changes = pairs(&variables, &values)?;
        Ok(py.detach(|| self.state.set(&changes))?)
    }

    fn probe<'py>(
        &self,
        py: Python<'py>,
        variables: PyReadonlyArray1<'_, u32>,
        values: PyReadonlyArray1<'_, u32>,
        offsets: PyReadonlyArray1<'_, usize>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let (changes, offsets) = (pairs(&variables, &values)?, offsets.as_slice()?);
        Ok(py.detach(|| self.state.probe_all(&changes, offsets))?.into_pyarray(py))
    }
}

type Numbers<'a, 'py> = &'a PyReadonlyArray1<'py, u32>;

fn pairs(variables: Numbers<'_, '_>, values: Numbers<'_, '_>) -> PyResult<Vec<(u32, u32)>> {
    let values = values.as_slice()?.iter().copied();
    Ok(variables.as_slice()?.iter().copied().zip(values).collect())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SearchFactorGraph>()?;
    module.add_class::<SearchFactorGraphState>()
}
