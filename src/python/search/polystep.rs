//! PolyStep behind ask and tell.

use super::given::Given;
use crate::search::polystep::{Config, PolyStep};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadwriteArray2};
use pyo3::prelude::*;

type Vector<'py> = Bound<'py, PyArray1<f64>>;
type Bounds<'py> = (PyReadonlyArray1<'py, f64>, PyReadonlyArray1<'py, f64>);
type Saved<'py> = Vec<(String, Vector<'py>)>;

/// A PolyStep search in progress; use it through `thalweg.search.PolyStep`.
#[pyclass(name = "SearchPolyStep", module = "thalweg._core")]
struct SearchPolyStep {
    inner: PolyStep,
}

#[pymethods]
impl SearchPolyStep {
    #[new]
    #[pyo3(signature = (x0, dim, settings, groups, bounds, seed))]
    fn new(
        x0: PyReadonlyArray1<'_, f64>,
        dim: usize,
        settings: Vec<(String, Given)>,
        groups: Vec<usize>,
        bounds: Option<Bounds<'_>>,
        seed: u64,
    ) -> PyResult<Self> {
        let mut config = Config { groups, seed, ..Config::default() };
        for (name, value) in settings {
            config.set(&name, &value.into())?;
        }
        if let Some((low, high)) = bounds {
            config.bounds = Some([low.as_array().to_vec(), high.as_array().to_vec()]);
        }
        Ok(Self { inner: PolyStep::new(config, x0.as_slice()?, dim)? })
    }

    /// Open a step.
    fn ask(&mut self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.inner.ask())?)
    }

    /// Write candidates `start`, `start + 1`, ... of the open step into the rows of `out`.
    fn candidates(
        &self,
        py: Python<'_>,
        start: usize,
        mut out: PyReadwriteArray2<'_, f64>,
    ) -> PyResult<()> {
        let out = out.as_slice_mut()?;
        Ok(py.detach(|| self.inner.candidates(start, out))?)
    }

    /// Write what the same candidates add to their blocks into the rows of `out`.
    fn offsets(
        &self,
        py: Python<'_>,
        start: usize,
        mut out: PyReadwriteArray2<'_, f64>,
    ) -> PyResult<()> {
        let out = out.as_slice_mut()?;
        Ok(py.detach(|| self.inner.offsets(start, out))?)
    }

    /// Name the automatic radii of a group.
    fn set_radii(&mut self, group: usize, step: f64, probe: f64) -> PyResult<()> {
        Ok(self.inner.set_radii(group, step, probe)?)
    }

    /// Move by the costs of all candidates.
    fn tell(&mut self, py: Python<'_>, costs: PyReadonlyArray1<'_, f64>) -> PyResult<()> {
        let costs = costs.as_slice()?;
        Ok(py.detach(|| self.inner.tell(costs))?)
    }

    /// Continue from other solutions.
    fn restart(&mut self, x: PyReadonlyArray1<'_, f64>) -> PyResult<()> {
        Ok(self.inner.restart(x.as_slice()?)?)
    }

    fn population(&self) -> usize {
        self.inner.population()
    }

    /// Probes along each direction at this step.
    fn probes(&self) -> usize {
        self.inner.probes()
    }

    /// Which blocks of a group are probed at this step; none for all of them.
    fn awake(&self, group: usize) -> Option<Vec<usize>> {
        self.inner.awake(group).map(<[usize]>::to_vec)
    }

    fn groups(&self) -> usize {
        self.inner.group_count()
    }

    fn x<'py>(&self, py: Python<'py>) -> Vector<'py> {
        PyArray1::from_slice(py, &self.inner.state().x)
    }

    fn best_x<'py>(&self, py: Python<'py>) -> Vector<'py> {
        PyArray1::from_slice(py, &self.inner.state().best_x)
    }

    /// Steps, evaluations and bad costs so far, and whether a step is open.
    fn counters(&self) -> (u64, u64, u64, bool) {
        let state = self.inner.state();
        (state.t, state.evaluations, state.nonfinite, state.pending)
    }

    /// Best cost, mean probe cost and learning rate of the last step.
    fn costs(&self) -> (f64, f64, f64) {
        let state = self.inner.state();
        (state.best_cost, state.mean_cost, state.rate)
    }

    /// Temperature, step radius and probe radius of a group at this step.
    fn radii(&self, group: usize) -> (f64, f64, f64) {
        let radii = self.inner.radii(group.min(self.inner.group_count() - 1));
        (radii.epsilon, radii.step, radii.probe)
    }

    fn save<'py>(&self, py: Python<'py>) -> Saved<'py> {
        self.inner.save().into_iter().map(|(name, v)| (name, v.into_pyarray(py))).collect()
    }

    fn restore(&mut self, saved: Vec<(String, PyReadonlyArray1<'_, f64>)>) -> PyResult<()> {
        let saved: Vec<_> =
            saved.into_iter().map(|(name, v)| (name, v.as_array().to_vec())).collect();
        Ok(self.inner.restore(&saved)?)
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SearchPolyStep>()
}
