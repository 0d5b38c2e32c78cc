//! Bindings of gradient-free search.

use pyo3::prelude::*;

mod polystep;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    polystep::register(module)
}
