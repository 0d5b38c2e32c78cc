//! SPSA: two evaluations along a random sign vector make a gradient.
//!
//! Spall 1998, "Implementation of the simultaneous perturbation algorithm for stochastic
//! optimization", IEEE Trans. Aerospace and Electronic Systems 34(3).
//!
//!   D_i signs   q directions, averaged
//!   c_t = c / (t + 1)^gamma     a_t = a / (t + 1 + stability)^alpha
//!   candidates x + c_t D_i, x - c_t D_i
//!   x -= a_t / q sum_i (y_2i - y_2i+1) / (2 c_t) D_i
//!
//! Signs are drawn again in tell, so nothing but x is kept. Cost: O(q d) a step.

use super::ask_tell::{Method, Point};
use super::setting::{Setting, count, number, positive};
use crate::engine::{Error, Result, threads};

/// The method.
#[derive(Debug, Clone)]
pub struct Spsa {
    directions: usize,
    a: f64,
    c: f64,
    alpha: f64,
    gamma: f64,
    stability: f64,
}

/// Coordinates a task of the move, a multiple of the signs that one draw gives.
const TASK: usize = 8192;
const SIGNS: usize = 128;

impl Spsa {
    /// The method.
    ///
    /// # Errors
    /// [`Error::Value`] or [`Error::Type`] for a setting out of range.
    pub fn new(settings: &[(String, Setting)]) -> Result<Self> {
        let mut out =
            Self { directions: 1, a: 0.1, c: 0.1, alpha: 0.602, gamma: 0.101, stability: 100.0 };
        for (name, value) in settings {
            let ok = |v: f64| v >= 0.0 && v.is_finite();
            let least = |value| number(name, value, "a number >= 0", ok);
            match name.as_str() {
                "directions" => out.directions = count(name, value)?,
                "a" => out.a = positive(name, value)?,
                "c" => out.c = positive(name, value)?,
                "alpha" => out.alpha = least(value)?,
                "gamma" => out.gamma = least(value)?,
                "stability" => out.stability = least(value)?,
                _ => {
                    let fix = "see the documentation";
                    return Err(Error::value("setting", "a known name", name, fix));
                }
            }
        }
        Ok(out)
    }

    fn width(&self, at: &Point) -> f64 {
        self.c / (at.step as f64 + 1.0).powf(self.gamma)
    }

    fn rate(&self, at: &Point) -> f64 {
        self.a / (at.step as f64 + 1.0 + self.stability).powf(self.alpha)
    }

    /// Adds `length` times the signs of a direction, from coordinate `start` on.
    fn add(&self, at: &Point, direction: usize, start: usize, length: f64, out: &mut [f64]) {
        let stream = at.step * self.directions as u64 + direction as u64;
        for (i, out) in out.chunks_mut(SIGNS).enumerate() {
            let words = at.rng.words(stream, (start / SIGNS + i) as u64);
            for (j, out) in out.iter_mut().enumerate() {
                let up = words[j / 32] >> (j % 32) & 1 == 1;
                *out += if up { length } else { -length };
            }
        }
    }
}

impl Method for Spsa {
    fn population(&self) -> usize {
        2 * self.directions
    }

    fn candidate(&self, at: &Point, index: usize, out: &mut [f64]) {
        out.copy_from_slice(&at.x);
        let side = if index.is_multiple_of(2) { 1.0 } else { -1.0 };
        self.add(at, index / 2, 0, side * self.width(at), out);
    }

    fn advance(&mut self, at: &mut Point, costs: &[f64]) {
        let scale = self.rate(at) / (2.0 * self.width(at) * self.directions as f64);
        let mut x = std::mem::take(&mut at.x);
        let (this, point) = (&*self, &*at);
        threads::for_each_chunk(&mut x, TASK, |task, x| {
            for (i, pair) in costs.chunks_exact(2).enumerate() {
                this.add(point, i, task * TASK, -scale * (pair[0] - pair[1]), x);
            }
        });
        at.x = x;
    }

    fn repairs(&self) -> bool {
        true
    }

    fn reach(&self, at: &Point) -> f64 {
        self.width(at).min(self.rate(at))
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        Vec::new()
    }
}
