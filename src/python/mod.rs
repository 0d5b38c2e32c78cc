//! Bindings: borrow buffers, release the GIL, call one core function, map the error.

mod aggregate;
mod aggregate_rows;
mod array;
mod blend;
mod clip;
mod coordinate;
mod formula;
mod fractional;
mod gather;
#[cfg(feature = "gpu")]
mod gpu;
#[cfg(feature = "gpu")]
mod gpu_search;
mod network;
mod optex;
mod optim;
mod project;
mod search;
mod shim;
mod splitting;
mod topo;
mod tree;
mod wasserstein_cp;

use crate::engine::{Error, threads};
use pyo3::exceptions::{
    PyMemoryError, PyNotImplementedError, PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::intern;
use pyo3::prelude::*;

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Type { .. } => PyTypeError::new_err(text),
            Error::Memory { .. } => PyMemoryError::new_err(text),
            Error::Device { .. } => PyRuntimeError::new_err(text),
            Error::Unsupported { .. } => PyNotImplementedError::new_err(text),
            _ => PyValueError::new_err(text),
        }
    }
}

/// Set the number of threads of the native core; 0 returns to the default.
#[pyfunction]
fn set_num_threads(n: i64) -> PyResult<()> {
    let allowed = "an integer in [0, 1024]";
    let count = usize::try_from(n).ok().filter(|&n| n <= 1024);
    let count = count.ok_or_else(|| Error::value("n", allowed, n, "0 returns to the default"))?;
    threads::set(count);
    Ok(())
}

/// Threads that a parallel region of the native core may use.
#[pyfunction]
fn get_num_threads() -> usize {
    threads::count()
}

/// Whether regions that the calling thread opens run on it alone: for workers of an outer loop.
#[pyfunction]
fn stay_alone(alone: bool) {
    threads::stay_alone(alone);
}

/// torch's number of threads, 0 while torch is not loaded.
fn torch_threads() -> usize {
    let ask = |py: Python<'_>| -> PyResult<usize> {
        let modules = py.import(intern!(py, "sys"))?.getattr(intern!(py, "modules"))?;
        let torch = modules.get_item(intern!(py, "torch"))?;
        torch.call_method0(intern!(py, "get_num_threads"))?.extract()
    };
    Python::try_attach(|py| ask(py).unwrap_or(0)).unwrap_or(0)
}

/// The native core of thalweg. One submodule-free namespace; use it through the package.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    threads::follow(torch_threads);
    module.add_function(wrap_pyfunction!(set_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(get_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(stay_alone, module)?)?;
    aggregate::register(module)?;
    aggregate_rows::register(module)?;
    coordinate::register(module)?;
    blend::register(module)?;
    formula::register(module)?;
    fractional::register(module)?;
    clip::register(module)?;
    #[cfg(feature = "gpu")]
    gpu::register(module)?;
    optex::register(module)?;
    optim::register(module)?;
    project::register(module)?;
    search::register(module)?;
    network::register(module)?;
    #[cfg(feature = "gpu")]
    gpu_search::register(module)?;
    splitting::register(module)?;
    topo::register(module)?;
    tree::register(module)?;
    wasserstein_cp::register(module)
}
