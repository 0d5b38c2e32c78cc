//! What a resumed run needs: every number that changes from step to step.

use super::covariance::Covariance;
use super::radius::{Adaptive, Auto, Trust};
use super::rest::{Falling, Rest};
use super::schedule::Progressive;
use super::solver::Solver;
use super::step::PolyStep;
use crate::engine::{Error, Result};

/// The state of a search. Rotations are not in it: they follow from the seed and `t`.
#[derive(Debug, Clone)]
pub struct State {
    /// The solutions, one after the other.
    pub x: Vec<f64>,
    /// Running sum of the moves.
    pub velocity: Vec<f64>,
    /// Running mean of the moves, empty before the first amortised step.
    pub ema: Vec<f64>,
    /// Last direction of each block, for biased rotations; else empty.
    pub directions: Vec<f64>,
    /// Automatic radii, one pair a group.
    pub auto: Vec<Auto>,
    /// The published radius multiplier.
    pub adaptive: Adaptive,
    /// The trust region.
    pub trust: Trust,
    /// The temperature that follows Sinkhorn.
    pub progressive: Option<Progressive>,
    /// The cheapest candidate so far.
    pub best_x: Vec<f64>,
    /// Its cost, infinite before the first.
    pub best_cost: f64,
    /// Mean probe cost of the last step.
    pub mean_cost: f64,
    /// Learning rate of the last move: the multiple of the finite-difference gradient nearest to it.
    pub rate: f64,
    /// Steps so far, coasting ones included.
    pub t: u64,
    /// Costs told so far.
    pub evaluations: u64,
    /// How many of them were NaN or infinite.
    pub nonfinite: u64,
    /// Whether candidates wait for their costs.
    pub pending: bool,
    /// Steps since the best cost fell.
    pub idle: u64,
    /// Whether the search has just gone back to its best.
    pub back: bool,
    /// How often it did.
    pub returns: u64,
    /// Whether the costs are counts, see `plateau.rs`.
    pub flat: bool,
    /// Whether the same point was seen to cost differently.
    pub noisy: bool,
    /// Whether the transport cost falls.
    pub falling: Falling,
    /// What resting blocks remember, where they may rest.
    pub rest: Option<Rest>,
    /// |C+ - C-| of each direction in the last step, where directions are screened.
    pub contrast: Vec<f64>,
    /// Scales of the coordinates, where they are learnt.
    pub covariance: Option<Covariance>,
}

impl PolyStep {
    /// Everything that a resumed run needs, by name.
    pub fn save(&self) -> Vec<(String, Vec<f64>)> {
        let s = &self.state;
        let mut out = vec![
            ("x".into(), s.x.clone()),
            ("velocity".into(), s.velocity.clone()),
            ("ema".into(), s.ema.clone()),
            ("directions".into(), s.directions.clone()),
            ("auto".into(), s.auto.iter().flat_map(|a| [a.rho, a.s, a.limit]).collect()),
            ("radius".into(), vec![s.adaptive.multiplier, s.adaptive.last, s.adaptive.idle as f64]),
            ("trust".into(), vec![s.trust.multiplier, s.trust.last, s.trust.predicted]),
            (
                "progressive".into(),
                s.progressive.iter().flat_map(|p| [p.target, p.current, p.smoothed]).collect(),
            ),
            ("best_x".into(), s.best_x.clone()),
            ("costs".into(), vec![s.best_cost, s.mean_cost, s.rate]),
            (
                // Counters stay far below 2^53, so a float holds them.
                "counters".into(),
                vec![
                    s.t as f64,
                    s.evaluations as f64,
                    s.nonfinite as f64,
                    f64::from(u8::from(s.pending)),
                    s.idle as f64,
                    f64::from(u8::from(s.back)),
                    f64::from(u8::from(s.noisy)),
                    s.returns as f64,
                    f64::from(u8::from(s.flat)),
                ],
            ),
        ];
        let [a, b, c] = s.falling.last;
        out.push(("falling".into(), vec![a, b, c, s.falling.times as f64]));
        out.push(("contrast".into(), s.contrast.clone()));
        if let Some(rest) = &s.rest {
            out.push((
                "rest.still".into(),
                rest.still.iter().map(|s| f64::from(u8::from(*s))).collect(),
            ));
            out.push(("rest.since".into(), rest.since.iter().map(|s| *s as f64).collect()));
            out.push(("rest.costs".into(), rest.costs.clone()));
        }
        if let Some(c) = &s.covariance {
            out.push(("covariance.c".into(), c.c.clone()));
            out.push(("covariance.path".into(), c.path.clone()));
            out.push(("covariance.pull".into(), c.pull.clone()));
            out.push(("covariance.scalars".into(), vec![c.usual, c.multiplier]));
        }
        for (g, solver) in self.solvers.iter().enumerate() {
            if let Solver::Sinkhorn(sinkhorn) = solver {
                out.push((format!("duals.{g}"), sinkhorn.duals[0].clone()));
                out.push((format!("duals_before.{g}"), sinkhorn.duals[1].clone()));
                out.push((format!("duals_eps.{g}"), vec![sinkhorn.eps]));
            }
        }
        out
    }

    /// Takes over what [`PolyStep::save`] returned for a search of the same settings.
    ///
    /// # Errors
    /// [`Error::Value`] for a missing or misshapen entry; nothing has changed then.
    pub fn restore(&mut self, saved: &[(String, Vec<f64>)]) -> Result<()> {
        let get = |name: &str, lengths: &[usize]| -> Result<&[f64]> {
            let entry = saved.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_slice());
            entry.filter(|v| lengths.contains(&v.len())).ok_or_else(|| {
                let given = entry.map_or("nothing".into(), |v| format!("{} numbers", v.len()));
                let allowed = format!("one of {lengths:?} numbers long");
                let fix = "load the state of a search with the same settings and dimensions";
                Error::value(format!("state[{name:?}]"), allowed, given, fix)
            })
        };
        let counters = get("counters", &[9])?;
        let mut fresh = self.clone();
        if counters[8] != 0.0 && !fresh.state.flat {
            fresh.flatten();
        }
        let (n, mut next) = (fresh.state.x.len(), fresh.state.clone());
        next.x = get("x", &[n])?.to_vec();
        next.velocity = get("velocity", &[n])?.to_vec();
        next.ema = get("ema", &[0, n])?.to_vec();
        next.directions = get("directions", &[fresh.state.directions.len()])?.to_vec();
        for (auto, saved) in
            next.auto.iter_mut().zip(get("auto", &[3 * fresh.groups.len()])?.chunks_exact(3))
        {
            *auto = Auto { rho: saved[0], s: saved[1], limit: saved[2] };
        }
        let radius = get("radius", &[3])?;
        next.adaptive = Adaptive { multiplier: radius[0], last: radius[1], idle: radius[2] as u64 };
        let trust = get("trust", &[3])?;
        next.trust = Trust { multiplier: trust[0], last: trust[1], predicted: trust[2] };
        let length = 3 * usize::from(next.progressive.is_some());
        if let [target, current, smoothed] = *get("progressive", &[length])? {
            next.progressive = Some(Progressive { target, current, smoothed });
        }
        next.best_x = get("best_x", &[self.dim])?.to_vec();
        let costs = get("costs", &[3])?;
        [next.best_cost, next.mean_cost, next.rate] = [costs[0], costs[1], costs[2]];
        [next.t, next.evaluations, next.nonfinite] =
            [counters[0], counters[1], counters[2]].map(|c| c as u64);
        next.pending = counters[3] != 0.0;
        [next.idle, next.returns] = [counters[4] as u64, counters[7] as u64];
        [next.back, next.noisy] = [counters[5] != 0.0, counters[6] != 0.0];
        let falling = get("falling", &[4])?;
        next.falling =
            Falling { last: [falling[0], falling[1], falling[2]], times: falling[3] as u64 };
        next.contrast = get("contrast", &[fresh.state.contrast.len()])?.to_vec();
        if let Some(rest) = &mut next.rest {
            let rows = rest.still.len();
            rest.still = get("rest.still", &[rows])?.iter().map(|s| *s != 0.0).collect();
            rest.since = get("rest.since", &[rows])?.iter().map(|s| *s as u64).collect();
            rest.costs = get("rest.costs", &[rest.costs.len()])?.to_vec();
        }
        if let Some(c) = &mut next.covariance {
            c.c = get("covariance.c", &[n])?.to_vec();
            c.path = get("covariance.path", &[n])?.to_vec();
            c.pull = get("covariance.pull", &[n])?.to_vec();
            let scalars = get("covariance.scalars", &[2])?;
            [c.usual, c.multiplier] = [scalars[0], scalars[1]];
            c.rescale();
        }
        let mut solvers = fresh.solvers.clone();
        for (g, (solver, group)) in solvers.iter_mut().zip(&fresh.groups).enumerate() {
            if let Solver::Sinkhorn(sinkhorn) = solver {
                let n = group.rows.len() + group.count;
                sinkhorn.duals = [
                    get(&format!("duals.{g}"), &[0, n])?.to_vec(),
                    get(&format!("duals_before.{g}"), &[0, n])?.to_vec(),
                ];
                sinkhorn.eps = get(&format!("duals_eps.{g}"), &[1])?[0];
            }
        }
        (fresh.state, fresh.solvers) = (next, solvers);
        *self = fresh;
        self.rouse();
        if self.state.pending {
            self.draw();
        }
        Ok(())
    }
}
