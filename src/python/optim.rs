//! Bindings of optimizer steps: gather views of every tensor, check, step, count.

use super::array::{Array, Torch, numpy_view};
use crate::engine::rng::Philox;
use crate::engine::tensor::{Dtype, Tensor, check_overlap};
use crate::engine::{Error, Result, threads};
use crate::optim::hyper::{self, Field, Lookup, Value};
use crate::optim::modifiers::{Decay, Modifiers, OnNonfinite};
use crate::optim::rule::{Info, State};
use crate::optim::{Direction, Group, Options, Parameter, RULES, step_with};
use numpy::{PyArray1, PyArrayMethods, PyUntypedArray};
use pyo3::exceptions::{PyKeyError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(optim_rules, module)?)?;
    module.add_function(wrap_pyfunction!(optim_check, module)?)?;
    module.add_function(wrap_pyfunction!(optim_states, module)?)?;
    module.add_function(wrap_pyfunction!(optim_step, module)?)?;
    module.add_function(wrap_pyfunction!(optim_normal, module)?)?;
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

/// Every rule of the registry: name, class, summary, whether parameters count steps, default decay
/// and weight decay, and hyperparameters as (key, index, allowed, default).
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
        entry.set_item("decay", to_python(py, &<Decay as hyper::Domain>::value(&decay))?)?;
        entry.set_item("weight_decay", weight_decay)?;
        entry.set_item("fields", fields)?;
        rules.append(entry)?;
    }
    Ok(rules)
}

/// Hyperparameters in a Python dict.
struct DictLookup<'a, 'py>(&'a Bound<'py, PyDict>);

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

fn repr(object: &Bound<'_, PyAny>) -> String {
    object.repr().map_or_else(|_| "an object".to_owned(), |text| text.to_string())
}

fn build(name: &str, hyper: &Bound<'_, PyDict>) -> PyResult<Group> {
    let info = find(name)?;
    let lookup = DictLookup(hyper);
    let rule = (info.build)(&lookup)?;
    let modifiers = Modifiers::read(&lookup, Modifiers::new(info.decay))?;
    Ok(Group { rule, modifiers })
}

fn options(grad_scale: f64, on_nonfinite: &str) -> PyResult<Options> {
    let text = Value::Text(on_nonfinite.to_owned());
    let on_nonfinite = <OnNonfinite as hyper::Domain>::accept(&text).ok_or_else(|| {
        let allowed = <OnNonfinite as hyper::Domain>::allowed();
        Error::value("on_nonfinite", allowed, &text, "the default is \"propagate\"")
    })?;
    Ok(Options { on_nonfinite, grad_scale })
}

/// Check the hyperparameters of a rule, its modifiers and the policy for NaN.
#[pyfunction]
fn optim_check(rule: &str, hyper: &Bound<'_, PyDict>, on_nonfinite: &str) -> PyResult<()> {
    options(1.0, on_nonfinite)?;
    build(rule, hyper).map(drop)
}

/// State buffers of a rule under these hyperparameters: (name, deviation of a normal start).
#[pyfunction]
fn optim_states(rule: &str, hyper: &Bound<'_, PyDict>) -> PyResult<Vec<(&'static str, f64)>> {
    let states = build(rule, hyper)?.rule.states();
    Ok(states.into_iter().map(|state| (state.name, state.std)).collect())
}

/// Step every parameter that has a gradient, in place.
///
/// `groups` is a list of (rule, hyperparameters, parameters, gradients or None for `.grad`);
/// `state` maps a parameter (torch) or its number (numpy) to a dict. `host` supplies what needs the
/// array library: `plain`, `init`, `conform`, `restore`, `direction`, `orthogonalize`.
///
/// Returns the parameters that were stepped, whether the step was skipped and the gradient norm
/// where clipping asked for it; or None, with nothing written, when a tensor is out of the core's
/// reach.
#[pyfunction]
#[allow(clippy::type_complexity)]
fn optim_step<'py>(
    py: Python<'py>,
    groups: &Bound<'py, PyList>,
    state: &Bound<'py, PyDict>,
    host: &Bound<'py, PyAny>,
    grad_scale: f64,
    on_nonfinite: &str,
    suggested_threads: usize,
) -> PyResult<Option<(Bound<'py, PyList>, bool, Option<f64>)>> {
    let options = options(grad_scale, on_nonfinite)?;
    let mut gather = Gather::new(py, state, host)?;
    for group in groups {
        if !gather.group(&group)? {
            return Ok(None);
        }
    }
    gather.check()?;
    threads::suggest(suggested_threads);
    let (report, stepped) = gather.run(&options)?;
    Ok(Some((stepped, report.skipped, report.grad_norm)))
}

/// Fill an array with standard normal numbers that depend on seed, stream and place alone.
#[pyfunction]
fn optim_normal(out: &Bound<'_, PyArray1<f64>>, seed: u64, stream: u64) -> PyResult<()> {
    let mut out = out.try_readwrite()?;
    let rng = Philox::new(seed);
    for (index, pair) in out.as_slice_mut()?.chunks_mut(2).enumerate() {
        let draws = rng.normal(stream, index as u64);
        pair.copy_from_slice(&draws[..pair.len()]);
    }
    Ok(())
}

/// A parameter, with all it needs held alive.
struct Row<'py> {
    group: usize,
    param: Bound<'py, PyAny>,
    /// Parameter, gradient, states and counter, as they are stepped: the objects themselves or
    /// stand-ins. The views below point into them.
    held: Vec<Bound<'py, PyAny>>,
    /// Objects, and the stand-ins whose elements go back to them.
    stand_ins: Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>,
    direction: Option<Bound<'py, PyAny>>,
    counter: Option<Array>,
    x: Array,
    g: Array,
    state_views: Vec<Array>,
    direction_view: Option<Array>,
    t: u64,
}

/// State that exists only once the step is known to be valid.
struct Pending<'py> {
    key: Bound<'py, PyAny>,
    entry: Bound<'py, PyDict>,
    new: Bound<'py, PyDict>,
}

struct Gather<'a, 'py> {
    py: Python<'py>,
    state: &'a Bound<'py, PyDict>,
    host: &'a Bound<'py, PyAny>,
    torch: Option<&'py Torch>,
    groups: Vec<Group>,
    rows: Vec<Row<'py>>,
    pending: Vec<Pending<'py>>,
    /// Parameters of the groups so far, with and without gradient.
    parameters: usize,
}

impl<'a, 'py> Gather<'a, 'py> {
    fn new(
        py: Python<'py>,
        state: &'a Bound<'py, PyDict>,
        host: &'a Bound<'py, PyAny>,
    ) -> PyResult<Self> {
        let torch = host.getattr(intern!(py, "torch"))?.extract::<bool>()?;
        let torch = if torch { Some(Torch::get(py)?) } else { None };
        Ok(Self {
            py,
            state,
            host,
            torch,
            groups: vec![],
            rows: vec![],
            pending: vec![],
            parameters: 0,
        })
    }

    /// Adds one group; false if one of its tensors is out of reach.
    fn group(&mut self, group: &Bound<'py, PyAny>) -> PyResult<bool> {
        let group = group.cast::<PyTuple>()?;
        let name = group.get_item(0)?;
        let hyper = group.get_item(1)?.cast_into::<PyDict>()?;
        let params = group.get_item(2)?.cast_into::<PyList>()?;
        let grads = group.get_item(3)?;
        let built = build(name.cast::<PyString>()?.to_str()?, &hyper)?;
        let states = built.rule.states();
        let counts = built.rule.info().counts;
        let names: Vec<Bound<'py, PyString>> =
            states.iter().map(|state| PyString::intern(self.py, state.name)).collect();
        self.groups.push(built);
        let first = self.parameters;
        self.parameters += params.len();
        for (index, param) in params.iter().enumerate() {
            let grad = match grads.is_none() {
                true => param.getattr(intern!(self.py, "grad"))?,
                false => grads.get_item(index)?,
            };
            if grad.is_none() {
                continue;
            }
            let key = match self.torch {
                Some(_) => param.clone(),
                None => (first + index).into_pyobject(self.py)?.into_any(),
            };
            if !self.row(key, param, grad, &hyper, &states, &names, counts)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn view(&self, object: &Bound<'py, PyAny>) -> PyResult<Option<Array>> {
        match self.torch {
            Some(torch) if torch.is_plain(object) => torch.view(object),
            Some(_) => Ok(None),
            None => Ok(object.cast::<PyUntypedArray>().ok().and_then(numpy_view)),
        }
    }

    fn row(
        &mut self,
        key: Bound<'py, PyAny>,
        param: Bound<'py, PyAny>,
        grad: Bound<'py, PyAny>,
        hyper: &Bound<'py, PyDict>,
        states: &[State],
        names: &[Bound<'py, PyString>],
        counts: bool,
    ) -> PyResult<bool> {
        if let Some(torch) = self.torch {
            if !torch.is_plain(&param) || !torch.is_plain(&grad) {
                return Ok(false);
            }
        }
        let (x, g) = (self.view(&param)?, self.view(&grad)?);
        if x.is_some_and(|x| !x.cpu) || g.is_some_and(|g| !g.cpu) {
            return Ok(false);
        }
        if let (Some(x), Some(g)) = (&x, &g) {
            if x.shape() != g.shape() {
                return Err(Error::Shape {
                    name: "grad".into(),
                    given: g.shape_text(),
                    other: "its parameter".into(),
                    expected: x.shape_text(),
                    fix: "pass the gradient of this parameter".into(),
                }
                .into());
            }
        }
        let (counter, values, fresh) = self.states(key, &param, hyper, states, names, counts)?;
        let mut objects = vec![param.clone(), grad];
        objects.extend(values);
        let (mut held, views) = self.conform(&objects, x, g)?;
        let Views { x, g, states: state_views } = views;
        let (t, counter) = match counter {
            Some(counter) => {
                let view = self.view(&counter)?.filter(|view| view.scalar().is_some());
                let view = view.ok_or_else(|| {
                    PyErr::from(Error::kind(
                        "state \"step\"",
                        "a float32 or float64 scalar on the CPU",
                        repr(&counter),
                        "load the checkpoint with load_state_dict",
                    ))
                })?;
                held.push(counter);
                (view.scalar().unwrap_or(0.0) as u64 + 1, Some(view))
            }
            None => (if fresh { 1 } else { 2 }, None),
        };
        // A gradient is only read, so nothing goes back to it.
        let stand_ins = objects.iter().zip(&held).enumerate();
        let stand_ins =
            stand_ins.filter(|(index, (object, stand_in))| *index != 1 && !object.is(stand_in));
        let stand_ins = stand_ins.map(|(_, (a, b))| (a.clone(), b.clone())).collect();
        let mut row = Row {
            group: self.groups.len() - 1,
            param,
            held,
            stand_ins,
            direction: None,
            counter,
            x,
            g,
            state_views,
            direction_view: None,
            t,
        };
        self.matrix(&mut row)?;
        self.rows.push(row);
        Ok(true)
    }

    /// Counter and states of a parameter, and whether any of them is new.
    fn states(
        &mut self,
        key: Bound<'py, PyAny>,
        param: &Bound<'py, PyAny>,
        hyper: &Bound<'py, PyDict>,
        states: &[State],
        names: &[Bound<'py, PyString>],
        counts: bool,
    ) -> PyResult<(Option<Bound<'py, PyAny>>, Vec<Bound<'py, PyAny>>, bool)> {
        let py = self.py;
        let entry = match self.state.get_item(&key)? {
            Some(entry) => entry.cast_into::<PyDict>()?,
            None => PyDict::new(py),
        };
        let step = intern!(py, "step");
        let find = |name: &Bound<'py, PyString>| {
            entry.get_item(name).map(|value| value.filter(|value| !value.is_none()))
        };
        let mut missing: Vec<(&str, f64)> = Vec::new();
        let mut counter = if counts { find(step)? } else { None };
        if counts && counter.is_none() {
            missing.push(("step", 0.0));
        }
        let mut values = Vec::with_capacity(names.len());
        for (state, name) in states.iter().zip(names) {
            let value = find(name)?;
            if value.is_none() {
                missing.push((state.name, state.std));
            }
            values.push(value);
        }
        let fresh = !missing.is_empty();
        if fresh {
            let new = self.host.call_method1(intern!(py, "init"), (param, missing, hyper))?;
            let new = new.cast_into::<PyDict>()?;
            for (value, name) in values.iter_mut().zip(names) {
                if value.is_none() {
                    *value = new.get_item(name)?;
                }
            }
            if counts && counter.is_none() {
                counter = new.get_item(step)?;
            }
            self.pending.push(Pending { key, entry, new });
        }
        let values = values.into_iter().flatten().collect();
        Ok((counter, values, fresh))
    }

    /// Views of parameter, gradient and states; what does not fit goes through the host, which
    /// returns stand-ins or says what is wrong.
    fn conform(
        &self,
        objects: &[Bound<'py, PyAny>],
        x: Option<Array>,
        g: Option<Array>,
    ) -> PyResult<(Vec<Bound<'py, PyAny>>, Views)> {
        let views = |objects: &[Bound<'py, PyAny>]| -> PyResult<Vec<_>> {
            objects.iter().map(|object| self.view(object)).collect()
        };
        if let Some(views) = Views::fit(x, g, views(&objects[2..])?) {
            return Ok((objects.to_vec(), views));
        }
        let all = PyList::new(self.py, objects)?;
        let stand_ins = self.host.call_method1(intern!(self.py, "conform"), (all,))?;
        let stand_ins: Vec<_> = stand_ins.cast_into::<PyList>()?.iter().collect();
        let mut seen = views(&stand_ins)?.into_iter();
        let (x, g) = (seen.next().flatten(), seen.next().flatten());
        let views = Views::fit(x, g, seen.collect());
        let views = views.filter(|_| stand_ins.len() == objects.len()).ok_or_else(|| {
            PyRuntimeError::new_err("a tensor could not be brought into shape; please report this")
        })?;
        Ok((stand_ins, views))
    }

    /// The buffer for the direction, under a matrix rule.
    fn matrix(&self, row: &mut Row<'py>) -> PyResult<()> {
        if self.groups[row.group].rule.matrix(1, 1).is_none() {
            return Ok(());
        }
        if row.x.matrix().is_none() {
            let name = self.groups[row.group].rule.info().class;
            let fix = "give other parameters to another optimizer, such as AdamW";
            let given = format!("one of shape {}", row.x.shape_text());
            return Err(Error::value(
                format!("each parameter of {name}"),
                "a matrix (2-D)",
                given,
                fix,
            )
            .into());
        }
        let direction = self.host.call_method1(intern!(self.py, "direction"), (&row.held[0],))?;
        row.direction_view = self.view(&direction)?.filter(|view| view.same_layout(&row.x));
        row.direction = Some(direction);
        Ok(())
    }

    /// Refuses read-only and overlapping memory.
    fn check(&self) -> PyResult<()> {
        let arrays =
            || self.rows.iter().flat_map(|row| std::iter::once(&row.x).chain(&row.state_views));
        if arrays().any(|array| !array.writable) {
            return Err(Error::value(
                "each parameter and state",
                "writable",
                "a read-only array",
                "pass a copy",
            )
            .into());
        }
        // SAFETY: only addresses are looked at.
        let span = |array: &Array| unsafe {
            array.dtype.map_or(0..0, |dtype| array.tensor(dtype).addresses())
        };
        let name = |written: bool, index: usize| {
            let mut seen = 0;
            for (number, row) in self.rows.iter().enumerate() {
                if !written && index == number {
                    return format!("the gradient of parameter {number}");
                }
                if written && index == seen {
                    return format!("parameter {number}");
                }
                seen += 1 + row.state_views.len();
                if written && index < seen {
                    return format!("a state of parameter {number}");
                }
            }
            "a buffer".to_owned()
        };
        let read = self.rows.iter().map(|row| span(&row.g));
        Ok(check_overlap(arrays().map(span), read, name)?)
    }

    fn run(self, options: &Options) -> PyResult<(crate::optim::Report, Bound<'py, PyList>)> {
        let py = self.py;
        let parameters: PyResult<Vec<Parameter<'_>>> =
            self.rows.iter().map(|row| row.parameter().map_err(PyErr::from)).collect();
        let mut parameters = parameters?;
        let orthogonalize = match self.torch {
            Some(_) => Some(self.host.getattr(intern!(py, "orthogonalize"))?.unbind()),
            None => None,
        };
        let directions: Vec<Option<Py<PyAny>>> = match orthogonalize {
            Some(_) => {
                self.rows.iter().map(|row| row.direction.clone().map(Bound::unbind)).collect()
            }
            None => vec![],
        };
        let groups = &self.groups;
        let mut raised = None;
        let result = py.detach(|| match &orthogonalize {
            None => crate::optim::step(groups, &mut parameters, options),
            Some(orthogonalize) => step_with(groups, &mut parameters, options, &mut |direction| {
                call(orthogonalize, &directions, &direction).map_err(|error| {
                    raised = Some(error);
                    Error::Unsupported { what: "the product".into(), fix: String::new() }
                })
            }),
        });
        drop(parameters);
        if let Some(error) = raised {
            return Err(error);
        }
        let report = result?;
        let stepped = PyList::empty(py);
        if report.skipped {
            return Ok((report, stepped));
        }
        for Pending { key, entry, new } in &self.pending {
            // torch lists the counter first; a new entry takes over that order.
            entry.update(new.as_mapping())?;
            self.state.set_item(key, entry)?;
        }
        for row in &self.rows {
            if let Some(counter) = &row.counter {
                counter.set_scalar(row.t as f64);
            }
            for pair in &row.stand_ins {
                self.host.call_method1(intern!(py, "restore"), pair.clone())?;
            }
            stepped.append(&row.param)?;
        }
        Ok((report, stepped))
    }
}

/// Calls the host's orthogonalization on the tensor behind a direction.
fn call(
    orthogonalize: &Py<PyAny>,
    directions: &[Option<Py<PyAny>>],
    direction: &Direction<'_>,
) -> PyResult<()> {
    Python::attach(|py| {
        let tensor = directions[direction.parameter].as_ref();
        let iteration = direction.iteration;
        let arguments = (tensor, iteration.coefficients, iteration.steps, iteration.eps);
        orthogonalize.call1(py, arguments).map(drop)
    })
}

/// Views that fit together.
struct Views {
    x: Array,
    g: Array,
    states: Vec<Array>,
}

impl Views {
    fn fit(x: Option<Array>, g: Option<Array>, states: Vec<Option<Array>>) -> Option<Self> {
        let (x, g) = (x?, g?);
        let states: Vec<Array> = states.into_iter().collect::<Option<_>>()?;
        let usable = |array: &Array| array.cpu && array.dtype.is_some() && array.same_layout(&x);
        let fits = x.is_dense() && usable(&x) && usable(&g) && states.iter().all(usable);
        fits.then_some(Self { x, g, states })
    }
}

impl Row<'_> {
    fn parameter<'a>(&self) -> Result<Parameter<'a>> {
        // `Views::fit` admits no array without a type.
        let dtype = |array: &Array| array.dtype.unwrap_or(Dtype::F32);
        // SAFETY: dense by `Views::fit`; the row keeps the objects alive past the step; `check`
        // refused overlaps, and the GIL was held since, or is released for this call only.
        let (x, g, state, direction): (Tensor<'a>, _, Vec<Tensor<'a>>, Option<Tensor<'a>>) = unsafe {
            (
                self.x.tensor(dtype(&self.x)),
                self.g.read(dtype(&self.g)),
                self.state_views.iter().map(|view| view.tensor(dtype(view))).collect(),
                self.direction_view.as_ref().map(|view| view.tensor(dtype(view))),
            )
        };
        let mut parameter = Parameter::new(self.group, self.t, x, g, state)?;
        if let (Some(direction), Some((shape, column_major))) = (direction, self.x.matrix()) {
            parameter = parameter.matrix(shape, direction);
            parameter.column_major = column_major;
        }
        Ok(parameter)
    }
}
