//! Settings by name, as bindings and files pass them, with their ranges.

use super::config::{Config, Radius, Temperature};
use super::normalise::Scale;
use super::schedule::Progressive;
use super::sinkhorn::Sinkhorn;
use super::solver::Solver;
use super::template::Template;
use crate::engine::{Error, Result};
use crate::search::setting::{Setting, count, flag, number, positive, schedule, text, word};

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
            "plateau" => {
                let ok = |v: f64| v >= 0.0 && v.fract() == 0.0 && v < 4e9;
                self.plateau = number(name, value, "an integer >= 0", ok)? as usize;
            }
            "plateau_momentum" => {
                let ok = |b: f64| (0.0..1.0).contains(&b);
                self.plateau_momentum = Some(number(name, value, "in [0, 1)", ok)?);
            }
            "jitter" => {
                self.jitter = number(name, value, "in [0, 1)", |v| (0.0..1.0).contains(&v))?
            }
            "solver" => self.solver = solver(value)?,
            "scale_cost" => self.scale_cost = scale(value)?,
            "momentum" => self.momentum = momentum(name, value)?,
            "velocity_lr" => self.velocity_lr = positive(name, value)?,
            "adaptive_radius" => self.adaptive_radius = flag(name, value)?,
            "adaptive_num_probe" => self.adaptive_num_probe = flag(name, value)?,
            "adaptive_probes" => self.adaptive_probes = flag(name, value)?,
            "screen" => self.screen = flag(name, value)?,
            "covariance" => self.covariance = flag(name, value)?,
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
        ("sinkhorn", &[max_iter, tol, omega, adaptive, momentum, anderson])
            if max_iter >= 1.0
                && (0.5..=1.95).contains(&omega)
                && (0.0..1.0).contains(&momentum)
                && (0.0..=32.0).contains(&anderson) =>
        {
            return Ok(Solver::Sinkhorn(Sinkhorn {
                max_iter: max_iter as usize,
                tol,
                omega,
                adaptive_omega: adaptive != 0.0,
                momentum,
                anderson: anderson as usize,
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
