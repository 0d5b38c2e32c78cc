//! Particle swarm: particles fly towards the best points that they and others have seen.
//!
//! Kennedy, Eberhart 1995, "Particle swarm optimization", ICNN; constants of Clerc, Kennedy 2002,
//! IEEE Trans. Evolutionary Computation 6(1).
//!
//!   x_i, v_i position and velocity   o_i best point of particle i   g_i best of its neighbours'
//!   r, s uniform in [0, 1), drawn for each coordinate
//!   v_i = inertia v_i + own r (o_i - x_i) + social s (g_i - x_i),  x_i += v_i
//!
//! Neighbours: all, or i - 1, i, i + 1 on a ring. A coordinate that left the box turns its velocity
//! back. First velocities: half the way to another random point. Memory and time: O(n d) a step.

use super::ask_tell::{Method, Point, Purpose, cheapest, stream, task_rows};
use super::setting::{Setting, choice, count, number, positive, text};
use crate::engine::{Result, threads};

/// The method and its particles.
#[derive(Debug, Clone)]
pub struct ParticleSwarm {
    population: usize,
    inertia: f64,
    own: f64,
    social: f64,
    ring: bool,
    sigma: f64,
    members: Vec<f64>,
    velocities: Vec<f64>,
    best: Vec<f64>,
    costs: Vec<f64>,
}

/// From a word to [0, 1).
const UNIT: f64 = 1.0 / 4_294_967_296.0;

impl ParticleSwarm {
    /// The method in `dim` dimensions.
    ///
    /// # Errors
    /// [`Error::Value`](crate::engine::Error::Value) or
    /// [`Error::Type`](crate::engine::Error::Type) for a setting out of range.
    pub fn new(dim: usize, settings: &[(String, Setting)]) -> Result<Self> {
        let mut out = Self {
            population: 40,
            inertia: 0.7298,
            own: 1.49618,
            social: 1.49618,
            ring: false,
            sigma: 1.0,
            members: Vec::new(),
            velocities: Vec::new(),
            best: Vec::new(),
            costs: Vec::new(),
        };
        for (name, value) in settings {
            let pull = || number(name, value, "in [0, 4]", |v| (0.0..=4.0).contains(&v));
            match name.as_str() {
                "population" => out.population = count(name, value)?,
                "inertia" => {
                    out.inertia = number(name, value, "in [0, 1)", |v| (0.0..1.0).contains(&v))?;
                }
                "own" => out.own = pull()?,
                "social" => out.social = pull()?,
                "sigma" => out.sigma = positive(name, value)?,
                "topology" => {
                    out.ring = match text(name, value)? {
                        "ring" => true,
                        "global" => false,
                        other => return Err(choice(name, "'global' or 'ring'", other)),
                    }
                }
                _ => return Err(choice("setting", "a known name", name)),
            }
        }
        out.members = vec![0.0; out.population * dim];
        out.velocities = out.members.clone();
        out.best = out.members.clone();
        out.costs = vec![f64::INFINITY; out.population];
        Ok(out)
    }

    /// Where the particle is drawn to by others.
    fn leader<'a>(&'a self, at: &'a Point, index: usize) -> &'a [f64] {
        if !self.ring {
            return &at.x;
        }
        let (n, dim) = (self.population, at.x.len());
        let near = [(index + n - 1) % n, index, (index + 1) % n];
        let best = near[cheapest(&near.map(|k| self.costs[k]))];
        &self.best[best * dim..][..dim]
    }
}

impl Method for ParticleSwarm {
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
        let rows = index * at.x.len()..(index + 1) * at.x.len();
        let (x, v) = (&self.members[rows.clone()], &self.velocities[rows.clone()]);
        let (best, leader) = (&self.best[rows], self.leader(at, index));
        for (k, chunk) in out.chunks_mut(2).enumerate() {
            let words = at.rng.words(key, k as u64).map(|w| f64::from(w) * UNIT);
            for (j, (out, u)) in (2 * k..).zip(chunk.iter_mut().zip(words.chunks_exact(2))) {
                let own = self.own * u[0] * (best[j] - x[j]);
                let social = self.social * u[1] * (leader[j] - x[j]);
                *out = x[j] + (self.inertia * v[j] + own + social);
            }
        }
    }

    fn advance(&mut self, at: &mut Point, costs: &[f64]) {
        let (dim, first) = (at.x.len(), at.step == 0);
        let (this, point) = (&*self, &*at);
        let count = task_rows(dim);
        // Rows of a new position and a new velocity.
        let mut rows = vec![0.0; 2 * self.members.len()];
        threads::for_each_chunk(&mut rows, 2 * count * dim, |task, rows| {
            for (i, row) in (task * count..).zip(rows.chunks_exact_mut(2 * dim)) {
                let (x, v) = row.split_at_mut(dim);
                this.candidate(point, i, v);
                this.admitted(point, i, x);
                if first {
                    point.draw(point.number(this.population + i), &point.x, this.sigma, v);
                    v.iter_mut().zip(&*x).for_each(|(v, x)| *v = 0.5 * (*v - x));
                    continue;
                }
                for ((v, x), old) in v.iter_mut().zip(&*x).zip(&this.members[i * dim..]) {
                    // v still is the raw position: where it was moved, it had left the box.
                    let flown = if v.is_finite() { *v - old } else { 0.0 };
                    *v = if *v == *x { flown } else { -flown };
                }
            }
        });
        for (i, row) in rows.chunks_exact(2 * dim).enumerate() {
            let range = i * dim..(i + 1) * dim;
            self.members[range.clone()].copy_from_slice(&row[..dim]);
            self.velocities[range.clone()].copy_from_slice(&row[dim..]);
            if first || costs[i] < self.costs[i] {
                self.best[range].copy_from_slice(&row[..dim]);
                self.costs[i] = costs[i];
            }
        }
        let best = cheapest(&self.costs);
        at.x.copy_from_slice(&self.best[best * dim..][..dim]);
    }

    /// The largest velocity of a coordinate.
    fn reach(&self, _at: &Point) -> f64 {
        self.velocities.iter().fold(0.0, |a: f64, v| a.max(v.abs()))
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        vec![
            ("members", &mut self.members),
            ("velocities", &mut self.velocities),
            ("best", &mut self.best),
            ("costs", &mut self.costs),
        ]
    }
}
