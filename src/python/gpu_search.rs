//! Search, projection and Gramians on a device.

use super::network::{NetworkCore, Target, contiguous, with_data};
use super::search::maxsat::SearchMaxSat;
use crate::engine::Result;
use crate::gpu::search::{maxsat::MaxSat, network};
use crate::gpu::{Device, gramian, simplex};
use crate::search::objectives::network::{Data, Wanted};
use numpy::{
    IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray3,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use std::sync::Arc;

/// Number or name of an adapter, and the largest binding in bytes.
type Place = (Option<String>, Option<u64>);

fn open((adapter, largest): &Place) -> Result<Arc<Device>> {
    Device::open(adapter.as_deref(), *largest)
}

/// A clause set on a device; use it through `thalweg.gpu.MaxSat`.
#[pyclass(name = "GpuMaxSat", module = "thalweg._core", frozen)]
struct GpuMaxSat {
    native: MaxSat,
}

#[pymethods]
impl GpuMaxSat {
    #[new]
    fn new(py: Python<'_>, core: &SearchMaxSat, place: Place) -> PyResult<Self> {
        let problem = core.problem.clone();
        Ok(Self { native: py.detach(|| MaxSat::new(open(&place)?, problem))? })
    }

    /// Costs of rows of assignments.
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        assignments: PyReadonlyArray2<'_, bool>,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let rows = assignments.shape()[0];
        let assignments = assignments.as_slice().map_err(contiguous("assignment"))?;
        Ok(py.detach(|| self.native.evaluate(assignments, rows))?.into_pyarray(py))
    }

    /// Change of the cost by flipping each variable alone.
    fn gains<'py>(
        &self,
        py: Python<'py>,
        assignment: PyReadonlyArray1<'_, bool>,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let assignment = assignment.as_slice().map_err(contiguous("assignment"))?;
        Ok(py.detach(|| self.native.gains(assignment))?.into_pyarray(py))
    }

    /// Changes of the cost by probes.
    fn probe<'py>(
        &self,
        py: Python<'py>,
        assignment: PyReadonlyArray1<'_, bool>,
        variables: PyReadonlyArray1<'_, u32>,
        offsets: PyReadonlyArray1<'_, usize>,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let assignment = assignment.as_slice().map_err(contiguous("assignment"))?;
        let variables = variables.as_slice().map_err(contiguous("flips"))?;
        let offsets = offsets.as_slice().map_err(contiguous("flips"))?;
        Ok(py.detach(|| self.native.probe(assignment, variables, offsets))?.into_pyarray(py))
    }
}

/// Costs of a network with each row of `thetas`, or with its own parameters.
#[pyfunction]
fn gpu_network_evaluate<'py>(
    py: Python<'py>,
    core: &NetworkCore,
    features: PyReadonlyArray3<'_, f32>,
    target: Target<'_>,
    thetas: Option<PyReadonlyArray2<'_, f32>>,
    place: Place,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let thetas = thetas.as_ref().map(|t| t.as_slice().map_err(contiguous("theta"))).transpose()?;
    let network = &core.network;
    let costs: Result<Vec<f64>> = with_data!(py, features, target, |data| {
        network::evaluate(&*open(&place)?, network, &data, thetas)
    });
    Ok(costs?.into_pyarray(py))
}

/// Outputs of a network, (samples, outputs) row-major.
#[pyfunction]
fn gpu_network_outputs<'py>(
    py: Python<'py>,
    core: &NetworkCore,
    features: PyReadonlyArray3<'_, f32>,
    target: Target<'_>,
    place: Place,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let network = &core.network;
    let out: Result<Vec<f32>> = with_data!(py, features, target, |data| {
        network::outputs(&*open(&place)?, network, &data)
    });
    Ok(out?.into_pyarray(py))
}

/// Cost changes of the probes of a layer, (units, 2 p) row-major.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn gpu_network_probe<'py>(
    py: Python<'py>,
    core: &NetworkCore,
    features: PyReadonlyArray3<'_, f32>,
    target: Target<'_>,
    layer: usize,
    directions: PyReadonlyArray2<'_, f32>,
    radius: PyReadonlyArray1<'_, f32>,
    place: Place,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let directions = directions.as_slice().map_err(contiguous("directions"))?;
    let radius = radius.as_slice().map_err(contiguous("radius"))?;
    let network = &core.network;
    let costs: Result<Vec<f64>> = with_data!(py, features, target, |data| {
        network::probe(&*open(&place)?, network, &data, layer, directions, radius)
    });
    Ok(costs?.into_pyarray(py))
}

/// Rows onto the simplex, (rows * n,) row-major.
#[pyfunction]
fn gpu_simplex<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'_, f32>,
    radius: f64,
    place: Place,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let n = x.shape()[1];
    let x = x.as_slice().map_err(contiguous("x"))?;
    let out: Result<Vec<f32>> = py.detach(|| {
        let mut out = vec![0.0; x.len()];
        simplex::simplex(&*open(&place)?, x, n, radius, &mut out)?;
        Ok(out)
    });
    Ok(out?.into_pyarray(py))
}

/// Gramian of the rows of matrices side by side, (m * m,) row-major.
#[pyfunction]
fn gpu_gramian<'py>(
    py: Python<'py>,
    blocks: Vec<PyReadonlyArray2<'_, f32>>,
    place: Place,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let m = blocks.first().map_or(0, |block| block.shape()[0]);
    let slices = blocks.iter().map(|b| b.as_slice().map_err(contiguous("jacobian")));
    let slices = slices.collect::<PyResult<Vec<_>>>()?;
    let total = py.detach(|| gramian::gramian(&*open(&place)?, m, &slices))?;
    Ok(total.into_pyarray(py))
}

/// Adds the classes and functions of this file.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(gpu_network_evaluate, module)?)?;
    module.add_function(wrap_pyfunction!(gpu_network_outputs, module)?)?;
    module.add_function(wrap_pyfunction!(gpu_network_probe, module)?)?;
    module.add_function(wrap_pyfunction!(gpu_simplex, module)?)?;
    module.add_function(wrap_pyfunction!(gpu_gramian, module)?)?;
    module.add_class::<GpuMaxSat>()
}
