//! Bindings of gradient-free search.

use pyo3::prelude::*;

mod factor_graph;
mod maxsat;
mod polystep;
mod watch;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    factor_graph::register(module)?;
    maxsat::register(module)?;
    polystep::register(module)
}
