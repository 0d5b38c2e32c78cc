//! Bindings of gradient-free search.

use pyo3::prelude::*;

mod ask_tell;
mod boolean;
mod factor_graph;
mod given;
mod gsd;
pub(super) mod maxsat;
mod mezo;
mod polystep;
pub(super) mod watch;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    ask_tell::register(module)?;
    boolean::register(module)?;
    factor_graph::register(module)?;
    gsd::register(module)?;
    maxsat::register(module)?;
    mezo::register(module)?;
    polystep::register(module)
}
