//! Private tables: budgets, noise, marginals, the search.

use crate::engine::{Error, Result};
use crate::search::gsd::thresholds::Interval;
use crate::search::gsd::{Marginals, Noise, Search, Settings, State, Table, measure, search, zcdp};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

type Floats<'py> = Bound<'py, PyArray1<f64>>;

/// Largest rho for which rho-zCDP implies (epsilon, delta)-DP.
#[pyfunction]
fn search_gsd_rho(epsilon: f64, delta: f64) -> PyResult<f64> {
    Ok(zcdp::rho(epsilon, delta)?)
}

/// Smallest epsilon for which rho-zCDP implies (epsilon, delta)-DP.
#[pyfunction]
fn search_gsd_epsilon(rho: f64, delta: f64) -> PyResult<f64> {
    Ok(zcdp::epsilon(rho, delta)?)
}

/// Uniform codes of rows, flat.
#[pyfunction]
fn search_gsd_start(
    py: Python<'_>,
    sizes: Vec<u32>,
    rows: usize,
    seed: u64,
) -> Bound<'_, PyArray1<u32>> {
    py.detach(|| search::start(&sizes, rows, seed)).into_pyarray(py)
}

/// Noise of a key; use it through `thalweg.search.PrivateGSD`.
#[pyclass(name = "SearchGsdNoise", module = "thalweg._core")]
struct SearchGsdNoise {
    noise: Noise,
}

#[pymethods]
impl SearchGsdNoise {
    #[new]
    fn new(key: [u8; 32]) -> Self {
        Self { noise: Noise::new(&key) }
    }

    /// Shares of counts for a budget, and the deviation of their noise.
    fn shares<'py>(
        &mut self,
        py: Python<'py>,
        counts: PyReadonlyArray1<'_, i64>,
        rows: usize,
        rho: Option<f64>,
    ) -> PyResult<(Floats<'py>, f64)> {
        let counts = counts.as_slice()?;
        let shares = py.detach(|| measure::shares(counts, rows, rho, &mut self.noise))?;
        let deviation = rho.map_or(0.0, |rho| measure::deviation(rows, rho));
        Ok((shares.into_pyarray(py), deviation))
    }

    /// The indices of the `k` largest scores after noise for a budget, and its scale.
    fn select(
        &mut self,
        scores: PyReadonlyArray1<'_, f64>,
        k: usize,
        rows: usize,
        rho: Option<f64>,
    ) -> PyResult<(Vec<usize>, f64)> {
        let chosen = measure::select(scores.as_slice()?, k, rows, rho, &mut self.noise)?;
        Ok((chosen, rho.map_or(0.0, |rho| zcdp::gumbel(1.0 / rows as f64, k, rho))))
    }

    /// Edges of bins of a numeric column, and the deviation of the shares that they rest on.
    #[allow(clippy::too_many_arguments)]
    fn edges<'py>(
        &mut self,
        py: Python<'py>,
        values: PyReadonlyArray1<'_, f64>,
        low: f64,
        high: f64,
        bins: usize,
        grain: f64,
        rho: Option<f64>,
    ) -> PyResult<(Floats<'py>, f64)> {
        let values = values.as_slice()?;
        let interval = Interval { low, high, bins, grain };
        let edges = py.detach(|| interval.edges(values, rho, &mut self.noise))?;
        let deviation = rho.map_or(0.0, |rho| interval.deviation(values.len(), rho));
        Ok((edges.into_pyarray(py), deviation))
    }
}

/// Sets of columns whose joint counts matter.
#[pyclass(name = "SearchGsdMarginals", module = "thalweg._core", frozen)]
struct SearchGsdMarginals {
    marginals: Marginals,
}

#[pymethods]
impl SearchGsdMarginals {
    #[new]
    fn new(sizes: Vec<u32>, columns: Vec<Vec<u32>>) -> PyResult<Self> {
        Ok(Self { marginals: Marginals::new(&sizes, &columns)? })
    }

    /// Where the cells of each begin, and the number of all.
    #[getter]
    fn offsets(&self) -> Vec<usize> {
        self.marginals.offsets().to_vec()
    }

    /// Counts of rows of codes, flat.
    fn count<'py>(
        &self,
        py: Python<'py>,
        codes: PyReadonlyArray1<'_, u32>,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let codes = codes.as_slice()?;
        Ok(py.detach(|| self.marginals.count(codes))?.into_pyarray(py))
    }
}

/// A table on its way to the targets.
#[pyclass(name = "SearchGsd", module = "thalweg._core")]
struct SearchGsd {
    search: Search,
}

/// Settings of a search, as a dict.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Given {
    seed: u64,
    proposals: usize,
    tol: f64,
    operators: Vec<String>,
}

type Memory = (u64, Vec<u64>, Vec<f64>, Vec<f64>, f64, u64);

#[pymethods]
impl SearchGsd {
    #[new]
    fn new(
        py: Python<'_>,
        marginals: PyRef<'_, SearchGsdMarginals>,
        codes: PyReadonlyArray1<'_, u32>,
        targets: PyReadonlyArray1<'_, f64>,
        edges: Vec<Vec<f64>>,
        settings: Given,
    ) -> PyResult<Self> {
        let (codes, targets) = (codes.as_slice()?, targets.as_slice()?);
        let marginals = marginals.marginals.clone();
        let Given { seed, proposals, tol, operators } = settings;
        let settings = Settings { seed, proposals, tol, operators };
        let build = || -> Result<Search> {
            Search::new(Table::new(marginals, codes.to_vec(), targets)?, edges, &settings)
        };
        Ok(Self { search: py.detach(build)? })
    }

    /// Runs generations; whether the search came to rest.
    fn run(&mut self, py: Python<'_>, generations: u64) -> bool {
        py.detach(|| self.search.run(generations))
    }

    /// Sum of squared differences of shares.
    #[getter]
    fn cost(&self) -> f64 {
        self.search.table().cost()
    }

    /// Codes of the rows, flat.
    fn codes<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        PyArray1::from_slice(py, self.search.table().codes())
    }

    /// Generations, uses, weights drawn from, weights earned, cost at the last look, next look.
    #[getter]
    fn state(&self) -> Memory {
        let State { generation, used, drawn, earned, last, look } = self.search.state();
        (generation, used, drawn, earned, last, look)
    }

    /// Goes on from a state.
    fn restore(&mut self, state: Memory) -> std::result::Result<(), Error> {
        let (generation, used, drawn, earned, last, look) = state;
        self.search.restore(State { generation, used, drawn, earned, last, look })
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(search_gsd_rho, module)?)?;
    module.add_function(wrap_pyfunction!(search_gsd_epsilon, module)?)?;
    module.add_function(wrap_pyfunction!(search_gsd_start, module)?)?;
    module.add_class::<SearchGsdNoise>()?;
    module.add_class::<SearchGsdMarginals>()?;
    module.add_class::<SearchGsd>()
}
