//! Random search: independent draws, the best of which stays.
//!
//! Brooks 1958, "A Discussion of Random Methods for Seeking Maxima", Operations Research 6(2).
//!
//!   around "start"   uniform in the box; N(x0, sigma^2) where a coordinate has no box
//!   around "best"    N(x, sigma^2), x the best so far
//!
//! The first candidate is x0. Cost: O(n d) a step.

use super::ask_tell::{Method, Point, Purpose, cheapest, stream};
use super::setting::{Setting, choice, count, positive, text};
use crate::engine::Result;

/// The method, where it started and the cost of the best.
#[derive(Debug, Clone)]
pub struct RandomSearch {
    population: usize,
    sigma: f64,
    local: bool,
    start: Vec<f64>,
    cost: Vec<f64>,
}

impl RandomSearch {
    /// The method in `dim` dimensions.
    ///
    /// # Errors
    /// [`Error::Value`](crate::engine::Error::Value) or
    /// [`Error::Type`](crate::engine::Error::Type) for a setting out of range.
    pub fn new(dim: usize, settings: &[(String, Setting)]) -> Result<Self> {
        let mut out = Self {
            population: 50,
            sigma: 1.0,
            local: false,
            start: vec![0.0; dim],
            cost: vec![f64::INFINITY],
        };
        for (name, value) in settings {
            match name.as_str() {
                "population" => out.population = count(name, value)?,
                "sigma" => out.sigma = positive(name, value)?,
                "around" => {
                    out.local = match text(name, value)? {
                        "start" => false,
                        "best" => true,
                        other => return Err(choice(name, "'start' or 'best'", other)),
                    }
                }
                _ => return Err(choice("setting", "a known name", name)),
            }
        }
        Ok(out)
    }
}

impl Method for RandomSearch {
    fn population(&self) -> usize {
        self.population
    }

    fn candidate(&self, at: &Point, index: usize, out: &mut [f64]) {
        if at.step == 0 && index == 0 {
            out.copy_from_slice(&at.x);
        } else if self.local {
            at.rng.fill_normal(stream(Purpose::Candidates, at.number(index)), 0, out);
            out.iter_mut().zip(&at.x).for_each(|(out, x)| *out = x + self.sigma * *out);
        } else {
            let start = if at.step == 0 { &at.x } else { &self.start };
            at.draw(at.number(index), start, self.sigma, out);
        }
    }

    fn advance(&mut self, at: &mut Point, costs: &[f64]) {
        if at.step == 0 {
            self.start.copy_from_slice(&at.x);
        }
        let best = cheapest(costs);
        if costs[best] < self.cost[0] {
            self.cost[0] = costs[best];
            let mut x = vec![0.0; at.x.len()];
            self.admitted(at, best, &mut x);
            at.x = x;
        }
    }

    /// Draws never come nearer.
    fn reach(&self, _at: &Point) -> f64 {
        f64::INFINITY
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        vec![("start", &mut self.start), ("cost", &mut self.cost)]
    }
}
