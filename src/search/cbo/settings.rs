//! Settings of consensus-based optimisation.

use super::super::setting::{Setting, choice, count, number, positive, text};
use crate::engine::{Error, Result};

/// What the noise of a particle is scaled by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Noise {
    Isotropic,
    Anisotropic,
    Constant,
    Covariance,
}

/// Which particles are drawn to the consensus, by f(x) - f(c).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Correction {
    Heaviside,
    Tanh,
}

/// Personal bests pull as well, with noise of their own.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub lam: f64,
    pub sigma: f64,
}

/// All of them.
#[derive(Debug, Clone)]
pub struct Settings {
    pub population: usize,
    pub noise: Noise,
    pub dt: f64,
    pub lam: f64,
    pub sigma: f64,
    pub alpha: f64,
    pub alpha_factor: f64,
    pub alpha_max: f64,
    pub ess: Option<f64>,
    pub correction: Option<Correction>,
    pub eps: f64,
    pub batch_size: usize,
    pub batch_join: bool,
    pub move_all: bool,
    pub memory: Option<Memory>,
    pub kappa: Option<f64>,
    pub betas: Option<[f64; 2]>,
    pub spread: f64,
}

impl Settings {
    /// What was chosen, the rest at its default.
    ///
    /// # Errors
    /// [`Error::Value`] or [`Error::Type`] for a setting out of range, without effect or against
    /// another one.
    pub fn new(settings: &[(String, Setting)]) -> Result<Self> {
        let mut out = Self {
            population: 20,
            noise: Noise::Anisotropic,
            dt: 0.01,
            lam: 1.0,
            sigma: 5.1,
            alpha: 1.0,
            alpha_factor: 1.05,
            alpha_max: 1e5,
            ess: None,
            correction: None,
            eps: 1e-3,
            batch_size: 0,
            batch_join: false,
            move_all: false,
            memory: None,
            kappa: None,
            betas: None,
            spread: 1.0,
        };
        let (mut lam_memory, mut sigma_memory) = (None, None);
        for (name, value) in settings {
            let least = || number(name, value, "a number >= 0", |v| v >= 0.0 && v.is_finite());
            match name.as_str() {
                "population" => out.population = several(name, value)?,
                "noise" => {
                    out.noise = match text(name, value)? {
                        "isotropic" => Noise::Isotropic,
                        "anisotropic" => Noise::Anisotropic,
                        "constant" => Noise::Constant,
                        "covariance" => Noise::Covariance,
                        other => {
                            let allowed = "'anisotropic', 'isotropic', 'constant' or 'covariance'";
                            return Err(choice(name, allowed, other));
                        }
                    }
                }
                "dt" => out.dt = positive(name, value)?,
                "lam" => out.lam = least()?,
                "sigma" => out.sigma = least()?,
                "alpha" => out.alpha = positive(name, value)?,
                "alpha_factor" => {
                    let ok = |v: f64| v >= 1.0 && v.is_finite();
                    out.alpha_factor = number(name, value, "a number >= 1", ok)?;
                }
                "alpha_max" => out.alpha_max = positive(name, value)?,
                "ess" => {
                    let ok = |v: f64| 0.0 < v && v < 1.0;
                    out.ess = Some(number(name, value, "in (0, 1)", ok)?);
                }
                "correction" => {
                    out.correction = Some(match text(name, value)? {
                        "heaviside" => Correction::Heaviside,
                        "tanh" => Correction::Tanh,
                        other => return Err(choice(name, "'heaviside' or 'tanh'", other)),
                    });
                }
                "correction_eps" => out.eps = positive(name, value)?,
                "batch_size" => out.batch_size = several(name, value)?,
                "batch_rest" => {
                    out.batch_join = match text(name, value)? {
                        "drop" => false,
                        "join" => true,
                        other => return Err(choice(name, "'drop' or 'join'", other)),
                    }
                }
                "batch_moves" => {
                    out.move_all = match text(name, value)? {
                        "batch" => false,
                        "all" => true,
                        other => return Err(choice(name, "'batch' or 'all'", other)),
                    }
                }
                "lam_memory" => lam_memory = Some(least()?),
                "sigma_memory" => sigma_memory = Some(least()?),
                "kappa" => out.kappa = Some(positive(name, value)?),
                "betas" => {
                    out.betas = match value {
                        Setting::Tagged(_, v) if v.len() == 2 => Some([v[0], v[1]]),
                        _ => return Err(choice(name, "two numbers in [0, 1)", "something else")),
                    };
                    let inside = |beta: &f64| (0.0..1.0).contains(beta);
                    if let Some([a, b]) = out.betas.filter(|betas| !betas.iter().all(inside)) {
                        let (given, fix) = (format!("({a}, {b})"), "usual values are 0.9 and 0.99");
                        return Err(Error::value(name, "two numbers in [0, 1)", given, fix));
                    }
                }
                "spread" => out.spread = positive(name, value)?,
                _ => return Err(choice("setting", "a known name", name)),
            }
        }
        out.memory =
            lam_memory.map(|lam| Memory { lam, sigma: sigma_memory.unwrap_or(lam * out.sigma) });
        out.check(settings)?;
        if out.batch_size == 0 {
            out.batch_size = out.population;
        }
        Ok(out)
    }

    /// Refuses what would have no effect and what does not go together.
    fn check(&self, settings: &[(String, Setting)]) -> Result<()> {
        let given = |wanted: &str| settings.iter().any(|(name, _)| name == wanted);
        let batched = self.batch_size > 0;
        for (name, used, needs) in [
            ("sigma_memory", self.memory.is_some(), "lam_memory"),
            ("correction_eps", self.correction == Some(Correction::Tanh), "correction='tanh'"),
            ("batch_rest", batched, "batch_size"),
            ("batch_moves", batched, "batch_size"),
            ("alpha_factor", self.ess.is_none(), "ess=None, which chooses alpha anew each step"),
            ("alpha", self.ess.is_none(), "ess=None, which chooses alpha anew each step"),
        ] {
            if given(name) && !used {
                let fix = format!("it needs {needs}");
                return Err(Error::value(name, "left out", "a value", fix));
            }
        }
        if self.batch_size > self.population {
            let allowed = format!("at most the population, {}", self.population);
            return Err(Error::value("batch_size", allowed, self.batch_size, "take fewer"));
        }
        if self.noise == Noise::Covariance && (self.kappa.is_some() || self.memory.is_some()) {
            let fix = "choose another noise, or leave kappa and lam_memory out";
            return Err(Error::value(
                "noise",
                "of another kind with kappa or lam_memory",
                "\"covariance\"",
                fix,
            ));
        }
        Ok(())
    }
}

/// A particle alone is its own consensus and would never move.
fn several(name: &str, value: &Setting) -> Result<usize> {
    match count(name, value)? {
        1 => Err(Error::value(name, "an integer >= 2", 1, "one particle alone never moves")),
        n => Ok(n),
    }
}
