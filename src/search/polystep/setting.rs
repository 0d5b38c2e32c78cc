//! Settings by name, as bindings and files pass them, with their ranges.

use super::config::{Config, Radius, Temperature};
use super::normalise::Scale;
use super::schedule::{Progressive, Schedule};
use super::sinkhorn::Sinkhorn;
use super::solver::Solver;
use super::template::Template;
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

impl Config {
    /// Sets one of the settings that are a number, a choice or a schedule.
    ///
    /// # Errors
    /// [`Error::Value`] with the range, [`Error::Type`] for the wrong kind of setting.
    pub fn set(&mut self, name: &str, value: &Setting) -> Result<()> {
        match name {
            "particle_dim" => self.particle_dim = count(name, value)?,
            "num_probe" => self.num_probe = count(name, value)?,
            "max_iterations" => self.max_iterations = count(name, value)? as u64,
            "amortize" => self.amortize = count(name, value)? as u64,
            "polytope" => self.polytope = Template::parse(text(name, value)?)?,
            "epsilon" => self.epsilon = temperature(name, value)?,
            "ent_epsilon" => self.ent_epsilon = Some(positive(name, value)?),
            "step_radius" => self.step_radius = radius(name, value)?,
            "probe_radius" => self.probe_radius = radius(name, value)?,
            "radius_limit" => self.radius_limit = positive(name, value)?,
            "patience" => {
                let ok = |v: f64| v >= 0.0 && v.fract() == 0.0 && v < 4e9;
                self.patience = number(name, value, "an integer >= 0", ok)? as u64;
            }
            "jitter" => {
                self.jitter = number(name, value, "in [0, 1)", |v| (0.0..1.0).contains(&v))?
            }
            "solver" => self.solver = solver(value)?,
            "scale_cost" => self.scale_cost = scale(value)?,
            "momentum" => self.momentum = momentum(name, value)?,
            "velocity_lr" => self.velocity_lr = positive(name, value)?,
            "adaptive_radius" => self.adaptive_radius = flag(name, value)?,
            "newton_refinement" => self.newton_refinement = flag(name, value)?,
            "trust_region" => self.trust_region = flag(name, value)?,
            "biased_rotation" => self.biased_rotation = flag(name, value)?,
            "published_repair" => self.published_repair = flag(name, value)?,
            _ => {
                return Err(Error::value("setting", "a known name", name, "see the documentation"));
            }
        }
        Ok(())
    }
}

fn number(name: &str, value: &Setting, range: &str, ok: impl Fn(f64) -> bool) -> Result<f64> {
    match value {
        Setting::Number(v) if ok(*v) => Ok(*v),
        Setting::Number(v) => Err(Error::value(name, range, v, "choose a value in this range")),
        other => Err(Error::kind(name, "a number", word(other), "pass a number")),
    }
}

fn word(value: &Setting) -> String {
    match value {
        Setting::Number(v) => v.to_string(),
        Setting::Text(v) => format!("{v:?}"),
        Setting::Tagged(v, numbers) => format!("{v:?} with {numbers:?}"),
    }
}

fn positive(name: &str, value: &Setting) -> Result<f64> {
    number(name, value, "a positive number", |v| v > 0.0 && v.is_finite())
}

fn count(name: &str, value: &Setting) -> Result<usize> {
    let ok = |v: f64| v >= 1.0 && v.fract() == 0.0 && v < 4e9;
    number(name, value, "an integer >= 1", ok).map(|v| v as usize)
}

fn flag(name: &str, value: &Setting) -> Result<bool> {
    number(name, value, "True or False", |v| v == 0.0 || v == 1.0).map(|v| v == 1.0)
}

fn text<'a>(name: &str, value: &'a Setting) -> Result<&'a str> {
    match value {
        Setting::Text(text) => Ok(text),
        other => Err(Error::kind(name, "a string", word(other), "pass the name of a choice")),
    }
}

fn schedule(name: &str, value: &Setting) -> Result<Schedule> {
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

fn temperature(name: &str, value: &Setting) -> Result<Temperature> {
    match value {
        Setting::Tagged(kind, v) if kind == "progressive" && v.len() == 2 => {
            if v.iter().all(|v| *v > 0.0 && v.is_finite()) {
                return Ok(Temperature::Progressive(Progressive::new(v[0], v[1])));
            }
            Err(Error::value(name, "positive init and target", word(value), "usual are 1 and 0.01"))
        }
        _ => schedule(name, value).map(Temperature::Schedule),
    }
}

fn radius(name: &str, value: &Setting) -> Result<Radius> {
    match value {
        Setting::Number(_) => positive(name, value).map(Radius::Times),
        Setting::Tagged(kind, v) if kind == "auto" && v.len() == 1 => {
            positive(name, &Setting::Number(v[0])).map(Radius::Auto)
        }
        Setting::Tagged(..) => schedule(name, value).map(Radius::Free),
        Setting::Text(_) => {
            Err(Error::value(name, "'auto', a number or a schedule", word(value), "try 'auto'"))
        }
    }
}

fn momentum(name: &str, value: &Setting) -> Result<Option<[f64; 2]>> {
    let ok = |b: f64| (0.0..1.0).contains(&b);
    match value {
        Setting::Number(0.0) => Ok(None),
        Setting::Number(b) if ok(*b) => Ok(Some([*b; 2])),
        Setting::Tagged(_, b) if b.len() == 2 && ok(b[0]) && ok(b[1]) => Ok(Some([b[0], b[1]])),
        other => Err(Error::value(
            name,
            "in [0, 1), or a pair of first and last value",
            word(other),
            "0 switches momentum off",
        )),
    }
}

fn solver(value: &Setting) -> Result<Solver> {
    let (name, v) = match value {
        Setting::Text(name) => (name.as_str(), &[][..]),
        Setting::Tagged(name, v) => (name.as_str(), v.as_slice()),
        Setting::Number(_) => ("", &[][..]),
    };
    match (name, v) {
        ("softmax", []) => return Ok(Solver::Softmax),
        ("tempered", []) => return Ok(Solver::Tempered { tau: 1.0 }),
        ("tempered", &[tau]) if tau > 0.0 && tau.is_finite() => {
            return Ok(Solver::Tempered { tau });
        }
        ("greedy" | "min_cost_greedy", []) => return Ok(Solver::Greedy),
        ("top_k" | "top_k_mean", []) => return Ok(Solver::TopK { k: 3 }),
        ("top_k" | "top_k_mean", &[k]) if k >= 1.0 => return Ok(Solver::TopK { k: k as usize }),
        ("kl_softmax", &[lam]) if lam >= 0.0 => return Ok(Solver::Sinkhorn(Sinkhorn::new(lam))),
        ("sinkhorn", []) => return Ok(Solver::Sinkhorn(Sinkhorn::new(f64::INFINITY))),
        ("sinkhorn", &[max_iter, tol, omega, adaptive, momentum])
            if max_iter >= 1.0
                && (0.5..=1.95).contains(&omega)
                && (0.0..1.0).contains(&momentum) =>
        {
            return Ok(Solver::Sinkhorn(Sinkhorn {
                max_iter: max_iter as usize,
                tol,
                omega,
                adaptive_omega: adaptive != 0.0,
                momentum,
                ..Sinkhorn::new(f64::INFINITY)
            }));
        }
        _ => {}
    }
    Err(Error::value(
        "solver",
        "'softmax', 'sinkhorn', 'greedy', 'top_k', 'tempered', or Sinkhorn, KLSoftmax, TopK, \
         Tempered with values in range",
        word(value),
        "softmax is the usual choice",
    ))
}

fn scale(value: &Setting) -> Result<Scale> {
    Ok(match value {
        Setting::Number(_) => Scale::Number(positive("scale_cost", value)?),
        Setting::Text(name) => match name.as_str() {
            "none" => Scale::None,
            "mean" => Scale::Mean,
            "max_cost" => Scale::Max,
            "row_std" => Scale::RowStd,
            "global_std" => Scale::GlobalStd,
            "ranks" => Scale::Ranks,
            _ => return Err(scale_error(value)),
        },
        Setting::Tagged(..) => return Err(scale_error(value)),
    })
}

fn scale_error(value: &Setting) -> Error {
    Error::value(
        "scale_cost",
        "None, a positive number, 'mean', 'max_cost', 'row_std', 'global_std' or 'ranks'",
        word(value),
        "global_std suits most problems",
    )
}
