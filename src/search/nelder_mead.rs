//! Nelder-Mead: a simplex that walks, stretches and shrinks.
//!
//! Nelder, Mead 1965, "A Simplex Method for Function Minimization", The Computer Journal 7;
//! constants of Gao, Han 2012, Computational Optimization and Applications 51.
//!
//!   b, w best and worst vertex   c centroid of all but w   n = max(d, 2)
//!   reflection c + (c - w)   expansion c + beta (c - w)   contractions c +- gamma (c - w)
//!   shrink b + delta (x - b)
//!   beta = 1 + 2/n, gamma = 3/4 - 1/(2 n), delta = 1 - 1/n; or 2, 1/2, 1/2
//!
//! Of equal costs the older vertex is the better one. First simplex: x0 and x0 with one coordinate
//! longer by `step`, or by 5 % (0.00025 where it is zero). A step asks what can be asked: the first
//! simplex, one trial (or all four at once), the d vertices of a shrink.
//! Memory: O(d^2). Time: O(d^2) a move.

use super::ask_tell::{Method, Point};
use super::setting::{Setting, choice, flag, positive};
use crate::engine::Result;

/// What the open step asks.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    First,
    Reflect,
    Expand,
    Outside,
    Inside,
    Shrink,
    All,
}

const PHASES: [Phase; 7] = [
    Phase::First,
    Phase::Reflect,
    Phase::Expand,
    Phase::Outside,
    Phase::Inside,
    Phase::Shrink,
    Phase::All,
];

/// The method and its simplex.
#[derive(Debug, Clone)]
pub struct NelderMead {
    step: f64,
    speculative: bool,
    beta: f64,
    gamma: f64,
    delta: f64,
    /// The phase and the cost of the reflection.
    control: Vec<f64>,
    simplex: Vec<f64>,
    costs: Vec<f64>,
    /// Vertices from best to worst.
    order: Vec<f64>,
    centroid: Vec<f64>,
    reflection: Vec<f64>,
}

impl NelderMead {
    /// The method in `dim` dimensions.
    ///
    /// # Errors
    /// [`Error::Value`](crate::engine::Error::Value) or
    /// [`Error::Type`](crate::engine::Error::Type) for a setting out of range.
    pub fn new(dim: usize, settings: &[(String, Setting)]) -> Result<Self> {
        let (mut step, mut speculative, mut adaptive) = (0.0, false, true);
        for (name, value) in settings {
            match name.as_str() {
                "initial_step" => step = positive(name, value)?,
                "speculative" => speculative = flag(name, value)?,
                "adaptive" => adaptive = flag(name, value)?,
                _ => return Err(choice("setting", "a known name", name)),
            }
        }
        let n = dim.max(2) as f64;
        let [beta, gamma, delta] = match adaptive {
            true => [1.0 + 2.0 / n, 0.75 - 0.5 / n, 1.0 - 1.0 / n],
            false => [2.0, 0.5, 0.5],
        };
        Ok(Self {
            step,
            speculative,
            beta,
            gamma,
            delta,
            control: vec![0.0; 2],
            simplex: vec![0.0; (dim + 1) * dim],
            costs: vec![f64::INFINITY; dim + 1],
            order: (0..=dim).map(|i| i as f64).collect(),
            centroid: vec![0.0; dim],
            reflection: vec![0.0; dim],
        })
    }

    fn phase(&self) -> Phase {
        PHASES[self.control[0] as usize % PHASES.len()]
    }

    /// The vertex of a rank, 0 the best.
    fn ranked(&self, rank: usize) -> usize {
        self.order[rank] as usize
    }

    fn vertex(&self, i: usize) -> &[f64] {
        let dim = self.centroid.len();
        &self.simplex[i * dim..][..dim]
    }

    /// c + t (c - w)
    fn trial(&self, t: f64, out: &mut [f64]) {
        let worst = self.vertex(self.ranked(self.centroid.len()));
        for ((out, c), w) in out.iter_mut().zip(&self.centroid).zip(worst) {
            *out = c + t * (c - w);
        }
    }

    fn replace(&mut self, vertex: usize, x: &[f64], cost: f64) {
        self.simplex[vertex * x.len()..][..x.len()].copy_from_slice(x);
        self.costs[vertex] = cost;
    }

    /// Ranks the vertices, finds the centroid and asks for the next trial.
    fn begin(&mut self, at: &mut Point) {
        let (costs, dim) = (&self.costs, at.x.len());
        // Stable: of equal costs the vertex that was there first stays in front.
        self.order.sort_by(|a, b| costs[*a as usize].total_cmp(&costs[*b as usize]));
        let mut sum = std::mem::take(&mut self.centroid);
        sum.fill(0.0);
        let worst = self.ranked(dim);
        for (i, row) in self.simplex.chunks_exact(dim).enumerate() {
            if i != worst {
                sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
        }
        sum.iter_mut().for_each(|sum| *sum /= dim as f64);
        self.centroid = sum;
        at.x.copy_from_slice(self.vertex(self.ranked(0)));
        self.go(if self.speculative { Phase::All } else { Phase::Reflect });
    }

    fn go(&mut self, phase: Phase) {
        self.control[0] = phase as usize as f64;
    }

    /// Puts a trial in the place of the worst vertex where it costs less than `limit`, or as much
    /// unless `strict`; asks for a shrink otherwise.
    fn settle(&mut self, at: &mut Point, trial: usize, cost: f64, limit: f64, strict: bool) {
        let worst = self.ranked(at.x.len());
        let accepted = if strict { cost < limit } else { cost <= limit };
        if accepted {
            let mut x = vec![0.0; at.x.len()];
            self.admitted(at, trial, &mut x);
            self.replace(worst, &x, cost);
            self.begin(at);
        } else {
            self.go(Phase::Shrink);
        }
    }

    fn take_reflection(&mut self, at: &mut Point) {
        let (worst, x) = (self.ranked(at.x.len()), std::mem::take(&mut self.reflection));
        self.replace(worst, &x, self.control[1]);
        self.reflection = x;
        self.begin(at);
    }

    /// What the cost of the reflection asks for; none where it is taken as it is.
    fn answer(&self, cost: f64) -> Option<Phase> {
        let dim = self.centroid.len();
        let cost_of = |rank: usize| self.costs[self.ranked(rank)];
        if cost < cost_of(0) {
            Some(Phase::Expand)
        } else if cost < cost_of(dim - 1) {
            None
        } else if cost < cost_of(dim) {
            Some(Phase::Outside)
        } else {
            Some(Phase::Inside)
        }
    }

    /// The second trial of a move, candidate `index` of the step, at `cost`.
    fn second(&mut self, at: &mut Point, phase: Phase, index: usize, cost: f64) {
        let (reflected, worst) = (self.control[1], self.costs[self.ranked(at.x.len())]);
        match phase {
            Phase::Expand if cost < reflected => self.settle(at, index, cost, reflected, true),
            Phase::Expand => self.take_reflection(at),
            Phase::Outside => self.settle(at, index, cost, reflected, false),
            _ => self.settle(at, index, cost, worst, true),
        }
    }
}

impl Method for NelderMead {
    fn population(&self) -> usize {
        match self.phase() {
            Phase::First => self.costs.len(),
            Phase::Shrink => self.centroid.len(),
            Phase::All => 4,
            _ => 1,
        }
    }

    fn candidate(&self, at: &Point, index: usize, out: &mut [f64]) {
        let lengths = [1.0, self.beta, self.gamma, -self.gamma];
        match self.phase() {
            Phase::First => {
                out.copy_from_slice(&at.x);
                if index > 0 {
                    let x = &mut out[index - 1];
                    *x += match (self.step > 0.0, *x == 0.0) {
                        (true, _) => self.step,
                        (false, true) => 0.00025,
                        (false, false) => 0.05 * *x,
                    };
                }
            }
            Phase::Shrink => {
                let (best, x) = (self.vertex(self.ranked(0)), self.vertex(self.ranked(index + 1)));
                for ((out, b), x) in out.iter_mut().zip(best).zip(x) {
                    *out = b + self.delta * (x - b);
                }
            }
            Phase::All => self.trial(lengths[index], out),
            Phase::Reflect => self.trial(lengths[0], out),
            Phase::Expand => self.trial(lengths[1], out),
            Phase::Outside => self.trial(lengths[2], out),
            Phase::Inside => self.trial(lengths[3], out),
        }
    }

    fn advance(&mut self, at: &mut Point, costs: &[f64]) {
        let phase = self.phase();
        match phase {
            Phase::First | Phase::Shrink => {
                let dim = at.x.len();
                let mut rows = vec![0.0; costs.len() * dim];
                for (i, row) in rows.chunks_exact_mut(dim).enumerate() {
                    self.admitted(at, i, row);
                }
                for (i, row) in rows.chunks_exact(dim).enumerate() {
                    let vertex = if phase == Phase::First { i } else { self.ranked(i + 1) };
                    self.replace(vertex, row, costs[i]);
                }
                self.begin(at);
            }
            Phase::Reflect | Phase::All => {
                let mut x = std::mem::take(&mut self.reflection);
                self.admitted(at, 0, &mut x);
                self.reflection = x;
                self.control[1] = costs[0];
                match (self.answer(costs[0]), phase) {
                    (None, _) => self.take_reflection(at),
                    (Some(next), Phase::Reflect) => self.go(next),
                    (Some(next), _) => {
                        let index = next as usize - Phase::Reflect as usize;
                        self.second(at, next, index, costs[index]);
                    }
                }
            }
            _ => self.second(at, phase, 0, costs[0]),
        }
    }

    /// The largest difference of a coordinate from that of the best vertex.
    fn reach(&self, at: &Point) -> f64 {
        let rows = self.simplex.chunks_exact(at.x.len());
        rows.flat_map(|row| row.iter().zip(&at.x)).fold(0.0, |a, (v, x)| a.max((v - x).abs()))
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        vec![
            ("control", &mut self.control),
            ("simplex", &mut self.simplex),
            ("costs", &mut self.costs),
            ("order", &mut self.order),
            ("centroid", &mut self.centroid),
            ("reflection", &mut self.reflection),
        ]
    }
}
