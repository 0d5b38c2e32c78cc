//! Settings of a run, their course over it, and what it returns.

use crate::engine::{Error, Result};
use std::time::{Duration, Instant};

/// A setting that moves from `start` to `end` over the run: geometrically where both are positive,
/// along a straight line otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sweep {
    /// Value at the first step.
    pub start: f64,
    /// Value at the end.
    pub end: f64,
}

impl Sweep {
    /// The same throughout.
    pub const fn constant(value: f64) -> Self {
        Self { start: value, end: value }
    }

    /// The value at a share of the run in [0, 1].
    pub fn at(&self, progress: f64) -> f64 {
        let Self { start, end } = *self;
        if start == end {
            start
        } else if start > 0.0 && end > 0.0 && start.is_finite() && end.is_finite() {
            start * (end / start).powf(progress)
        } else {
            start + (end - start) * progress
        }
    }
}

/// Settings of a native run.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Key of all random numbers.
    pub seed: u64,
    /// Steps at most; sweeps end there.
    pub max_steps: Option<u64>,
    /// Seconds at most; sweeps end there if that comes first, and then follow the clock.
    pub seconds: Option<f64>,
    /// Temperature, in mean clause weights, > 0.
    pub epsilon: Sweep,
    /// Length of a full step, > 0.
    pub step_radius: Sweep,
    /// Distance of the probes, > 0; infinite to try both values of every variable.
    pub probe_radius: Sweep,
    /// Share of the position that a step forgets, in [0, 1).
    pub forget: Sweep,
    /// Share of the velocity that a step keeps, in [0, 1).
    pub momentum: Sweep,
    /// Standard deviation of the starting point, > 0.
    pub sigma: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            max_steps: None,
            seconds: None,
            epsilon: Sweep::constant(10.0),
            step_radius: Sweep::constant(1.0),
            probe_radius: Sweep::constant(f64::INFINITY),
            forget: Sweep { start: 0.9, end: 0.05 },
            momentum: Sweep::constant(0.0),
            sigma: 0.1,
        }
    }
}

impl Settings {
    pub(super) fn check(&self) -> Result<()> {
        if self.max_steps.is_none() && self.seconds.is_none() {
            let fix = "give max_steps, seconds or both";
            return Err(Error::value("max_steps", "given, or else seconds", "neither", fix));
        }
        if let Some(seconds) = self.seconds.filter(|s| !(*s >= 0.0 && s.is_finite())) {
            return Err(Error::value(
                "seconds",
                ">= 0 and finite",
                seconds,
                "30.0 is a usual value",
            ));
        }
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let share = |v: f64| (0.0..1.0).contains(&v);
        check("epsilon", self.epsilon, "> 0 and finite", &positive, "10.0 is a usual value")?;
        check(
            "step_radius",
            self.step_radius,
            "> 0 and finite",
            &positive,
            "1.0 is a usual value",
        )?;
        check("probe_radius", self.probe_radius, "> 0", &|v| v > 0.0, "infinity is a usual value")?;
        check("forget", self.forget, "in [0, 1)", &share, "(0.9, 0.05) is a usual course")?;
        check("momentum", self.momentum, "in [0, 1)", &share, "0.0 is a usual value")?;
        check(
            "sigma",
            Sweep::constant(self.sigma),
            "> 0 and finite",
            &positive,
            "0.1 is a usual value",
        )
    }
}

fn check(
    name: &str,
    sweep: Sweep,
    allowed: &str,
    holds: &dyn Fn(f64) -> bool,
    fix: &str,
) -> Result<()> {
    match [sweep.start, sweep.end].into_iter().find(|&v| !holds(v)) {
        Some(given) => Err(Error::value(name, allowed, given, fix)),
        None => Ok(()),
    }
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Its steps or its time were used up.
    Budget,
    /// No assignment can cost less.
    Optimum,
    /// The caller asked for it.
    Asked,
}

/// The best assignment of a run, and what it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<V, C> {
    /// The best assignment.
    pub assignment: Vec<V>,
    /// Its cost.
    pub cost: C,
    /// Steps taken.
    pub steps: u64,
    /// Variables changed on the way.
    pub flips: u64,
    /// Why it ended.
    pub stop: Stop,
    /// Wall time.
    pub seconds: f64,
}

/// How much of the budget is used up.
pub(super) struct Clock {
    begin: Instant,
    steps: Option<u64>,
    limit: Option<Duration>,
}

impl Clock {
    pub(super) fn start(settings: &Settings) -> Self {
        let limit = settings.seconds.map(Duration::from_secs_f64);
        Self { begin: Instant::now(), steps: settings.max_steps, limit }
    }

    pub(super) fn elapsed(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }

    /// Whether no steps are left at step `t`; the cheap part of [`Clock::progress`].
    pub(super) fn spent(&self, t: u64) -> bool {
        self.steps.is_some_and(|steps| t >= steps)
    }

    /// Share used before step `t`, None when all is.
    pub(super) fn progress(&self, t: u64) -> Option<f64> {
        let elapsed = self.begin.elapsed();
        if self.spent(t) || self.limit.is_some_and(|limit| elapsed >= limit) {
            return None;
        }
        let by_steps = self.steps.map_or(0.0, |steps| t as f64 / steps as f64);
        let by_time = self.limit.map_or(0.0, |l| elapsed.as_secs_f64() / l.as_secs_f64());
        Some(by_steps.max(by_time))
    }
}
