//! The end of a step: velocity, coasting, and the way back from a plateau.

use super::config::{Config, Radius};
use super::radius::Auto;
use super::solver::Solver;
use super::step::PolyStep;

impl PolyStep {
    /// Moves x by `moves` and closes the step.
    pub(super) fn advance(&mut self, moves: &[f64]) {
        let state = &mut self.state;
        let before = state.x.clone();
        let (beta, rate) = match self.config.momentum {
            None => (0.0, 1.0),
            Some([first, last]) => {
                let share = state.t as f64 / (self.config.max_iterations.max(2) - 1) as f64;
                (first + share.min(1.0) * (last - first), self.config.velocity_lr)
            }
        };
        for ((x, v), d) in state.x.iter_mut().zip(&mut state.velocity).zip(moves) {
            *v = beta * *v + d;
            *x += rate * *v;
        }
        let m = self.config.amortize;
        if m > 1 {
            match state.ema.is_empty() {
                true => state.ema = moves.to_vec(),
                false => {
                    state.ema.iter_mut().zip(moves).for_each(|(e, d)| *e = 0.7 * *e + 0.3 * d);
                }
            }
            for phase in 1..m {
                let share = 1.0 - phase as f64 / m as f64;
                state.x.iter_mut().zip(&state.ema).for_each(|(x, e)| *x += share * e);
            }
        }
        if state.x.iter().any(|x| !x.is_finite()) {
            state.x.copy_from_slice(&before);
            state.velocity.fill(0.0);
            state.ema.clear();
            for solver in &mut self.solvers {
                if let Solver::Sinkhorn(s) = solver {
                    s.forget();
                }
            }
        }
        if self.config.adaptive_radius {
            state.adaptive.follow(state.mean_cost);
        }
        state.t += m;
        state.pending = false;
        self.clip();
        self.note_still(&before);
        self.go_back();
        self.rouse();
    }

    /// After too long without progress, starts from the best again with multiples of the first
    /// radii; the rotations differ, so the same valley is left another way.
    fn go_back(&mut self) {
        let Config { patience, probe_radius, step_radius, .. } = self.config;
        let (Radius::Auto(rho), Radius::Auto(s)) = (probe_radius, step_radius) else {
            return;
        };
        let stuck = patience > 0 && self.state.idle >= patience && self.state.best_cost.is_finite();
        if !stuck || self.state.noisy || self.points() > 1 {
            return;
        }
        let state = &mut self.state;
        state.x.copy_from_slice(&state.best_x);
        state.velocity.fill(0.0);
        state.ema.clear();
        // Nearby, farther, far: what x has grown to is not known.
        state.returns += 1;
        let factor = [1.0, 4.0, 16.0][state.returns as usize % 3];
        for auto in &mut state.auto {
            *auto = Auto { rho: factor * rho, s: factor * s, limit: auto.limit };
        }
        (state.idle, state.back) = (0, true);
    }
}
