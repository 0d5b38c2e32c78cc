//! Bindings of optimizer steps: hyperparameters in, the registry out, and the step itself.

use super::gather::{Gather, Spec, scalar_spec, spec};
use crate::engine::codes;
use crate::engine::pass::BUFFERS;
use crate::engine::rng::Philox;
use crate::engine::tensor::scale_count;
use crate::engine::{Error, Result};
use crate::optim::hyper::{self, Field, Lookup, Value};
use crate::optim::modifiers::{Decay, Modifiers, OnNonfinite};
use crate::optim::precision::{self, Precision};
use crate::optim::rule::{AnyRule, Info, Scope, Start, State, Step};
use crate::optim::{Group, Options, RULES};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(optim_rules, module)?)?;
    module.add_function(wrap_pyfunction!(optim_check, module)?)?;
    module.add_function(wrap_pyfunction!(optim_states, module)?)?;
    module.add_function(wrap_pyfunction!(optim_traits, module)?)?;
    module.add_function(wrap_pyfunction!(optim_admit, module)?)?;
    module.add_function(wrap_pyfunction!(optim_step, module)?)?;
    module.add_function(wrap_pyfunction!(optim_normal, module)?)?;
    module.add_function(wrap_pyfunction!(optim_noise, module)?)?;
    module.add_function(wrap_pyfunction!(optim_dither, module)?)?;
    module.add_function(wrap_pyfunction!(optim_encode, module)?)?;
    module.add_function(wrap_pyfunction!(optim_decode, module)?)?;
    module.add_function(wrap_pyfunction!(optim_uniform, module)?)?;
    Ok(())
}

fn find(name: &str) -> PyResult<&'static Info> {
    let found = RULES.iter().find(|info| info.name == name);
    found.copied().ok_or_else(|| PyKeyError::new_err(format!("no rule is named {name:?}")))
}

fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Number(number) => number.into_pyobject(py)?.into_any(),
        Value::Flag(flag) => flag.into_pyobject(py)?.to_owned().into_any(),
        Value::Text(text) => text.into_pyobject(py)?.into_any(),
        Value::None => py.None().into_bound(py),
    })
}

/// Whether what happens to a coordinate depends on no other one, and on no place in its tensor.
fn pointwise(rule: &dyn AnyRule, states: &[State]) -> bool {
    let drawn = |state: &State| !matches!(state.start, Start::Constant(_));
    let placed = rule.noise().is_some() || states.iter().any(drawn);
    rule.measured().is_none() && rule.matrix(1, 1).is_none() && !placed
}

/// No hyperparameters: a rule takes its defaults.
struct Nothing;
impl Lookup for Nothing {
    fn get(&self, _: &str, _: Option<usize>) -> Result<Option<Value>> {
        Ok(None)
    }
}

/// Every rule of the registry: name, class, summary, whether parameters count steps, whether they
/// are stepped coordinate by coordinate, default decay and weight decay, and hyperparameters as (key, index, allowed, default).
#[pyfunction]
fn optim_rules(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let rules = PyList::empty(py);
    for info in RULES {
        let fields = PyList::empty(py);
        for Field { key, index, allowed, default } in (info.fields)() {
            fields.append((key, index, allowed, to_python(py, &default)?))?;
        }
        let (decay, weight_decay) = info.decay;
        let entry = PyDict::new(py);
        entry.set_item("name", info.name)?;
        entry.set_item("class", info.class)?;
        entry.set_item("summary", info.summary.trim())?;
        entry.set_item("counts", info.counts)?;
        let rule = (info.build)(&Nothing)?;
        entry.set_item("pointwise", pointwise(&*rule, &rule.states()))?;
        entry.set_item("decay", to_python(py, &<Decay as hyper::Domain>::value(&decay))?)?;
        entry.set_item("weight_decay", weight_decay)?;
        entry.set_item("fields", fields)?;
        rules.append(entry)?;
    }
    Ok(rules)
}

/// Hyperparameters in a Python dict.
pub struct DictLookup<'a, 'py>(pub &'a Bound<'py, PyDict>);

impl Lookup for DictLookup<'_, '_> {
    fn get(&self, key: &str, index: Option<usize>) -> Result<Option<Value>> {
        let wrong = |given: String| {
            let fix = "see the documentation of the rule".to_owned();
            Error::Type { name: key.to_owned(), allowed: "a plain value".into(), given, fix }
        };
        let Ok(Some(mut object)) = self.0.get_item(key) else { return Ok(None) };
        if let Some(index) = index {
            object = object.get_item(index).map_err(|_| {
                let allowed = format!("a tuple of at least {} numbers", index + 1);
                Error::kind(key, allowed, repr(&object), "see the documentation of the rule")
            })?;
        }
        if object.is_none() {
            return Ok(Some(Value::None));
        }
        if let Ok(flag) = object.extract::<bool>() {
            return Ok(Some(Value::Flag(flag)));
        }
        if let Ok(text) = object.extract::<String>() {
            return Ok(Some(Value::Text(text)));
        }
        // Also takes numpy scalars and one-element tensors.
        object
            .extract::<f64>()
            .map(|number| Some(Value::Number(number)))
            .map_err(|_| wrong(repr(&object)))
    }
}

pub fn repr(object: &Bound<'_, PyAny>) -> String {
    object.repr().map_or_else(|_| "an object".to_owned(), |text| text.to_string())
}

pub fn build(name: &str, hyper: &Bound<'_, PyDict>) -> PyResult<Group> {
    let info = find(name)?;
    let lookup = DictLookup(hyper);
    let rule = (info.build)(&lookup)?;
    let modifiers = Modifiers::read(&lookup, Modifiers::new(info.decay))?;
    Ok(Group::with(rule, modifiers)?)
}

pub fn options(
    grad_scale: f64,
    on_nonfinite: &str,
    observe: bool,
    loss: Option<f64>,
) -> PyResult<Options> {
    let text = Value::Text(on_nonfinite.to_owned());
    let on_nonfinite = <OnNonfinite as hyper::Domain>::accept(&text).ok_or_else(|| {
        let allowed = <OnNonfinite as hyper::Domain>::allowed();
        Error::value("on_nonfinite", allowed, &text, "the default is \"propagate\"")
    })?;
    Ok(Options { on_nonfinite, grad_scale, observe, loss })
}

/// Check the hyperparameters of a rule, its modifiers and the policy for NaN.
#[pyfunction]
fn optim_check(rule: &str, hyper: &Bound<'_, PyDict>, on_nonfinite: &str) -> PyResult<()> {
    options(1.0, on_nonfinite, false, None)?;
    Precision::read(&DictLookup(hyper))?;
    build(rule, hyper).map(drop)
}

/// State buffers of a rule under these hyperparameters: (name, kind of start, its value, 1).
#[pyfunction]
fn optim_states(
    rule: &str,
    hyper: &Bound<'_, PyDict>,
) -> PyResult<Vec<(&'static str, &'static str, f64, usize)>> {
    let states = build(rule, hyper)?.states();
    Ok(states.iter().map(|state| spec(state, state.name)).collect())
}

/// What else the engine knows of a rule under these hyperparameters.
///
/// `scalars`: specifications of numbers beside the buffers; `noise`: the seed of the noise that the
/// formula uses, or None; `measured`: how many states it measures, None if it does not measure;
/// `pointwise`: whether it steps coordinate by coordinate;
/// `own_decay`: whether it applies the decay itself; `views`: None, or for "eval" and for "train" a
/// list of (buffer, [(buffer, weight)]); `scope`: what it measures over,
/// "tensor", "filter" (slices along the first axis) or "call" (all its tensors).
#[pyfunction]
fn optim_traits<'py>(
    py: Python<'py>,
    rule: &str,
    hyper: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyDict>> {
    let group = build(rule, hyper)?;
    let states = group.states();
    let Group { rule, modifiers } = group;
    let scalars: Vec<Spec<&str>> =
        rule.scalars().iter().map(|scalar| scalar_spec(scalar, scalar.name)).collect();
    let traits = PyDict::new(py);
    traits.set_item("scalars", scalars)?;
    traits.set_item("noise", rule.noise())?;
    traits.set_item("measured", rule.measured())?;
    let scope = match rule.scope() {
        Scope::Tensor => "tensor",
        Scope::Filter => "filter",
        Scope::Call => "call",
    };
    traits.set_item("scope", scope)?;
    traits.set_item("pointwise", pointwise(&*rule, &states))?;
    traits.set_item("own_decay", rule.decays(modifiers.decay))?;
    match rule.views() {
        None => traits.set_item("views", py.None())?,
        Some(views) => {
            let both = PyDict::new(py);
            both.set_item("eval", views.eval)?;
            both.set_item("train", views.train)?;
            traits.set_item("views", both)?;
        }
    }
    Ok(traits)
}

/// Raise where a rule cannot step with this loss.
#[pyfunction]
fn optim_admit(rule: &str, hyper: &Bound<'_, PyDict>, loss: Option<f64>) -> PyResult<()> {
    let rule = build(rule, hyper)?.rule;
    let scalars = rule.scalars();
    let before: Vec<f64> = scalars.iter().flat_map(|s| vec![s.start; s.len]).collect();
    let loss = loss.unwrap_or(f64::NAN);
    let mut step = Step { t: 1, call: 1, loss, scalars: before.clone(), before, ..Step::default() };
    Ok(rule.advance(&mut step)?)
}

/// Step every parameter that has a gradient, in place.
///
/// `groups` is a list of (rule, hyperparameters, parameters, gradients or None for `.grad`);
/// `state` maps a parameter (torch) or its number (numpy) to a dict. `host` supplies what needs the
/// array library: `plain`, `init`, `conform`, `restore`, `direction`, `orthogonalize`.
///
/// `loss` is the value at which gradients were taken, for rules that ask for it.
///
/// Returns the parameters that were stepped, whether the step was skipped, the gradient norm where
/// clipping asked for it, and with `observe` the norms of gradient, update and parameter and the
/// cosine of gradient and update for each parameter; or None, with nothing written, when a tensor is
/// out of the core's reach.
#[pyfunction]
#[pyo3(signature = (groups, state, host, grad_scale, on_nonfinite, observe=false, loss=None))]
#[allow(clippy::type_complexity, clippy::too_many_arguments)]
fn optim_step<'py>(
    py: Python<'py>,
    groups: &Bound<'py, PyList>,
    state: &Bound<'py, PyDict>,
    host: &Bound<'py, PyAny>,
    grad_scale: f64,
    on_nonfinite: &str,
    observe: bool,
    loss: Option<f64>,
) -> PyResult<Option<(Bound<'py, PyList>, bool, Option<f64>, Vec<(f64, f64, f64, f64)>)>> {
    let options = options(grad_scale, on_nonfinite, observe, loss)?;
    let mut gather = Gather::new(py, state, host)?;
    for group in groups {
        if !gather.group(&group)? {
            return Ok(None);
        }
    }
    gather.check()?;
    let (report, stepped) = gather.run(&options)?;
    let observed = report.observed.iter().map(|sums| sums.norms(grad_scale).into()).collect();
    Ok(Some((stepped, report.skipped, report.grad_norm, observed)))
}

/// Fill an array with standard normal numbers that depend on seed, stream and place alone.
#[pyfunction]
fn optim_normal(out: &Bound<'_, PyArray1<f64>>, seed: u64, stream: u64) -> PyResult<()> {
    let mut out = out.try_readwrite()?;
    Philox::new(seed).fill_normal(stream, 0, out.as_slice_mut()?);
    Ok(())
}

/// Fill an array with the noise of a stream, standard normal to single precision: what a formula gets.
#[pyfunction]
fn optim_noise(out: &Bound<'_, PyArray1<f64>>, seed: u64, stream: u64) -> PyResult<()> {
    let mut out = out.try_readwrite()?;
    Philox::new(seed).fill_noise(stream, 0, out.as_slice_mut()?);
    Ok(())
}

/// A uniform number in [0, 1) that depends on seed and stream alone.
#[pyfunction]
fn optim_uniform(seed: u64, stream: u64) -> f64 {
    Philox::new(seed).uniform(stream, 0)[0]
}

/// The key of the random words that round a parameter (slot 0) or one of its states (from 1).
#[pyfunction]
fn optim_dither(parameter: usize, slot: usize, step: u64) -> PyResult<(u32, u32)> {
    if slot > BUFFERS {
        let allowed = format!("at most {BUFFERS}");
        return Err(Error::value("slot", allowed, slot, "see thalweg.optim").into());
    }
    Ok(precision::dither(parameter, slot, step).key().into())
}

/// Round numbers to eight bits, to nearest: codes and a scale for each block of 256.
#[pyfunction]
fn optim_encode(
    values: PyReadonlyArray1<'_, f32>,
    codes: &Bound<'_, PyArray1<u8>>,
    scales: &Bound<'_, PyArray1<f32>>,
) -> PyResult<()> {
    let (mut codes, mut scales) = (codes.try_readwrite()?, scales.try_readwrite()?);
    let (values, codes, scales) =
        (values.as_slice()?, codes.as_slice_mut()?, scales.as_slice_mut()?);
    fits(values.len(), codes.len(), scales.len())?;
    codes::encode(values, codes, scales, None, 0);
    Ok(())
}

/// Write the numbers that codes and scales stand for to `values`.
#[pyfunction]
fn optim_decode(
    codes: PyReadonlyArray1<'_, u8>,
    scales: PyReadonlyArray1<'_, f32>,
    values: &Bound<'_, PyArray1<f32>>,
) -> PyResult<()> {
    let mut values = values.try_readwrite()?;
    let (codes, scales, values) = (codes.as_slice()?, scales.as_slice()?, values.as_slice_mut()?);
    fits(values.len(), codes.len(), scales.len())?;
    codes::decode(codes, scales, values);
    Ok(())
}

fn fits(values: usize, codes: usize, scales: usize) -> PyResult<()> {
    for (name, given, expected) in
        [("codes", codes, values), ("scales", scales, scale_count(values))]
    {
        if given != expected {
            return Err(Error::Shape {
                name: name.into(),
                given: format!("({given},)"),
                other: "the values".into(),
                expected: format!("({expected},)"),
                fix: "pass one code a value and one scale a block of 256".into(),
            }
            .into());
        }
    }
    Ok(())
}
