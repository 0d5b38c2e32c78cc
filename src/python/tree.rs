//! Trees whose nodes split along hyperplanes.

use super::search::watch::Watch;
use crate::Error;
use crate::search::objectives::oblique_tree::{ObliqueTree, Settings};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

fn contiguous(_: numpy::AsSliceError) -> PyErr {
    Error::value("X and y", "C-contiguous", "strides", "pass numpy.ascontiguousarray").into()
}

/// Splits (nodes, inputs + 1) flat, and leaves.
type Parts<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<u32>>);

/// Splits and leaves of a trained tree; share of wrong classes, probes, and whether Ctrl-C ended it.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
#[pyo3(signature = (features, labels, classes, depth, steps, directions, probe_radius, step_radius, decay, seed))]
fn oblique_tree_train<'py>(
    py: Python<'py>,
    features: PyReadonlyArray2<'_, f64>,
    labels: PyReadonlyArray1<'_, u32>,
    classes: usize,
    depth: usize,
    steps: usize,
    directions: usize,
    probe_radius: f64,
    step_radius: f64,
    decay: f64,
    seed: u64,
) -> PyResult<(Parts<'py>, f64, usize, bool)> {
    let inputs = features.shape()[1];
    let features = features.as_slice().map_err(contiguous)?;
    let labels = labels.as_slice().map_err(contiguous)?;
    let settings = Settings { steps, directions, probe_radius, step_radius, decay, seed };
    let mut watch = Watch::<f64>::new(None);
    let (tree, (cost, evaluations)) = py.detach(|| {
        let mut tree = ObliqueTree::random(features, inputs, depth, seed)?;
        let mut look = |step, least| watch.look(step, least);
        let trained = tree.train(features, labels, classes, settings, &mut look);
        crate::Result::Ok((tree, trained))
    })?;
    let interrupted = watch.finish(py)?;
    let parts = (tree.splits.into_pyarray(py), tree.leaves.into_pyarray(py));
    Ok((parts, cost, evaluations, interrupted))
}

/// Adds the functions of this file.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(oblique_tree_train, module)?)
}
