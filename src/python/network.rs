//! Networks whose probes cost what they change, and their trainer.

use crate::Error;
use crate::search::objectives::network::probe::{Probe, shifts};
use crate::search::objectives::network::train::directions::Source;
use crate::search::objectives::network::train::{Plan, Settings, Trainer, evaluate};
use crate::search::objectives::network::{
    Batch, Data, Dense, Layer, Loss, Network, Rounding, State, Unit, Wanted,
};
use numpy::{
    IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray3,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;

/// Weights, biases, name and numbers of the unit, scale and bits of the rounding.
type Matrix<'py> =
    (PyReadonlyArray2<'py, f32>, PyReadonlyArray1<'py, f32>, String, Vec<f64>, Option<(f32, u32)>);

/// Labels or values.
#[derive(FromPyObject)]
pub(super) enum Target<'py> {
    Labels(PyReadonlyArray1<'py, u32>),
    Values(PyReadonlyArray2<'py, f32>),
}

pub(super) fn contiguous(name: &str) -> impl Fn(numpy::AsSliceError) -> PyErr {
    move |_| {
        let fix = "pass numpy.ascontiguousarray of it";
        Error::value(name, "C-contiguous", "strides", fix).into()
    }
}

/// Runs `$body` with `$data`, the samples of the caller, without the interpreter.
macro_rules! with_data {
    ($py:expr, $features:expr, $target:expr, |$data:ident| $body:expr) => {{
        let shape = $features.shape();
        let (steps, inputs) = (shape[1], shape[2]);
        let features = $features.as_slice().map_err(contiguous("X"))?;
        let wanted = match &$target {
            Target::Labels(labels) => Wanted::Labels(labels.as_slice().map_err(contiguous("y"))?),
            Target::Values(values) => Wanted::Values(values.as_slice().map_err(contiguous("y"))?),
        };
        let $data = Data { features, steps, inputs, wanted };
        $py.detach(|| $body)
    }};
}

#[cfg(feature = "gpu")]
pub(super) use with_data;

/// A network and its loss.
#[pyclass(name = "NetworkCore", module = "thalweg._core")]
pub(super) struct NetworkCore {
    pub(super) network: Network,
}

#[pymethods]
impl NetworkCore {
    #[new]
    fn new(layers: Vec<(String, Vec<Matrix<'_>>)>, loss: &str) -> PyResult<Self> {
        let dense = |(weights, bias, unit, numbers, rounding): Matrix<'_>| -> PyResult<Dense> {
            let rounding = rounding.map(|(scale, bits)| Rounding::new(scale, bits)).transpose()?;
            let weights = weights.as_slice().map_err(contiguous("weights"))?.to_vec();
            let bias = bias.as_slice().map_err(contiguous("bias"))?.to_vec();
            Ok(Dense::new(weights, bias, Unit::parse(&unit, &numbers)?, rounding)?)
        };
        let build = |(kind, matrices): (String, Vec<Matrix<'_>>)| {
            let matrices = matrices.into_iter().map(dense).collect::<PyResult<Vec<_>>>()?;
            Ok(Layer::from_matrices(&kind, matrices)?)
        };
        let layers = layers.into_iter().map(build).collect::<PyResult<Vec<_>>>()?;
        Ok(Self { network: Network::new(layers, Loss::parse(loss)?)? })
    }

    /// Weights (flat) and biases of a matrix.
    fn parameters<'py>(
        &self,
        py: Python<'py>,
        layer: usize,
    ) -> (Bound<'py, PyArray1<f32>>, Bound<'py, PyArray1<f32>>) {
        let layer = self.network.matrices()[layer];
        (layer.weights.clone().into_pyarray(py), layer.bias.clone().into_pyarray(py))
    }

    /// Replaces the weights and biases of a layer.
    fn set_parameters(
        &mut self,
        layer: usize,
        weights: PyReadonlyArray1<'_, f32>,
        bias: PyReadonlyArray1<'_, f32>,
    ) -> PyResult<()> {
        let weights = weights.as_slice().map_err(contiguous("weights"))?;
        let bias = bias.as_slice().map_err(contiguous("bias"))?;
        Ok(self.network.matrices_mut()[layer].replace(weights, bias)?)
    }

    /// Raises what `evaluate` would raise.
    fn check(
        &self,
        py: Python<'_>,
        features: PyReadonlyArray3<'_, f32>,
        target: Target<'_>,
    ) -> PyResult<()> {
        with_data!(py, features, target, |data| Ok(self.network.check(&data)?))
    }

    /// Cost and number of correct predictions.
    fn evaluate(
        &self,
        py: Python<'_>,
        features: PyReadonlyArray3<'_, f32>,
        target: Target<'_>,
    ) -> PyResult<(f64, usize)> {
        with_data!(py, features, target, |data| {
            self.network.check(&data)?;
            Ok(evaluate(&self.network, &data)?)
        })
    }

    /// Outputs of the network, (samples, outputs) row-major.
    fn outputs<'py>(
        &self,
        py: Python<'py>,
        features: PyReadonlyArray3<'_, f32>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let shape = features.shape();
        let (steps, inputs) = (shape[1], shape[2]);
        let features = features.as_slice().map_err(contiguous("X"))?;
        let outputs = py.detach(|| self.network.outputs_of(features, steps, inputs))?;
        Ok(outputs.into_pyarray(py))
    }

    /// Cost changes of the probes of a layer, (units, 2 p) row-major.
    fn probe<'py>(
        &self,
        py: Python<'py>,
        features: PyReadonlyArray3<'_, f32>,
        target: Target<'_>,
        layer: usize,
        directions: PyReadonlyArray2<'_, f32>,
        radius: PyReadonlyArray1<'_, f32>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let directions = directions.as_slice().map_err(contiguous("directions"))?;
        let radius = radius.as_slice().map_err(contiguous("radius"))?;
        let costs: PyResult<Vec<f64>> = with_data!(py, features, target, |data| {
            self.network.check(&data)?;
            self.network.check_probe(layer, directions, radius)?;
            let rows: Vec<u32> = (0..data.len() as u32).collect();
            let outputs = self.network.outputs();
            let batch = Batch::gather(&data, self.network.loss, &rows, outputs)?;
            let state = State::new(&self.network, batch);
            let shifts = shifts(directions, state.matrix_input(&self.network, layer));
            let probe = Probe { directions, shifts: &shifts, radius };
            Ok(state.probe(&self.network, layer, probe))
        });
        Ok(costs?.into_pyarray(py))
    }
}

/// A network in training.
#[pyclass(name = "NetworkTrainer", module = "thalweg._core")]
struct NetworkTrainer {
    trainer: Trainer,
}

#[pymethods]
impl NetworkTrainer {
    /// `plans` holds source, directions, probe and step radius of every layer.
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        core: &NetworkCore,
        plans: Vec<(String, usize, f32, f32)>,
        batch_size: usize,
        steps: usize,
        decay: f32,
        momentum: f32,
        epsilon: f32,
        patience: u32,
        seed: u64,
    ) -> PyResult<Self> {
        let plan = |(source, directions, probe_radius, step_radius): (String, _, _, _)| {
            Ok(Plan { source: Source::parse(&source)?, directions, probe_radius, step_radius })
        };
        let plans = plans.into_iter().map(plan).collect::<crate::Result<_>>()?;
        let settings =
            Settings { plans, batch_size, steps, decay, momentum, epsilon, patience, seed };
        Ok(Self { trainer: Trainer::new(core.network.clone(), settings)? })
    }

    /// Makes `count` steps; mean cost, evaluations, silent units (of the last step), healed units.
    fn advance(
        &mut self,
        py: Python<'_>,
        features: PyReadonlyArray3<'_, f32>,
        target: Target<'_>,
        count: usize,
    ) -> PyResult<(f64, usize, usize, usize)> {
        let trainer = &mut self.trainer;
        with_data!(py, features, target, |data| {
            let total = trainer.advance_by(&data, count)?;
            Ok((total.cost, total.evaluations, total.silent, total.healed))
        })
    }

    /// Number of steps made.
    #[getter]
    fn step(&self) -> usize {
        self.trainer.step
    }

    /// Copies the weights reached into `core`.
    fn store(&self, core: &mut NetworkCore) {
        core.network = self.trainer.network.clone();
    }

    /// Step, velocities and silent counts, for a later `restore`.
    fn state<'py>(&self, py: Python<'py>) -> (usize, Bound<'py, PyArray1<f32>>, Vec<u32>) {
        let (step, velocity, silent) = self.trainer.state();
        (step, velocity.into_pyarray(py), silent)
    }

    /// Continues from what `state` returned; the weights are those given at construction.
    fn restore(
        &mut self,
        step: usize,
        velocity: PyReadonlyArray1<'_, f32>,
        silent: Vec<u32>,
    ) -> PyResult<()> {
        let velocity = velocity.as_slice().map_err(contiguous("velocity"))?;
        Ok(self.trainer.restore(step, velocity, &silent)?)
    }
}

/// Adds the classes of this file.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<NetworkCore>()?;
    module.add_class::<NetworkTrainer>()
}
