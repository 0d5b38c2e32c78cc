//! Steps through the crate alone: recorded formulas, resumed runs, threads.

use proptest::prelude::*;
use thalweg::Result;
use thalweg::engine::rng::Philox;
use thalweg::engine::threads;
use thalweg::optim::hyper::{Lookup, Value};
use thalweg::optim::modifiers::{Decay, Mask, OnNonfinite};
use thalweg::optim::rule::{AnyRule, Computed, Info, MAX_MEASURED, Start, State, Step};
use thalweg::optim::{Group, Options, Parameter, RULES, step};

#[derive(Clone, Default)]
struct Hyper(Vec<(&'static str, Option<usize>, Value)>);

impl Lookup for Hyper {
    fn get(&self, key: &str, index: Option<usize>) -> Result<Option<Value>> {
        Lookup::get(self.0.as_slice(), key, index)
    }
}

/// Options that change the formula of some rule; a rule takes those that it knows.
fn variants() -> Vec<Hyper> {
    let number = |key, index, value| (key, index, Value::Number(value));
    let flag = |key, value| (key, None, Value::Flag(value));
    let text = |key, value: &str| (key, None, Value::Text(value.into()));
    let variants = [
        vec![],
        vec![number("momentum", None, 0.9)],
        vec![number("momentum", None, 0.9), flag("nesterov", true)],
        vec![number("momentum", None, 0.9), number("dampening", None, 0.3)],
        vec![flag("amsgrad", true), number("eps", None, 1e-3)],
        vec![number("betas", Some(0), 0.0)],
        vec![number("beta3_warmup", None, 20.0), number("alpha_warmup", None, 30.0)],
        vec![text("eps_mode", "early"), flag("correct_bias", false)],
        vec![text("v0", "zeros"), number("momentum", None, 0.5), flag("nesterov", false)],
        vec![text("adjust_lr_fn", "match_rms_adamw")],
        vec![flag("centered", true), number("lr_decay", None, 0.1), number("power", None, 3.0)],
        vec![flag("centered", true), number("momentum", None, 0.5), flag("average", true)],
        vec![text("gate", "tensor"), number("threshold", None, 0.1), number("burn_in", None, 20.0)],
        vec![text("guess", "none"), text("base", "adamw"), text("method", "heavy_ball")],
        vec![text("guess", "last"), text("method", "nesterov"), text("sampler", "linear")],
        vec![number("history", None, 3.0), text("geometry", "frozen"), number("mu", None, 0.5)],
    ];
    variants.map(Hyper).into()
}

fn rules() -> impl Iterator<Item = Box<dyn AnyRule>> {
    RULES.iter().flat_map(|info: &&Info| {
        let built = |(k, hyper): (usize, Hyper)| match (info.build)(&hyper) {
            Ok(rule) => Some(rule),
            // A value may be out of range for one rule and of interest for another.
            Err(error) => {
                assert!(k > 0, "{error}");
                None
            }
        };
        variants().into_iter().enumerate().filter_map(built)
    })
}

/// Normal numbers with a few exact zeros; squares where the rule keeps squares.
fn draws(seed: u64, name: &str, n: usize) -> Vec<f64> {
    let rng = Philox::new(seed);
    let stream =
        name.bytes().fold(0u64, |acc, byte| acc.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let value = |i: u64| {
        let [value, _] = rng.normal(stream, i);
        if rng.uniform(stream + 1, i)[0] < 0.1 { 0.0 } else { value }
    };
    let square = ["sq", "acc_delta", "sum"].iter().any(|part| name.contains(part));
    (0..n as u64).map(value).map(|x| if square { x * x + 1e-3 } else { x }).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * (1.0 + a.abs().max(b.abs())) || (a.is_nan() && b.is_nan())
}

/// A step in which everything was measured, and has happened before.
fn at(rule: &dyn AnyRule, t: u64) -> Step {
    let len = rule.scalars().iter().map(|scalar| scalar.len).sum();
    let numbers = vec![0.25; len];
    let measured = [1.5; MAX_MEASURED];
    Step {
        t,
        call: t,
        measured,
        loss: 2.0,
        before: numbers.clone(),
        scalars: numbers,
        ..Step::default()
    }
}

/// The buffers of a formula's arguments: states, then noise.
fn arguments(rule: &dyn AnyRule) -> Vec<&'static str> {
    let noise = rule.noise().map(|_| "noise");
    rule.states().into_iter().map(|state| state.name).chain(noise).collect()
}

/// The seam that shaders are printed from: what a rule does to a recording scalar is what it does
/// to numbers, alone and fused with the move.
#[test]
fn recorded_formulas_are_the_formulas() {
    const N: usize = 67;
    for rule in rules() {
        let states = arguments(rule.as_ref());
        for t in [1, 2, 50] {
            let at = at(rule.as_ref(), t);
            let expression = rule.trace(&at);
            let (x, g) = (draws(t, "x", N), draws(t, "g", N));
            let old: Vec<Vec<f64>> = states.iter().map(|s| draws(t, s, N)).collect();

            let (mut u, mut new) = (vec![0.0; N], old.clone());
            let mut slices: Vec<&mut [f64]> = new.iter_mut().map(Vec::as_mut_slice).collect();
            f64::propose(rule.as_ref(), &at).run(&x, &g, &mut u, &mut slices);
            let (mut moved, mut fused) = (x.clone(), old.clone());
            let mut slices: Vec<&mut [f64]> = fused.iter_mut().map(Vec::as_mut_slice).collect();
            let twice: Vec<f64> = g.iter().map(|g| 2.0 * g).collect();
            f64::advance(rule.as_ref(), &at).run(&mut moved, &twice, [0.9, 0.5], &mut slices);

            for i in 0..N {
                let mut inputs = vec![x[i], g[i]];
                inputs.extend(old.iter().map(|state| state[i]));
                let outputs = expression.evaluate(&inputs);
                let name = rule.info().name;
                assert_eq!(outputs.len(), 1 + states.len());
                assert!(close(outputs[0], u[i]), "{name}: step {} is not {}", u[i], outputs[0]);
                assert!(close(0.9 * x[i] - outputs[0], moved[i]), "{name}: the fused move");
                for (k, state) in states.iter().enumerate() {
                    assert!(close(outputs[1 + k], new[k][i]), "{name}: {state}");
                    assert_eq!(new[k][i].to_bits(), fused[k][i].to_bits(), "{name}: fused");
                }
            }
        }
    }
}

/// A recorded formula depends on the step through its uniforms alone.
#[test]
fn one_recording_serves_every_step() {
    for rule in rules().filter(|rule| rule.info().counts) {
        let [second, later] = [2, 40].map(|t| rule.trace(&at(rule.as_ref(), t)));
        assert_eq!(second.nodes, later.nodes, "{}", rule.info().name);
        assert_eq!(second.outputs, later.outputs);
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Model {
    t: u64,
    x: Vec<f32>,
    state: Vec<Vec<f32>>,
    scalars: Vec<f64>,
}

impl Model {
    fn new(rule: &dyn AnyRule, n: usize) -> Self {
        let x = draws(7, "x", n).into_iter().map(|x| x as f32).collect();
        let first = |state: &State| match state.start {
            Start::Constant(value) => vec![value as f32; n],
            _ => vec![0.0; n],
        };
        let scalars = rule.scalars().into_iter().flat_map(|s| vec![s.start; s.len]).collect();
        Self { t: 0, x, state: rule.states().iter().map(first).collect(), scalars }
    }

    fn step(&mut self, group: Group, options: &Options, g: &[f32]) {
        self.t += 1;
        let n = self.x.len();
        let mut direction = vec![0.0f32; n];
        let matrix = group.rule.matrix(1, 1).is_some();
        let state = self.state.iter_mut().map(Into::into);
        let view = g.into();
        let mut parameter = Parameter::new(0, self.t, (&mut self.x).into(), view, state).unwrap();
        parameter = parameter.scalars(self.scalars.clone(), false);
        if matrix {
            parameter = parameter.matrix([n / 8, 8], false, (&mut direction).into());
        }
        let mut parameters = [parameter];
        let options = Options { loss: Some(2.0), ..*options };
        step(&[group], &mut parameters, &options).unwrap();
        let [Parameter { scalars, .. }] = parameters;
        self.scalars = scalars;
    }
}

fn group(
    rule: Box<dyn AnyRule>,
    mask: Option<Mask>,
    decay: Decay,
    clip_norm: Option<f64>,
) -> Group {
    let mut group = Group::new(rule);
    group.modifiers.weight_decay = 0.1;
    (group.modifiers.mask, group.modifiers.decay) = (mask, decay);
    group.modifiers.clip_norm = clip_norm;
    group
}

fn gradient(t: u64, n: usize) -> Vec<f32> {
    draws(100 + t, "g", n).into_iter().map(|g| g as f32).collect()
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    const N: usize = 300_000;
    for info in RULES.iter().filter(|info| info.name != "muon") {
        let models = [1, 2, 7].map(|count| {
            threads::set(count);
            let rule = || (info.build)(&Hyper::default()).unwrap();
            let mut model = Model::new(rule().as_ref(), N);
            for t in 0..2 {
                let group = group(rule(), Some(Mask::Cautious), Decay::Cautious, Some(1.0));
                model.step(group, &Options::default(), &gradient(t, N));
            }
            model
        });
        threads::set(0);
        assert!(models[0] == models[1] && models[1] == models[2], "{}", info.name);
    }
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one() {
    for info in RULES {
        let rule = || (info.build)(&Hyper::default()).unwrap();
        let mut whole = Model::new(rule().as_ref(), 64);
        let mut saved = None;
        for t in 0..6 {
            if t == 3 {
                saved = Some(whole.clone());
            }
            whole.step(Group::new(rule()), &Options::default(), &gradient(t, 64));
        }
        let mut resumed = saved.unwrap();
        for t in 3..6 {
            resumed.step(Group::new(rule()), &Options::default(), &gradient(t, 64));
        }
        assert_eq!(whole, resumed, "{}", info.name);
    }
}

proptest! {
    /// Gradients of any kind neither panic nor, where they are refused, change anything.
    #[test]
    fn any_gradient_is_taken_skipped_or_refused(
        which in 0..RULES.len(),
        g in prop::collection::vec(any::<f32>(), 64),
        mask in prop::sample::select(vec![None, Some(Mask::Cautious), Some(Mask::Grams)]),
        decay in prop::sample::select(vec![Decay::Coupled, Decay::Decoupled, Decay::Cautious]),
        clip in prop::option::of(0.1f64..10.0),
        skip in any::<bool>(),
    ) {
        let rule = || (RULES[which].build)(&Hyper::default()).unwrap();
        let policy = if skip { OnNonfinite::Skip } else { OnNonfinite::Propagate };
        let options = Options { on_nonfinite: policy, ..Options::default() };
        let mut model = Model::new(rule().as_ref(), 64);
        let before = model.clone();
        model.step(group(rule(), mask, decay, clip), &options, &g);
        if skip && g.iter().any(|g| !g.is_finite()) {
            prop_assert_eq!((&model.x, &model.state), (&before.x, &before.state));
        }
    }

    /// Where the gradient is scaled before and unscaled inside, by a power of two, nothing changes.
    #[test]
    fn unscaling_by_a_power_of_two_is_exact(which in 0..RULES.len(), power in -8i32..8) {
        let rule = || (RULES[which].build)(&Hyper::default()).unwrap();
        let [mut plain, mut scaled] = [(); 2].map(|()| Model::new(rule().as_ref(), 64));
        let (g, factor) = (gradient(1, 64), 2f64.powi(power));
        let larger: Vec<f32> = g.iter().map(|g| g * factor as f32).collect();
        plain.step(Group::new(rule()), &Options::default(), &g);
        scaled.step(Group::new(rule()), &Options { grad_scale: factor, ..Options::default() }, &larger);
        prop_assert_eq!(plain, scaled);
    }
}
