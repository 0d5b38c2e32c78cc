//! Settings of searchers as they come from outside, and the ranges that they share.

use super::polystep::schedule::Schedule;
use crate::engine::{Error, Result};

/// A setting as it comes from outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// A number, a count or a flag.
    Number(f64),
    /// A choice.
    Text(String),
    /// A choice with its numbers: a schedule, a solver.
    Tagged(String, Vec<f64>),
}

/// A number within its range.
///
/// # Errors
/// [`Error::Value`] outside of the range, [`Error::Type`] for another kind of setting.
pub fn number(name: &str, value: &Setting, range: &str, ok: impl Fn(f64) -> bool) -> Result<f64> {
    match value {
        Setting::Number(v) if ok(*v) => Ok(*v),
        Setting::Number(v) => Err(Error::value(name, range, v, "choose a value in this range")),
        other => Err(Error::kind(name, "a number", word(other), "pass a number")),
    }
}

/// The setting as a message shows it.
pub fn word(value: &Setting) -> String {
    match value {
        Setting::Number(v) => v.to_string(),
        Setting::Text(v) => format!("{v:?}"),
        Setting::Tagged(v, numbers) => format!("{v:?} with {numbers:?}"),
    }
}

/// A finite number above 0.
///
/// # Errors
/// [`Error::Value`] outside of the range, [`Error::Type`] for another kind of setting.
pub fn positive(name: &str, value: &Setting) -> Result<f64> {
    number(name, value, "a positive number", |v| v > 0.0 && v.is_finite())
}

/// An integer of at least 1.
///
/// # Errors
/// [`Error::Value`] outside of the range, [`Error::Type`] for another kind of setting.
pub fn count(name: &str, value: &Setting) -> Result<usize> {
    let ok = |v: f64| v >= 1.0 && v.fract() == 0.0 && v < 4e9;
    number(name, value, "an integer >= 1", ok).map(|v| v as usize)
}

/// True or False.
///
/// # Errors
/// [`Error::Value`] outside of the range, [`Error::Type`] for another kind of setting.
pub fn flag(name: &str, value: &Setting) -> Result<bool> {
    number(name, value, "True or False", |v| v == 0.0 || v == 1.0).map(|v| v == 1.0)
}

/// The name of a choice.
///
/// # Errors
/// [`Error::Value`] outside of the range, [`Error::Type`] for another kind of setting.
pub fn text<'a>(name: &str, value: &'a Setting) -> Result<&'a str> {
    match value {
        Setting::Text(text) => Ok(text),
        other => Err(Error::kind(name, "a string", word(other), "pass the name of a choice")),
    }
}

/// A positive number or a schedule.
///
/// # Errors
/// [`Error::Value`] outside of the range, [`Error::Type`] for another kind of setting.
pub fn schedule(name: &str, value: &Setting) -> Result<Schedule> {
    let Setting::Tagged(kind, v) = value else {
        return positive(name, value).map(Schedule::Constant);
    };
    let bad = v.iter().any(|v| !v.is_finite() || *v < 0.0) || v.first() == Some(&0.0);
    match (kind.as_str(), v.as_slice()) {
        _ if bad => {}
        ("constant", &[v]) => return Ok(Schedule::Constant(v)),
        ("linear", &[init, target, decay]) => return Ok(Schedule::Linear { init, target, decay }),
        ("power", &[init, target, gamma]) => return Ok(Schedule::Power { init, target, gamma }),
        ("cosine", &[init, target, decay, total, restart]) if restart >= 1.0 => {
            return Ok(Schedule::Cosine { init, target, decay, total: total as u64, restart });
        }
        _ => {}
    }
    let allowed = "a positive number or a schedule with init > 0 and target, decay >= 0";
    Err(Error::value(name, allowed, word(value), "see thalweg.search.Linear, Power, Cosine"))
}

/// A number, or the two ends of a range, within `limits`.
///
/// # Errors
/// [`Error::Value`] outside of the range, [`Error::Type`] for another kind of setting.
pub fn range(name: &str, value: &Setting, limits: [f64; 2]) -> Result<[f64; 2]> {
    let ends = match value {
        Setting::Number(v) => [*v, *v],
        Setting::Tagged(kind, v) if kind == "range" && v.len() == 2 => [v[0], v[1]],
        other => return Err(Error::kind(name, "a number or two", word(other), "pass (low, high)")),
    };
    let [low, high] = limits;
    if low <= ends[0] && ends[0] <= ends[1] && ends[1] <= high {
        return Ok(ends);
    }
    let allowed = format!("low <= high in [{low}, {high}]");
    Err(Error::value(name, allowed, format!("{ends:?}"), "choose values in this range"))
}

/// The error of a choice that does not exist.
pub fn choice(name: &str, allowed: &str, given: &str) -> Error {
    Error::value(name, allowed, format!("{given:?}"), "choose one of these")
}
