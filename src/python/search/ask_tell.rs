//! Searchers around one solution, by name.

use super::given::Given;
use crate::engine::{Error, Result};
use crate::search::ask_tell::{Method, Search};
use crate::search::openai_es::OpenAiEs;
use crate::search::setting::Setting;
use crate::search::spsa::Spsa;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadwriteArray2};
use pyo3::prelude::*;

type Vector<'py> = Bound<'py, PyArray1<f64>>;
type Bounds<'py> = (PyReadonlyArray1<'py, f64>, PyReadonlyArray1<'py, f64>);

fn method(name: &str, dim: usize, settings: &[(String, Setting)]) -> Result<Box<dyn Method>> {
    match name {
        "openai_es" => Ok(Box::new(OpenAiEs::new(dim, settings)?)),
        "spsa" => Ok(Box::new(Spsa::new(settings)?)),
        _ => Err(Error::value("method", "'openai_es' or 'spsa'", name, "choose one of these")),
    }
}

/// A search around one solution; use it through the classes of `thalweg.search`.
#[pyclass(name = "SearchAskTell", module = "thalweg._core")]
struct SearchAskTell {
    inner: Search,
}

#[pymethods]
impl SearchAskTell {
    #[new]
    #[pyo3(signature = (name, x0, settings, bounds, seed))]
    fn new(
        name: &str,
        x0: PyReadonlyArray1<'_, f64>,
        settings: Vec<(String, Given)>,
        bounds: Option<Bounds<'_>>,
        seed: u64,
    ) -> PyResult<Self> {
        let settings: Vec<_> = settings.into_iter().map(|(n, v)| (n, v.into())).collect();
        let x0 = x0.as_slice()?;
        let bounds = bounds.map(|(low, high)| [low.as_array().to_vec(), high.as_array().to_vec()]);
        Ok(Self { inner: Search::new(method(name, x0.len(), &settings)?, x0, bounds, seed)? })
    }

    /// Open a step and write its candidates into the rows of `out`.
    fn ask(&mut self, py: Python<'_>, mut out: PyReadwriteArray2<'_, f64>) -> PyResult<()> {
        let out = out.as_slice_mut()?;
        Ok(py.detach(|| self.inner.ask(out))?)
    }

    /// Move by the costs of all candidates.
    fn tell(&mut self, py: Python<'_>, costs: PyReadonlyArray1<'_, f64>) -> PyResult<()> {
        let costs = costs.as_slice()?;
        Ok(py.detach(|| self.inner.tell(costs))?)
    }

    fn population(&self) -> usize {
        self.inner.population()
    }

    fn x<'py>(&self, py: Python<'py>) -> Vector<'py> {
        PyArray1::from_slice(py, &self.inner.point().x)
    }

    fn best<'py>(&self, py: Python<'py>) -> (Vector<'py>, f64) {
        (PyArray1::from_slice(py, &self.inner.best_x), self.inner.best_cost)
    }

    /// Steps, evaluations and bad costs so far.
    fn counters(&self) -> (u64, u64, u64) {
        (self.inner.point().step, self.inner.evaluations, self.inner.nonfinite)
    }

    /// Length of the next step.
    fn reach(&self) -> f64 {
        self.inner.reach()
    }

    fn save<'py>(&mut self, py: Python<'py>) -> Vec<(String, Vector<'py>)> {
        self.inner.save().into_iter().map(|(name, v)| (name, v.into_pyarray(py))).collect()
    }

    fn restore(&mut self, saved: Vec<(String, PyReadonlyArray1<'_, f64>)>) -> PyResult<()> {
        let saved: Vec<_> =
            saved.into_iter().map(|(name, v)| (name, v.as_array().to_vec())).collect();
        Ok(self.inner.restore(&saved)?)
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SearchAskTell>()
}
