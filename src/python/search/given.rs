//! Settings as Python passes them.

use crate::search::setting::Setting;
use pyo3::prelude::*;

#[derive(FromPyObject)]
pub enum Given {
    Number(f64),
    Text(String),
    Tagged(String, Vec<f64>),
}

impl From<Given> for Setting {
    fn from(given: Given) -> Self {
        match given {
            Given::Number(v) => Self::Number(v),
            Given::Text(v) => Self::Text(v),
            Given::Tagged(name, v) => Self::Tagged(name, v),
        }
    }
}
