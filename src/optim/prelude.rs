//! What a rule's file needs.

pub(crate) use super::hyper::{
    Braking, Coefficient, Count, Decay, EpsMode, Finite, Flag, Fraction, History, NonNegative,
    Optional, Positive, Seed, Whole, choice,
};
pub(crate) use super::rule::{
    Launch, NOISE, Probe, Reduce, Rule, Scalar, Scope, Start, State, Step, Views, rule, scalar,
    zeros,
};
pub(crate) use crate::engine::Real;
pub(crate) use crate::engine::{Error, Result};
pub(crate) use crate::linalg::newton_schulz::NewtonSchulz;
