//! What a rule is: hyperparameters, and what happens to one coordinate.

use super::hyper::{Field, Lookup};
use super::modifiers::Decay;
use crate::engine::real::{Float, Lane, Real};
use crate::engine::simd::{self, Kernel, Level};
use crate::engine::sweep::{Arity, Sweep};
use crate::engine::trace::{self, Expression, Trace};
use crate::engine::{Error, Result};
use crate::linalg::newton_schulz::NewtonSchulz;

/// Where one parameter stands: what a formula may depend on besides its coordinate.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Step {
    /// Number of this step, from 1. Rules that keep no counter see 1 with fresh state, else 2.
    pub t: u64,
    /// What [`Rule::measure`] reduced over the tensor.
    pub measured: [f64; MAX_MEASURED],
}

/// Most scalars that a rule measures.
pub const MAX_MEASURED: usize = 4;

/// One state buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// Its key in a state dict; torch's name where torch has one.
    pub name: &'static str,
    /// Standard deviation of its normally distributed start; 0 starts from zeros.
    pub std: f64,
}

/// A state buffer that starts from zeros.
pub const fn zeros(name: &'static str) -> State {
    State { name, std: 0.0 }
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

/// A formula over slices, at one SIMD level.
pub trait Update<F>: Send + Sync {
    /// Changes the states and writes the steps to `u`.
    fn run(&self, x: &[F], g: &[F], u: &mut [F], state: &mut [&mut [F]]);
}

/// A measurement over slices.
pub trait Measure<F>: Send + Sync {
    /// Folds the elements into `totals`.
    fn run(&self, x: &[F], g: &[F], state: &[&mut [F]], totals: &mut [f64; MAX_MEASURED]);
    /// How totals of two stretches combine.
    fn join(&self, totals: &mut [f64; MAX_MEASURED], other: &[f64; MAX_MEASURED]);
}

/// A rule whose type is forgotten.
pub trait AnyRule: Send + Sync {
    /// Its entry in the registry.
    fn info(&self) -> &'static Info;
    /// Its state buffers, which may depend on hyperparameters.
    fn states(&self) -> Vec<State>;
    /// See [`Rule::rate`].
    fn rate(&self, step: &Step) -> f64;
    /// See [`Rule::matrix`].
    fn matrix(&self, rows: usize, columns: usize) -> Option<(NewtonSchulz, f64)>;
    /// The formula of a step for f32.
    fn update_f32(&self, step: &Step) -> Box<dyn Update<f32>>;
    /// The formula of a step for f64.
    fn update_f64(&self, step: &Step) -> Box<dyn Update<f64>>;
    /// The measurement for f32, if the rule measures.
    fn measure_f32(&self) -> Option<Box<dyn Measure<f32>>>;
    /// The measurement for f64, if the rule measures.
    fn measure_f64(&self) -> Option<Box<dyn Measure<f64>>>;
    /// The formula as an expression.
    fn trace(&self, step: &Step) -> Expression;
}

/// A [`Rule`] with its registry entry.
pub(crate) struct Registered<R>(pub R, pub &'static Info);

impl<R: Rule> AnyRule for Registered<R> {
    fn info(&self) -> &'static Info {
        self.1
    }
    fn states(&self) -> Vec<State> {
        self.0.kernel::<Lane<f64>, _>(&Step { t: 1, ..Step::default() }, Names)
    }
    fn rate(&self, step: &Step) -> f64 {
        self.0.rate(step)
    }
    fn matrix(&self, rows: usize, columns: usize) -> Option<(NewtonSchulz, f64)> {
        self.0.matrix(rows, columns)
    }
    fn update_f32(&self, step: &Step) -> Box<dyn Update<f32>> {
        update(&self.0, step)
    }
    fn update_f64(&self, step: &Step) -> Box<dyn Update<f64>> {
        update(&self.0, step)
    }
    fn measure_f32(&self) -> Option<Box<dyn Measure<f32>>> {
        self.0.measure::<Lane<f32>, _>(Prepare)
    }
    fn measure_f64(&self) -> Option<Box<dyn Measure<f64>>> {
        self.0.measure::<Lane<f64>, _>(Prepare)
    }
    fn trace(&self, step: &Step) -> Expression {
        trace::start();
        self.0.kernel::<Trace, _>(step, Record)
    }
}

/// The formula, compiled for the SIMD level of the machine.
fn update<F: Float, R: Rule>(rule: &R, step: &Step) -> Box<dyn Update<F>> {
    match Level::current() {
        Level::Baseline => rule.kernel::<Lane<F, { Level::Baseline as u8 }>, _>(step, Prepare),
        Level::Avx2 => rule.kernel::<Lane<F, { Level::Avx2 as u8 }>, _>(step, Prepare),
        Level::Avx512 => rule.kernel::<Lane<F, { Level::Avx512 as u8 }>, _>(step, Prepare),
    }
}

struct Names;
impl<T: Real> Launch<T> for Names {
    type Output = Vec<State>;
    fn run<const N: usize, F>(self, state: [State; N], _: F) -> Vec<State> {
        state.into()
    }
}

struct Record;
impl Launch<Trace> for Record {
    type Output = Expression;
    fn run<const N: usize, F>(self, _: [State; N], update: F) -> Expression
    where
        F: Fn(Trace, Trace, [&mut Trace; N]) -> Trace,
    {
        trace::formula(2 + N, |inputs| {
            let mut state: [Trace; N] = std::array::from_fn(|k| inputs[2 + k]);
            let step = update(inputs[0], inputs[1], state.each_mut());
            std::iter::once(step).chain(state).collect()
        })
    }
}

struct Prepare;

struct Ready<const LEVEL: u8, const N: usize, U>(U);

impl<F: Float, const LEVEL: u8> Launch<Lane<F, LEVEL>> for Prepare {
    type Output = Box<dyn Update<F>>;
    fn run<const N: usize, U>(self, _: [State; N], update: U) -> Self::Output
    where
        U: Fn(Lane<F, LEVEL>, Lane<F, LEVEL>, [&mut Lane<F, LEVEL>; N]) -> Lane<F, LEVEL>
            + Send
            + Sync
            + 'static,
        Arity: Sweep<N>,
    {
        Box::new(Ready::<LEVEL, N, U>(update))
    }
}

impl<F: Float, const LEVEL: u8, const N: usize, U> Update<F> for Ready<LEVEL, N, U>
where
    U: Fn(Lane<F, LEVEL>, Lane<F, LEVEL>, [&mut Lane<F, LEVEL>; N]) -> Lane<F, LEVEL> + Send + Sync,
    Arity: Sweep<N>,
{
    fn run(&self, x: &[F], g: &[F], u: &mut [F], state: &mut [&mut [F]]) {
        assert_eq!(state.len(), N, "state buffers of a rule");
        let mut state = state.iter_mut();
        let state = std::array::from_fn(|_| &mut **state.next().expect("counted above"));
        Arity::sweep(x, g, u, state, &self.0);
    }
}

struct ReadyProbe<const N: usize, const K: usize, M>([Reduce; K], M);

impl<F: Float> Probe<Lane<F>> for Prepare {
    type Output = Option<Box<dyn Measure<F>>>;
    fn run<const N: usize, const K: usize, M>(self, reduce: [Reduce; K], measure: M) -> Self::Output
    where
        M: Fn(Lane<F>, Lane<F>, [Lane<F>; N]) -> [Lane<F>; K] + Send + Sync + 'static,
    {
        (K > 0).then(|| Box::new(ReadyProbe::<N, K, M>(reduce, measure)) as Box<dyn Measure<F>>)
    }
}

/// Accumulators of one quantity: interleaved, so that the loop has independent chains.
const LANES: usize = 16;

impl<F: Float, const N: usize, const K: usize, M> Measure<F> for ReadyProbe<N, K, M>
where
    M: Fn(Lane<F>, Lane<F>, [Lane<F>; N]) -> [Lane<F>; K] + Send + Sync,
{
    fn run(&self, x: &[F], g: &[F], state: &[&mut [F]], totals: &mut [f64; MAX_MEASURED]) {
        let states: [&[F]; N] = std::array::from_fn(|k| &state[k][..x.len()]);
        for k in 0..K {
            let measure = |i: usize| self.1(Lane(x[i]), Lane(g[i]), states.map(|s| Lane(s[i])))[k];
            let measured = simd::dispatch(Fold(x.len(), self.0[k], measure));
            self.0[k].fold(&mut totals[k], measured);
        }
    }
    fn join(&self, totals: &mut [f64; MAX_MEASURED], other: &[f64; MAX_MEASURED]) {
        for k in 0..K {
            self.0[k].fold(&mut totals[k], other[k]);
        }
    }
}

/// Reduces `measure(0)` to `measure(n - 1)` in lanes, then the lanes in order.
struct Fold<M>(usize, Reduce, M);
impl<F: Float, M: Fn(usize) -> Lane<F>> Kernel for Fold<M> {
    type Output = f64;
    #[inline(always)]
    fn run(self) -> f64 {
        let Self(n, reduce, measure) = self;
        let mut lanes = [0.0; LANES];
        for start in (0..n).step_by(LANES) {
            for (lane, i) in lanes.iter_mut().zip(start..n) {
                reduce.fold(lane, measure(i).0.to_f64());
            }
        }
        lanes
            .into_iter()
            .reduce(|mut total, lane| {
                reduce.fold(&mut total, lane);
                total
            })
            .unwrap_or(0.0)
    }
}

impl Reduce {
    #[inline(always)]
    fn fold(self, total: &mut f64, value: f64) {
        match self {
            Self::Sum => *total += value,
            // Written so that NaN stays.
            Self::MaxAbs => {
                let larger = *total >= value.abs() || total.is_nan();
                *total = if larger { *total } else { value.abs() };
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
