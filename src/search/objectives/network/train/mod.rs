//! Training by polytope steps.
//!
//!   u_k directions shared by the units of a layer, x.u_k of unit root mean square on the batch
//!   C_j,+-k cost of unit j probed at +- rho u_k      W softmax of -C / eps over the 2 p probes
//!   w_j <- w_j + v_j,  v_j <- momentum v_j + s sum_k (W_j,+k - W_j,-k) u_k
//!
//! All layers are probed around the same point, then all units move at once. Costs are centred per
//! unit and divided by the root mean square, over the layer, of the units' standard deviations.
//! Source: An T. Le 2026, arXiv 2605.01928; here with directions from the data and with
//! normalised costs, so that radii are in units of the current and eps is a number near 1.

pub mod directions;
mod heal;
mod polytope;

use super::Network;
use super::batch::{Batch, Data};
use super::probe::{self, Probe};
use super::state::State;
use crate::engine::lanes::LANES;
use crate::engine::rng::Philox;
use crate::engine::threads;
use crate::{Error, Result};
use directions::Source;
use heal::Health;

/// How a matrix is probed and moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Where its directions come from.
    pub source: Source,
    /// Number of directions p; 0 leaves the layer as it is.
    pub directions: usize,
    /// Probe radius rho, > 0.
    pub probe_radius: f32,
    /// Step radius s, > 0.
    pub step_radius: f32,
}

/// How a network is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// One a matrix, layer after layer.
    pub plans: Vec<Plan>,
    /// Samples a step.
    pub batch_size: usize,
    /// Number of steps over which the step radius decays.
    pub steps: usize,
    /// Share of the step radius that is left at the end (cosine), in (0, 1].
    pub decay: f32,
    /// Share of the last move that is repeated, in [0, 1).
    pub momentum: f32,
    /// Temperature of the softmax, > 0.
    pub epsilon: f32,
    /// Steps without any effect after which a unit is lifted; 0 for never.
    pub patience: u32,
    /// Seed of batches and directions.
    pub seed: u64,
}

/// What a step saw.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Report {
    /// Cost of the batch before the step.
    pub cost: f64,
    /// Probes evaluated.
    pub evaluations: usize,
    /// Units whose probes changed nothing.
    pub silent: usize,
    /// Units lifted.
    pub healed: usize,
}

/// A network in training; a function of its settings, its data and the number of steps made.
#[derive(Debug, Clone)]
pub struct Trainer {
    /// The network.
    pub network: Network,
    /// The settings.
    pub settings: Settings,
    /// Steps made.
    pub step: usize,
    /// Velocities of the rows (weights, then bias), one list a layer.
    pub velocity: Vec<Vec<f32>>,
    health: Health,
    order: Vec<u32>,
    order_epoch: Option<usize>,
}

impl Trainer {
    /// A trainer at step 0.
    pub fn new(network: Network, settings: Settings) -> Result<Self> {
        settings.check(&network)?;
        let rows = |layer: &super::Dense| vec![0.0; layer.outputs * (layer.inputs + 1)];
        let velocity = network.matrices().into_iter().map(rows).collect();
        let health = Health::new(&network);
        Ok(Self { network, settings, step: 0, velocity, health, order: vec![], order_epoch: None })
    }

    /// One step on the next batch of `data`, which the caller checked.
    pub fn advance(&mut self, data: &Data<'_>) -> Result<Report> {
        let rows = self.next_rows(data.len());
        let batch = Batch::gather(data, self.network.loss, &rows, self.network.outputs())?;
        let state = State::new(&self.network, batch);
        let rng = Philox::new(self.settings.seed);
        let mut report = Report { cost: state.cost, ..Report::default() };
        let rate = self.rate();
        let mut moves = Vec::with_capacity(self.settings.plans.len());
        for (index, plan) in self.settings.plans.iter().enumerate() {
            if plan.directions == 0 {
                moves.push((Vec::new(), Vec::new()));
                continue;
            }
            let input = state.matrix_input(&self.network, index);
            let stream = directions::stream(self.step, index);
            let mut u = directions::draw(plan, input, &state, &rng, stream);
            let mut shifts = probe::shifts(&u, input);
            directions::normalise(&mut u, &mut shifts, state.batch.size);
            let radius = self.health.radii(index, plan.probe_radius);
            let probe = Probe { directions: &u, shifts: &shifts, radius: &radius };
            let mut costs = state.probe(&self.network, index, probe);
            report.evaluations += costs.len();
            // at most as many directions as there are dimensions
            let count = shifts.units();
            report.silent += self.health.watch(index, &costs, 2 * count);
            let step = plan.step_radius * rate;
            moves.push((polytope::weights(&mut costs, count, step, &self.settings), u));
        }
        for (index, (weights, u)) in moves.iter().enumerate() {
            if !weights.is_empty() {
                self.shift(index, weights, u);
            }
        }
        if self.settings.patience > 0 {
            let plans = &self.settings.plans;
            let patience = self.settings.patience;
            report.healed = self.health.heal(&mut self.network, &state, plans, patience);
        }
        self.step += 1;
        Ok(report)
    }

    /// `count` steps; the report holds the mean cost, the sums of evaluations and healed units,
    /// and the silent units of the last step.
    pub fn advance_by(&mut self, data: &Data<'_>, count: usize) -> Result<Report> {
        self.network.check_targets(data)?;
        let mut total = Report::default();
        for _ in 0..count {
            let report = self.advance(data)?;
            total.cost += report.cost / count as f64;
            total.evaluations += report.evaluations;
            total.healed += report.healed;
            total.silent = report.silent;
        }
        Ok(total)
    }

    /// Step, velocities and silent counts: with the weights, all that a later run needs.
    pub fn state(&self) -> (usize, Vec<f32>, Vec<u32>) {
        (self.step, self.velocity.concat(), self.health.silent.concat())
    }

    /// Continues from what [`Self::state`] returned.
    pub fn restore(&mut self, step: usize, velocity: &[f32], silent: &[u32]) -> Result<()> {
        let (_, own, counts) = self.state();
        for (name, given, expected) in
            [("velocity", velocity.len(), own.len()), ("silent", silent.len(), counts.len())]
        {
            if given != expected {
                return Err(Error::Shape {
                    name: name.into(),
                    given: format!("({given},)"),
                    other: "the network".into(),
                    expected: format!("({expected},)"),
                    fix: "restore the state of a trainer of the same network".into(),
                });
            }
        }
        self.step = step;
        let (mut velocity, mut silent) = (velocity, silent);
        for own in &mut self.velocity {
            let (head, tail) = velocity.split_at(own.len());
            own.copy_from_slice(head);
            velocity = tail;
        }
        for own in &mut self.health.silent {
            let (head, tail) = silent.split_at(own.len());
            own.copy_from_slice(head);
            silent = tail;
        }
        Ok(())
    }

    /// Share of the step radius in this step.
    pub fn rate(&self) -> f32 {
        let share = (self.step as f64 / self.settings.steps.max(1) as f64).min(1.0);
        let floor = f64::from(self.settings.decay);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
        (floor + (1.0 - floor) * cosine) as f32
    }

    /// Moves the rows of a layer: `weights` (units, p) times `u` (p, inputs + 1).
    fn shift(&mut self, index: usize, weights: &[f32], u: &[f32]) {
        let mut matrices = self.network.matrices_mut();
        let layer = &mut *matrices[index];
        let row = layer.inputs + 1;
        let momentum = self.settings.momentum;
        let directions = u.len() / row;
        threads::for_each_chunk(&mut self.velocity[index], row, |unit, velocity| {
            let weights = &weights[unit * directions..(unit + 1) * directions];
            polytope::accelerate(velocity, weights, u, momentum);
        });
        let velocity = &self.velocity[index];
        for (unit, velocity) in velocity.chunks_exact(row).enumerate() {
            let weights = &mut layer.weights[unit * (row - 1)..(unit + 1) * (row - 1)];
            for (w, v) in weights.iter_mut().zip(velocity) {
                *w += v;
            }
            layer.bias[unit] += velocity[row - 1];
        }
    }

    /// Indices of the next batch: a fresh shuffle every epoch, incomplete batches dropped.
    fn next_rows(&mut self, samples: usize) -> Vec<u32> {
        let size = self.settings.batch_size.min(samples);
        let per_epoch = samples / size;
        let (epoch, batch) = (self.step / per_epoch, self.step % per_epoch);
        if self.order_epoch != Some(epoch) || self.order.len() != samples {
            let rng = Philox::new(self.settings.seed);
            self.order = (0..samples as u32).collect();
            for i in (1..samples).rev() {
                let stream = directions::order_stream(epoch);
                self.order.swap(i, rng.below(stream, i as u64, i as u64 + 1) as usize);
            }
            self.order_epoch = Some(epoch);
        }
        self.order[batch * size..(batch + 1) * size].to_vec()
    }
}

impl Settings {
    fn check(&self, network: &Network) -> Result<()> {
        let matrices = network.matrices().len();
        if self.plans.len() != matrices {
            let allowed = format!("one for each of {matrices} matrices");
            return Err(Error::value("plans", allowed, self.plans.len(), "pass a list"));
        }
        for plan in &self.plans {
            positive("probe_radius", plan.probe_radius)?;
            positive("step_radius", plan.step_radius)?;
        }
        positive("epsilon", self.epsilon)?;
        if self.batch_size == 0 {
            return Err(Error::value("batch_size", "at least 1", 0, "a usual value is 512"));
        }
        if !(0.0..1.0).contains(&self.momentum) {
            let fix = "a usual value is 0.9";
            return Err(Error::value("momentum", "in [0, 1)", self.momentum, fix));
        }
        if !(self.decay > 0.0 && self.decay <= 1.0) {
            return Err(Error::value("decay", "in (0, 1]", self.decay, "1 keeps the step radius"));
        }
        Ok(())
    }
}

fn positive(name: &str, value: f32) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::value(name, "positive and finite", value, "see the defaults"))
}

/// Cost and correct predictions of `network` on `data`, which the caller checked.
pub fn evaluate(network: &Network, data: &Data<'_>) -> Result<(f64, usize)> {
    const CHUNK: usize = 32 * LANES;
    let chunks = data.len().div_ceil(CHUNK);
    let parts = threads::map(chunks, |chunk| -> Result<(f64, usize, usize)> {
        let first = chunk * CHUNK;
        let rows: Vec<u32> = (first..data.len().min(first + CHUNK)).map(|n| n as u32).collect();
        let batch = Batch::gather(data, network.loss, &rows, network.outputs())?;
        let positives = batch.positives;
        let state = State::new(network, batch);
        let right = match data.wanted {
            super::Wanted::Labels(labels) => {
                let classes = state.classes();
                rows.iter()
                    .zip(&classes)
                    .filter(|&(&n, &class)| labels[n as usize] == class)
                    .count()
            }
            super::Wanted::Values(_) => 0,
        };
        Ok((state.sum, positives, right))
    });
    let (mut sum, mut positives, mut right) = (0.0, 0, 0);
    for part in parts {
        let part = part?;
        sum += part.0;
        positives += part.1;
        right += part.2;
    }
    Ok((network.loss.total(sum, data.len(), positives), right))
}
