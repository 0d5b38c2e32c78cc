//! What shaders are printed from, a rule with its modifiers as one expression, is what the engine
//! does.

use thalweg::engine::rng::Philox;
use thalweg::optim::formula::{Stage, measure, norm, record};
use thalweg::optim::hyper::{Lookup, Value};
use thalweg::optim::modifiers::{Decay, Factors, Mask, Modifiers};
use thalweg::optim::rule::{MAX_MEASURED, Reduce, Start, Step};
use thalweg::optim::{Group, Options, Parameter, RULES, step};

struct Nothing;
impl Lookup for Nothing {
    fn get(&self, _: &str, _: Option<usize>) -> thalweg::Result<Option<Value>> {
        Ok(None)
    }
}

const N: usize = 9;

fn modifiers() -> Vec<Modifiers> {
    let plain = Modifiers::new((Decay::Decoupled, 0.0));
    let decayed = |decay| Modifiers { weight_decay: 0.1, decay, ..plain };
    vec![
        plain,
        decayed(Decay::Coupled),
        decayed(Decay::Decoupled),
        Modifiers { mask: Some(Mask::Grams), clip_value: Some(0.3), ..decayed(Decay::Cautious) },
        Modifiers { maximize: true, mask: Some(Mask::Cautious), ..decayed(Decay::Cautious) },
    ]
}

/// One step from fresh states in f64: the parameter and the states afterwards.
fn engine(group: Group, x: &[f64], g: &[f64], state: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let (mut x, mut state) = (x.to_vec(), state.to_vec());
    let scalars = group.rule.scalars().iter().flat_map(|s| vec![s.start; s.len]).collect();
    let states: Vec<_> = state.iter_mut().map(Into::into).collect();
    let mut parameter = Parameter::new(0, 1, (&mut x).into(), g.into(), states).unwrap();
    parameter = parameter.scalars(scalars, false);
    parameter.number = Some(0);
    let options = Options { loss: Some(2.0), ..Options::default() };
    step(&[group], &mut [parameter], &options).unwrap();
    std::iter::once(x).chain(state).collect()
}

fn recorded(group: &Group, x: &[f64], g: &[f64], state: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let rule = &*group.rule;
    let mut modifiers = group.modifiers;
    let before: Vec<f64> = rule.scalars().iter().flat_map(|s| vec![s.start; s.len]).collect();
    let mut at = Step { t: 1, call: 1, loss: 2.0, ..Step::default() };
    (at.scalars, at.before) = (before.clone(), before);
    if rule.decays(modifiers.decay) {
        at.own_decay = Some((modifiers.decay, modifiers.weight_decay));
        modifiers.weight_decay = 0.0;
    }
    let mut factors = Factors::new(&modifiers, 1.0, 1.0, rule.rate(&at), rule.geometry());
    let mut noise = vec![0.0; N];
    Philox::new(rule.noise().unwrap_or_default()).fill_noise(1, 0, &mut noise);
    let inputs = |i: usize| -> Vec<f64> {
        let states = state.iter().map(|state| state[i]);
        [x[i], g[i]].into_iter().chain(states).chain(rule.noise().map(|_| noise[i])).collect()
    };
    if let Some((expression, reduce)) = measure(rule, &factors) {
        let mut totals = [0.0; MAX_MEASURED];
        for i in 0..N {
            for ((total, kind), value) in
                totals.iter_mut().zip(&reduce).zip(expression.evaluate(&inputs(i)))
            {
                *total =
                    if *kind == Reduce::Sum { *total + value } else { value.abs().max(*total) };
            }
        }
        at.measured = totals;
    }
    rule.advance(&mut at).unwrap();
    if modifiers.mask == Some(Mask::Cautious) {
        let agree = record(rule, &at, &factors, Stage::Agree, None);
        let count: f64 = (0..N).map(|i| agree.evaluate(&inputs(i))[0]).sum();
        factors.mask_scale = 1.0 / (count / N as f64).max(1e-3);
    }
    let expression = record(rule, &at, &factors, Stage::Update, None);
    let rows: Vec<Vec<f64>> = (0..N).map(|i| expression.evaluate(&inputs(i))).collect();
    (0..1 + state.len()).map(|k| rows.iter().map(|row| row[k]).collect()).collect()
}

#[test]
fn a_recorded_step_is_the_step_of_the_engine() {
    let rng = Philox::new(3);
    let draws =
        |stream: u64| -> Vec<f64> { (0..N as u64).map(|i| rng.normal(stream, i)[0]).collect() };
    let (x, mut g) = (draws(0), draws(1));
    g[2] = 0.0;
    for info in RULES {
        for modifiers in modifiers() {
            let rule = (info.build)(&Nothing).unwrap();
            if rule.matrix(1, 1).is_some() {
                continue;
            }
            let state: Vec<Vec<f64>> = rule
                .states()
                .iter()
                .map(|state| match state.start {
                    Start::Constant(value) => vec![value; N],
                    _ => vec![0.5; N],
                })
                .collect();
            let group = Group { rule, modifiers };
            let found = recorded(&group, &x, &g, &state);
            let expected = engine(group, &x, &g, &state);
            for (found, expected) in found.iter().zip(&expected) {
                for (a, b) in found.iter().zip(expected) {
                    let close =
                        (a - b).abs() <= 1e-12 * (1.0 + b.abs()) || (a.is_nan() && b.is_nan());
                    assert!(close, "{}: {a} is not {b} with {modifiers:?}", info.name);
                }
            }
        }
    }
}

#[test]
fn a_matrix_rule_moves_by_the_direction_it_is_given() {
    let group = Group::new(
        (RULES.iter().find(|info| info.name == "muon").unwrap().build)(&Nothing).unwrap(),
    );
    let rule = &*group.rule;
    let at = Step { t: 1, call: 1, ..Step::default() };
    let factors = Factors::new(&group.modifiers, 1.0, 1.0, rule.rate(&at), rule.geometry());
    let direction = record(rule, &at, &factors, Stage::Direction, None);
    assert_eq!(direction.evaluate(&[1.0, 2.0, 0.0]).len(), 1);
    let moved = record(rule, &at, &factors, Stage::Move, Some(0.25));
    let out = moved.evaluate(&[1.0, 2.0, 0.0, 0.5]);
    let keep = 1.0 - rule.rate(&at) * group.modifiers.weight_decay;
    assert!((out[0] - (keep - 0.125)).abs() < 1e-15);
    assert!((out[1] - 0.1).abs() < 1e-12, "momentum {}", out[1]);
}

#[test]
fn the_norm_takes_squares_and_sizes_of_gradients() {
    let (expression, reduce) = norm();
    assert_eq!(expression.evaluate(&[7.0, -3.0]), [9.0, -3.0]);
    assert_eq!(reduce, [Reduce::Sum, Reduce::MaxAbs]);
}
