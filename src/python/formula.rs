//! Bindings of recorded formulas: a step as the source text of a kernel.

use super::optim::build;
use crate::engine::source::{self, triton::Triton};
use crate::engine::{Error, Result};
use crate::optim::formula::{Stage, measure, place_of_mask_scale, record};
use crate::optim::rule::{Reduce, Step};
use crate::optim::{Group, Options};
use pyo3::prelude::*;
use pyo3::types::PyDict;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(optim_formula, module)?)?;
    Ok(())
}

/// Lines, results, inputs, uniforms, what is special, values of uniforms, scalars.
type Printed = (String, Vec<String>, Vec<usize>, Vec<usize>, Vec<usize>, Vec<f64>, Vec<f64>);

/// Print the formula of a rule with its modifiers in Triton.
///
/// `stage` is "update" for new parameter and states, "agree" for 1 where the step agrees with the
/// gradient and 0 elsewhere, "measure" for what the rule reduces over the tensor before the step,
/// from raw gradients. `t` is the number of the step, `call` the largest of all; `scalars` are what
/// the parameter keeps beside its buffers, in single precision if `single`; `norm` is that of all
/// gradients.
///
/// Returns lines that compute; names of the results; the inputs `i0` (parameter), `i1` (gradient),
/// ... (states) and the uniforms `u0`, ... that are read; for "measure" whether each result is a
/// largest size, not a sum, else the number of the uniform that scales a cautious mask, if any; the
/// values of all uniforms; and the scalars after the step.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn optim_formula(
    rule: &str,
    hyper: &Bound<'_, PyDict>,
    stage: &str,
    t: u64,
    call: u64,
    scalars: Vec<f64>,
    single: bool,
    measured: Vec<f64>,
    loss: Option<f64>,
    grad_scale: f64,
    norm: Option<f64>,
) -> PyResult<Printed> {
    let measured = std::array::from_fn(|k| measured.get(k).copied().unwrap_or(0.0));
    let before = scalars.clone();
    let step = Step { t, call, before, scalars, single, measured, ..Step::default() };
    let options = Options { grad_scale, loss, ..Options::default() };
    Ok(print(&build(rule, hyper)?, stage, step, &options, norm)?)
}

fn print(
    group: &Group,
    stage: &str,
    step: Step,
    options: &Options,
    norm: Option<f64>,
) -> Result<Printed> {
    let rule = &*group.rule;
    let (mut step, factors) = group.begin(step, options, norm);
    let (expression, special) = match stage {
        "measure" => {
            let (expression, reduce) = measure(rule, &factors).unwrap_or_default();
            (expression, reduce.iter().map(|r| usize::from(*r == Reduce::MaxAbs)).collect())
        }
        "update" | "agree" => {
            rule.advance(&mut step)?;
            let stage = if stage == "update" { Stage::Update } else { Stage::Agree };
            let expression = record(rule, &step, &factors, stage, None);
            (expression, place_of_mask_scale(&factors).into_iter().collect())
        }
        _ => {
            let allowed = "\"update\", \"agree\" or \"measure\"";
            return Err(Error::value("stage", allowed, stage, "see the documentation"));
        }
    };
    let text = source::print(&expression, &Triton, "t");
    let body = text.body("");
    let values = expression.uniforms;
    Ok((body, text.outputs, text.inputs, text.uniforms, special, values, step.scalars))
}
