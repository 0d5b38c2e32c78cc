//! Sweeps over the coordinates, the certificate, the stop rule.

use super::line::{Best, Line, Method, Reach};
use super::{Denominator, Numerator};
use crate::engine::rng::Philox;
use crate::engine::{Error, Result, reduce};
use std::time::{Duration, Instant};

/// A ratio to minimise.
pub struct Problem<'a> {
    /// Smooth part of the numerator.
    pub numerator: Box<dyn Numerator + 'a>,
    /// Denominator.
    pub denominator: Box<dyn Denominator + 'a>,
    /// Strength of the l1 norm in the numerator.
    pub l1: f64,
    /// Least value of each coordinate.
    pub low: &'a [f64],
    /// Largest value of each coordinate.
    pub high: &'a [f64],
}

/// The order in which coordinates are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// As numbered.
    Cyclic,
    /// A new permutation for each sweep.
    Shuffled,
    /// Independent draws.
    Random,
}

/// How to solve.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Fractional or parametric steps.
    pub method: Method,
    /// Weight of the proximal term theta / 2 eta^2.
    pub theta: f64,
    /// Order of the coordinates.
    pub selection: Selection,
    /// Seed of the order.
    pub seed: u64,
    /// Gain of the best move, relative to F, at which to stop.
    pub tol: f64,
    /// Sweeps to make.
    pub max_iter: usize,
    /// Sweeps made before: the orders drawn go on from there.
    pub first: usize,
    /// Time for the sweeps.
    pub time_limit: Option<Duration>,
}

/// Why the solver stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// No move of a coordinate gains more than `tol`.
    Converged,
    /// `max_iter` is used up.
    Limit,
    /// `time_limit` is used up.
    Time,
    /// Moves that gain more than `tol` are lost in rounding.
    Precision,
    /// The observer asked to stop.
    Stopped,
    /// The user interrupted; there is no certificate.
    Interrupted,
}

impl Status {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Limit => "limit",
            Self::Time => "time",
            Self::Precision => "precision",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The state after a sweep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Sweeps so far, those made before included.
    pub sweep: usize,
    /// F
    pub objective: f64,
    /// Coordinates that moved.
    pub moves: usize,
    /// Relative gain of the best move; NaN where it was not looked for.
    pub certificate: f64,
}

/// What a solve returns.
#[derive(Debug, Clone)]
pub struct Solution {
    /// The point.
    pub x: Vec<f64>,
    /// F there.
    pub objective: f64,
    /// What the best move of one coordinate would gain, relative to F.
    pub certificate: f64,
    /// Sweeps made.
    pub sweeps: usize,
    /// Coordinates moved.
    pub moves: usize,
    /// Why it stopped.
    pub status: Status,
    /// F at the start and after each sweep.
    pub history: Vec<f64>,
}

/// Gain below which a step is rounding, relative to F.
const ROUNDING: f64 = 4.0 * f64::EPSILON;
/// Coordinates between two looks at the clock.
const LOOK: usize = 16;
/// Time between two looks for signals.
const TICK: Duration = Duration::from_millis(20);

/// Asked with `None` now and then, with the progress after each sweep; an answer ends the work.
pub type Observe<'a> = dyn FnMut(Option<&Progress>) -> Option<Status> + 'a;

/// Minimises from `x`, which [`check`](super::check) has accepted.
///
/// # Errors
/// If the numerator turns out to be negative somewhere.
pub fn minimize(
    problem: Problem<'_>,
    settings: &Settings,
    x: Vec<f64>,
    observe: &mut Observe<'_>,
) -> Result<Solution> {
    let mut run = Run::new(problem, settings, x, observe);
    let mut status = Status::Limit;
    let mut certificate = None;
    for sweep in settings.first..settings.first + settings.max_iter {
        let before = run.ratio();
        certificate = None;
        let mut moved = run.sweep(sweep);
        run.refresh()?;
        if let Some(early) = run.stop {
            status = early;
            break;
        }
        run.sweeps += 1;
        let mut gain = f64::NAN;
        if before - run.ratio() <= settings.tol * run.scale() {
            let Some((i, best, found)) = run.best_move() else {
                status = run.stop.unwrap_or(Status::Interrupted);
                break;
            };
            gain = found;
            if found <= settings.tol {
                (status, certificate) = (Status::Converged, Some(found));
            } else if run.step(i, &best) {
                moved += 1;
                run.refresh()?;
            } else if moved == 0 {
                (status, certificate) = (Status::Precision, Some(found));
            }
        }
        run.moves += moved;
        let objective = run.ratio();
        run.history.push(objective);
        let progress = Progress { sweep: sweep + 1, objective, moves: moved, certificate: gain };
        let asked = (run.observe)(Some(&progress));
        if certificate.is_some() {
            break;
        }
        if let Some(asked) = asked {
            status = asked;
            break;
        }
    }
    run.stop = None;
    run.deadline = None;
    let certificate = match certificate {
        Some(certificate) => certificate,
        None if status == Status::Interrupted => f64::NAN,
        None => run.best_move().map_or(f64::NAN, |(_, _, found)| found),
    };
    if run.stop.is_some() {
        status = Status::Interrupted;
    } else if matches!(status, Status::Limit | Status::Time) && certificate <= settings.tol {
        status = Status::Converged;
    }
    Ok(Solution {
        objective: run.ratio(),
        x: run.x,
        certificate,
        sweeps: run.sweeps,
        moves: run.moves,
        status,
        history: run.history,
    })
}

struct Run<'a, 'b> {
    problem: Problem<'a>,
    settings: &'b Settings,
    observe: &'b mut Observe<'b>,
    x: Vec<f64>,
    /// ||x||_1
    norm: f64,
    order: Vec<usize>,
    sweeps: usize,
    moves: usize,
    history: Vec<f64>,
    deadline: Option<Instant>,
    looked: Instant,
    stop: Option<Status>,
}

impl<'a, 'b> Run<'a, 'b> {
    fn new(
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

    fn refresh(&mut self) -> Result<()> {
        self.reset();
        let value = self.problem.numerator.value() + self.problem.l1 * self.norm;
        if value < -self.problem.numerator.noise() {
            let fix = "the ratio is unbounded or its sign wrong; add a constant to it";
            return Err(Error::value("numerator", ">= 0 everywhere", value, fix));
        }
        Ok(())
    }

    /// F(x)
    fn ratio(&self) -> f64 {
        let Problem { numerator, denominator, l1, .. } = &self.problem;
        (numerator.value() + l1 * self.norm) / denominator.value()
    }

    /// What gains are relative to: F, or what rounding may make of 0.
    fn scale(&self) -> f64 {
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
    fn sweep(&mut self, sweep: usize) -> usize {
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
    fn step(&mut self, i: usize, best: &Best) -> bool {
        self.problem.denominator.restrict(i, self.x[i], Reach::ALL);
        let slope = self.problem.numerator.slope(i);
        self.apply(i, best, slope)
    }

    /// The coordinate whose best move lowers F most, that move, and its gain relative to F;
    /// nothing where the work was stopped. Without proximal term, so that F itself is certified.
    fn best_move(&mut self) -> Option<(usize, Best, f64)> {
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
            let gain = ((ratio - best.ratio) / scale).max(0.0);
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

#[cfg(test)]
mod tests {
    use super::super::{L2, LeastSquares, Quadratic, SquaredL4, TopK};
    use super::*;
    use crate::coordinate::design::Dense;

    fn settings(method: Method) -> Settings {
        Settings {
            method,
            theta: 1e-5,
            selection: Selection::Cyclic,
            seed: 0,
            tol: 1e-10,
            max_iter: 5000,
            first: 0,
            time_limit: None,
        }
    }

    fn data(m: usize, n: usize) -> Vec<f64> {
        let mut data = vec![0.0; m * n];
        Philox::new(1).fill_normal(0, 0, &mut data);
        data
    }

    #[test]
    fn both_methods_end_where_no_coordinate_gains() {
        let (m, n) = (30, 12);
        let data = data(m, n);
        let design = Dense::new(&data, m, n).unwrap();
        let y: Vec<f64> = (0..m).map(|i| (0..3).map(|j| data[j * m + i]).sum()).collect();
        let (low, high) = (vec![f64::NEG_INFINITY; n], vec![f64::INFINITY; n]);
        let two: Vec<f64> = (0..n * n).map(|k| if k % (n + 1) == 0 { 2.0 } else { 0.0 }).collect();
        let identity = Dense::new(&two, n, n).unwrap();
        let zero = vec![0.0; n];
        for method in [Method::Fractional, Method::Parametric] {
            for kind in 0..3 {
                let x: Vec<f64> = (0..n).map(|j| 0.1 + 0.01 * j as f64).collect();
                let numerator: Box<dyn Numerator> = if kind == 0 {
                    Box::new(Quadratic::new(&identity, &zero, 0.0).unwrap())
                } else {
                    Box::new(LeastSquares::new(&design, &y).unwrap())
                };
                let denominator: Box<dyn Denominator> = match kind {
                    0 => Box::new(SquaredL4::new(&design)),
                    1 => Box::new(TopK::new(n, 3, 0.1).unwrap()),
                    _ => Box::new(L2::new(&identity, false)),
                };
                let l1 = if kind == 0 { 0.0 } else { 0.1 };
                let problem = Problem { numerator, denominator, l1, low: &low, high: &high };
                let found = minimize(problem, &settings(method), x, &mut |_| None).unwrap();
                assert_eq!(found.status, Status::Converged, "{method:?} {kind}");
                assert!(found.certificate <= 1e-10);
                let falls = |pair: &[f64]| pair[1] <= pair[0] * (1.0 + 1e-14);
                assert!(found.history.windows(2).all(falls));
            }
        }
    }

    #[test]
    fn the_principal_axis_is_found_where_it_is_the_only_stationary_direction() {
        // x' Q x / ||x||^2 with Q = diag(3, 1): coordinate moves reach the least eigenvalue.
        let (q, one) = ([6.0, 0.0, 0.0, 2.0], [1.0, 0.0, 0.0, 1.0]);
        let (q, one) = (Dense::new(&q, 2, 2).unwrap(), Dense::new(&one, 2, 2).unwrap());
        let (low, high) = ([f64::NEG_INFINITY; 2], [f64::INFINITY; 2]);
        let problem = Problem {
            numerator: Box::new(Quadratic::new(&q, &[0.0; 2], 0.0).unwrap()),
            denominator: Box::new(L2::new(&one, true)),
            l1: 0.0,
            low: &low,
            high: &high,
        };
        let settings = settings(Method::Fractional);
        let found = minimize(problem, &settings, vec![1.0, 0.5], &mut |_| None).unwrap();
        assert!((found.objective - 1.0).abs() < 1e-9, "{found:?}");
    }
}
