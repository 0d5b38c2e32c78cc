//! Circuits over small semirings: values, reverse derivatives, learning.

use crate::search::boolean::ascent::Samples;
use crate::search::boolean::{Ascent, Bits, Circuit, Gate, Semiring, Tables, rows};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

type Bytes<'py> = Bound<'py, PyArray1<u8>>;
type Given<'py> = PyReadonlyArray1<'py, u8>;
/// Parameters now, best parameters, their errors, when they were found, epochs.
type Found<'py> = (Bytes<'py>, Bytes<'py>, Vec<u64>, Vec<u64>, u64);

enum Ring {
    Bits,
    Tables(Tables),
}

/// Calls a generic expression for the semiring at hand.
macro_rules! over {
    ($ring:expr, $name:ident => $body:expr) => {
        match $ring {
            Ring::Bits => {
                let $name = &Bits;
                $body
            }
            Ring::Tables($name) => $body,
        }
    };
}

/// Gates over a semiring; use it through `thalweg.search.boolean`.
#[pyclass(name = "SearchCircuit", module = "thalweg._core", frozen)]
struct SearchCircuit {
    circuit: Circuit,
    ring: Ring,
}

#[pymethods]
impl SearchCircuit {
    /// Gates are (0, value, 0), (1, a, b) for sums and (2, a, b) for products; no tables for Z_2.
    #[new]
    fn new(
        size: usize,
        tables: Option<(Vec<u8>, Vec<u8>)>,
        shape: (usize, usize),
        gates: Vec<(u8, u32, u32)>,
        outputs: Vec<u32>,
    ) -> PyResult<Self> {
        let ring = match tables {
            None => Ring::Bits,
            Some((sums, products)) => Ring::Tables(Tables::new(size, sums, products)?),
        };
        let gates = gates.into_iter().map(|(kind, a, b)| match kind {
            0 => u8::try_from(a).map_or(Gate::Constant(u8::MAX), Gate::Constant),
            1 => Gate::Add(a, b),
            _ => Gate::Mul(a, b),
        });
        let count = over!(&ring, ring => ring.size());
        let circuit = Circuit::new([shape.0, shape.1], gates.collect(), outputs, count)?;
        Ok(Self { circuit, ring })
    }

    /// Outputs for rows of inputs, flat.
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        theta: Given<'_>,
        x: Given<'_>,
    ) -> PyResult<Bytes<'py>> {
        let (theta, x) = (theta.as_slice()?, x.as_slice()?);
        let found =
            py.detach(|| over!(&self.ring, ring => rows::evaluate(&self.circuit, ring, theta, x)));
        Ok(found?.into_pyarray(py))
    }

    /// Reverse derivatives at parameters and inputs, for rows of inputs and of errors, flat.
    fn reverse<'py>(
        &self,
        py: Python<'py>,
        theta: Given<'_>,
        x: Given<'_>,
        errors: Given<'_>,
        flips: bool,
    ) -> PyResult<Bytes<'py>> {
        let (theta, x, errors) = (theta.as_slice()?, x.as_slice()?, errors.as_slice()?);
        let found = py.detach(|| over!(&self.ring, ring => rows::reverse(&self.circuit, ring, theta, [x, errors], flips)));
        Ok(found?.into_pyarray(py))
    }

    /// Epochs of ascent from rows of parameters.
    #[allow(clippy::too_many_arguments)]
    fn ascend<'py>(
        &self,
        py: Python<'py>,
        x: Given<'_>,
        y: Given<'_>,
        starts: Given<'_>,
        seed: u64,
        first: u64,
        epochs: u64,
        flips: bool,
    ) -> PyResult<Found<'py>> {
        let samples = Samples { x: x.as_slice()?, y: y.as_slice()? };
        let starts = starts.as_slice()?;
        let ascent = Ascent { seed, first, epochs, flips };
        let run = || over!(&self.ring, ring => ascent.run(&self.circuit, ring, samples, starts));
        let found = py.detach(run)?;
        let (now, best) = (found.now.into_pyarray(py), found.best.into_pyarray(py));
        Ok((now, best, found.errors, found.when, found.epochs))
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SearchCircuit>()
}
