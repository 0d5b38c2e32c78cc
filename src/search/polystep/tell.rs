//! The second half of a step: from costs to a move. The update is in [`super::step`].

use super::config::Radius;
use super::layout::Group;
use super::normalise;
use super::quadratic::Model;
use super::rest;
use super::solver::Solver;
use super::step::{PolyStep, Radii};
use crate::engine::{Error, Result};

impl PolyStep {
    /// Moves by the costs of all candidates of the open step, in their order.
    ///
    /// # Errors
    /// [`Error::Value`] when no step is open, [`Error::Shape`] for the wrong number of costs.
    /// Nothing has changed then, and the step stays open.
    pub fn tell(&mut self, costs: &[f64]) -> Result<()> {
        self.opened("tell")?;
        if costs.len() != self.population() {
            return Err(Error::Shape {
                name: "costs".into(),
                given: format!("({},)", costs.len()),
                other: "the candidates".into(),
                expected: format!("({},)", self.population()),
                fix: "return one cost for each candidate".into(),
            });
        }
        if std::mem::take(&mut self.state.back) && costs[0] != self.state.best_cost {
            // The best was luck: going back to it would be a walk among lucky points.
            self.state.noisy = true;
        }
        let flat = self.on_plateau(costs);
        self.note_best(costs);
        let mut costs = costs.to_vec();
        let bad = normalise::repair(&mut costs, self.config.published_repair);
        self.state.nonfinite += bad as u64;
        self.state.evaluations += costs.len() as u64;
        let (centres, mut probes) = costs.split_at(self.centres());
        if !probes.is_empty() {
            self.state.mean_cost = probes.iter().sum::<f64>() / probes.len() as f64;
        }
        let mut moves = vec![0.0; self.state.x.len()];
        let mut tally = Tally::default();
        // A temperature that follows the solver changes between steps, not between groups.
        let radii: Vec<Radii> = (0..self.groups.len()).map(|g| self.radii(g)).collect();
        for (g, radii) in radii.into_iter().enumerate() {
            let (own, others) = probes.split_at(self.asked(g));
            self.move_group(g, radii, [centres, own], &mut moves, &mut tally);
            probes = others;
        }
        // Where no probe ties with x the cost has no plateau, and a slow descent is one.
        self.state.idle += u64::from(tally.ties);
        self.state.rate = tally.along / tally.steep;
        let rows = self.groups.iter().map(|g| g.rows.len()).sum::<usize>() as f64;
        if self.config.trust_region {
            self.state.trust.follow(tally.minimum / rows, tally.predicted / rows);
        }
        if self.config.adaptive_num_probe {
            let next = self.state.t + self.config.amortize;
            self.state.falling.follow(tally.transport / rows, next);
        }
        if let Some(covariance) = &mut self.state.covariance {
            covariance.follow(&moves);
        }
        self.advance(&moves);
        if flat {
            self.flatten();
        }
        Ok(())
    }

    fn move_group(
        &mut self,
        g: usize,
        radii: Radii,
        [centres, probes]: [&[f64]; 2],
        moves: &mut [f64],
        tally: &mut Tally,
    ) {
        let (rho, k) = (radii.probe * self.jitter(), self.probes());
        let lengths: Vec<f64> = (0..k).map(|j| rho * self.sigma(j)).collect();
        let mut costs = self.vertex_costs(g, probes);
        let group = &self.groups[g];
        let (p, v, n) = (group.p, group.count, group.rows.len());
        tally.minimum += costs
            .chunks_exact(v)
            .map(|row| row.iter().copied().fold(f64::INFINITY, f64::min))
            .sum::<f64>();
        let shape = (!centres.is_empty()).then(|| parts(group, &costs, centres));
        // sum_k t_k t_k' = (V / p) I for every template, hence the factor.
        let slope = p as f64 * k as f64 / (v as f64 * lengths.iter().sum::<f64>());
        let mut slopes = vec![0.0; n * p];
        for (row, out) in costs.chunks_exact(v).zip(slopes.chunks_exact_mut(p)) {
            self.config.polytope.centre(&group.vertices, row, out);
            out.iter_mut().for_each(|g| *g *= slope);
        }
        if self.config.screen {
            let contrast = &mut self.state.contrast[group.first * self.config.particle_dim..];
            rest::screen(&mut costs, p, contrast);
        }
        let raw = if self.config.adaptive_num_probe { costs.clone() } else { Vec::new() };
        self.config.scale_cost.apply(&mut costs, v);
        let mut weights = vec![0.0; n * v];
        let eps = self.config.ent_epsilon.unwrap_or(radii.epsilon);
        let solver = &mut self.solvers[g];
        solver.weigh(&costs, v, eps, &mut weights);
        tally.transport += raw.iter().zip(&weights).map(|(c, w)| c * w).sum::<f64>();
        if let (Solver::Sinkhorn(s), Some(p)) = (&*solver, &mut self.state.progressive)
            && s.tol > 0.0
        {
            p.follow(s.iterations as f64 / s.max_iter as f64, s.converged);
        }
        let modelled = self.config.newton_refinement || self.config.trust_region;
        let (mut model, mut y) = (Model::default(), vec![0.0; p]);
        let [mut dot, mut own, mut past, mut along] = [0.0; 4];
        for (i, row) in group.rows.iter().enumerate() {
            self.config.polytope.centre(&group.vertices, &weights[i * v..][..v], &mut y);
            y.iter_mut().for_each(|y| *y *= radii.step);
            if modelled {
                model.fit(&probes[i * v * k..][..v * k], &lengths);
                if self.config.newton_refinement {
                    refine(&model, radii.step, &mut y);
                }
                tally.predicted += model.change(&y);
            }
            let slopes = &slopes[i * p..][..p];
            along -= y.iter().zip(slopes).map(|(y, g)| y * g).sum::<f64>();
            tally.steep += slopes.iter().map(|g| g * g).sum::<f64>();
            let rotation = &self.rotations[group.rotations + i * p * p..][..p * p];
            let offset = row.point * self.dim;
            let span = offset + row.span.start..offset + row.span.end;
            let target = &mut moves[span.clone()];
            turn(rotation, &y, target);
            if let Some(covariance) = &mut self.state.covariance {
                let weights = &weights[i * v..][..v];
                covariance.block(span.start, rotation, [&group.vertices, weights], target);
            }
            if !self.state.directions.is_empty() {
                let start = (group.first + i) * self.config.particle_dim;
                let out = &mut self.state.directions[start..][..p];
                out.fill(0.0);
                let ahead: Vec<f64> = slopes.iter().map(|g| -g).collect();
                turn(rotation, if modelled { &ahead } else { &y }, out);
            }
            for (d, v) in target.iter().zip(&self.state.velocity[span]) {
                (dot, own, past) = (dot + d * v, own + d * d, past + v * v);
            }
        }
        if self.state.flat {
            tally.along += along;
            return;
        }
        let auto = &mut self.state.auto[g];
        match shape {
            Some([odd, even, idle]) => {
                auto.follow_shape(odd, even, idle);
                tally.ties |= idle > 0.0;
            }
            None => auto.rho = radii.probe,
        }
        let mut factor = 1.0;
        if matches!(self.config.step_radius, Radius::Auto(_)) && own > 0.0 && past > 0.0 {
            let before = auto.s;
            auto.follow_turn(dot / (own.sqrt() * past.sqrt()));
            // The move was computed with the radius of before; the new one counts already.
            factor = auto.s / before;
            for row in &group.rows {
                let offset = row.point * self.dim;
                let span = offset + row.span.start..offset + row.span.end;
                moves[span].iter_mut().for_each(|d| *d *= factor);
            }
        }
        tally.along += along * factor;
    }

    fn note_best(&mut self, costs: &[f64]) {
        let finite = costs.iter().enumerate().filter(|(_, c)| c.is_finite());
        if let Some((index, &cost)) = finite.min_by(|a, b| a.1.total_cmp(b.1))
            && cost < self.state.best_cost
        {
            let mut best = std::mem::take(&mut self.state.best_x);
            // The step is open and the index below the population: nothing to refuse.
            let _ = self.candidates(index, &mut best);
            self.state.best_x = best;
            self.state.best_cost = cost;
            self.state.idle = 0;
        }
    }
}

/// What the groups of a step add up to.
#[derive(Default)]
struct Tally {
    along: f64,
    steep: f64,
    minimum: f64,
    predicted: f64,
    transport: f64,
    ties: bool,
}

/// Mean squares of the odd and the even part of the costs of an orthoplex, and the share of costs
/// that equal the one between them.
fn parts(group: &Group, costs: &[f64], centres: &[f64]) -> [f64; 3] {
    let (mut odd, mut even, mut idle) = (0.0, 0.0, 0);
    for (row, costs) in group.rows.iter().zip(costs.chunks_exact(group.count)) {
        let (centre, (plus, minus)) = (centres[row.point], costs.split_at(group.p));
        for (u, d) in plus.iter().zip(minus) {
            odd += (0.5 * (u - d)).powi(2);
            even += (0.5 * (u + d) - centre).powi(2);
            idle += usize::from(*u == centre) + usize::from(*d == centre);
        }
    }
    let n = (group.rows.len() * group.p) as f64;
    [odd / n, even / n, idle as f64 / (2.0 * n)]
}

/// Mixes the Newton step into `y` where the model does not predict a worse cost.
fn refine(model: &Model, step: f64, y: &mut [f64]) {
    const SHARE: f64 = 0.3;
    let newton = model.newton(0.5 * step);
    let mixed: Vec<f64> =
        y.iter().zip(newton).map(|(y, n)| (1.0 - SHARE) * y + SHARE * n).collect();
    if model.change(&mixed) <= model.change(y) {
        y.copy_from_slice(&mixed);
    }
}

/// Adds R y, cut to the length of `out`.
fn turn(rotation: &[f64], y: &[f64], out: &mut [f64]) {
    for (y, column) in y.iter().zip(rotation.chunks_exact(y.len())) {
        for (out, r) in out.iter_mut().zip(column) {
            *out += y * r;
        }
    }
}
