//! Covering direct search: random points around the best one, then a poll of a rotated cross.
//!
//! Bouchet, Vidal 2025, "Optimization by Directional Attacks: Solving Problems with Neural Network
//! Surrogates", arXiv:2510.01461; the steps are those of its published code.
//!
//!   x the best point   r radius, r0 its first value   n dimensions   U uniform in [0, 1)
//!   v Gaussian over its largest entry
//!   speculative  x + t s, t = 3/2, 1, 2/3, where the last iteration came here by a step s
//!   covering     x + (U r0)^(1/n) v
//!   search       x + min(r0 sqrt(c + 1), r_max) v, c searches so far
//!   poll         x + r h / |h|_inf, h of a random positive basis
//!
//! The first part that finds a cheaper point moves x there and ends the iteration: after a poll
//! r = min(2 r, r_max); where all fail r = max(r / 2, r_min). Points of a part are asked `batch` at
//! a time, and the cheapest of a batch is what is taken. As a part of a hybrid, a search doubles r
//! too, and at r_min search and poll rest.
//! Memory: O(n). Time: O(n) a point.

use super::ask_tell::{Method, Point, Purpose, cheapest, stream};
use super::positive_basis::PositiveBasis;
use super::setting::{Setting, choice, count, flag, number, positive, text};
use crate::engine::{Error, Result, reduce};

/// What is asked now.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Start,
    Speculative,
    Covering,
    Search,
    Poll,
}

const PARTS: [(Part, &str); 5] = [
    (Part::Start, "start"),
    (Part::Speculative, "speculative"),
    (Part::Covering, "covering"),
    (Part::Search, "search"),
    (Part::Poll, "poll"),
];
const STRETCHES: [f64; 3] = [3.0 / 2.0, 1.0, 2.0 / 3.0];

/// Entries of `control`: the part, its points that were asked before, iterations, searches, the
/// radius, the cost of x.
const PART: usize = 0;
const ASKED: usize = 1;
const ITERATION: usize = 2;
const SEARCHES: usize = 3;
const RADIUS: usize = 4;
const COST: usize = 5;

/// The method and where its iteration stands.
#[derive(Debug, Clone)]
pub struct CoveringDirectSearch {
    first: f64,
    least: f64,
    most: f64,
    batch: usize,
    speculative: bool,
    hybrid: bool,
    poll: PositiveBasis,
    control: Vec<f64>,
    /// The step that led to x in the last iteration, else zero.
    step: Vec<f64>,
}

impl CoveringDirectSearch {
    /// The method in `dim` dimensions.
    ///
    /// # Errors
    /// [`Error::Value`] or [`Error::Type`] for a setting out of range.
    pub fn new(dim: usize, settings: &[(String, Setting)]) -> Result<Self> {
        let mut out = Self {
            first: 1.0,
            least: 1e-5,
            most: f64::INFINITY,
            batch: 1,
            speculative: false,
            hybrid: false,
            poll: PositiveBasis::new(dim, true),
            control: vec![0.0, 0.0, 0.0, 0.0, 1.0, f64::INFINITY],
            step: vec![0.0; dim],
        };
        for (name, value) in settings {
            match name.as_str() {
                "radius" => out.first = positive(name, value)?,
                "radius_min" => out.least = positive(name, value)?,
                "radius_max" => {
                    out.most = number(name, value, "a positive number", |v| v > 0.0)?;
                }
                "batch" => out.batch = count(name, value)?,
                "whole" => out.batch = if flag(name, value)? { usize::MAX } else { out.batch },
                "speculative" => out.speculative = flag(name, value)?,
                "hybrid" => out.hybrid = flag(name, value)?,
                "poll" => {
                    let cross = match text(name, value)? {
                        "2n" => true,
                        "n+1" => false,
                        other => return Err(choice(name, "'2n' or 'n+1'", other)),
                    };
                    out.poll = PositiveBasis::new(dim, cross);
                }
                _ => return Err(choice("setting", "a known name", name)),
            }
        }
        let (radius, range) = (out.first, out.least..=out.most);
        if !range.contains(&radius) {
            let allowed = format!("in [radius_min, radius_max] = [{}, {}]", out.least, out.most);
            return Err(Error::value("radius", allowed, radius, "move one of the three"));
        }
        out.control[RADIUS] = radius;
        Ok(out)
    }

    fn part(&self) -> Part {
        PARTS[self.control[PART] as usize % PARTS.len()].0
    }

    fn go(&mut self, part: Part) {
        (self.control[PART], self.control[ASKED]) = (part as usize as f64, 0.0);
    }

    /// Points of a part.
    fn points(&self) -> usize {
        match self.part() {
            Part::Speculative => STRETCHES.len(),
            Part::Poll => self.poll.len(),
            _ => 1,
        }
    }

    /// A stream of this iteration: 0 is for covering, 1 for search, 2 and 3 for the poll.
    fn key(&self, purpose: Purpose, number: u64) -> u64 {
        stream(purpose, (self.control[ITERATION] as u64) << 28 | number)
    }

    /// Ends an iteration.
    fn next(&mut self) {
        self.control[ITERATION] += 1.0;
        let line = self.speculative && self.step.iter().any(|s| *s != 0.0);
        self.go(if line { Part::Speculative } else { Part::Covering });
    }

    /// Moves x and remembers the step.
    fn take(&mut self, at: &mut Point, x: &[f64], cost: f64) {
        for ((step, old), new) in self.step.iter_mut().zip(&mut at.x).zip(x) {
            (*step, *old) = (new - *old, *new);
        }
        self.control[COST] = cost;
    }

    fn resting(&self) -> bool {
        self.hybrid && self.control[RADIUS] <= self.least
    }
}

impl Method for CoveringDirectSearch {
    fn population(&self) -> usize {
        self.batch.min(self.points().saturating_sub(self.control[ASKED] as usize)).max(1)
    }

    fn candidate(&self, at: &Point, index: usize, out: &mut [f64]) {
        let index = self.control[ASKED] as usize + index;
        let gaussian = |number, out: &mut [f64]| {
            at.rng.fill_normal(self.key(Purpose::Candidates, number), 0, out);
        };
        let length = match self.part() {
            Part::Start => return out.copy_from_slice(&at.x),
            Part::Speculative => {
                for ((out, x), s) in out.iter_mut().zip(&at.x).zip(&self.step) {
                    *out = x + STRETCHES[index % STRETCHES.len()] * s;
                }
                return;
            }
            Part::Covering => {
                gaussian(0, out);
                let [u, _] = at.rng.uniform(self.key(Purpose::Other, 0), 0);
                (u * self.first).powf(1.0 / out.len() as f64)
            }
            Part::Search => {
                gaussian(1, out);
                (self.first * (self.control[SEARCHES] + 1.0).sqrt()).min(self.most)
            }
            Part::Poll => {
                self.poll.direction(index, out);
                self.control[RADIUS]
            }
        };
        let scale = length / reduce::max_abs(out);
        out.iter_mut().zip(&at.x).for_each(|(out, x)| *out = x + scale * *out);
    }

    fn advance(&mut self, at: &mut Point, costs: &[f64]) {
        let (part, best) = (self.part(), cheapest(costs));
        if part == Part::Start {
            self.control[COST] = costs[0];
            return self.next();
        }
        let cheaper = costs[best] < self.control[COST];
        if cheaper {
            let mut x = vec![0.0; at.x.len()];
            self.admitted(at, best, &mut x);
            self.take(at, &x, costs[best]);
        }
        // Not before: the points of a search depend on it.
        self.control[SEARCHES] += f64::from(part == Part::Search);
        if cheaper {
            if part == Part::Poll || self.hybrid && part == Part::Search {
                self.control[RADIUS] = (2.0 * self.control[RADIUS]).min(self.most);
            }
            return self.next();
        }
        self.control[ASKED] += costs.len() as f64;
        if self.control[ASKED] < self.points() as f64 {
            return;
        }
        match part {
            Part::Speculative => self.go(Part::Covering),
            Part::Covering if !self.resting() => self.go(Part::Search),
            Part::Search => {
                let keys = [(Purpose::Candidates, 2), (Purpose::Other, 2), (Purpose::Other, 3)];
                let keys = keys.map(|(purpose, number)| self.key(purpose, number));
                self.poll.draw(&at.rng, keys);
                self.go(Part::Poll);
            }
            _ => {
                self.step.fill(0.0);
                self.control[RADIUS] = (0.5 * self.control[RADIUS]).max(self.least);
                self.next();
            }
        }
    }

    fn phase(&self) -> &'static str {
        PARTS[self.part() as usize].1
    }

    fn place(&mut self, at: &mut Point, x: &[f64], cost: f64, renew: bool) -> Result<bool> {
        if cost.is_nan() || cost >= self.control[COST] {
            return Ok(false);
        }
        self.take(at, x, cost);
        if renew && self.control[RADIUS] <= self.least {
            self.control[RADIUS] = (2.0 * self.least).min(self.most);
        }
        self.next();
        Ok(true)
    }

    /// The radius.
    fn reach(&self, _at: &Point) -> f64 {
        self.control[RADIUS]
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        let mut out = vec![("control", &mut self.control), ("last_step", &mut self.step)];
        out.extend(self.poll.memory());
        out
    }
}
