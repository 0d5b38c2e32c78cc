//! Searchers around one solution, by name.

use super::given::Given;
use crate::engine::{Error, Result};
use crate::search::ask_tell::{Method, Search};
use crate::search::boundary::Boundary;
use crate::search::cbo::Cbo;
use crate::search::cma::Cma;
use crate::search::covering_direct_search::CoveringDirectSearch;
use crate::search::differential_evolution::DifferentialEvolution;
use crate::search::gfm::Gfm;
use crate::search::kalman::EnsembleKalman;
use crate::search::nelder_mead::NelderMead;
use crate::search::openai_es::OpenAiEs;
use crate::search::particle_swarm::ParticleSwarm;
use crate::search::random_search::RandomSearch;
use crate::search::sep_cma::SepCma;
use crate::search::setting::Setting;
use crate::search::spsa::Spsa;
use crate::search::zo_rank_sgd::ZoRankSgd;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray2};
use pyo3::prelude::*;

type Vector<'py> = Bound<'py, PyArray1<f64>>;
type Bounds<'py> = (PyReadonlyArray1<'py, f64>, PyReadonlyArray1<'py, f64>);

fn method(name: &str, dim: usize, settings: &[(String, Setting)]) -> Result<Box<dyn Method>> {
    match name {
        "cbo" => Ok(Box::new(Cbo::new(dim, settings)?)),
        "cma" => Ok(Box::new(Cma::new(dim, settings)?)),
        "covering_direct_search" => Ok(Box::new(CoveringDirectSearch::new(dim, settings)?)),
        "openai_es" => Ok(Box::new(OpenAiEs::new(dim, settings)?)),
        "spsa" => Ok(Box::new(Spsa::new(settings)?)),
        "differential_evolution" => Ok(Box::new(DifferentialEvolution::new(dim, settings)?)),
        "ensemble_kalman" => Ok(Box::new(EnsembleKalman::new(dim, settings)?)),
        "gfm" => Ok(Box::new(Gfm::new(dim, false, settings)?)),
        "gfm_plus" => Ok(Box::new(Gfm::new(dim, true, settings)?)),
        "nelder_mead" => Ok(Box::new(NelderMead::new(dim, settings)?)),
        "particle_swarm" => Ok(Box::new(ParticleSwarm::new(dim, settings)?)),
        "random_search" => Ok(Box::new(RandomSearch::new(dim, settings)?)),
        "sep_cma" => Ok(Box::new(SepCma::new(dim, settings)?)),
        "zo_rank_sgd" => Ok(Box::new(ZoRankSgd::new(dim, settings)?)),
        _ => Err(Error::value("method", "a known one", name, "see thalweg.search.methods()")),
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
    #[pyo3(signature = (name, x0, settings, bounds, boundary, seed))]
    fn new(
        name: &str,
        x0: PyReadonlyArray1<'_, f64>,
        settings: Vec<(String, Given)>,
        bounds: Option<Bounds<'_>>,
        boundary: &str,
        seed: u64,
    ) -> PyResult<Self> {
        let settings: Vec<_> = settings.into_iter().map(|(n, v)| (n, v.into())).collect();
        let x0 = x0.as_slice()?;
        let vector = |side: PyReadonlyArray1<'_, f64>| side.as_array().to_vec();
        let bounds = bounds
            .map(|(low, high)| Boundary::new(vector(low), vector(high), boundary))
            .transpose()?;
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

    /// Move by what a model says of all candidates, a row each.
    fn tell_outputs(&mut self, py: Python<'_>, outputs: PyReadonlyArray2<'_, f64>) -> PyResult<()> {
        let outputs = outputs.as_slice()?;
        Ok(py.detach(|| self.inner.tell_outputs(outputs))?)
    }

    /// A number for each candidate, equal where candidates share a random sample.
    fn samples<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u64>> {
        self.inner.samples().into_pyarray(py)
    }

    /// Move by the order of the best candidates; `groups` are the lengths of runs of equals.
    fn tell_ranking(
        &mut self,
        py: Python<'_>,
        order: Vec<i64>,
        groups: Vec<usize>,
    ) -> PyResult<()> {
        Ok(py.detach(|| self.inner.tell_ranking(&order, &groups))?)
    }

    /// Candidates that a ranking names, or none where values are needed.
    fn ranked(&self) -> Option<usize> {
        self.inner.ranked()
    }

    /// What is asked now.
    fn phase(&self) -> &'static str {
        self.inner.phase()
    }

    /// Tell the cost of a point that was not asked for; whether the search moved there.
    fn place(&mut self, x: PyReadonlyArray1<'_, f64>, cost: f64, renew: bool) -> PyResult<bool> {
        Ok(self.inner.place(x.as_slice()?, cost, renew)?)
    }

    fn population(&self) -> usize {
        self.inner.population()
    }

    fn x<'py>(&self, py: Python<'py>) -> Vector<'py> {
        self.inner.x().into_pyarray(py)
    }

    fn best<'py>(&self, py: Python<'py>) -> (Vector<'py>, f64) {
        (PyArray1::from_slice(py, &self.inner.best_x), self.inner.best_cost)
    }

    /// Steps, evaluations and bad costs so far.
    fn counters(&self) -> (u64, u64, u64) {
        (self.inner.step(), self.inner.evaluations, self.inner.nonfinite)
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
