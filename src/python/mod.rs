//! Bindings: borrow buffers, release the GIL, call one core function, map the error.

use crate::engine::{Error, threads};
use pyo3::exceptions::{PyNotImplementedError, PyTypeError, PyValueError};
use pyo3::prelude::*;

mod network;
mod search;
mod tree;

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Type { .. } => PyTypeError::new_err(text),
            Error::Unsupported { .. } => PyNotImplementedError::new_err(text),
            _ => PyValueError::new_err(text),
        }
    }
}

/// Set the number of threads of the native core; 0 returns to the default.
#[pyfunction]
fn set_num_threads(n: usize) {
    threads::set(n);
}

/// Threads that a parallel region of the native core may use.
#[pyfunction]
fn get_num_threads() -> usize {
    threads::count()
}

/// The native core of thalweg. One submodule-free namespace; use it through the package.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(set_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(get_num_threads, module)?)?;
    search::register(module)?;
    network::register(module)?;
    tree::register(module)?;
    Ok(())
}
