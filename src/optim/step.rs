//! One step over a whole parameter list.
//!
//! Everything that can be wrong is checked first; then come, as needed, a pass that reduces the
//! gradients (norm, NaN), one that measures for the rule, one that counts for the cautious mask,
//! and one that moves parameters and states. Without modifiers only the last one runs.

use super::modifiers::{self, Factors, Mask, Modifiers, OnNonfinite};
use super::observe::Observed;
use super::rule::{
    Advance, AnyRule, Computed, MAX_MEASURED, Measure, Propose, Scope, Start, State, Step,
};
use crate::engine::pass::{self, Access, Chunk, Entry, Part, States, Stretch};
use crate::engine::real::Float;
use crate::engine::rng::Philox;
use crate::engine::tensor::{Dtype, Tensor, View};
use crate::engine::{Error, Result, reduce};
use crate::linalg::newton_schulz::NewtonSchulz;
use std::collections::HashMap;

/// A rule with its modifiers.
pub struct Group {
    /// The rule.
    pub rule: Box<dyn AnyRule>,
    /// What the engine adds.
    pub modifiers: Modifiers,
}

impl Group {
    /// A rule with its default decay and no other modifier.
    pub fn new(rule: Box<dyn AnyRule>) -> Self {
        let modifiers = Modifiers::new(rule.info().decay);
        Self { rule, modifiers }
    }

    /// A rule with modifiers.
    ///
    /// # Errors
    /// [`Error::Value`] for modifiers that the rule does not take.
    pub fn with(rule: Box<dyn AnyRule>, modifiers: Modifiers) -> Result<Self> {
        if let Some(share) = modifiers.update_sign
            && rule.states().iter().any(|state| state.name == SIGNS)
        {
            let allowed = format!("None for {}", rule.info().class);
            let fix = "the rule flips columns itself";
            return Err(Error::value(SIGNS, allowed, share, fix));
        }
        Ok(Self { rule, modifiers })
    }

    /// State buffers: those of the rule, then the signs of updates where they are asked for.
    pub fn states(&self) -> Vec<State> {
        let signs = self.modifiers.update_sign;
        let signs = signs.map(|share| State { name: SIGNS, start: Start::Columns(share) });
        self.rule.states().into_iter().chain(signs).collect()
    }

    /// What a parameter at this step starts from, with the norm of all gradients where it is known.
    pub(crate) fn begin(
        &self,
        mut step: Step,
        options: &Options,
        norm: Option<f64>,
    ) -> (Step, Factors) {
        let mut modifiers = self.modifiers;
        let own = modifiers.weight_decay != 0.0 && self.rule.decays(modifiers.decay);
        step.own_decay =
            own.then(|| (modifiers.decay, std::mem::replace(&mut modifiers.weight_decay, 0.0)));
        step.loss = options.loss.unwrap_or(f64::NAN);
        // As torch: multiplied always, so a clipped norm ends slightly below the limit.
        let clip = match (modifiers.clip_norm, norm) {
            (Some(limit), Some(norm)) => {
                let factor = limit / (norm + 1e-6);
                if factor < 1.0 || factor.is_nan() { factor } else { 1.0 }
            }
            _ => 1.0,
        };
        let (unscale, rate) = (1.0 / options.grad_scale, self.rule.rate(&step));
        let factors = Factors::new(&modifiers, unscale, clip, rate, self.rule.geometry());
        (step, factors)
    }
}

/// Name of the buffer for [`Modifiers::update_sign`].
const SIGNS: &str = "update_sign";

/// One tensor to step.
#[derive(Debug)]
pub struct Parameter<'a> {
    entry: Entry<'a>,
    /// Which group it belongs to.
    pub group: usize,
    /// Number of this step for this parameter, from 1.
    pub t: u64,
    /// Rows and columns, for a matrix rule.
    pub shape: Option<[usize; 2]>,
    /// Whether the elements of a matrix lie column after column.
    pub column_major: bool,
    /// The rule's scalars, one after the other; a step brings them up to date.
    pub scalars: Vec<f64>,
    /// Whether its narrow scalars are stored as f32.
    pub single: bool,
    /// Its place among all parameters, which noise hangs on; that in the call if none.
    pub number: Option<u64>,
    /// How many filters it has, equally long and one after the other.
    pub filters: usize,
}

impl<'a> AsRef<Entry<'a>> for Parameter<'a> {
    fn as_ref(&self) -> &Entry<'a> {
        &self.entry
    }
}

impl<'a> Parameter<'a> {
    /// A parameter, its gradient and its states (in the order of the rule), equally long.
    ///
    /// # Errors
    /// [`Error::Shape`] if lengths differ.
    pub fn new(
        group: usize,
        t: u64,
        x: Tensor<'a>,
        g: View<'a>,
        state: impl IntoIterator<Item = Tensor<'a>>,
    ) -> Result<Self> {
        let state: States<'a> = state.into_iter().collect();
        let lengths = std::iter::once(("grad", g.len()))
            .chain(state.iter().map(|tensor| ("state", tensor.len())));
        for (name, len) in lengths {
            if len != x.len() {
                return Err(Error::Shape {
                    name: name.into(),
                    given: format!("({len},)"),
                    other: "its parameter".into(),
                    expected: format!("({},)", x.len()),
                    fix: "pass the one of this parameter".into(),
                });
            }
        }
        let entry = Entry { x, g, state, direction: None };
        Ok(Self {
            entry,
            group,
            t,
            shape: None,
            column_major: false,
            scalars: Vec::new(),
            single: false,
            number: None,
            filters: 1,
        })
    }

    /// Gives the parameter the scalars of its rule.
    pub fn scalars(mut self, scalars: Vec<f64>, single: bool) -> Self {
        (self.scalars, self.single) = (scalars, single);
        self
    }

    /// Gives the parameter the shape of a matrix, and a buffer for its direction.
    pub fn matrix(mut self, shape: [usize; 2], column_major: bool, direction: Tensor<'a>) -> Self {
        self.shape = Some(shape);
        self.column_major = column_major;
        self.entry.direction = Some(direction);
        self
    }
}

/// What holds for the whole call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Policy for NaN and infinite gradients.
    pub on_nonfinite: OnNonfinite,
    /// Gradients are divided by this first (loss scaling).
    pub grad_scale: f64,
    /// Whether to report what the step did to each parameter.
    pub observe: bool,
    /// The loss at the gradients' point, for rules that ask for it.
    pub loss: Option<f64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { on_nonfinite: OnNonfinite::Propagate, grad_scale: 1.0, observe: false, loss: None }
    }
}

/// What a call did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// Whether the step was left out, for a gradient that is not finite.
    pub skipped: bool,
    /// Norm of all gradients together after unscaling, where clipping asked for it.
    pub grad_norm: Option<f64>,
    /// What happened to each parameter, where [`Options::observe`] asked for it.
    pub observed: Vec<Observed>,
}

/// Replaces a direction by its orthogonal factor.
pub type Orthogonalizer<'c> = dyn FnMut(Direction<'_>) -> Result<()> + 'c;

/// The direction of a matrix rule, before it is orthogonalized.
#[derive(Debug)]
pub struct Direction<'v> {
    /// Number of its parameter in the call.
    pub parameter: usize,
    /// Elements, row after row.
    pub data: Tensor<'v>,
    /// Rows and columns, as they lie in memory.
    pub shape: [usize; 2],
    /// The iteration to run.
    pub iteration: NewtonSchulz,
}

impl Direction<'_> {
    fn orthogonalize(mut self) {
        let [rows, columns] = self.shape;
        if let Some(data) = self.data.as_mut_slice::<f32>() {
            self.iteration.run(data, rows, columns);
        } else if let Some(data) = self.data.as_mut_slice::<f64>() {
            self.iteration.run(data, rows, columns);
        }
    }
}

/// Steps every parameter, in place.
///
/// # Errors
/// Before anything is written: [`Error::Value`] for a parameter that does not fit its group,
/// [`Error::NonFinite`] where the policy asks for it.
pub fn step(
    groups: &[Group],
    parameters: &mut [Parameter<'_>],
    options: &Options,
) -> Result<Report> {
    step_with(groups, parameters, options, &mut |direction| {
        direction.orthogonalize();
        Ok(())
    })
}

/// As [`step`], with the products of matrix rules done by the caller.
///
/// # Errors
/// As [`step`], and what `orthogonalize` returns; parameters and states are then as before.
pub fn step_with(
    groups: &[Group],
    parameters: &mut [Parameter<'_>],
    options: &Options,
    orthogonalize: &mut Orthogonalizer<'_>,
) -> Result<Report> {
    check(groups, parameters)?;
    let heads: Vec<Head> = parameters.iter().map(Head::of).collect();
    let filters = |head: &Head| if head.by_filter(groups) { head.filters } else { 1 };
    let chunks = pass::filter_chunks(heads.iter().map(|head| (head.len, filters(head))));

    let mut report = Report::default();
    let clips = groups.iter().any(|group| group.modifiers.clip_norm.is_some());
    if clips || options.on_nonfinite != OnNonfinite::Propagate {
        let gradients = Gradients::of(parameters, &chunks);
        if let Some(index) = gradients.nonfinite {
            match options.on_nonfinite {
                OnNonfinite::Propagate => {}
                OnNonfinite::Skip => return Ok(Report { skipped: true, ..report }),
                OnNonfinite::Raise => {
                    return Err(Error::NonFinite {
                        name: format!("grad of parameter {index}"),
                        fix: "lower the learning rate, clip, or pass on_nonfinite=\"skip\"".into(),
                    });
                }
            }
        }
        report.grad_norm = clips.then(|| gradients.norm / options.grad_scale.abs());
    }

    let mut plan = Plan::new(groups, &heads, parameters, options, report.grad_norm);
    plan.measure(parameters, &chunks);
    plan.advance()?;
    plan.prepare();
    plan.count(parameters, &chunks);
    plan.propose(parameters, &chunks, orthogonalize)?;
    let observed = pass::run(parameters, &chunks, Access::Write, |stretch| plan.apply(stretch));
    for (parameter, job) in parameters.iter_mut().zip(&plan.jobs) {
        parameter.scalars.copy_from_slice(&job.step.scalars);
    }
    if options.observe {
        report.observed = vec![Observed::default(); heads.len()];
        for (chunk, part) in chunks.iter().zip(&observed) {
            report.observed[chunk.entry].join(part);
        }
    }
    Ok(report)
}

fn check(groups: &[Group], parameters: &[Parameter<'_>]) -> Result<()> {
    let states: Vec<usize> = groups.iter().map(|group| group.states().len()).collect();
    let scalars: Vec<usize> =
        groups.iter().map(|group| group.rule.scalars().iter().map(|s| s.len).sum()).collect();
    for (index, parameter) in parameters.iter().enumerate() {
        let Some(group) = groups.get(parameter.group) else {
            let allowed = format!("below {}", groups.len());
            return Err(Error::value("group", allowed, parameter.group, "add the group first"));
        };
        let states = states[parameter.group];
        if parameter.entry.state.len() != states {
            return Err(Error::value(
                format!("number of states of parameter {index}"),
                states.to_string(),
                parameter.entry.state.len(),
                "create them as the rule lists them",
            ));
        }
        if parameter.scalars.len() != scalars[parameter.group] {
            return Err(Error::value(
                format!("number of scalars of parameter {index}"),
                scalars[parameter.group].to_string(),
                parameter.scalars.len(),
                "create them as the rule lists them",
            ));
        }
        if parameter.filters == 0 || !parameter.entry.x.len().is_multiple_of(parameter.filters) {
            return Err(Error::value(
                format!("number of filters of parameter {index}"),
                format!("a divisor of {}", parameter.entry.x.len()),
                parameter.filters,
                "pass the length of its first axis",
            ));
        }
        let [rows, columns] = parameter.shape.unwrap_or([1, 1]);
        let needed = group.rule.matrix(rows, columns).is_some();
        let given = parameter.shape.is_some() && parameter.entry.direction.is_some();
        if needed && (!given || rows * columns != parameter.entry.x.len()) {
            return Err(Error::value(
                format!("parameter {index}"),
                "a matrix",
                format!("{} elements without a shape", parameter.entry.x.len()),
                "give vectors to another rule, such as AdamW",
            ));
        }
    }
    Ok(())
}

/// The part of a parameter that is not memory.
#[derive(Clone, Copy)]
struct Head {
    group: usize,
    t: u64,
    len: usize,
    double: bool,
    shape: [usize; 2],
    column_major: bool,
    filters: usize,
}

impl Head {
    fn of(parameter: &Parameter<'_>) -> Self {
        Self {
            group: parameter.group,
            t: parameter.t,
            len: parameter.entry.x.len(),
            double: parameter.entry.x.dtype() == Dtype::F64,
            shape: parameter.shape.unwrap_or([1, 1]),
            column_major: parameter.column_major,
            filters: parameter.filters,
        }
    }

    fn by_filter(&self, groups: &[Group]) -> bool {
        groups[self.group].rule.scope() == Scope::Filter
    }
}

/// Reductions over all gradients.
struct Gradients {
    norm: f64,
    nonfinite: Option<usize>,
}

impl Gradients {
    fn of(parameters: &mut [Parameter<'_>], chunks: &[Chunk]) -> Self {
        let double: Vec<bool> =
            parameters.iter().map(|p| p.entry.x.dtype() == Dtype::F64).collect();
        let parts = pass::run(parameters, chunks, Access::Read, |stretch| {
            if double[stretch.entry()] {
                reduce_chunk::<f64>(stretch)
            } else {
                reduce_chunk::<f32>(stretch)
            }
        });
        let squares: f64 = parts.iter().map(|part| part.0).sum();
        let bad = parts.iter().position(|part| !part.1);
        Self { norm: squares.sqrt(), nonfinite: bad.map(|i| chunks[i].entry) }
    }
}

fn reduce_chunk<F: Float>(stretch: Stretch<'_, '_>) -> (f64, bool) {
    let mut total = (0.0, true);
    stretch.gradient::<F>(|g| {
        let squares = reduce::sum_of_squares(g);
        total.0 += squares;
        // Squares of large f64 overflow although the elements are finite.
        total.1 &= squares.is_finite() || reduce::max_abs(g).is_finite();
    });
    total
}

/// A formula, in the loop and the type a parameter asks for.
enum Ready {
    Propose32(Box<dyn Propose<f32>>),
    Propose64(Box<dyn Propose<f64>>),
    Advance32(Box<dyn Advance<f32>>),
    Advance64(Box<dyn Advance<f64>>),
}

impl Ready {
    fn new(rule: &dyn AnyRule, step: &Step, fused: bool, double: bool) -> Self {
        match (fused, double) {
            (false, false) => Self::Propose32(f32::propose(rule, step)),
            (false, true) => Self::Propose64(f64::propose(rule, step)),
            (true, false) => Self::Advance32(f32::advance(rule, step)),
            (true, true) => Self::Advance64(f64::advance(rule, step)),
        }
    }
}

/// What one parameter needs in the passes.
struct Job {
    factors: Factors,
    /// Which formula, in `Plan::ready`.
    ready: usize,
    /// For a rule that measures filters: what it measured of each, and its formula.
    filters: Vec<([f64; MAX_MEASURED], usize)>,
    /// Whether updates have signs, which lie in the buffer after the rule's.
    signed: bool,
    step: Step,
    /// Factor on the direction, for a matrix rule.
    matrix: Option<(NewtonSchulz, f64)>,
    /// Generator and stream, for a formula that uses noise.
    noise: Option<(Philox, u64)>,
}

impl Job {
    /// What a formula takes besides parameter and gradient: the states, then the noise if any. And
    /// the signs of updates; empty where they have none.
    fn arguments<'s, 'p, F: Float>(
        &self,
        state: &'s mut [&'p mut [F]],
        start: usize,
    ) -> (&'s mut [&'p mut [F]], &'s [F]) {
        let last = state.len() - 1;
        let mut count = last - usize::from(self.signed);
        if let Some((rng, stream)) = self.noise {
            rng.fill_noise(stream, start, state[last]);
            state.swap(count, last);
            count += 1;
        }
        let (arguments, rest) = state.split_at_mut(count);
        (arguments, if self.signed { &*rest[0] } else { &[] })
    }

    /// The formula of a stretch.
    fn ready(&self, stretch: &Stretch<'_, '_>) -> usize {
        self.filters.get(stretch.filter()).map_or(self.ready, |(_, ready)| *ready)
    }

    /// Whether nothing stands between the formula and the move.
    fn fuses(&self, observe: bool) -> bool {
        self.factors.is_plain() && self.matrix.is_none() && !self.signed && !observe
    }

    /// Whether memory should be asked for ahead: noise takes longer to draw than a part to come.
    fn slow(&self) -> bool {
        self.noise.is_some()
    }
}

/// Parameters that agree in this share a formula.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    group: usize,
    double: bool,
    t: u64,
    measured: [u64; MAX_MEASURED],
    scalars: [Vec<u64>; 2],
}

struct Plan<'g> {
    groups: &'g [Group],
    heads: &'g [Head],
    jobs: Vec<Job>,
    ready: Vec<Ready>,
    observe: bool,
}

impl<'g> Plan<'g> {
    fn new(
        groups: &'g [Group],
        heads: &'g [Head],
        parameters: &[Parameter<'_>],
        options: &Options,
        norm: Option<f64>,
    ) -> Self {
        let call = heads.iter().map(|head| head.t).max().unwrap_or(0);
        let seeds: Vec<_> = groups.iter().map(|group| group.rule.noise()).collect();
        let jobs = heads.iter().enumerate().map(|(index, head)| {
            let rule = &groups[head.group].rule;
            let parameter = &parameters[index];
            let step = Step {
                t: head.t,
                call,
                scalars: parameter.scalars.clone(),
                before: parameter.scalars.clone(),
                single: parameter.single,
                ..Step::default()
            };
            let (step, factors) = groups[head.group].begin(step, options, norm);
            Job {
                factors,
                ready: 0,
                filters: match head.by_filter(groups) {
                    true => vec![Default::default(); head.filters],
                    false => Vec::new(),
                },
                signed: groups[head.group].modifiers.update_sign.is_some(),
                step,
                matrix: rule.matrix(head.shape[0], head.shape[1]),
                noise: seeds[head.group].map(|seed| {
                    // Another stream for each parameter and step.
                    let number = parameter.number.unwrap_or(index as u64);
                    (Philox::new(seed), number << 40 | head.t)
                }),
            }
        });
        Self { groups, heads, jobs: jobs.collect(), ready: Vec::new(), observe: options.observe }
    }

    /// Measures what rules ask for, over each tensor.
    fn measure(&mut self, parameters: &mut [Parameter<'_>], chunks: &[Chunk]) {
        type Pair = (Option<Box<dyn Measure<f32>>>, Option<Box<dyn Measure<f64>>>);
        let measures: Vec<Pair> = self
            .groups
            .iter()
            .map(|group| (group.rule.measure_f32(), group.rule.measure_f64()))
            .collect();
        if measures.iter().all(|(measure, _)| measure.is_none()) {
            return;
        }
        let totals = pass::run(parameters, chunks, Access::Read, |stretch| {
            let job = &self.jobs[stretch.entry()];
            let head = self.heads[stretch.entry()];
            match &measures[head.group] {
                (_, Some(measure)) if head.double => measure_chunk(stretch, job, &**measure),
                (Some(measure), _) => measure_chunk(stretch, job, &**measure),
                _ => Default::default(),
            }
        });
        for (chunk, part) in chunks.iter().zip(&totals) {
            if let (Some(measure), _) = &measures[self.heads[chunk.entry].group] {
                let job = &mut self.jobs[chunk.entry];
                let filter = job.filters.get_mut(chunk.filter).map(|(measured, _)| measured);
                measure.join(filter.unwrap_or(&mut job.step.measured), part);
            }
        }
        let groups = self.groups;
        let name = |index: usize| groups[index].rule.info().name;
        for (index, (measure, _)) in measures.iter().enumerate() {
            if let Some(measure) = measure
                && groups[index].rule.scope() == Scope::Call
                && (0..index).all(|other| name(other) != name(index))
            {
                self.share(name(index), &**measure);
            }
        }
    }

    /// Joins what one rule measured over all its tensors.
    fn share(&mut self, name: &str, measure: &dyn Measure<f32>) {
        let (groups, heads) = (self.groups, self.heads);
        let ours = |index: usize| groups[heads[index].group].rule.info().name == name;
        let mut totals = [0.0; MAX_MEASURED];
        for (_, job) in self.jobs.iter().enumerate().filter(|(index, _)| ours(*index)) {
            measure.join(&mut totals, &job.step.measured);
        }
        for (_, job) in self.jobs.iter_mut().enumerate().filter(|(index, _)| ours(*index)) {
            job.step.measured = totals;
        }
    }

    /// Brings the scalars of every parameter to this step.
    fn advance(&mut self) -> Result<()> {
        for (job, head) in self.jobs.iter_mut().zip(self.heads) {
            self.groups[head.group].rule.advance(&mut job.step)?;
        }
        Ok(())
    }

    /// Fixes the formulas: parameters at the same step share one.
    fn prepare(&mut self) {
        let mut known: HashMap<Key, usize> = HashMap::new();
        let mut last: Option<(Key, usize)> = None;
        // Most formulas depend on the number of the step alone, which is cheap to compare.
        let varies =
            |group: &Group| group.rule.measure_f32().is_some() || !group.rule.scalars().is_empty();
        let varies: Vec<bool> = self.groups.iter().map(varies).collect();
        let mut previous = None;
        for (job, head) in self.jobs.iter_mut().zip(self.heads) {
            let rule = &*self.groups[head.group].rule;
            if !job.filters.is_empty() {
                let fused = job.fuses(self.observe);
                for (measured, ready) in &mut job.filters {
                    job.step.measured = *measured;
                    *ready = self.ready.len();
                    self.ready.push(Ready::new(rule, &job.step, fused, head.double));
                }
                continue;
            }
            let steps = (head.group, head.double, head.t);
            if let Some((same, ready)) = previous
                && same == steps
                && !varies[head.group]
            {
                job.ready = ready;
                continue;
            }
            let bits = |numbers: &[f64]| numbers.iter().map(|x| x.to_bits()).collect();
            let key = Key {
                group: head.group,
                double: head.double,
                t: head.t,
                measured: job.step.measured.map(f64::to_bits),
                scalars: [bits(&job.step.before), bits(&job.step.scalars)],
            };
            if let Some((same, ready)) = &last
                && *same == key
            {
                job.ready = *ready;
                continue;
            }
            job.ready = *known.entry(key.clone()).or_insert_with(|| {
                let fused = job.fuses(self.observe);
                self.ready.push(Ready::new(rule, &job.step, fused, head.double));
                self.ready.len() - 1
            });
            previous = Some((steps, job.ready));
            last = Some((key, job.ready));
        }
    }

    /// Counts the coordinates on which step and gradient agree, for cautious masks.
    fn count(&mut self, parameters: &mut [Parameter<'_>], chunks: &[Chunk]) {
        let cautious = |head: &Head| self.groups[head.group].modifiers.mask == Some(Mask::Cautious);
        if !self.heads.iter().any(cautious) {
            return;
        }
        let chunks: Vec<Chunk> =
            chunks.iter().filter(|chunk| cautious(&self.heads[chunk.entry])).cloned().collect();
        let counts = pass::run(parameters, &chunks, Access::Dry, |stretch| {
            let job = &self.jobs[stretch.entry()];
            match &self.ready[job.ready(&stretch)] {
                Ready::Propose32(formula) => count_chunk(stretch, job, &**formula),
                Ready::Propose64(formula) => count_chunk(stretch, job, &**formula),
                Ready::Advance32(_) | Ready::Advance64(_) => 0,
            }
        });
        let mut totals = vec![0; self.jobs.len()];
        for (chunk, count) in chunks.iter().zip(counts) {
            totals[chunk.entry] += count;
        }
        for ((job, head), total) in self.jobs.iter_mut().zip(self.heads).zip(totals) {
            let form = self.groups[head.group].modifiers.mask_scale;
            job.factors.mask_scale = modifiers::cautious_scale(form, total, head.len);
        }
    }

    /// Fills the directions of matrix rules and orthogonalizes them; nothing else changes.
    fn propose(
        &self,
        parameters: &mut [Parameter<'_>],
        chunks: &[Chunk],
        orthogonalize: &mut Orthogonalizer<'_>,
    ) -> Result<()> {
        if self.jobs.iter().all(|job| job.matrix.is_none()) {
            return Ok(());
        }
        let is_matrix = |chunk: &&Chunk| self.jobs[chunk.entry].matrix.is_some();
        let chunks: Vec<Chunk> = chunks.iter().filter(is_matrix).cloned().collect();
        pass::run(parameters, &chunks, Access::Dry, |stretch| {
            let job = &self.jobs[stretch.entry()];
            match &self.ready[job.ready] {
                Ready::Propose32(formula) => propose_chunk(stretch, job, &**formula),
                Ready::Propose64(formula) => propose_chunk(stretch, job, &**formula),
                Ready::Advance32(_) | Ready::Advance64(_) => {}
            }
        });
        for (parameter, Parameter { entry, .. }) in parameters.iter_mut().enumerate() {
            let (job, head) = (&self.jobs[parameter], self.heads[parameter]);
            let (Some((iteration, _)), Some(data)) = (job.matrix, &mut entry.direction) else {
                continue;
            };
            let [rows, columns] = head.shape;
            // A matrix stored by columns is its transpose stored by rows, and the map commutes.
            let shape = if head.column_major { [columns, rows] } else { [rows, columns] };
            if head.len > 0 {
                orthogonalize(Direction { parameter, data: data.reborrow(), shape, iteration })?;
            }
        }
        Ok(())
    }

    fn apply(&self, stretch: Stretch<'_, '_>) -> Observed {
        let job = &self.jobs[stretch.entry()];
        match &self.ready[job.ready(&stretch)] {
            Ready::Propose32(formula) => apply_chunk(stretch, job, &**formula, self.observe),
            Ready::Propose64(formula) => apply_chunk(stretch, job, &**formula, self.observe),
            Ready::Advance32(formula) => advance_chunk(stretch, job, &**formula),
            Ready::Advance64(formula) => advance_chunk(stretch, job, &**formula),
        }
    }
}

fn measure_chunk<F: Float>(
    stretch: Stretch<'_, '_>,
    job: &Job,
    measure: &dyn Measure<F>,
) -> [f64; MAX_MEASURED] {
    let mut totals = [0.0; MAX_MEASURED];
    let done = job.factors.keeps_gradient()
        && stretch.whole(|x, g, state| measure.run(x, g, state, &mut totals));
    if !done {
        stretch.parts(|Part { x, g, state, spare, .. }| {
            let g = job.factors.gradient(x, g, spare);
            measure.run(x, g, state, &mut totals);
        });
    }
    totals
}

fn count_chunk<F: Float>(stretch: Stretch<'_, '_>, job: &Job, formula: &dyn Propose<F>) -> u64 {
    let mut count = 0;
    stretch.parts(|Part { x, g, state, u, spare, start }| {
        let g = job.factors.gradient(x, g, spare);
        formula.run(x, g, u, job.arguments(state, start).0);
        count += modifiers::agreeing(g, u);
    });
    count
}

fn propose_chunk<F: Float>(stretch: Stretch<'_, '_>, job: &Job, formula: &dyn Propose<F>) {
    stretch.parts(|Part { x, g, state, u, spare, start }| {
        let g = job.factors.gradient(x, g, spare);
        formula.run(x, g, u, job.arguments(state, start).0);
        job.factors.mask(g, u);
    });
}

/// The common case: nothing stands between the formula and the move.
fn advance_chunk<F: Float>(
    stretch: Stretch<'_, '_>,
    job: &Job,
    formula: &dyn Advance<F>,
) -> Observed {
    let keep = F::from_f64(job.factors.keep);
    if let Some(scale) = job.factors.scale() {
        let factors = [keep, F::from_f64(scale)];
        let whole =
            job.noise.is_none() && stretch.whole(|x, g, state| formula.run(x, g, factors, state));
        if !whole {
            stretch.parts_ahead(job.slow(), |Part { x, g, state, start, .. }| {
                formula.run(x, g, factors, job.arguments(state, start).0);
            });
        }
    } else {
        let factors = [keep, F::from_f64(1.0)];
        stretch.parts_ahead(job.slow(), |Part { x, g, state, spare, start, .. }| {
            let g = job.factors.gradient(x, g, spare);
            formula.run(x, g, factors, job.arguments(state, start).0);
        });
    }
    Observed::default()
}

fn apply_chunk<F: Float>(
    stretch: Stretch<'_, '_>,
    job: &Job,
    formula: &dyn Propose<F>,
    observe: bool,
) -> Observed {
    let mut observed = Observed::default();
    let room = |wanted| vec![F::default(); if wanted { pass::block_len::<F>() } else { 0 }];
    let (mut before, mut proposed) = (room(observe), room(job.matrix.is_some()));
    stretch.parts_ahead(job.slow(), |Part { x, g: raw, state, u, spare, start }| {
        if observe {
            before[..x.len()].copy_from_slice(x);
        }
        let g = job.factors.gradient(x, raw, spare);
        let (state, signs) = job.arguments(state, start);
        let factor = match job.matrix {
            None => {
                formula.run(x, g, u, state);
                job.factors.mask(g, u);
                1.0
            }
            // The direction is known: the formula runs for its states alone.
            Some((_, factor)) => {
                formula.run(x, g, &mut proposed[..u.len()], state);
                factor
            }
        };
        if job.signed {
            modifiers::turn(signs, u);
        }
        job.factors.apply(x, u, factor);
        if observe {
            observed.add(raw, &mut before[..x.len()], x);
        }
    });
    observed
}
