//! Bindings of compute shaders: adapters, memory, and steps on a device.

use super::optim::{DictLookup, build, options};
use crate::engine::{Error, Result};
use crate::gpu::steps::{Column, Members, Steps};
use crate::gpu::{Adapter, Device, adapters, bandwidth};
use crate::optim::precision::Precision;
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(gpu_adapters, module)?)?;
    module.add_function(wrap_pyfunction!(gpu_release, module)?)?;
    module.add_function(wrap_pyfunction!(gpu_memory, module)?)?;
    module.add_function(wrap_pyfunction!(gpu_bandwidth, module)?)?;
    module.add_class::<GpuSteps>()
}

fn describe<'py>(py: Python<'py>, adapter: &Adapter) -> PyResult<Bound<'py, PyDict>> {
    let entry = PyDict::new(py);
    entry.set_item("index", adapter.index)?;
    entry.set_item("name", &adapter.name)?;
    entry.set_item("kind", adapter.kind)?;
    entry.set_item("backend", adapter.backend)?;
    entry.set_item("driver", &adapter.driver)?;
    entry.set_item("max_binding", adapter.limits.max_storage_buffer_binding_size)?;
    entry.set_item("max_buffer", adapter.limits.max_buffer_size)?;
    entry.set_item("max_workgroups", adapter.limits.max_compute_workgroups_per_dimension)?;
    entry.set_item("storage_buffers", adapter.limits.max_storage_buffers_per_shader_stage)?;
    Ok(entry)
}

/// What shaders can run on, as a list of dicts; graphics cards come first.
#[pyfunction]
fn gpu_adapters(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for adapter in py.detach(adapters) {
        list.append(describe(py, adapter)?)?;
    }
    Ok(list)
}

/// End every device of this process.
#[pyfunction]
fn gpu_release(py: Python<'_>) {
    py.detach(Device::release);
}

/// Bytes of the buffers that live, bytes that the driver gave (None where unknown), and compiled
/// shaders, of the device of an adapter.
#[pyfunction]
#[pyo3(signature = (adapter=None))]
fn gpu_memory(py: Python<'_>, adapter: Option<String>) -> PyResult<(u64, Option<u64>, usize)> {
    let device = py.detach(|| Device::open(adapter.as_deref(), None))?;
    Ok((device.bytes(), device.allocated(), device.compiled()))
}

/// Bytes per second, read and written, of a shader that copies so many bytes, several times.
#[pyfunction]
#[pyo3(signature = (bytes, repeat, adapter=None))]
fn gpu_bandwidth(
    py: Python<'_>,
    bytes: u64,
    repeat: usize,
    adapter: Option<String>,
) -> PyResult<Vec<f64>> {
    py.detach(|| {
        let device = Device::open(adapter.as_deref(), None)?;
        let copy = bandwidth::Copy::new(&device, bytes)?;
        (0..repeat).map(|_| copy.run(&device)).collect::<Result<_>>()
    })
    .map_err(PyErr::from)
}

/// Parameters and states on a device.
///
/// `groups` is a list of (rule, hyperparameters, [(elements, rows and columns or None)]).
#[pyclass]
struct GpuSteps {
    steps: Steps,
}

#[pymethods]
impl GpuSteps {
    #[new]
    #[pyo3(signature = (groups, adapter=None, max_binding=None))]
    #[allow(clippy::type_complexity)]
    fn new(
        py: Python<'_>,
        groups: Vec<(String, Bound<'_, PyDict>, Vec<(usize, Option<(usize, usize)>)>)>,
        adapter: Option<String>,
        max_binding: Option<u64>,
    ) -> PyResult<Self> {
        let mut members = vec![];
        for (rule, hyper, tensors) in groups {
            let group = build(&rule, &hyper)?;
            let precision = Precision::read(&DictLookup(&hyper))?;
            let tensors = tensors
                .into_iter()
                .map(|(len, shape)| (len, shape.map(<[usize; 2]>::from)))
                .collect();
            members.push(Members { group, precision, tensors });
        }
        let steps = py.detach(|| {
            let device = Device::open(adapter.as_deref(), max_binding)?;
            Steps::new(device, members)
        })?;
        Ok(Self { steps })
    }

    /// The adapter in use.
    #[getter]
    fn adapter<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        describe(py, &self.steps.device().adapter)
    }

    /// Replace the hyperparameters of a group.
    fn set_hyper(&mut self, group: usize, rule: &str, hyper: &Bound<'_, PyDict>) -> PyResult<()> {
        Ok(self.steps.set_group(group, build(rule, hyper)?)?)
    }

    /// Write a column of a parameter: "param", "grad", "state" or "scale", as bytes.
    fn write(
        &self,
        py: Python<'_>,
        number: usize,
        column: &str,
        state: usize,
        values: PyReadonlyArray1<'_, u8>,
    ) -> PyResult<()> {
        let (values, column) = (values.as_slice()?, self.column(number, column, state)?);
        self.fits(number, column, values.len())?;
        Ok(py.detach(|| self.steps.write(number, column, values))?)
    }

    /// Read a column of a parameter.
    fn read(
        &self,
        py: Python<'_>,
        number: usize,
        column: &str,
        state: usize,
        out: &Bound<'_, PyArray1<u8>>,
    ) -> PyResult<()> {
        let column = self.column(number, column, state)?;
        let mut out = out.try_readwrite()?;
        let out = out.as_slice_mut()?;
        self.fits(number, column, out.len())?;
        Ok(py.detach(|| self.steps.read(number, column, out))?)
    }

    /// Steps counted, whether it was ever stepped, and the scalars of a parameter.
    fn counters(&self, number: usize) -> PyResult<(u64, bool, Vec<f64>)> {
        let tensor = self.steps.tensors().get(number).ok_or_else(|| unknown(number))?;
        Ok((tensor.clock, !tensor.fresh, tensor.scalars.clone()))
    }

    /// Set what `counters` returns.
    fn set_counters(
        &mut self,
        number: usize,
        clock: u64,
        stepped: bool,
        scalars: Vec<f64>,
    ) -> PyResult<()> {
        let (_, _, known) = self.counters(number)?;
        if known.len() != scalars.len() {
            let allowed = format!("{} numbers", known.len());
            return Err(Error::value("scalars", allowed, scalars.len(), "load its state").into());
        }
        let tensor = self.steps.tensor_mut(number);
        (tensor.clock, tensor.fresh, tensor.scalars) = (clock, !stepped, scalars);
        Ok(())
    }

    /// Step these parameters with the gradients on the device; whether the step was left out, and
    /// the norm of all gradients where clipping asked for it.
    #[pyo3(signature = (active, on_nonfinite, loss=None, grad_scale=1.0))]
    fn step(
        &mut self,
        py: Python<'_>,
        active: Vec<usize>,
        on_nonfinite: &str,
        loss: Option<f64>,
        grad_scale: f64,
    ) -> PyResult<(bool, Option<f64>)> {
        let options = options(grad_scale, on_nonfinite, false, loss)?;
        active.iter().try_for_each(|&number| self.counters(number).map(drop))?;
        let report = py.detach(|| self.steps.step(&active, &options))?;
        Ok((report.skipped, report.grad_norm))
    }

    /// Wait until all steps are done.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.steps.device().finish())?)
    }
}

fn unknown(number: usize) -> Error {
    Error::value("number", "that of a parameter", number, "see the order of params")
}

impl GpuSteps {
    fn column(&self, number: usize, column: &str, state: usize) -> Result<Column> {
        if number >= self.steps.tensors().len() {
            return Err(unknown(number));
        }
        Ok(match column {
            "param" => Column::Param,
            "grad" => Column::Grad,
            "state" if state < self.steps.states(number) => Column::State(state),
            "scale" if state < self.steps.states(number) => Column::Scale(state),
            other => {
                let allowed = "\"param\", \"grad\", \"state\" or \"scale\"";
                return Err(Error::value("column", allowed, other, "use thalweg.gpu.Steps"));
            }
        })
    }

    fn fits(&self, number: usize, column: Column, given: usize) -> Result<()> {
        let expected = self.steps.column_bytes(number, column);
        if given == expected {
            return Ok(());
        }
        Err(Error::Shape {
            name: "values".into(),
            given: format!("({given},)"),
            other: "the bytes of the parameter".into(),
            expected: format!("({expected},)"),
            fix: "pass all of them".into(),
        })
    }
}
