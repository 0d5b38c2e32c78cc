//! A rule with its modifiers as one recorded formula: what shaders are printed from.
//!
//! Inputs are x, g, the states, and the noise if the rule draws any; what changes from step to step
//! stands in uniforms, so that the text of a formula is the same in every step unless the rule
//! itself changes its form.

use super::geometry::{self, Geometry};
use super::modifiers::{Factors, Mask, agree, cautious, cautiously_decayed, clipped, grams};
use super::rule::{AnyRule, Reduce, Step};
use crate::engine::real::Real;
use crate::engine::trace::{self, Expression, Trace};

/// What a formula yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The new parameter, then the new states.
    Update,
    /// 1 where the step agrees with the gradient, else 0.
    Agree,
    /// The masked step alone.
    Direction,
    /// The new parameter from a direction, the input after the states, then the new states.
    Move,
}

/// [`Factors`] as uniforms; what is off leaves no trace in the formula.
struct Uniforms {
    factors: Factors,
    gradient: Trace,
    limit: Option<Trace>,
    coupled: Option<Trace>,
    mask_scale: Option<Trace>,
    decay: [Trace; 2],
    scale: Option<Trace>,
    exponent: Option<Trace>,
}

impl Uniforms {
    fn new(factors: &Factors, scale: Option<f64>) -> Self {
        let exponent = match factors.geometry {
            Geometry::Multiplicative { limit } => Some(Trace::of(limit)),
            _ => None,
        };
        let masked = factors.mask == Some(Mask::Cautious);
        Self {
            factors: *factors,
            gradient: Trace::of(factors.gradient),
            limit: factors.clip_value.map(Trace::of),
            coupled: (factors.coupled != 0.0).then(|| Trace::of(factors.coupled)),
            mask_scale: masked.then(|| Trace::of(factors.mask_scale)),
            decay: [factors.keep, factors.cautious].map(Trace::of),
            scale: scale.map(Trace::of),
            exponent,
        }
    }

    fn gradient(&self, x: Trace, g: Trace) -> Trace {
        let g = g * self.gradient;
        let g = self.limit.map_or(g, |limit| clipped(g, limit));
        self.coupled.map_or(g, |coupled| g + coupled * x)
    }

    fn masked(&self, u: Trace, g: Trace) -> Trace {
        match (self.factors.mask, self.mask_scale) {
            (Some(Mask::Cautious), Some(scale)) => cautious(u, g, scale),
            (Some(Mask::Grams), _) => grams(u, g),
            _ => u,
        }
    }

    fn moved(&self, x: Trace, u: Trace) -> Trace {
        let u = self.scale.map_or(u, |scale| scale * u);
        let [keep, decay] = self.decay;
        match (self.factors.geometry, self.exponent) {
            (Geometry::Multiplicative { .. }, Some(limit)) => {
                geometry::multiplied(x, u, limit, self.decay)
            }
            (Geometry::Frozen, _) => geometry::frozen(x, u, self.decay),
            _ if self.factors.cautious != 0.0 => cautiously_decayed(x, u, decay),
            _ => x * keep - u,
        }
    }
}

/// The number of the uniform that holds [`Factors::mask_scale`], if the mask has a scale.
pub fn place_of_mask_scale(factors: &Factors) -> Option<usize> {
    let before = [
        matches!(factors.geometry, Geometry::Multiplicative { .. }),
        true,
        factors.clip_value.is_some(),
        factors.coupled != 0.0,
    ];
    let count = before.iter().filter(|&&there| there).count();
    (factors.mask == Some(Mask::Cautious)).then_some(count)
}

/// Records a step; `scale` is the factor on the direction of [`Stage::Move`].
pub fn record(
    rule: &dyn AnyRule,
    step: &Step,
    factors: &Factors,
    stage: Stage,
    scale: Option<f64>,
) -> Expression {
    trace::start();
    let uniforms = Uniforms::new(factors, scale);
    let states = rule.states().len();
    let more = usize::from(stage == Stage::Move);
    rule.record(step, more, &|inputs, update| {
        let (x, g) = (inputs[0], uniforms.gradient(inputs[0], inputs[1]));
        // States, and the noise.
        let mut state = inputs[2..inputs.len() - more].to_vec();
        let u = update(x, g, &mut state);
        match stage {
            Stage::Agree => vec![Trace::select(agree(u, g), Trace::of(1.0), Trace::of(0.0))],
            Stage::Direction => vec![uniforms.masked(u, g)],
            Stage::Update => {
                let moved = uniforms.moved(x, uniforms.masked(u, g));
                std::iter::once(moved).chain(state).take(1 + states).collect()
            }
            Stage::Move => {
                let moved = uniforms.moved(x, inputs[inputs.len() - 1]);
                std::iter::once(moved).chain(state).take(1 + states).collect()
            }
        }
    })
}

/// Records what the rule measures, if it measures.
pub fn measure(rule: &dyn AnyRule, factors: &Factors) -> Option<(Expression, Vec<Reduce>)> {
    trace::start();
    let uniforms = Uniforms::new(factors, None);
    rule.record_measure(&|x, g| uniforms.gradient(x, g))
}

/// The square of the gradient, to be summed, and the gradient, whose largest size is wanted.
pub fn norm() -> (Expression, Vec<Reduce>) {
    trace::start();
    let expression = trace::formula(2, |inputs| vec![inputs[1] * inputs[1], inputs[1]]);
    (expression, vec![Reduce::Sum, Reduce::MaxAbs])
}
