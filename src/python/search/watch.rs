//! What a long native run does for Python: signals and the user's callback on the way, a report at
//! the end.

use crate::search::objectives::run::{Outcome, Stop};
use numpy::{Element, IntoPyArray};
use pyo3::IntoPyObject;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::time::{Duration, Instant};

/// Rare enough to cost nothing, often enough to feel immediate.
const EVERY: Duration = Duration::from_millis(20);

/// Looks after signals and improvements from inside a run that has released the GIL.
pub struct Watch<C> {
    callback: Option<Py<PyAny>>,
    last: Instant,
    told: Option<C>,
    error: Option<PyErr>,
}

impl<C> Watch<C>
where
    C: Copy + PartialOrd,
    (u64, C): for<'py> IntoPyObject<'py, Target = PyTuple> + for<'py> pyo3::call::PyCallArgs<'py>,
{
    /// `callback(step, best)` hears of improvements and stops the run by returning True.
    pub fn new(callback: Option<Py<PyAny>>) -> Self {
        Self { callback, last: Instant::now(), told: None, error: None }
    }

    /// Whether to go on.
    pub fn look(&mut self, step: u64, best: C) -> bool {
        if self.last.elapsed() < EVERY {
            return true;
        }
        self.last = Instant::now();
        let outcome = Python::attach(|py| {
            py.check_signals()?;
            match &self.callback {
                Some(callback) if self.told.is_none_or(|told| best < told) => {
                    self.told = Some(best);
                    callback.call1(py, (step, best))?.is_truthy(py)
                }
                _ => Ok(false),
            }
        });
        match outcome {
            Ok(stop) => !stop,
            Err(error) => {
                self.error = Some(error);
                false
            }
        }
    }

    /// Whether Ctrl-C ended the run; any other exception goes on to the caller.
    pub fn finish(self, py: Python<'_>) -> PyResult<bool> {
        match self.error {
            None => Ok(false),
            Some(error) if error.is_instance_of::<PyKeyboardInterrupt>(py) => Ok(true),
            Some(error) => Err(error),
        }
    }
}

/// A finished run as a dict.
pub fn report<'py, V, C>(
    py: Python<'py>,
    outcome: Outcome<V, C>,
    watch: Watch<C>,
) -> PyResult<Bound<'py, PyDict>>
where
    V: Element,
    C: Copy + PartialOrd + IntoPyObject<'py>,
    (u64, C): for<'a> IntoPyObject<'a, Target = PyTuple> + for<'a> pyo3::call::PyCallArgs<'a>,
{
    let interrupted = watch.finish(py)?;
    let stop = match outcome.stop {
        Stop::Asked if interrupted => "interrupted",
        Stop::Asked => "callback",
        Stop::Optimum => "optimum",
        Stop::Budget => "budget",
    };
    let report = PyDict::new(py);
    report.set_item("assignment", outcome.assignment.into_pyarray(py))?;
    report.set_item("cost", outcome.cost)?;
    report.set_item("steps", outcome.steps)?;
    report.set_item("flips", outcome.flips)?;
    report.set_item("seconds", outcome.seconds)?;
    report.set_item("stop", stop)?;
    Ok(report)
}
