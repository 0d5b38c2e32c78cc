//! What a long native run does for Python now and then: signals, and the user's callback.

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use std::time::{Duration, Instant};

/// Rare enough to cost nothing, often enough to feel immediate.
const EVERY: Duration = Duration::from_millis(20);

/// Looks after signals and improvements from inside a run that has released the GIL.
pub struct Watch {
    callback: Option<Py<PyAny>>,
    last: Instant,
    told: i64,
    error: Option<PyErr>,
}

impl Watch {
    /// `callback(step, best)` hears of improvements and stops the run by returning True.
    pub fn new(callback: Option<Py<PyAny>>) -> Self {
        Self { callback, last: Instant::now(), told: i64::MAX, error: None }
    }

    /// Whether to go on.
    pub fn look(&mut self, step: u64, best: i64) -> bool {
        if self.last.elapsed() < EVERY {
            return true;
        }
        self.last = Instant::now();
        let outcome = Python::attach(|py| {
            py.check_signals()?;
            match &self.callback {
                Some(callback) if best < self.told => {
                    self.told = best;
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
