//! One sweep, one certificate, and the state between them.

use super::line::{Best, Line, Method, Reach};
use super::settings::{Observe, Problem, Selection, Settings, Status};
use crate::engine::rng::Philox;
use crate::engine::{Error, Result, reduce};
use std::time::{Duration, Instant};

/// Gain below which a step is rounding, relative to F.
const ROUNDING: f64 = 4.0 * f64::EPSILON;
/// Coordinates between two looks at the clock.
const LOOK: usize = 16;
/// Time between two looks for signals.
const TICK: Duration = Duration::from_millis(20);

/// A solve under way.
pub struct Run<'a, 'b> {
    problem: Problem<'a>,
    settings: &'b Settings,
    /// Asked now and then.
    pub observe: &'b mut Observe<'b>,
    /// The point.
    pub x: Vec<f64>,
    /// ||x||_1
    norm: f64,
    order: Vec<usize>,
    /// Sweeps made.
    pub sweeps: usize,
    /// Coordinates moved.
    pub moves: usize,
    /// F at the start and after each sweep.
    pub history: Vec<f64>,
    /// When to stop.
    pub deadline: Option<Instant>,
    looked: Instant,
    /// Why to stop.
    pub stop: Option<Status>,
}

impl<'a, 'b> Run<'a, 'b> {
    /// At `x`.
    pub fn new(
        problem: Problem<'a>,
        settings: &'b Settings,
        x: Vec<f64>,
        observe: &'b mut Observe<'b>,
    ) -> Self {
        let looked = Instant::now();
        let mut run = Self {
            problem,
            settings,
            observe,
            norm: 0.0,
            order: (0..x.len()).collect(),
            x,
            sweeps: 0,
            moves: 0,
            history: Vec::with_capacity(settings.max_iter.min(1 << 16) + 1),
            deadline: settings.time_limit.and_then(|limit| looked.checked_add(limit)),
            looked,
            stop: None,
        };
        run.reset();
        run.history.push(run.ratio());
        run
    }

    /// Computes everything that is tracked anew from x, so that a run can be resumed from x alone.
    fn reset(&mut self) {
        self.problem.numerator.reset(&self.x);
        self.problem.denominator.reset(&self.x);
        self.norm = reduce::sum_of_abs(&self.x);
    }

    /// The same after moves.
    ///
    /// # Errors
    /// If the numerator is negative.
    pub fn refresh(&mut self) -> Result<()> {
        self.reset();
        let value = self.problem.numerator.value() + self.problem.l1 * self.norm;
        if value < -self.problem.numerator.noise() {
            let fix = "the ratio is unbounded or its sign wrong; add a constant to it";
            return Err(Error::value("numerator", ">= 0 everywhere", value, fix));
        }
        Ok(())
    }

    /// F(x)
    pub fn ratio(&self) -> f64 {
        let Problem { numerator, denominator, l1, .. } = &self.problem;
        (numerator.value() + l1 * self.norm) / denominator.value()
    }

    /// What gains are relative to: F, or what rounding may make of 0.
    pub fn scale(&self) -> f64 {
        self.ratio().max(self.problem.numerator.noise() / self.problem.denominator.value())
    }

    /// The numerator along coordinate `i`.
    fn line(&self, i: usize, theta: f64) -> Line {
        let Problem { numerator, l1, low, high, .. } = &self.problem;
        let x = self.x[i];
        Line {
            x,
            base: numerator.value() + l1 * (self.norm - x.abs()).max(0.0),
            slope: numerator.slope(i),
            curvature: numerator.curvature(i) + theta,
            l1: *l1,
            low: low[i],
            high: high[i],
        }
    }

    /// One sweep; the number of coordinates that moved.
    pub fn sweep(&mut self, sweep: usize) -> usize {
        let n = self.x.len();
        let rng = Philox::new(self.settings.seed);
        if self.settings.selection == Selection::Shuffled {
            self.order.iter_mut().enumerate().for_each(|(at, i)| *i = at);
            for at in (1..n).rev() {
                let other = rng.below(sweep as u64, at as u64, at as u64 + 1) as usize;
                self.order.swap(at, other);
            }
        }
        let mut moved = 0;
        for at in 0..n {
            if at % LOOK == 0 && self.stopped() {
                break;
            }
            let i = match self.settings.selection {
                Selection::Random => rng.below(sweep as u64, at as u64, n as u64) as usize,
                _ => self.order[at],
            };
            let line = self.line(i, self.settings.theta);
            let ratio = self.ratio();
            let reach = line.reach(ratio);
            let shape = self.problem.denominator.restrict(i, self.x[i], reach);
            let best = line.minimize(&shape, self.settings.method, ratio);
            moved += usize::from(self.apply(i, &best, line.slope));
        }
        moved
    }

    /// Moves coordinate `i`, which was the last restricted, if that lowers F.
    fn apply(&mut self, i: usize, best: &Best, slope: f64) -> bool {
        let lower = best.ratio < best.start - ROUNDING * best.start.abs();
        let eta = best.u - self.x[i];
        if !lower || eta == 0.0 {
            return false;
        }
        self.problem.numerator.step(i, eta, slope);
        self.problem.denominator.step(i, eta, best.u);
        self.norm += best.u.abs() - self.x[i].abs();
        self.x[i] = best.u;
        true
    }

    /// A move found by [`Self::best_move`].
    pub fn step(&mut self, i: usize, best: &Best) -> bool {
        self.problem.denominator.restrict(i, self.x[i], Reach::ALL);
        let slope = self.problem.numerator.slope(i);
        self.apply(i, best, slope)
    }

    /// The coordinate whose best move lowers F most, that move, and its gain relative to F;
    /// nothing where the work was stopped. Without proximal term, so that F itself is certified.
    pub fn best_move(&mut self) -> Option<(usize, Best, f64)> {
        let (ratio, scale) = (self.ratio(), self.scale());
        let mut most: Option<(usize, Best, f64)> = None;
        for i in 0..self.x.len() {
            if i % LOOK == 0 && self.stopped() {
                return None;
            }
            let line = self.line(i, 0.0);
            let reach = line.reach(ratio);
            let shape = self.problem.denominator.restrict(i, self.x[i], reach);
            let best = line.minimize(&shape, Method::Fractional, ratio);
            let gain = (ratio - best.ratio) / scale;
            // Keeps NaN, unlike `max`.
            let gain = if gain < 0.0 { 0.0 } else { gain };
            if most.is_none_or(|(_, _, most)| gain > most) {
                most = Some((i, best, gain));
            }
        }
        most
    }

    /// Looks at the clock, and now and then for a signal.
    fn stopped(&mut self) -> bool {
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.stop = self.stop.or(Some(Status::Time));
        }
        if now.duration_since(self.looked) >= TICK {
            self.looked = now;
            if let Some(status) = (self.observe)(None) {
                self.stop = Some(status);
            }
        }
        self.stop.is_some()
    }
}
