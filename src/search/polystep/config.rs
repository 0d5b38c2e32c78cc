//! What can be chosen, checked in one place.

use super::normalise::Scale;
use super::schedule::{Progressive, Schedule};
use super::solver::Solver;
use super::template::Template;
use crate::engine::{Error, Result};

/// A step or probe radius.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Radius {
    /// Follows the costs ([`super::radius::Auto`]), from this first value.
    Auto(f64),
    /// A number times the temperature of the step, as published.
    Times(f64),
    /// A length of its own.
    Free(Schedule),
}

/// The temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Temperature {
    /// A function of the step.
    Schedule(Schedule),
    /// Follows the convergence of Sinkhorn.
    Progressive(Progressive),
}

/// Settings of a [`super::PolyStep`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Coordinates of a block.
    pub particle_dim: usize,
    /// Shape that is probed.
    pub polytope: Template,
    /// Probes along each direction.
    pub num_probe: usize,
    /// Temperature of the step.
    pub epsilon: Temperature,
    /// Temperature of the solver where it differs.
    pub ent_epsilon: Option<f64>,
    /// How far a block can move.
    pub step_radius: Radius,
    /// How far out the costs are taken.
    pub probe_radius: Radius,
    /// Largest automatic probe radius, in first ones.
    pub radius_limit: f64,
    /// Steps without a better candidate before the search goes back to its best, 0 for never.
    pub patience: u64,
    /// Coordinates of a block once the costs turn out to be counts, 0 to ignore that.
    pub plateau: usize,
    /// Factor of the velocity on such costs, where it differs.
    pub plateau_momentum: Option<f64>,
    /// Random relative change of the probe radius, in [0, 1).
    pub jitter: f64,
    /// From costs to weights.
    pub solver: Solver,
    /// Scale of the costs.
    pub scale_cost: Scale,
    /// First and last factor of the velocity; none without momentum.
    pub momentum: Option<[f64; 2]>,
    /// Factor of the velocity in a move.
    pub velocity_lr: f64,
    /// Steps over which the factor of the velocity changes.
    pub max_iterations: u64,
    /// Steps for each evaluated one; the others coast.
    pub amortize: u64,
    /// The published radius multiplier.
    pub adaptive_radius: bool,
    /// Probe each direction once while the transport cost falls.
    pub adaptive_num_probe: bool,
    /// Blocks that hardly move keep their costs.
    pub adaptive_probes: bool,
    /// Trust directions less that told little in the last step.
    pub screen: bool,
    /// A scale for each coordinate, learnt from the moves.
    pub covariance: bool,
    /// Mix in the Newton step of the quadratic model.
    pub newton_refinement: bool,
    /// Scale the step radius by how well the model predicts.
    pub trust_region: bool,
    /// Rotations start with the previous direction.
    pub biased_rotation: bool,
    /// Ends of the groups of coordinates.
    pub groups: Vec<usize>,
    /// Lowest and highest value of each coordinate.
    pub bounds: Option<[Vec<f64>; 2]>,
    /// The published stand-in for costs that are not finite.
    pub published_repair: bool,
    /// Seed of the rotations.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            particle_dim: 2,
            polytope: Template::Orthoplex,
            num_probe: 1,
            epsilon: Temperature::Schedule(Schedule::Constant(1.0)),
            ent_epsilon: None,
            step_radius: Radius::Auto(0.3),
            probe_radius: Radius::Auto(1.0),
            radius_limit: 1e3,
            patience: 30,
            plateau: 0,
            plateau_momentum: None,
            jitter: 0.0,
            solver: Solver::Softmax,
            scale_cost: Scale::GlobalStd,
            momentum: Some([0.8; 2]),
            velocity_lr: 0.2,
            max_iterations: 50,
            amortize: 1,
            adaptive_radius: false,
            adaptive_num_probe: false,
            adaptive_probes: false,
            screen: false,
            covariance: false,
            newton_refinement: false,
            trust_region: false,
            biased_rotation: false,
            groups: Vec::new(),
            bounds: None,
            published_repair: false,
            seed: 0,
        }
    }
}

impl Config {
    /// Checks what no single setting shows.
    ///
    /// # Errors
    /// [`Error::Value`] for settings that contradict each other.
    pub fn check(&self, dim: usize) -> Result<()> {
        if dim == 0 {
            return Err(Error::value("x0", "at least one coordinate", 0, "pass a longer x0"));
        }
        self.polytope.check(self.particle_dim.min(dim))?;
        let model = self.newton_refinement || self.trust_region;
        if model && (self.num_probe < 2 || self.polytope != Template::Orthoplex) {
            return Err(Error::value(
                "num_probe",
                "at least 2, with polytope='orthoplex', for newton_refinement and trust_region",
                self.num_probe,
                "set num_probe=2",
            ));
        }
        if matches!(self.epsilon, Temperature::Progressive(_))
            && !matches!(self.solver, Solver::Sinkhorn(_))
        {
            return Err(Error::value(
                "epsilon",
                "a schedule that knows its steps, unless solver='sinkhorn'",
                "'progressive'",
                "use a linear or cosine schedule",
            ));
        }
        if matches!(self.probe_radius, Radius::Auto(_)) && self.polytope != Template::Orthoplex {
            return Err(Error::value(
                "probe_radius",
                "a number or a schedule unless polytope='orthoplex'",
                "'auto'",
                "name a radius: 'auto' compares opposite probes",
            ));
        }
        self.check_savings()?;
        let ends = self.groups.iter().copied();
        if ends.clone().zip(ends.skip(1)).any(|(a, b)| a >= b)
            || self.groups.first() == Some(&0)
            || self.groups.last().is_some_and(|&end| end > dim)
        {
            return Err(Error::value(
                "groups",
                format!("increasing ends of groups within {dim} coordinates"),
                format!("{:?}", self.groups),
                "give each group at least one coordinate",
            ));
        }
        Ok(())
    }

    fn check_savings(&self) -> Result<()> {
        let model = self.newton_refinement || self.trust_region;
        if self.adaptive_num_probe && model {
            return Err(Error::value(
                "adaptive_num_probe",
                "off with newton_refinement and trust_region, which need two probes",
                "on",
                "drop one of the two",
            ));
        }
        let automatic = matches!(self.probe_radius, Radius::Auto(_));
        if self.adaptive_probes && (automatic || model || self.biased_rotation) {
            return Err(Error::value(
                "adaptive_probes",
                "off with an automatic probe_radius, newton_refinement, trust_region and \
                 biased_rotation, which need fresh costs of all blocks",
                "on",
                "name a probe_radius",
            ));
        }
        if self.screen && self.polytope != Template::Orthoplex {
            return Err(Error::value(
                "screen",
                "off unless polytope='orthoplex'",
                "on",
                "it compares opposite probes",
            ));
        }
        Ok(())
    }
}
