//! Views of every tensor of a step: gathered and checked, stepped, and handed back.

use super::array::{Array, Span, Torch, numpy_view};
use super::optim::{DictLookup, build, repr};
use crate::engine::codes::BLOCK;
use crate::engine::pass::BUFFERS;
use crate::engine::tensor::{Dtype, check_overlap, scale_count};
use crate::engine::{Error, Result};
use crate::optim::precision::{Precision, Rounding, StateDtype, dither};
use crate::optim::rule::{Scalar, Scope, Start, State};
use crate::optim::{Direction, Group, Options, Parameter, Report, step, step_with};
use numpy::PyUntypedArray;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

type Object<'py> = Bound<'py, PyAny>;

/// One parameter; numbers are places in the lists of [`Gather`].
struct Row {
    group: usize,
    /// Place among the parameters of the optimizer.
    number: usize,
    /// Number of this step, as the rule sees it.
    t: u64,
    /// Number of this step, where steps are counted.
    clock: u64,
    precision: Precision,
    param: usize,
    /// Where its spans begin: parameter, gradient, states.
    spans: usize,
    states: usize,
    counter: Option<Span>,
    /// Where its scalars begin, in the list of their spans, and how many numbers each holds.
    scalars: usize,
    lengths: Vec<usize>,
    /// How many filters it has, for a rule that looks at these.
    filters: usize,
    /// For a rule on matrices: the tensor of the direction, its memory, the shape, and whether
    /// columns come one after the other.
    direction: Option<(usize, Span, [usize; 2], bool)>,
}

/// State that exists only once the step is known to be valid.
struct Pending<'py> {
    key: Object<'py>,
    entry: Bound<'py, PyDict>,
    new: Bound<'py, PyDict>,
}

/// A group, as its parameters see it.
struct Context<'py> {
    hyper: Bound<'py, PyDict>,
    states: Vec<State>,
    names: Vec<Bound<'py, PyString>>,
    /// Keys of the scales, where states may be codes.
    scales: Vec<Bound<'py, PyString>>,
    scalars: Vec<Scalar>,
    counts: bool,
    noise: bool,
    by_filter: bool,
    matrix: bool,
    class: &'static str,
    precision: Precision,
}

/// The entry of a parameter in the state dict, besides the states themselves.
#[derive(Default)]
struct Found<'py> {
    counter: Option<Object<'py>>,
    /// Whether a state is new.
    fresh: bool,
    /// Scales of the states that are codes.
    scales: [Option<Object<'py>>; BUFFERS],
    /// The low half of the parameter.
    low: Option<Object<'py>>,
}

/// The parameters of a step.
pub struct Gather<'a, 'py> {
    py: Python<'py>,
    state: &'a Bound<'py, PyDict>,
    /// Its items in order, which is that of the parameters as a rule: a tensor is found without
    /// hashing it, which would run Python code.
    entries: std::iter::Peekable<std::vec::IntoIter<(Object<'py>, Object<'py>)>>,
    host: &'a Object<'py>,
    torch: Option<&'py Torch>,
    groups: Vec<Group>,
    rows: Vec<Row>,
    spans: Vec<Span>,
    /// What lies beside a span: scales of codes, or the low halves of a parameter.
    beside: Vec<Option<Span>>,
    scalars: Vec<Span>,
    /// Keeps alive what the spans point into.
    held: Vec<Object<'py>>,
    /// The same for scalars.
    kept: Vec<Object<'py>>,
    /// Objects, and the stand-ins whose elements go back to them.
    stand_ins: Vec<(Object<'py>, Object<'py>)>,
    /// Parameters with gaps between their elements, which have stand-ins.
    strided: Vec<(usize, Array)>,
    pending: Vec<Pending<'py>>,
    /// Parameters of the groups so far, with and without gradient.
    parameters: usize,
}

impl<'a, 'py> Gather<'a, 'py> {
    /// An empty step; `state` and `host` as in `optim_step`.
    pub fn new(
        py: Python<'py>,
        state: &'a Bound<'py, PyDict>,
        host: &'a Object<'py>,
    ) -> PyResult<Self> {
        let torch = host.getattr(intern!(py, "torch"))?.extract::<bool>()?;
        let entries: Vec<_> = if torch { state.iter().collect() } else { vec![] };
        Ok(Self {
            py,
            state,
            entries: entries.into_iter().peekable(),
            host,
            torch: if torch { Some(Torch::get(py)?) } else { None },
            groups: vec![],
            rows: vec![],
            spans: vec![],
            beside: vec![],
            scalars: vec![],
            held: vec![],
            kept: vec![],
            stand_ins: vec![],
            strided: vec![],
            pending: vec![],
            parameters: 0,
        })
    }

    /// Adds one group; false if one of its tensors is out of the core's reach.
    pub fn group(&mut self, group: &Object<'py>) -> PyResult<bool> {
        let group = group.cast::<PyTuple>()?;
        let name = group.get_item(0)?;
        let hyper = group.get_item(1)?.cast_into::<PyDict>()?;
        let params = group.get_item(2)?.cast_into::<PyList>()?;
        let grads = group.get_item(3)?;
        let built = build(name.cast::<PyString>()?.to_str()?, &hyper)?;
        let states = built.states();
        let names = states.iter().map(|state| PyString::intern(self.py, state.name)).collect();
        let info = built.rule.info();
        let matrix = built.rule.matrix(1, 1).is_some();
        let precision = Precision::read(&DictLookup(&hyper))?;
        let counts = info.counts || precision.is_random();
        let class = info.class;
        let scales = match precision.state {
            StateDtype::Int8 => states
                .iter()
                .map(|state| PyString::intern(self.py, &format!("{}_scale", state.name)))
                .collect(),
            _ => vec![],
        };
        let (scalars, noise) = (built.rule.scalars(), built.rule.noise().is_some());
        let by_filter = built.rule.scope() == Scope::Filter;
        let context = Context {
            hyper,
            states,
            names,
            scales,
            scalars,
            counts,
            noise,
            by_filter,
            matrix,
            class,
            precision,
        };
        self.groups.push(built);
        let first = self.parameters;
        self.parameters += params.len();
        self.rows.reserve(params.len());
        self.spans.reserve(params.len() * (2 + context.states.len()));
        self.held.reserve(params.len() * (3 + context.states.len()));
        for (index, param) in params.iter().enumerate() {
            if let Some(torch) = self.torch
                && index + 1 < params.len()
            {
                torch.prefetch(&params.get_item(index + 1)?);
            }
            let grad = match grads.is_none() {
                true => param.getattr(intern!(self.py, "grad"))?,
                false => grads.get_item(index)?,
            };
            if grad.is_none() {
                self.next_entry(&param);
                continue;
            }
            let key = match self.torch {
                Some(_) => param.clone(),
                None => (first + index).into_pyobject(self.py)?.into_any(),
            };
            if !self.row(&context, &key, first + index, param, grad)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A view, where the core can make one.
    fn view(&self, object: &Object<'py>) -> PyResult<Option<Array>> {
        match self.torch {
            Some(torch) if torch.is_plain(object) => torch.view(object),
            Some(_) => Ok(None),
            None => {
                Ok(object.cast::<PyUntypedArray>().ok().and_then(|array| numpy_view(array, false)))
            }
        }
    }

    /// The memory of an object in the layout of `like`; `codes` says whether it is a state, which
    /// may be of bytes.
    fn span_like(&self, object: &Object<'py>, like: &Array, codes: bool) -> PyResult<Option<Span>> {
        match self.torch {
            Some(torch) if torch.is_plain(object) => torch.span_like(object, like, codes),
            Some(_) => Ok(None),
            None => {
                let array = object.cast::<PyUntypedArray>().ok();
                let view = array.and_then(|array| numpy_view(array, codes));
                Ok(view.and_then(|view| view.span_like(like)))
            }
        }
    }

    /// Whether the processor can read an object; some devices, meta among them, are beyond what a
    /// descriptor can say.
    fn on_cpu(&self, view: Option<&Array>, object: &Object<'py>) -> PyResult<bool> {
        match (view, self.torch) {
            (Some(view), _) => Ok(view.cpu),
            (None, Some(_)) => object.getattr(intern!(self.py, "is_cpu"))?.extract(),
            (None, None) => Ok(true),
        }
    }

    fn row(
        &mut self,
        context: &Context<'py>,
        key: &Object<'py>,
        number: usize,
        param: Object<'py>,
        grad: Object<'py>,
    ) -> PyResult<bool> {
        if let Some(torch) = self.torch
            && !(torch.is_plain(&param) && torch.is_plain(&grad))
        {
            return Ok(false);
        }
        let x = self.view(&param)?;
        if !self.on_cpu(x.as_ref(), &param)? {
            return Ok(false);
        }
        let (first, spans) = (self.held.len(), self.spans.len());
        self.held.push(param);
        self.held.push(grad);
        let scalars = self.scalars.len();
        let half = x.as_ref().is_some_and(|x| matches!(x.dtype, Some(Dtype::Bf16 | Dtype::F16)));
        let found = self.states(context, key, first, half)?;
        // Noise follows the indices of elements, and filters are slices along the first axis: elements
        // have to lie in that order.
        let ordered = !(context.noise || context.by_filter)
            || x.is_some_and(|x| x.is_empty() || x.is_row_major());
        let x = match ordered && self.fit(first, x.as_ref())? {
            true => x,
            false => self.conform(first, x, &found, !ordered)?,
        };
        let Some(x) = x else { return Ok(false) };
        let Some(()) = self.attach(&found, spans, &x)? else { return Ok(false) };
        let filters = if context.by_filter { x.filters() } else { 1 };
        let coded = || self.spans[spans..].iter().any(|span| span.dtype == Dtype::Code8);
        if filters > 1 && !(x.len() / filters).is_multiple_of(BLOCK) && coded() {
            // A block of codes in two filters. The host steps without the core, if it can.
            return match self.torch {
                Some(_) => Ok(false),
                None => Err(Error::Unsupported {
                    what: "state_dtype=\"int8\" with filters that are no multiple of 256 long"
                        .into(),
                    fix: "use state_dtype=\"bfloat16\"".into(),
                }
                .into()),
            };
        }
        let (clock, counter) = match found.counter {
            Some(counter) => {
                let span = match self.torch {
                    Some(torch) if torch.is_plain(&counter) => torch.scalar(&counter)?,
                    Some(_) => None,
                    None => self.view(&counter)?.and_then(|view| view.span()),
                };
                let found = span.and_then(|span| span.scalar().map(|value| (value, span)));
                let (value, span) = found.ok_or_else(|| {
                    let allowed = "a float32 or float64 scalar on the CPU";
                    let fix = "load the checkpoint with load_state_dict";
                    Error::kind("state \"step\"", allowed, repr(&counter), fix)
                })?;
                self.held.push(counter);
                (value as u64 + 1, Some(span))
            }
            None => (0, None),
        };
        let t = match self.groups.last().is_some_and(|group| group.rule.info().counts) {
            true => clock,
            false if found.fresh => 1,
            false => 2,
        };
        let direction =
            if context.matrix { Some(self.direction(context, first, &x)?) } else { None };
        self.rows.push(Row {
            group: self.groups.len() - 1,
            number,
            t,
            clock,
            precision: context.precision,
            param: first,
            spans,
            states: context.states.len(),
            counter,
            scalars,
            lengths: context.scalars.iter().map(|scalar| scalar.len).collect(),
            filters,
            direction,
        });
        Ok(true)
    }

    /// The entry of `key`, if it is the next in the state dict.
    fn next_entry(&mut self, key: &Object<'py>) -> Option<Object<'py>> {
        self.entries.next_if(|(next, _)| next.is(key)).map(|(_, entry)| entry)
    }

    /// Adds the states of a parameter, held from `first` on, and its scalars; `half` says that it has
    /// two bytes.
    fn states(
        &mut self,
        context: &Context<'py>,
        key: &Object<'py>,
        first: usize,
        half: bool,
    ) -> PyResult<Found<'py>> {
        let py = self.py;
        let entry = match self.next_entry(key) {
            Some(entry) => Some(entry),
            None => self.state.get_item(key)?,
        };
        let entry = match entry {
            Some(entry) => entry.cast_into::<PyDict>()?,
            None => PyDict::new(py),
        };
        let find = |name: &Bound<'py, PyString>| {
            entry.get_item(name).map(|value| value.filter(|value| !value.is_none()))
        };
        let step = intern!(py, "step");
        let mut missing: Vec<Spec<Bound<'py, PyString>>> = Vec::new();
        let mut found = Found::default();
        if context.counts {
            found.counter = find(step)?;
            if found.counter.is_none() {
                missing.push((step.clone(), "counter", 0.0, 1));
            }
        }
        let low = intern!(py, "compensation");
        let split = half && context.precision.rounding == Rounding::Kahan;
        if split {
            found.low = find(low)?;
            if found.low.is_none() {
                missing.push((low.clone(), "compensation", 0.0, 1));
            }
        }
        let mut values: [Option<Object<'py>>; BUFFERS] = Default::default();
        let specs = || context.names.iter().zip(&context.states);
        for (value, (name, state)) in values.iter_mut().zip(specs()) {
            *value = find(name)?;
            if value.is_none() {
                missing.push(spec(state, name.clone()));
                found.fresh = true;
            }
        }
        let mut scalars = Vec::new();
        for scalar in &context.scalars {
            let name = PyString::intern(py, scalar.name);
            let value = find(&name)?;
            if value.is_none() {
                missing.push(scalar_spec(scalar, name.clone()));
                found.fresh = true;
            }
            scalars.push((name, value));
        }
        if let Some(torch) = self.torch {
            torch.prefetch(&self.held[first + 1]);
            values.iter().flatten().chain(&found.counter).for_each(|state| torch.prefetch(state));
        }
        let mut added = None;
        if !missing.is_empty() {
            let arguments = (&self.held[first], missing, &context.hyper);
            let new = self.host.call_method1(intern!(py, "init"), arguments)?;
            let new = new.cast_into::<PyDict>()?;
            for (value, name) in values.iter_mut().zip(&context.names) {
                if value.is_none() {
                    *value = new.get_item(name)?;
                }
            }
            if context.counts && found.counter.is_none() {
                found.counter = new.get_item(step)?;
            }
            if split && found.low.is_none() {
                found.low = new.get_item(low)?;
            }
            for (name, value) in scalars.iter_mut().filter(|(_, value)| value.is_none()) {
                *value = new.get_item(&*name)?;
            }
            added = Some(new);
        }
        for (scale, name) in found.scales.iter_mut().zip(&context.scales) {
            if let Some(new) = &added {
                *scale = new.get_item(name)?;
            }
            if scale.is_none() {
                *scale = entry.get_item(name)?;
            }
        }
        if let Some(new) = added {
            self.pending.push(Pending { key: key.clone(), entry, new });
        }
        for ((name, value), Scalar { len, .. }) in scalars.into_iter().zip(&context.scalars) {
            let span = match &value {
                Some(value) => self.view(value)?.filter(|view| view.cpu && view.is_dense()),
                None => None,
            };
            let span = span.and_then(|view| view.span()).filter(|s| s.numbers(*len).is_some());
            self.scalars.push(span.ok_or_else(|| {
                let allowed = format!("{len} float32 or float64 numbers on the CPU");
                let given = value.as_ref().map_or_else(|| "nothing".to_owned(), repr);
                let fix = "load the checkpoint with load_state_dict";
                Error::kind(format!("state \"{name}\""), allowed, given, fix)
            })?);
            self.kept.extend(value);
        }
        self.held.extend(values.into_iter().flatten());
        Ok(found)
    }

    /// For tensors that do not fit: the host supplies stand-ins (in the order of indices if
    /// `ordered`) or says what is wrong. Returns the
    /// view of the parameter's; none if the gradient is out of the core's reach.
    #[cold]
    fn conform(
        &mut self,
        first: usize,
        x: Option<Array>,
        found: &Found<'py>,
        ordered: bool,
    ) -> PyResult<Option<Array>> {
        let g = self.view(&self.held[first + 1])?;
        if !self.on_cpu(g.as_ref(), &self.held[first + 1])? {
            return Ok(None);
        }
        if let (Some(x), Some(g)) = (&x, &g)
            && x.shape() != g.shape()
        {
            return Err(Error::Shape {
                name: "grad".into(),
                given: g.shape_text(),
                other: "its parameter".into(),
                expected: x.shape_text(),
                fix: "pass the gradient of this parameter".into(),
            }
            .into());
        }
        if let Some(x) = x.filter(|x| x.dtype.is_some() && !x.is_dense()) {
            self.strided.push((self.rows.len(), x));
        }
        let originals = self.held[first..].to_vec();
        let tensors = PyList::new(self.py, &originals)?;
        let states = originals.len() - 2;
        let beside = (tensors, PyList::new(self.py, &found.scales[..states])?, &found.low, ordered);
        let stand_ins = self.host.call_method1(intern!(self.py, "conform"), beside)?;
        self.held.truncate(first);
        self.held.extend(stand_ins.cast_into::<PyList>()?.iter());
        for (place, pair) in originals.iter().zip(&self.held[first..]).enumerate() {
            // The gradient, at place 1, is only read: nothing goes back to it.
            if place != 1 && !pair.0.is(pair.1) {
                self.stand_ins.push((pair.0.clone(), pair.1.clone()));
            }
        }
        let x = match self.held.get(first) {
            Some(object) => self.view(object)?,
            None => None,
        };
        let fitted = self.fit(first, x.as_ref())?;
        self.held.extend(originals);
        x.filter(|_| fitted).map(Some).ok_or_else(|| {
            PyRuntimeError::new_err("a tensor could not be brought into shape; please report this")
        })
    }

    /// Adds the spans of parameter, gradient and states, held from `first` on, if all are dense, on
    /// the processor and in one layout; else none.
    fn fit(&mut self, first: usize, x: Option<&Array>) -> PyResult<bool> {
        let Some((x, span)) =
            x.filter(|x| x.cpu && x.is_dense()).and_then(|x| Some((x, x.span()?)))
        else {
            return Ok(false);
        };
        let length = self.spans.len();
        self.spans.push(span);
        for place in first + 1..self.held.len() {
            // Bytes are codes where they lie as a state, from the third place on.
            let Some(span) = self.span_like(&self.held[place], x, place > first + 1)? else {
                self.spans.truncate(length);
                return Ok(false);
            };
            self.spans.push(span);
        }
        Ok(true)
    }

    /// Finds what lies beside the spans of a row, from `spans` on; none if it is out of the core's
    /// reach.
    fn attach(&mut self, found: &Found<'py>, spans: usize, x: &Array) -> PyResult<Option<()>> {
        self.beside.resize(self.spans.len(), None);
        if let Some(low) = &found.low {
            let span = self.span_like(low, x, false)?;
            let Some(span) = span.filter(|span| span.dtype == self.spans[spans].dtype) else {
                return Ok(None);
            };
            self.beside[spans] = Some(span);
            self.held.push(low.clone());
        }
        for (k, place) in (spans + 2..self.spans.len()).enumerate() {
            if self.spans[place].dtype != Dtype::Code8 {
                continue;
            }
            let count = scale_count(self.spans[place].len());
            let span = match &found.scales[k] {
                Some(scale) => self.view(scale)?.filter(|view| view.cpu && view.is_dense()),
                None => None,
            };
            let span = span.and_then(|view| view.span());
            let fits = |span: &Span| span.dtype == Dtype::F32 && span.len() == count;
            let (Some(span), Some(scale)) = (span.filter(fits), &found.scales[k]) else {
                let allowed = format!("float32 of shape ({count},) with state_dtype=\"int8\"");
                let given = found.scales[k].as_ref().map_or("none".into(), repr);
                let fix = "load the checkpoint with load_state_dict";
                return Err(Error::kind("the scale of a state", allowed, given, fix).into());
            };
            self.beside[place] = Some(span);
            self.held.push(scale.clone());
        }
        Ok(Some(()))
    }

    /// The buffer for the direction of a matrix.
    fn direction(
        &mut self,
        context: &Context<'py>,
        first: usize,
        x: &Array,
    ) -> PyResult<(usize, Span, [usize; 2], bool)> {
        let Some((shape, column_major)) = x.matrix() else {
            let name = format!("each parameter of {}", context.class);
            let given = format!("one of shape {}", x.shape_text());
            let fix = "give other parameters to another optimizer, such as AdamW";
            let allowed = "a matrix, or have more axes that follow each other in memory";
            return Err(Error::value(name, allowed, given, fix).into());
        };
        let method = intern!(self.py, "direction");
        let direction = self.host.call_method1(method, (&self.held[first],))?;
        let span = self.view(&direction)?.filter(|view| view.same_layout(x));
        let span = span.and_then(|view| view.span()).ok_or_else(|| {
            PyRuntimeError::new_err("a direction has another layout; please report this")
        })?;
        self.held.push(direction);
        Ok((self.held.len() - 1, span, shape, column_major))
    }

    /// Refuses read-only and overlapping memory.
    pub fn check(&self) -> PyResult<()> {
        let written = || {
            let rows = self.rows.iter().flat_map(|row| {
                let spans = &self.spans[row.spans..row.spans + 2 + row.states];
                std::iter::once(&spans[0]).chain(&spans[2..])
            });
            rows.chain(self.beside.iter().flatten())
        };
        if written().any(|span| !span.writable) {
            let given = "a read-only array";
            return Err(
                Error::value("each parameter and state", "writable", given, "pass a copy").into()
            );
        }
        let read = self.rows.iter().map(|row| self.spans[row.spans + 1].addresses());
        let name = |written: bool, index: usize| self.name(written, index);
        check_overlap(written().map(Span::addresses), read, name)?;
        self.check_strided()
    }

    /// Refuses parameters that share elements through views with gaps.
    fn check_strided(&self) -> PyResult<()> {
        if self.strided.is_empty() {
            return Ok(());
        }
        let mut owners = Vec::new();
        let mut elements = Vec::new();
        for (row, array) in &self.strided {
            elements.extend(array.elements());
            owners.resize(elements.len(), *row);
        }
        let is_strided = |row: usize| self.strided.iter().any(|(other, _)| *other == row);
        for (number, row) in self.rows.iter().enumerate().filter(|(n, _)| !is_strided(*n)) {
            elements.push(self.spans[row.spans].addresses());
            owners.push(number);
        }
        let name = |_, element: usize| format!("parameter {}", owners[element]);
        Ok(check_overlap(elements.into_iter(), std::iter::empty(), name)?)
    }

    /// Words the `index`-th buffer that is written, or read.
    fn name(&self, written: bool, index: usize) -> String {
        let mut before = 0;
        for (number, row) in self.rows.iter().enumerate() {
            if !written && index == number {
                return format!("the gradient of parameter {number}");
            }
            if written && index == before {
                return format!("parameter {number}");
            }
            before += 1 + row.states;
            if written && index < before {
                return format!("a state of parameter {number}");
            }
        }
        "a buffer".to_owned()
    }

    /// Steps, then counts and hands back; returns the parameters that were stepped.
    pub fn run(self, options: &Options) -> PyResult<(Report, Bound<'py, PyList>)> {
        let py = self.py;
        let parameters: Result<Vec<Parameter<'_>>> =
            self.rows.iter().map(|row| self.parameter(row)).collect();
        let mut parameters = parameters?;
        let report = self.step(&mut parameters, options)?;
        if report.skipped {
            return Ok((report, PyList::empty(py)));
        }
        for Pending { key, entry, new } in &self.pending {
            entry.update(new.as_mapping())?;
            self.state.set_item(key, entry)?;
        }
        for row in &self.rows {
            if let Some(counter) = &row.counter {
                counter.set_scalar(row.clock as f64);
            }
        }
        for (row, parameter) in self.rows.iter().zip(&parameters) {
            let mut rest = &parameter.scalars[..];
            for (span, &len) in self.scalars[row.scalars..].iter().zip(&row.lengths) {
                let (numbers, tail) = rest.split_at(len);
                span.set_numbers(numbers);
                rest = tail;
            }
        }
        for pair in &self.stand_ins {
            self.host.call_method1(intern!(py, "restore"), pair.clone())?;
        }
        let stepped = PyList::new(py, self.rows.iter().map(|row| &self.held[row.param]))?;
        Ok((report, stepped))
    }

    fn parameter<'t>(&self, row: &Row) -> Result<Parameter<'t>> {
        let tensor = |place: usize| {
            // SAFETY: dense by `fit`, and what lies beside by `attach`; `held` keeps the objects
            // alive past the step; `check` refused overlaps; the arrays are numpy's and torch's,
            // which are initialised and aligned.
            unsafe {
                match &self.beside[place] {
                    Some(beside) => self.spans[place].tensor_with(beside),
                    None => self.spans[place].tensor(),
                }
            }
        };
        let Precision { state, rounding } = row.precision;
        let mut x = tensor(row.spans);
        if rounding == Rounding::Stochastic {
            x = x.dithered(dither(row.number, 0, row.clock));
        }
        // SAFETY: as above.
        let g = unsafe { self.spans[row.spans + 1].read() };
        let states = (0..row.states).map(|k| match state {
            StateDtype::Float32 => tensor(row.spans + 2 + k),
            _ => tensor(row.spans + 2 + k).dithered(dither(row.number, 1 + k, row.clock)),
        });
        let mut parameter = Parameter::new(row.group, row.t, x, g, states)?;
        parameter.number = Some(row.number as u64);
        parameter.filters = row.filters;
        let scalars = self.scalars[row.scalars..].iter().zip(&row.lengths);
        let numbers =
            scalars.clone().flat_map(|(span, &len)| span.numbers(len).unwrap_or_default());
        let parameter =
            parameter.scalars(numbers.collect(), scalars.clone().any(|(s, _)| s.is_single()));
        Ok(match &row.direction {
            None => parameter,
            Some((_, span, shape, column_major)) => {
                // SAFETY: as above; nobody else knows this buffer.
                parameter.matrix(*shape, *column_major, unsafe { span.tensor() })
            }
        })
    }

    fn step(&self, parameters: &mut [Parameter<'_>], options: &Options) -> PyResult<Report> {
        let (py, groups) = (self.py, &self.groups);
        let matrices = self.rows.iter().any(|row| row.direction.is_some());
        if self.torch.is_none() || !matrices {
            return Ok(py.detach(|| step(groups, parameters, options))?);
        }
        // torch's products are the fastest at hand for its tensors.
        let directions: Vec<Option<Py<PyAny>>> = self
            .rows
            .iter()
            .map(|row| row.direction.as_ref().map(|d| self.held[d.0].clone().unbind()))
            .collect();
        let orthogonalize = self.host.getattr(intern!(py, "orthogonalize"))?.unbind();
        let mut raised = None;
        let result = py.detach(|| {
            step_with(groups, parameters, options, &mut |direction| {
                call(&orthogonalize, &directions, &direction).map_err(|error| {
                    raised = Some(error);
                    Error::Unsupported { what: "the product".into(), fix: String::new() }
                })
            })
        });
        match raised {
            Some(error) => Err(error),
            None => Ok(result?),
        }
    }
}

/// How the host is to make one buffer: name, kind, a value of that kind, how many numbers.
pub type Spec<N> = (N, &'static str, f64, usize);

/// The specification of a state buffer.
pub fn spec<N>(state: &State, name: N) -> Spec<N> {
    match state.start {
        Start::Constant(value) => (name, "constant", value, 1),
        Start::Normal(deviation) => (name, "normal", deviation, 1),
        Start::Columns(share) => (name, "columns", share, 1),
        Start::Noise => (name, "noise", 0.0, 0),
    }
}

/// The specification of numbers beside the buffers.
pub fn scalar_spec<N>(scalar: &Scalar, name: N) -> Spec<N> {
    (name, if scalar.wide { "wide" } else { "counter" }, scalar.start, scalar.len)
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
