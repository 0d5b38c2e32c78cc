//! What a rule is: hyperparameters, and what happens to one coordinate.

use super::geometry::Geometry;
use super::hyper::{Field, Lookup};
use super::modifiers::Decay;
use crate::engine::real::{Float, Lane, Real};
use crate::engine::simd::Level;
use crate::engine::sweep::{Arity, Sweep, site};
use crate::engine::trace::{self, Expression, Trace};
use crate::engine::{Error, Result, reduce};
use crate::linalg::newton_schulz::NewtonSchulz;

/// Where one parameter stands: what a formula may depend on besides its coordinate.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Number of this step, from 1. Rules that keep no counter see 1 with fresh state, else 2.
    pub t: u64,
    /// The largest `t` of the call, for what all parameters share.
    pub call: u64,
    /// What [`Rule::measure`] reduced.
    pub measured: [f64; MAX_MEASURED],
    /// The loss; NaN where the caller gives none.
    pub loss: f64,
    /// Form and strength of a decay that the rule applies itself; see [`Rule::decays`].
    pub own_decay: Option<(Decay, f64)>,
    /// The [`Rule::scalars`] of the parameter, as [`Rule::advance`] leaves them.
    pub scalars: Vec<f64>,
    /// The same before this step.
    pub before: Vec<f64>,
    /// Whether the narrow scalars are stored as f32.
    pub single: bool,
}

impl Default for Step {
    fn default() -> Self {
        Self {
            t: 0,
            call: 0,
            measured: [0.0; MAX_MEASURED],
            loss: f64::NAN,
            own_decay: None,
            scalars: Vec::new(),
            before: Vec::new(),
            single: false,
        }
    }
}

impl Step {
    /// The strength of a decay that the rule applies itself, if it has this form, else 0.
    pub fn own_decay(&self, form: Decay) -> f64 {
        self.own_decay.map_or(0.0, |(own, strength)| if own == form { strength } else { 0.0 })
    }
}

/// Most scalars that a rule measures.
pub const MAX_MEASURED: usize = 6;

/// One state buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// Its key in a state dict; torch's name where torch has one.
    pub name: &'static str,
    /// What it holds before the first step.
    pub start: Start,
}

/// What a state buffer holds before the first step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// One value everywhere.
    Constant(f64),
    /// Normal numbers of this deviation, drawn with the hyperparameter `seed`.
    Normal(f64),
    /// -1 in this share of the columns (the second axis) and 1 in the others, drawn with the
    /// hyperparameter `seed`; 1 where there is no second axis.
    Columns(f64),
    /// No buffer: standard normal numbers that the engine draws anew in every step, with
    /// [`Rule::seed`]. Comes after the buffers.
    Noise,
}

/// A state buffer that starts from zeros.
pub const fn zeros(name: &'static str) -> State {
    State { name, start: Start::Constant(0.0) }
}

/// The argument of a formula that holds new normal numbers in every step.
pub const NOISE: State = State { name: "noise", start: Start::Noise };

/// Numbers that a parameter keeps beside its buffers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scalar {
    /// Its key in a state dict.
    pub name: &'static str,
    /// How many.
    pub len: usize,
    /// Their first value.
    pub start: f64,
    /// Stored as float64 always; else as the step counter is.
    pub wide: bool,
}

/// One number in float64.
pub const fn scalar(name: &'static str, start: f64) -> Scalar {
    Scalar { name, len: 1, start, wide: true }
}

/// What a rule measures over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each tensor alone.
    Tensor,
    /// Each filter alone: a slice along the first axis, or all of a tensor of fewer than two axes.
    Filter,
    /// All tensors of the call that the rule steps.
    Call,
}

/// A buffer as a weighted sum of buffers; the parameter goes by the name `param`.
pub type Blend = (&'static str, Vec<(&'static str, f64)>);

/// How to exchange the point where gradients are taken for the one to use, and back.
#[derive(Debug, Clone, PartialEq)]
pub struct Views {
    /// From training to use.
    pub eval: Vec<Blend>,
    /// And back.
    pub train: Vec<Blend>,
}

impl Views {
    /// The parameter and a state change places.
    pub fn exchange(state: &'static str) -> Self {
        let swap = vec![("param", vec![(state, 1.0)]), (state, vec![("param", 1.0)])];
        Self { eval: swap.clone(), train: swap }
    }
}

/// How measurements of elements combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduce {
    /// Their sum, in f64.
    Sum,
    /// The largest absolute value.
    MaxAbs,
}

/// Takes the formula of a rule, with the states it uses.
pub trait Launch<T: Real> {
    /// What becomes of it.
    type Output;
    /// `update(x, g, states)` changes the states and returns the step to subtract from `x`.
    fn run<const N: usize, F>(self, state: [State; N], update: F) -> Self::Output
    where
        F: Fn(T, T, [&mut T; N]) -> T + Send + Sync + 'static,
        Arity: Sweep<N>;
}

/// Takes a measurement: a quantity of each element, reduced over the tensor before the step.
pub trait Probe<T: Real> {
    /// What becomes of it.
    type Output;
    /// `measure(x, g, states)` returns the quantities of one element, from the first `N` states.
    fn run<const N: usize, const K: usize, F>(
        self,
        reduce: [Reduce; K],
        measure: F,
    ) -> Self::Output
    where
        F: Fn(T, T, [T; N]) -> [T; K] + Send + Sync + 'static;
}

/// A rule, complete: the engine supplies everything else.
pub trait Rule: Clone + Send + Sync + 'static {
    /// The formula. What depends on `step` alone is computed here, once, in f64.
    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output;

    /// What to measure first, if anything.
    fn measure<T: Real, P: Probe<T>>(&self, probe: P) -> P::Output {
        probe.run([], |_, _, []| [])
    }

    /// The rate that multiplies decoupled weight decay.
    fn rate(&self, step: &Step) -> f64;

    /// What it measures over.
    fn scope(&self) -> Scope {
        Scope::Tensor
    }

    /// Numbers that each parameter keeps beside its buffers.
    fn scalars(&self) -> Vec<Scalar> {
        Vec::new()
    }

    /// Brings `step.scalars` to this step. What was measured is known, nothing has been written.
    ///
    /// # Errors
    /// [`Error::Value`] for a step that cannot be taken, such as one without a loss.
    fn advance(&self, _step: &mut Step) -> Result<()> {
        Ok(())
    }

    /// Whether the rule itself applies weight decay of this form, which it finds in the step.
    fn decays(&self, _form: Decay) -> bool {
        false
    }

    /// How a step moves the parameter.
    fn geometry(&self) -> Geometry {
        Geometry::Additive
    }

    /// The seed of [`NOISE`].
    fn seed(&self) -> u64 {
        0
    }

    /// For a rule that takes gradients elsewhere than at the point to use: how to exchange them.
    fn views(&self) -> Option<Views> {
        None
    }

    /// For a rule whose step is a function of a whole matrix: the map from the proposed direction,
    /// and the factor of its result for a matrix of that many rows and columns.
    fn matrix(&self, _rows: usize, _columns: usize) -> Option<(NewtonSchulz, f64)> {
        None
    }

    /// Checks that involve several hyperparameters.
    ///
    /// # Errors
    /// [`Error::Value`] in the caller's words.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// What the registry knows of a rule without its hyperparameters.
#[derive(Debug)]
pub struct Info {
    /// Registry name, also the file's.
    pub name: &'static str,
    /// Class name in Python.
    pub class: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Whether each parameter counts its steps.
    pub counts: bool,
    /// Default decay, and its default strength.
    pub decay: (Decay, f64),
    /// Hyperparameters, in the order of the constructor.
    pub fields: fn() -> Vec<Field>,
    /// Builds the rule from checked hyperparameters.
    pub build: fn(&dyn Lookup) -> Result<Box<dyn AnyRule>>,
}

/// A formula over slices.
pub trait Propose<F>: Send + Sync {
    /// Changes the states and writes the steps to `u`.
    fn run(&self, x: &[F], g: &[F], u: &mut [F], state: &mut [&mut [F]]);
}

/// A formula over slices, fused with the move.
pub trait Advance<F>: Send + Sync {
    /// Changes the states, multiplies `x` by `keep` and subtracts the steps for `scale * g`.
    fn run(&self, x: &mut [F], g: &[F], keep_scale: [F; 2], state: &mut [&mut [F]]);
}

/// A measurement over slices.
pub trait Measure<F>: Send + Sync {
    /// Folds the elements into `totals`.
    fn run(&self, x: &[F], g: &[F], state: &[&mut [F]], totals: &mut [f64; MAX_MEASURED]);
    /// How totals of two stretches combine.
    fn join(&self, totals: &mut [f64; MAX_MEASURED], other: &[f64; MAX_MEASURED]);
}

/// A type that rules compute in, and how to get their formulas for it.
pub trait Computed: Float {
    /// The formula of a step.
    fn propose(rule: &dyn AnyRule, step: &Step) -> Box<dyn Propose<Self>>;
    /// The same, fused with the move.
    fn advance(rule: &dyn AnyRule, step: &Step) -> Box<dyn Advance<Self>>;
    /// The measurement, if the rule measures.
    fn measure(rule: &dyn AnyRule) -> Option<Box<dyn Measure<Self>>>;
}

macro_rules! computed {
    ($($float:ty: $propose:ident $advance:ident $measure:ident),*) => {
        /// A rule whose type is forgotten.
        pub trait AnyRule: Send + Sync {
            /// Its entry in the registry.
            fn info(&self) -> &'static Info;
            /// Its state buffers, which may depend on hyperparameters.
            fn states(&self) -> Vec<State>;
            /// Seed of the noise, if the formula uses any.
            fn noise(&self) -> Option<u64>;
            /// How many states it measures, if it measures.
            fn measured(&self) -> Option<usize>;
            /// See [`Rule::scope`].
            fn scope(&self) -> Scope;
            /// See [`Rule::scalars`].
            fn scalars(&self) -> Vec<Scalar>;
            /// See [`Rule::advance`].
            fn advance(&self, step: &mut Step) -> Result<()>;
            /// See [`Rule::decays`].
            fn decays(&self, form: Decay) -> bool;
            /// See [`Rule::geometry`].
            fn geometry(&self) -> Geometry;
            /// See [`Rule::views`].
            fn views(&self) -> Option<Views>;
            /// See [`Rule::rate`].
            fn rate(&self, step: &Step) -> f64;
            /// See [`Rule::matrix`].
            fn matrix(&self, rows: usize, columns: usize) -> Option<(NewtonSchulz, f64)>;
            /// The formula as an expression.
            fn trace(&self, step: &Step) -> Expression;
            /// As [`AnyRule::trace`], inside a larger formula, whose recording has begun, with so
            /// many inputs after the states.
            fn record(&self, step: &Step, more: usize, around: &Around<'_>) -> Expression;
            /// What is measured, inside a larger formula, whose recording has begun, and how it is
            /// reduced; none if the rule does not measure.
            fn record_measure(&self, around: &Seen<'_>) -> Option<(Expression, Vec<Reduce>)>;
            $(
                #[doc = concat!("See [`Computed::propose`], for ", stringify!($float), ".")]
                fn $propose(&self, step: &Step) -> Box<dyn Propose<$float>>;
                #[doc = concat!("See [`Computed::advance`], for ", stringify!($float), ".")]
                fn $advance(&self, step: &Step) -> Box<dyn Advance<$float>>;
                #[doc = concat!("See [`Computed::measure`], for ", stringify!($float), ".")]
                fn $measure(&self) -> Option<Box<dyn Measure<$float>>>;
            )*
        }

        impl<R: Rule> AnyRule for Registered<R> {
            fn info(&self) -> &'static Info {
                self.1
            }
            fn states(&self) -> Vec<State> {
                let mut states = arguments(&self.0);
                states.retain(|state| state.start != Start::Noise);
                states
            }
            fn noise(&self) -> Option<u64> {
                let drawn = arguments(&self.0).iter().any(|state| state.start == Start::Noise);
                drawn.then(|| self.0.seed())
            }
            fn measured(&self) -> Option<usize> {
                self.0.measure::<Lane<f64>, _>(Count)
            }
            fn scope(&self) -> Scope {
                self.0.scope()
            }
            fn scalars(&self) -> Vec<Scalar> {
                self.0.scalars()
            }
            fn advance(&self, step: &mut Step) -> Result<()> {
                self.0.advance(step)
            }
            fn decays(&self, form: Decay) -> bool {
                self.0.decays(form)
            }
            fn geometry(&self) -> Geometry {
                self.0.geometry()
            }
            fn views(&self) -> Option<Views> {
                self.0.views()
            }
            fn rate(&self, step: &Step) -> f64 {
                self.0.rate(step)
            }
            fn matrix(&self, rows: usize, columns: usize) -> Option<(NewtonSchulz, f64)> {
                self.0.matrix(rows, columns)
            }
            fn trace(&self, step: &Step) -> Expression {
                trace::start();
                self.record(step, 0, &|inputs, update| {
                    let mut state = inputs[2..].to_vec();
                    let step = update(inputs[0], inputs[1], &mut state);
                    std::iter::once(step).chain(state).collect()
                })
            }
            fn record(&self, step: &Step, more: usize, around: &Around<'_>) -> Expression {
                self.0.kernel::<Trace, _>(step, Record { more, around })
            }
            fn record_measure(&self, around: &Seen<'_>) -> Option<(Expression, Vec<Reduce>)> {
                self.0.measure::<Trace, _>(RecordMeasure(around))
            }
            $(
                fn $propose(&self, step: &Step) -> Box<dyn Propose<$float>> {
                    at_level!(propose, self.0, $float, step, PrepareProposal)
                }
                fn $advance(&self, step: &Step) -> Box<dyn Advance<$float>> {
                    at_level!(advance, self.0, $float, step, PrepareAdvance)
                }
                fn $measure(&self) -> Option<Box<dyn Measure<$float>>> {
                    self.0.measure::<Lane<$float>, _>(PrepareMeasure)
                }
            )*
        }

        $(
            impl Computed for $float {
                fn propose(rule: &dyn AnyRule, step: &Step) -> Box<dyn Propose<Self>> {
                    rule.$propose(step)
                }
                fn advance(rule: &dyn AnyRule, step: &Step) -> Box<dyn Advance<Self>> {
                    rule.$advance(step)
                }
                fn measure(rule: &dyn AnyRule) -> Option<Box<dyn Measure<Self>>> {
                    rule.$measure()
                }
            }
        )*
    };
}

/// The formula of a rule at the SIMD level of the machine.
macro_rules! at_level {
    ($site:ident, $rule:expr, $float:ty, $step:expr, $launch:expr) => {
        match Level::current() {
            Level::Baseline => {
                $rule.kernel::<Lane<$float, { site::$site(Level::Baseline) }>, _>($step, $launch)
            }
            Level::Avx2 => {
                $rule.kernel::<Lane<$float, { site::$site(Level::Avx2) }>, _>($step, $launch)
            }
            Level::Avx512 => {
                $rule.kernel::<Lane<$float, { site::$site(Level::Avx512) }>, _>($step, $launch)
            }
        }
    };
}

computed!(
    f32: propose_f32 advance_f32 measure_f32,
    f64: propose_f64 advance_f64 measure_f64
);

/// A [`Rule`] with its registry entry.
pub(crate) struct Registered<R>(pub R, pub &'static Info);

/// What a formula takes besides parameter and gradient.
fn arguments(rule: &impl Rule) -> Vec<State> {
    let scalars: Vec<f64> =
        rule.scalars().iter().flat_map(|s| std::iter::repeat_n(s.start, s.len)).collect();
    let step = Step { t: 1, call: 1, before: scalars.clone(), scalars, ..Step::default() };
    rule.kernel::<Lane<f64>, _>(&step, Names)
}

struct Count;
impl<T: Real> Probe<T> for Count {
    type Output = Option<usize>;
    fn run<const N: usize, const K: usize, F>(self, _: [Reduce; K], _: F) -> Option<usize>
    where
        F: Fn(T, T, [T; N]) -> [T; K],
    {
        (K > 0).then_some(N)
    }
}

struct Names;
impl<T: Real> Launch<T> for Names {
    type Output = Vec<State>;
    fn run<const N: usize, F>(self, state: [State; N], _: F) -> Vec<State> {
        state.into()
    }
}

/// What stands around the formula of a rule: gets the inputs, and the formula, which changes the
/// states it is given and returns the step; returns the results.
pub type Around<'a> =
    dyn Fn(&[Trace], &dyn Fn(Trace, Trace, &mut [Trace]) -> Trace) -> Vec<Trace> + 'a;

/// The gradient as the rule sees it, from parameter and gradient.
pub type Seen<'a> = dyn Fn(Trace, Trace) -> Trace + 'a;

struct Record<'a> {
    more: usize,
    around: &'a Around<'a>,
}
impl Launch<Trace> for Record<'_> {
    type Output = Expression;
    fn run<const N: usize, F>(self, _: [State; N], update: F) -> Expression
    where
        F: Fn(Trace, Trace, [&mut Trace; N]) -> Trace,
    {
        trace::formula(2 + N + self.more, |inputs| {
            (self.around)(&inputs, &|x, g, state| {
                let mut inner: [Trace; N] = std::array::from_fn(|k| state[k]);
                let step = update(x, g, inner.each_mut());
                state[..N].copy_from_slice(&inner);
                step
            })
        })
    }
}

struct RecordMeasure<'a>(&'a Seen<'a>);
impl Probe<Trace> for RecordMeasure<'_> {
    type Output = Option<(Expression, Vec<Reduce>)>;
    fn run<const N: usize, const K: usize, F>(self, reduce: [Reduce; K], measure: F) -> Self::Output
    where
        F: Fn(Trace, Trace, [Trace; N]) -> [Trace; K],
    {
        let expression = trace::formula(2 + N, |inputs| {
            let g = (self.0)(inputs[0], inputs[1]);
            measure(inputs[0], g, std::array::from_fn(|k| inputs[2 + k])).into()
        });
        (K > 0).then(|| (expression, reduce.into()))
    }
}

struct PrepareProposal;
struct PrepareAdvance;

struct Proposal<const SITE: u8, const N: usize, U>(U);
struct Advancing<const SITE: u8, const N: usize, U>(U);

macro_rules! prepare {
    ($launch:ident, $ready:ident, $object:ident) => {
        impl<F: Float, const SITE: u8> Launch<Lane<F, SITE>> for $launch {
            type Output = Box<dyn $object<F>>;
            fn run<const N: usize, U>(self, _: [State; N], update: U) -> Self::Output
            where
                U: Fn(Lane<F, SITE>, Lane<F, SITE>, [&mut Lane<F, SITE>; N]) -> Lane<F, SITE>
                    + Send
                    + Sync
                    + 'static,
                Arity: Sweep<N>,
            {
                Box::new($ready::<SITE, N, U>(update))
            }
        }
    };
}
prepare!(PrepareProposal, Proposal, Propose);
prepare!(PrepareAdvance, Advancing, Advance);

impl<F: Float, const SITE: u8, const N: usize, U> Propose<F> for Proposal<SITE, N, U>
where
    U: Fn(Lane<F, SITE>, Lane<F, SITE>, [&mut Lane<F, SITE>; N]) -> Lane<F, SITE> + Send + Sync,
    Arity: Sweep<N>,
{
    fn run(&self, x: &[F], g: &[F], u: &mut [F], state: &mut [&mut [F]]) {
        Arity::propose(x, g, u, counted(state), &self.0);
    }
}

impl<F: Float, const SITE: u8, const N: usize, U> Advance<F> for Advancing<SITE, N, U>
where
    U: Fn(Lane<F, SITE>, Lane<F, SITE>, [&mut Lane<F, SITE>; N]) -> Lane<F, SITE> + Send + Sync,
    Arity: Sweep<N>,
{
    fn run(&self, x: &mut [F], g: &[F], keep_scale: [F; 2], state: &mut [&mut [F]]) {
        Arity::advance(x, g, keep_scale, counted(state), &self.0);
    }
}

/// The slices of a state list whose length was checked when the step was planned.
fn counted<'s, F, const N: usize>(state: &'s mut [&mut [F]]) -> [&'s mut [F]; N] {
    assert_eq!(state.len(), N, "state buffers of a rule");
    let mut state = state.iter_mut();
    std::array::from_fn(|_| &mut **state.next().expect("counted above"))
}

struct PrepareMeasure;

/// Gradient, parameter and states.
type MeasuredColumns<'c, F, const N: usize> =
    ([&'c [F]; 1], (reduce::Quiet<[&'c [F]; 1]>, [&'c [F]; N]));

struct Measuring<const N: usize, const K: usize, M>([Reduce; K], M);

impl<F: Float> Probe<Lane<F>> for PrepareMeasure {
    type Output = Option<Box<dyn Measure<F>>>;
    fn run<const N: usize, const K: usize, M>(self, reduce: [Reduce; K], measure: M) -> Self::Output
    where
        M: Fn(Lane<F>, Lane<F>, [Lane<F>; N]) -> [Lane<F>; K] + Send + Sync + 'static,
    {
        (K > 0).then(|| Box::new(Measuring::<N, K, M>(reduce, measure)) as Box<dyn Measure<F>>)
    }
}

impl<const N: usize, const K: usize, M> Measuring<N, K, M> {
    /// Reduces the quantity at place `AT`.
    fn quantity<F: Float, const AT: usize>(
        &self,
        reduce: Reduce,
        columns: MeasuredColumns<'_, F, N>,
    ) -> f64
    where
        M: Fn(Lane<F>, Lane<F>, [Lane<F>; N]) -> [Lane<F>; K],
    {
        const { assert!(MAX_MEASURED <= 6) };
        let quantity = |([g], ([x], states)): ([F; 1], ([F; 1], [F; N]))| {
            // Not a variable, which would come from memory inside a function of another SIMD level.
            (self.1)(Lane(x), Lane(g), states.map(Lane))[if AT < K { AT } else { 0 }]
        };
        match reduce {
            Reduce::Sum => reduce::sum(columns, |row| quantity(row).0.to_f64()),
            Reduce::MaxAbs => reduce::max_abs_of(columns, quantity),
        }
    }
}

impl<F: Float, const N: usize, const K: usize, M> Measure<F> for Measuring<N, K, M>
where
    M: Fn(Lane<F>, Lane<F>, [Lane<F>; N]) -> [Lane<F>; K] + Send + Sync,
{
    fn run(&self, x: &[F], g: &[F], state: &[&mut [F]], totals: &mut [f64; MAX_MEASURED]) {
        // Each quantity is a loop of its own: over stretches that stay in the first-level cache.
        let stretch = if K > 1 { 1024 } else { g.len().max(1) };
        for start in (0..g.len()).step_by(stretch) {
            let range = start..g.len().min(start + stretch);
            let states = std::array::from_fn::<&[F], N, _>(|n| &state[n][range.clone()]);
            let columns = ([&g[range.clone()]], (reduce::Quiet([&x[range.clone()]]), states));
            for (k, (reduce, total)) in self.0.iter().zip(&mut *totals).enumerate() {
                // A place known to the compiler: of the other quantities nothing is then computed.
                let value = match k {
                    0 => self.quantity::<F, 0>(*reduce, columns),
                    1 => self.quantity::<F, 1>(*reduce, columns),
                    2 => self.quantity::<F, 2>(*reduce, columns),
                    3 => self.quantity::<F, 3>(*reduce, columns),
                    4 => self.quantity::<F, 4>(*reduce, columns),
                    _ => self.quantity::<F, 5>(*reduce, columns),
                };
                reduce.fold(total, value);
            }
        }
    }
    fn join(&self, totals: &mut [f64; MAX_MEASURED], other: &[f64; MAX_MEASURED]) {
        for ((reduce, total), &other) in self.0.iter().zip(totals).zip(other) {
            reduce.fold(total, other);
        }
    }
}

impl Reduce {
    pub(crate) fn fold(self, total: &mut f64, value: f64) {
        match self {
            Self::Sum => *total += value,
            // Written so that NaN stays.
            Self::MaxAbs => {
                *total = if *total >= value || total.is_nan() { *total } else { value };
            }
        }
    }
}

/// Defines a rule's hyperparameters and its entry in the registry.
///
/// ```text
/// rule! {
///     /// Summary.
///     "name" => Class { lr: NonNegative = 1e-3, ... }
///     decay Decoupled 0.01
/// }
/// ```
///
/// A trailing `uncounted` says that parameters keep no step counter.
macro_rules! rule {
    (
        #[doc = $summary:literal]
        $name:literal => $class:ident { $($(#[$doc:meta])* $field:ident: $domain:ty = $default:expr),* $(,)? }
        decay $decay:ident $weight_decay:literal
        $($uncounted:ident)?
    ) => {
        #[doc = $summary]
        #[derive(Debug, Clone, PartialEq)]
        pub struct $class {
            $(
                #[doc = concat!("See the module; default `", stringify!($default), "`.")]
                $(#[$doc])*
                pub $field: <$domain as $crate::optim::hyper::Domain>::Value,
            )*
        }

        impl Default for $class {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }

        impl $class {
            /// Its entry in the registry.
            pub const INFO: &'static $crate::optim::rule::Info = &$crate::optim::rule::Info {
                name: $name,
                class: stringify!($class),
                summary: $summary,
                counts: !$crate::optim::rule::uncounted!($($uncounted)?),
                decay: ($crate::optim::modifiers::Decay::$decay, $weight_decay),
                fields: || {
                    let default = Self::default();
                    vec![$({
                        let (key, index) = $crate::optim::hyper::key(stringify!($field));
                        $crate::optim::hyper::Field {
                            key,
                            index,
                            allowed: <$domain as $crate::optim::hyper::Domain>::allowed(),
                            default: <$domain as $crate::optim::hyper::Domain>::value(&default.$field),
                        }
                    }),*]
                },
                build: |lookup| {
                    let default = Self::default();
                    Self {
                        $($field: $crate::optim::hyper::read::<$domain>(
                            lookup, stringify!($field), &default.$field,
                        )?),*
                    }
                    .boxed()
                },
            };

            /// The rule, checked.
            ///
            /// # Errors
            /// [`Error::Value`](crate::Error::Value) if a hyperparameter is outside its range.
            pub fn boxed(self) -> $crate::Result<Box<dyn $crate::optim::rule::AnyRule>> {
                $($crate::optim::rule::check_field::<$domain>(stringify!($field), &self.$field)?;)*
                $crate::optim::rule::Rule::check(&self)?;
                Ok(Box::new($crate::optim::rule::Registered(self, Self::INFO)))
            }
        }
    };
}
pub(crate) use rule;

macro_rules! uncounted {
    () => {
        false
    };
    (uncounted) => {
        true
    };
}
pub(crate) use uncounted;

/// Checks a field that was set in Rust.
pub(crate) fn check_field<D: super::hyper::Domain>(
    field: &'static str,
    value: &D::Value,
) -> Result<()> {
    let given = D::value(value);
    if D::accept(&given).is_some() {
        return Ok(());
    }
    let (key, index) = super::hyper::key(field);
    let name = index.map_or(key.to_owned(), |i| format!("{key}[{i}]"));
    Err(Error::value(name, D::allowed(), given, "see the documentation of the rule"))
}
