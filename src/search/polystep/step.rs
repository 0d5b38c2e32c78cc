//! The method behind ask and tell.
//!
//!   x solution(s)   x_i block i   R_i rotation   t_k vertex   W_i weights   K probes a direction
//!   ask:  x with block i at x_i + rho sigma_j R_i t_k, j = 1..K; before them x itself when the
//!         probe radius is automatic
//!   tell: C_ik = mean over j; W from the scaled C; d_i = s R_i sum_k W_ik t_k
//!         v <- beta v + d;   x <- x + velocity_lr v;   amortised steps coast along the mean of d
//!
//! sigma_j = j/(K+1) as published, j/K for automatic radii. All blocks probe around the same x,
//! then all move: a Jacobi scheme. A rotation is a function of (seed, step, block), so nothing
//! about it needs to be kept. Cost: O(P p^3) for rotations, O(P V p) for the move.

use super::config::{Config, Radius, Temperature};
use super::covariance::Covariance;
use super::layout::{self, Group};
use super::plateau::COOL;
use super::radius::{Adaptive, Auto, Trust};
use super::rest::{Falling, Rest};
use super::rotation;
use super::solver::Solver;
use super::state::State;
use crate::engine::rng::Philox;
use crate::engine::{Error, Result, threads};

/// A search in progress. See the module for the update.
#[derive(Debug, Clone)]
pub struct PolyStep {
    pub(super) config: Config,
    pub(super) dim: usize,
    pub(super) groups: Vec<Group>,
    pub(super) solvers: Vec<Solver>,
    pub(super) state: State,
    pub(super) rotations: Vec<f64>,
    /// Blocks to probe, by group; empty where that is all of them.
    pub(super) awake: Vec<Vec<usize>>,
    rng: Philox,
}

/// Radii of one group at one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Radii {
    /// Temperature.
    pub epsilon: f64,
    /// How far a block can move.
    pub step: f64,
    /// How far out the farthest probe may lie.
    pub probe: f64,
}

/// Rows a task of a parallel loop.
pub(super) const TASK: usize = 64;

impl PolyStep {
    /// Starts at `x0`, one or several solutions of `dim` coordinates.
    ///
    /// # Errors
    /// [`Error::Value`] for settings out of range, [`Error::NonFinite`] for a NaN in `x0`.
    pub fn new(config: Config, x0: &[f64], dim: usize) -> Result<Self> {
        config.check(dim)?;
        if x0.is_empty() || !x0.len().is_multiple_of(dim) {
            return Err(Error::value("x0", "whole solutions", x0.len(), "pass (n, d) numbers"));
        }
        if config.covariance && x0.len() > dim {
            let given = x0.len() / dim;
            return Err(Error::value("x0", "one row with covariance", given, "pass one start"));
        }
        if x0.iter().any(|x| !x.is_finite()) {
            let fix = "start from finite numbers".into();
            return Err(Error::NonFinite { name: "x0".into(), fix });
        }
        let points = x0.len() / dim;
        let p = config.particle_dim;
        let groups = layout::groups(dim, points, &config.groups, p, config.polytope);
        let rows: usize = groups.iter().map(|g| g.rows.len()).sum();
        let vertices = groups.last().map_or(0, |g| g.costs + g.rows.len() * g.count);
        let first = |radius, other| if let Radius::Auto(r) = radius { r } else { other };
        let rho = first(config.probe_radius, 1.0);
        let limit = config.radius_limit * rho;
        let auto = Auto { rho, s: first(config.step_radius, 1.0), limit };
        let state = State {
            x: x0.to_vec(),
            velocity: vec![0.0; x0.len()],
            ema: Vec::new(),
            directions: vec![0.0; if config.biased_rotation { rows * p } else { 0 }],
            auto: vec![auto; groups.len()],
            adaptive: Adaptive::new(),
            trust: Trust::new(),
            progressive: match config.epsilon {
                Temperature::Progressive(p) => Some(p),
                Temperature::Schedule(_) => None,
            },
            best_x: x0[..dim].to_vec(),
            best_cost: f64::INFINITY,
            mean_cost: f64::NAN,
            rate: f64::NAN,
            t: 0,
            evaluations: 0,
            nonfinite: 0,
            pending: false,
            idle: 0,
            back: false,
            returns: 0,
            noisy: false,
            flat: false,
            falling: Falling::new(),
            rest: config.adaptive_probes.then(|| Rest::new(rows, vertices)),
            contrast: vec![f64::NAN; if config.screen { rows * p } else { 0 }],
            covariance: config.covariance.then(|| Covariance::new(x0.len())),
        };
        let size = groups.last().map_or(0, |g| g.rotations + g.rows.len() * g.p * g.p);
        let mut out = Self {
            solvers: vec![config.solver.clone(); groups.len()],
            rng: Philox::new(config.seed),
            rotations: vec![0.0; size],
            awake: Vec::new(),
            config,
            dim,
            groups,
            state,
        };
        out.clip();
        out.rouse();
        Ok(out)
    }

    /// What changes from step to step.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Coordinates of a solution.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Solutions that move.
    pub fn points(&self) -> usize {
        self.state.x.len() / self.dim
    }

    /// Groups of coordinates.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Candidates of a step.
    pub fn population(&self) -> usize {
        self.centres() + (0..self.groups.len()).map(|g| self.asked(g)).sum::<usize>()
    }

    /// Radii of a group at the current step, without jitter.
    pub fn radii(&self, group: usize) -> Radii {
        let State { t, auto, adaptive, trust, covariance, .. } = &self.state;
        let wide = adaptive.multiplier * covariance.as_ref().map_or(1.0, |c| c.multiplier);
        let cool = if self.state.flat { COOL } else { 1.0 };
        let epsilon = cool
            * match (&self.state.progressive, &self.config.epsilon) {
                (Some(p), _) | (None, Temperature::Progressive(p)) => p.smoothed,
                (None, Temperature::Schedule(s)) => s.at(*t),
            };
        let length = |radius, auto| match radius {
            Radius::Auto(_) => auto,
            Radius::Times(r) => r * epsilon * wide,
            Radius::Free(s) => s.at(*t) * wide,
        };
        Radii {
            epsilon,
            step: length(self.config.step_radius, auto[group].s) * trust.multiplier,
            probe: length(self.config.probe_radius, auto[group].rho),
        }
    }

    /// Draws the rotations of this step and opens it.
    ///
    /// # Errors
    /// [`Error::Value`] when the last candidates were not told.
    pub fn ask(&mut self) -> Result<()> {
        if self.state.pending {
            let fix = "tell the costs of the last candidates first";
            return Err(Error::value("ask", "called once before tell", "a second call", fix));
        }
        self.draw();
        self.state.pending = true;
        Ok(())
    }

    /// Recomputes the rotations of the current step.
    pub(super) fn draw(&mut self) {
        let rows: u64 = self.groups.iter().map(|g| g.rows.len() as u64).sum();
        let mut rotations = std::mem::take(&mut self.rotations);
        let this = &*self;
        for group in &this.groups {
            let p = group.p;
            let size = group.rows.len() * p * p;
            let slots = &mut rotations[group.rotations..][..size];
            // Before the first move there is no direction yet: zeros, which bias nothing.
            let directions = this.state.directions.get(group.first * this.config.particle_dim..);
            threads::for_each_chunk(slots, TASK * p * p, |task, slots| {
                for (i, slot) in slots.chunks_exact_mut(p * p).enumerate() {
                    let row = task * TASK + i;
                    let index = group.first + row;
                    let stream = this.since(index) * rows + index as u64;
                    match directions.filter(|d| !d.is_empty()) {
                        Some(d) => {
                            let d = &d[row * this.config.particle_dim..][..p];
                            rotation::biased(&this.rng, stream, d, slot);
                        }
                        None => rotation::random(&this.rng, stream, p, slot),
                    }
                }
            });
        }
        self.rotations = rotations;
    }

    /// Names the radii of a group, where they are automatic.
    ///
    /// # Errors
    /// [`Error::Value`] for a radius that is not positive, or an unknown group.
    pub fn set_radii(&mut self, group: usize, step: f64, probe: f64) -> Result<()> {
        let ok = |r: f64| r > 0.0 && r.is_finite();
        if !ok(step) || !ok(probe) || group >= self.groups.len() {
            let given = format!("{step}, {probe} for group {group}");
            return Err(Error::value("radius", "positive", given, "pass finite numbers > 0"));
        }
        self.state.auto[group] =
            Auto { rho: probe, s: step, limit: self.config.radius_limit * probe };
        Ok(())
    }

    /// Moves the solutions and starts the search anew from there: velocity, means and duals are
    /// dropped, radii and counters stay.
    ///
    /// # Errors
    /// [`Error::Value`] while a step is open or for a NaN, [`Error::Shape`] for another length.
    pub fn restart(&mut self, x: &[f64]) -> Result<()> {
        if self.state.pending {
            return Err(Error::value("restart", "called after tell", "an open step", "tell first"));
        }
        if x.len() != self.state.x.len() || x.iter().any(|x| !x.is_finite()) {
            let allowed = format!("{} finite numbers", self.state.x.len());
            return Err(Error::value("x", allowed, x.len(), "keep the shape of x0"));
        }
        self.state.x.copy_from_slice(x);
        self.state.velocity.fill(0.0);
        self.state.ema.clear();
        self.state.contrast.fill(f64::NAN);
        if let Some(rest) = &mut self.state.rest {
            rest.still.fill(false);
        }
        self.clip();
        self.rouse();
        Ok(())
    }

    pub(super) fn opened(&self, name: &str) -> Result<()> {
        if self.state.pending {
            return Ok(());
        }
        Err(Error::value(name, "called after ask", "no open step", "call ask() first"))
    }

    /// Candidates before the probes: the solutions themselves.
    pub(super) fn centres(&self) -> usize {
        if matches!(self.config.probe_radius, Radius::Auto(_)) { self.points() } else { 0 }
    }

    pub(super) fn sigma(&self, j: usize) -> f64 {
        let auto = matches!(self.config.probe_radius, Radius::Auto(_));
        let k = self.config.num_probe;
        // One probe where several were chosen sits at their mean.
        let j = if self.probes() < k { (k - 1) as f64 / 2.0 } else { j as f64 };
        (j + 1.0) / (k + usize::from(!auto)) as f64
    }

    pub(super) fn jitter(&self) -> f64 {
        // A stream that no rotation reaches.
        let [u, _] = self.rng.uniform(u64::MAX, self.state.t);
        1.0 + self.config.jitter * (2.0 * u - 1.0)
    }

    pub(super) fn clip(&mut self) {
        let mut x = std::mem::take(&mut self.state.x);
        x.chunks_exact_mut(self.dim).for_each(|x| self.clip_row(x));
        self.state.x = x;
    }

    pub(super) fn clip_row(&self, x: &mut [f64]) {
        if let Some([low, high]) = &self.config.bounds {
            for ((x, low), high) in x.iter_mut().zip(low).zip(high) {
                *x = x.max(*low).min(*high);
            }
        }
    }
}
