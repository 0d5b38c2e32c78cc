//! Bindings of [`crate::project`]: rows in, rows out.

use crate::engine::{Result, threads};
use crate::project::{self, Params, transport};
use numpy::{
    PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray3, PyReadwriteArray2,
    PyReadwriteArray3, PyUntypedArrayMethods,
};
use pyo3::prelude::*;

/// Rows to read, of either type. The usual one is tried first: a refusal takes microseconds.
#[derive(FromPyObject)]
enum Rows<'py> {
    Double(PyReadonlyArray2<'py, f64>),
    Single(PyReadonlyArray2<'py, f32>),
}

/// Rows to write, of either type.
#[derive(FromPyObject)]
enum RowsMut<'py> {
    Double(PyReadwriteArray2<'py, f64>),
    Single(PyReadwriteArray2<'py, f32>),
}

fn mixed() -> PyErr {
    let fix = "give it the dtype of x";
    crate::Error::kind("out", "of the dtype of x", "another dtype", fix).into()
}

/// Borrowed vectors as slices.
fn slices<'a>(vectors: &'a [PyReadonlyArray1<'_, f64>]) -> PyResult<Vec<&'a [f64]>> {
    vectors.iter().map(|vector| Ok(vector.as_slice()?)).collect()
}

/// Writes the image of every row of `x`; returns the largest residual.
#[pyfunction]
fn project_apply(
    py: Python<'_>,
    set: &str,
    scalars: Vec<f64>,
    vectors: Vec<PyReadonlyArray1<'_, f64>>,
    x: Rows<'_>,
    out: RowsMut<'_>,
) -> PyResult<f64> {
    fn run<F: project::Batch>(
        set: &str,
        params: Params<'_>,
        x: &[F],
        out: &mut [F],
    ) -> Result<f64> {
        project::apply(&*project::build(set, &params)?, x, out, params.n)
    }
    let vectors = slices(&vectors)?;
    let params = |n| Params { n, scalars: &scalars, vectors: &vectors };
    match (&x, out) {
        (Rows::Single(x), RowsMut::Single(mut out)) => {
            let (params, x, out) = (params(x.shape()[1]), x.as_slice()?, out.as_slice_mut()?);
            Ok(py.detach(|| run(set, params, x, out))?)
        }
        (Rows::Double(x), RowsMut::Double(mut out)) => {
            let (params, x, out) = (params(x.shape()[1]), x.as_slice()?, out.as_slice_mut()?);
            Ok(py.detach(|| run(set, params, x, out))?)
        }
        _ => Err(mixed()),
    }
}

/// Writes the vector-Jacobian product of every row: `y` images of `x`, `v` cotangents.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn project_pull(
    py: Python<'_>,
    set: &str,
    scalars: Vec<f64>,
    vectors: Vec<PyReadonlyArray1<'_, f64>>,
    x: Rows<'_>,
    y: Rows<'_>,
    v: Rows<'_>,
    out: RowsMut<'_>,
) -> PyResult<()> {
    fn run<F: project::Batch>(
        set: &str,
        params: Params<'_>,
        [x, y, v]: [&[F]; 3],
        out: &mut [F],
    ) -> Result<()> {
        project::pull(&*project::build(set, &params)?, x, y, v, out, params.n);
        Ok(())
    }
    let vectors = slices(&vectors)?;
    let params = |n| Params { n, scalars: &scalars, vectors: &vectors };
    match (&x, &y, &v, out) {
        (Rows::Single(x), Rows::Single(y), Rows::Single(v), RowsMut::Single(mut out)) => {
            let params = params(x.shape()[1]);
            let given = [x.as_slice()?, y.as_slice()?, v.as_slice()?];
            let out = out.as_slice_mut()?;
            Ok(py.detach(|| run(set, params, given, out))?)
        }
        (Rows::Double(x), Rows::Double(y), Rows::Double(v), RowsMut::Double(mut out)) => {
            let params = params(x.shape()[1]);
            let given = [x.as_slice()?, y.as_slice()?, v.as_slice()?];
            let out = out.as_slice_mut()?;
            Ok(py.detach(|| run(set, params, given, out))?)
        }
        _ => Err(mixed()),
    }
}

/// Projects rows onto a polyhedron: multipliers, residual and iterations of every row.
///
/// `warm` holds multipliers to start from, or nothing.
#[pyfunction]
#[allow(clippy::type_complexity)]
fn project_polyhedron(
    py: Python<'_>,
    scalars: Vec<f64>,
    vectors: Vec<PyReadonlyArray1<'_, f64>>,
    x: PyReadonlyArray2<'_, f64>,
    warm: Option<PyReadonlyArray2<'_, f64>>,
    mut out: PyReadwriteArray2<'_, f64>,
    mut multipliers: PyReadwriteArray2<'_, f64>,
) -> PyResult<(Vec<f64>, Vec<usize>)> {
    let n = x.shape()[1];
    let vectors = slices(&vectors)?;
    let params = Params { n, scalars: &scalars, vectors: &vectors };
    let warm = warm.as_ref().map(|warm| warm.as_slice()).transpose()?;
    let (x, out, multipliers) = (x.as_slice()?, out.as_slice_mut()?, multipliers.as_slice_mut()?);
    let rows = x.len() / n.max(1);
    let m = multipliers.len() / rows.max(1);
    let found = py.detach(|| -> Result<Vec<_>> {
        let set = project::Polyhedron::new(&params)?;
        let start = |k: usize| warm.map(|warm| &warm[k * m..(k + 1) * m]);
        threads::map(rows, |k| set.solve(&x[k * n..(k + 1) * n], start(k))).into_iter().collect()
    })?;
    for (k, found) in found.iter().enumerate() {
        out[k * n..(k + 1) * n].copy_from_slice(&found.point);
        multipliers[k * m..(k + 1) * m].copy_from_slice(&found.multipliers);
    }
    Ok(found.iter().map(|found| (found.residual, found.iterations)).unzip())
}

/// Value of a Cauchy-Schwarz regulariser on every row of `x`, and its gradient.
#[pyfunction]
fn project_cauchy_schwarz(
    py: Python<'_>,
    name: &str,
    scalars: Vec<f64>,
    matrix: PyReadonlyArray1<'_, f64>,
    x: PyReadonlyArray2<'_, f64>,
    mut gradient: PyReadwriteArray2<'_, f64>,
) -> PyResult<Vec<f64>> {
    let n = x.shape()[1];
    let (x, matrix, gradient) = (x.as_slice()?, matrix.as_slice()?, gradient.as_slice_mut()?);
    let mut rows: Vec<(&[f64], &mut [f64])> =
        x.chunks_exact(n.max(1)).zip(gradient.chunks_exact_mut(n.max(1))).collect();
    let mut values: Vec<Result<f64>> = vec![Ok(0.0); rows.len()];
    py.detach(|| {
        let mut work: Vec<_> = rows.iter_mut().zip(&mut values).collect();
        threads::for_each_chunk(&mut work, 1 + (1 << 14) / n.max(1), |_, work| {
            for ((x, gradient), value) in work {
                **value = project::cauchy_schwarz::evaluate(name, &scalars, matrix, x, gradient);
            }
        });
    });
    Ok(values.into_iter().collect::<Result<_>>()?)
}

/// Entropic transport of a batch: potentials go to `f` and `g`, plans to `plan`. Returns residuals
/// and iterations.
#[pyfunction]
#[pyo3(signature = (cost, a, b, eps, rho, options, newton, start, f, g, plan))]
#[allow(clippy::too_many_arguments)]
fn project_sinkhorn(
    py: Python<'_>,
    cost: PyReadonlyArray3<'_, f64>,
    a: PyReadonlyArray2<'_, f64>,
    b: PyReadonlyArray2<'_, f64>,
    eps: f64,
    rho: [f64; 2],
    options: (f64, usize, bool, usize),
    newton: bool,
    start: Option<PyReadonlyArray2<'_, f64>>,
    mut f: PyReadwriteArray2<'_, f64>,
    mut g: PyReadwriteArray2<'_, f64>,
    mut plan: PyReadwriteArray3<'_, f64>,
) -> PyResult<(Vec<f64>, Vec<usize>)> {
    let (tol, max_iter, anneal, warm_up) = options;
    let options = transport::Options { tol, max_iter, anneal, warm_up };
    let (batch, n, m) = (cost.shape()[0], cost.shape()[1], cost.shape()[2]);
    let (cost, a, b) = (cost.as_slice()?, a.as_slice()?, b.as_slice()?);
    let start = start.as_ref().map(|start| start.as_slice()).transpose()?;
    let problem = |k: usize| transport::Problem {
        cost: &cost[k * n * m..(k + 1) * n * m],
        a: &a[k * n..(k + 1) * n],
        b: &b[k * m..(k + 1) * m],
        eps,
        rho,
    };
    (0..batch).try_for_each(|k| problem(k).check())?;
    let (f, g, plan) = (f.as_slice_mut()?, g.as_slice_mut()?, plan.as_slice_mut()?);
    let found = py.detach(|| {
        let solve = if newton { transport::newton_sparse } else { transport::sinkhorn };
        let one =
            |k: usize| solve(&problem(k), &options, start.map(|start| &start[k * m..(k + 1) * m]));
        // A single problem uses the threads itself.
        let found = if batch == 1 { vec![one(0)] } else { threads::map(batch, one) };
        for (k, found) in found.iter().enumerate() {
            f[k * n..(k + 1) * n].copy_from_slice(&found.f);
            g[k * m..(k + 1) * m].copy_from_slice(&found.g);
            problem(k).plan(&found.f, &found.g, &mut plan[k * n * m..(k + 1) * n * m]);
        }
        found
    });
    Ok(found.iter().map(|found| (found.residual, found.iterations)).unzip())
}

/// Gradients of entropic plans in costs and masses, from their cotangents.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn project_sinkhorn_pull(
    py: Python<'_>,
    a: PyReadonlyArray2<'_, f64>,
    b: PyReadonlyArray2<'_, f64>,
    eps: f64,
    rho: [f64; 2],
    plan: PyReadonlyArray3<'_, f64>,
    v: PyReadonlyArray3<'_, f64>,
    mut cost_out: PyReadwriteArray3<'_, f64>,
    mut a_out: PyReadwriteArray2<'_, f64>,
    mut b_out: PyReadwriteArray2<'_, f64>,
) -> PyResult<()> {
    let (batch, n, m) = (plan.shape()[0], plan.shape()[1], plan.shape()[2]);
    let (a, b, plan, v) = (a.as_slice()?, b.as_slice()?, plan.as_slice()?, v.as_slice()?);
    let (c, da, db) = (cost_out.as_slice_mut()?, a_out.as_slice_mut()?, b_out.as_slice_mut()?);
    py.detach(|| {
        let found = threads::map(batch, |k| {
            let span = k * n * m..(k + 1) * n * m;
            let (a, b) = (&a[k * n..(k + 1) * n], &b[k * m..(k + 1) * m]);
            let problem = transport::Problem { cost: &[], a, b, eps, rho };
            transport::pull(&problem, &plan[span.clone()], &v[span])
        });
        for (k, found) in found.iter().enumerate() {
            c[k * n * m..(k + 1) * n * m].copy_from_slice(&found.cost);
            da[k * n..(k + 1) * n].copy_from_slice(&found.a);
            db[k * m..(k + 1) * m].copy_from_slice(&found.b);
        }
    });
    Ok(())
}

/// The exact plan, row after row, and its potentials.
#[pyfunction]
#[allow(clippy::type_complexity)]
fn project_exact_transport<'py>(
    py: Python<'py>,
    cost: PyReadonlyArray2<'py, f64>,
    a: PyReadonlyArray1<'py, f64>,
    b: PyReadonlyArray1<'py, f64>,
) -> PyResult<(Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>)> {
    let (cost, a, b) = (cost.as_slice()?, a.as_slice()?, b.as_slice()?);
    let problem = transport::Problem { cost, a, b, eps: 1.0, rho: [f64::INFINITY; 2] };
    problem.check()?;
    let (plan, f, g) = py.detach(|| transport::exact(cost, a, b));
    let [plan, f, g] = [plan, f, g].map(|values| PyArray1::from_vec(py, values));
    Ok((plan, f, g))
}

/// Names of the sets that `project_apply` knows.
#[pyfunction]
fn project_sets() -> Vec<&'static str> {
    project::NAMES.to_vec()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    macro_rules! add {
        ($($name:ident),* $(,)?) => {
            $(module.add_function(wrap_pyfunction!($name, module)?)?;)*
        };
    }
    add!(
        project_apply,
        project_pull,
        project_sets,
        project_polyhedron,
        project_cauchy_schwarz,
        project_sinkhorn,
        project_sinkhorn_pull,
        project_exact_transport,
    );
    Ok(())
}
