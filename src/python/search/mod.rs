//! Bindings of gradient-free search.

use pyo3::prelude::*;

mod maxsat;
mod polystep;
mod watch;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    maxsat::register(module)?;
    polystep::register(module)
}
