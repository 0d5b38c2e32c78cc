//! Differential evolution: differences of members are the steps of others.
//!
//! Storn, Price 1997, "Differential Evolution - A Simple and Efficient Heuristic for Global
//! Optimization over Continuous Spaces", Journal of Global Optimization 11.
//!
//!   x_i members   b best of them   p, q, r others, different from each other and from i
//!   F uniform in a range, drawn for each trial   CR probability of crossover
//!   v = x_p + F (x_q - x_r)              rand1
//!   v = b + F (x_q - x_r)                best1
//!   v = x_i + F (b - x_i) + F (x_q - x_r)        current_to_best1
//!   u_j = v_j with probability CR and for one j at least, else x_ij
//!   x_i = u where it costs no more
//!
//! All trials of a step see the same members. Memory and time: O(n d) a step.

use super::ask_tell::{Method, Point, Purpose, cheapest, stream, task_rows};
use super::setting::{Setting, choice, count, number, positive, range, text};
use crate::engine::{Error, Result, threads};

/// What a difference is added to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Strategy {
    Rand1,
    Best1,
    CurrentToBest1,
}

/// The method and its members.
#[derive(Debug, Clone)]
pub struct DifferentialEvolution {
    population: usize,
    strategy: Strategy,
    mutation: [f64; 2],
    crossover: f64,
    sigma: f64,
    members: Vec<f64>,
    costs: Vec<f64>,
    next: Vec<f64>,
}

impl DifferentialEvolution {
    /// The method in `dim` dimensions.
    ///
    /// # Errors
    /// [`Error::Value`] or [`Error::Type`] for a setting out of range.
    pub fn new(dim: usize, settings: &[(String, Setting)]) -> Result<Self> {
        let mut out = Self {
            population: (10 * dim).clamp(20, 100),
            strategy: Strategy::Best1,
            mutation: [0.5, 1.0],
            crossover: 0.7,
            sigma: 1.0,
            members: Vec::new(),
            costs: Vec::new(),
            next: Vec::new(),
        };
        for (name, value) in settings {
            match name.as_str() {
                "population" => out.population = count(name, value)?,
                "strategy" => {
                    out.strategy = match text(name, value)? {
                        "rand1" => Strategy::Rand1,
                        "best1" => Strategy::Best1,
                        "current_to_best1" => Strategy::CurrentToBest1,
                        other => {
                            let allowed = "'rand1', 'best1' or 'current_to_best1'";
                            return Err(choice(name, allowed, other));
                        }
                    }
                }
                "mutation" => out.mutation = range(name, value, [0.0, 2.0])?,
                "crossover" => {
                    let ok = |v: f64| (0.0..=1.0).contains(&v);
                    out.crossover = number(name, value, "in [0, 1]", ok)?;
                }
                "sigma" => out.sigma = positive(name, value)?,
                _ => return Err(choice("setting", "a known name", name)),
            }
        }
        if out.population < 4 {
            let fix = "a member needs three others";
            return Err(Error::value("population", "an integer >= 4", out.population, fix));
        }
        out.members = vec![0.0; out.population * dim];
        out.next = out.members.clone();
        out.costs = vec![f64::INFINITY; out.population];
        Ok(out)
    }

    fn member(&self, i: usize) -> &[f64] {
        let dim = self.members.len() / self.population;
        &self.members[i * dim..][..dim]
    }

    /// Three members, different from each other and from `index`.
    fn others(&self, at: &Point, key: u64, index: usize) -> [usize; 3] {
        let mut taken = [index, usize::MAX, usize::MAX, usize::MAX];
        for k in 1..4 {
            let left = (self.population - k) as u64;
            let mut drawn = at.rng.below(key, k as u64 - 1, left) as usize;
            // `drawn` counts those that are left; what is taken is skipped in its order.
            let mut before = taken;
            before[..k].sort_unstable();
            before[..k].iter().for_each(|&t| drawn += usize::from(t <= drawn));
            taken[k] = drawn;
        }
        [taken[1], taken[2], taken[3]]
    }
}

impl Method for DifferentialEvolution {
    fn population(&self) -> usize {
        self.population
    }

    fn candidate(&self, at: &Point, index: usize, out: &mut [f64]) {
        if at.step == 0 {
            match index {
                0 => out.copy_from_slice(&at.x),
                _ => at.draw(at.number(index), &at.x, self.sigma, out),
            }
            return;
        }
        let key = stream(Purpose::Candidates, at.number(index));
        let [p, q, r] = self.others(at, key, index).map(|k| self.member(k));
        let [low, high] = self.mutation;
        let f = low + at.rng.uniform(key, 3)[0] * (high - low);
        let forced = at.rng.below(key, 4, out.len() as u64) as usize;
        let threshold = (self.crossover * 4_294_967_296.0) as u64;
        let own = self.member(index);
        for (k, chunk) in out.chunks_mut(4).enumerate() {
            let words = at.rng.words(key, 5 + k as u64);
            for (j, (out, word)) in (4 * k..).zip(chunk.iter_mut().zip(words)) {
                let base = match self.strategy {
                    Strategy::Rand1 => p[j],
                    Strategy::Best1 => at.x[j],
                    Strategy::CurrentToBest1 => own[j] + f * (at.x[j] - own[j]),
                };
                let crossed = u64::from(word) < threshold || j == forced;
                *out = if crossed { base + f * (q[j] - r[j]) } else { own[j] };
            }
        }
    }

    fn advance(&mut self, at: &mut Point, costs: &[f64]) {
        let dim = at.x.len();
        let mut next = std::mem::take(&mut self.next);
        let (this, point) = (&*self, &*at);
        let count = task_rows(dim);
        threads::for_each_chunk(&mut next, count * dim, |task, rows| {
            for (i, row) in (task * count..).zip(rows.chunks_exact_mut(dim)) {
                if costs[i] <= this.costs[i] {
                    this.admitted(point, i, row);
                } else {
                    row.copy_from_slice(this.member(i));
                }
            }
        });
        self.next = std::mem::replace(&mut self.members, next);
        self.costs.iter_mut().zip(costs).for_each(|(own, cost)| *own = own.min(*cost));
        let best = cheapest(&self.costs);
        at.x.copy_from_slice(&self.members[best * dim..][..dim]);
    }

    /// Extent of the members, the largest over the coordinates.
    fn reach(&self, at: &Point) -> f64 {
        let dim = at.x.len();
        let (mut low, mut high) = (at.x.clone(), at.x.clone());
        for row in self.members.chunks_exact(dim) {
            for ((low, high), x) in low.iter_mut().zip(&mut high).zip(row) {
                (*low, *high) = (low.min(*x), high.max(*x));
            }
        }
        low.iter().zip(&high).fold(0.0, |a, (low, high)| a.max(high - low))
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        vec![("members", &mut self.members), ("costs", &mut self.costs)]
    }
}
