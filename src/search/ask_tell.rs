//! What searchers around one solution share: ask, tell, the best so far, bounds, resumption.
//!
//! A [`Method`] names its candidates as a function of (x, step, index) and moves x by their costs;
//! random numbers come from [`Philox`], so candidates need not be kept. [`Search`] does the rest.
//! Bounds: see [`boundary`](super::boundary); x itself is clipped to the box.

use super::boundary::Boundary;
use super::outside::Ranking;
use super::polystep::normalise::repair;
use crate::engine::rng::Philox;
use crate::engine::{Error, Result, threads};

/// Where a search stands.
#[derive(Debug, Clone)]
pub struct Point {
    /// The solution.
    pub x: Vec<f64>,
    /// Steps so far.
    pub step: u64,
    /// Random numbers of this search.
    pub rng: Philox,
    /// The box around the candidates.
    pub bounds: Option<Boundary>,
}

/// What a stream of random numbers is for; each purpose has 2^56 streams.
#[derive(Debug, Clone, Copy)]
pub enum Purpose {
    /// The candidates of a step.
    Candidates = 0,
    /// Coordinates that left the box.
    Resampling = 1,
    /// First members of a population.
    Start = 2,
    /// Whatever else a method draws.
    Other = 3,
    /// Numbers of the samples of a random cost.
    Samples = 4,
}

/// The stream `number` of a purpose.
pub fn stream(purpose: Purpose, number: u64) -> u64 {
    (purpose as u64) << 56 | number
}

impl Point {
    /// A number that no other candidate of the run has.
    pub fn number(&self, index: usize) -> u64 {
        self.step << 28 | index as u64
    }

    /// Brings a candidate back into the box; `number` is different for each candidate of a run.
    pub fn admit(&self, number: u64, out: &mut [f64]) {
        for (out, x) in out.iter_mut().zip(&self.x) {
            // An overflow of the method; NaN and infinity are no place to look at.
            if !out.is_finite() {
                *out = *x;
            }
        }
        if let Some(bounds) = &self.bounds {
            bounds.admit(&self.rng, stream(Purpose::Resampling, number), out);
        }
    }

    /// A first member: uniform where both sides are bounded, else normal around `centre`.
    pub fn draw(&self, number: u64, centre: &[f64], sigma: f64, out: &mut [f64]) {
        let key = stream(Purpose::Start, number);
        for (i, (out, centre)) in out.iter_mut().zip(centre).enumerate() {
            let sides = self.bounds.as_ref().and_then(|bounds| Some((bounds, bounds.sides(i)?)));
            *out = match sides {
                Some((bounds, [low, high])) => {
                    let x = low + self.rng.uniform(key, i as u64)[0] * (high - low);
                    bounds.inner_one(i, x)
                }
                None => centre + sigma * self.rng.normal(key, i as u64)[0],
            };
        }
        self.admit(number, out);
    }
}

/// A method around one solution.
pub trait Method: Send + Sync {
    /// Candidates of the next step, or of the one that is open.
    fn population(&self) -> usize;

    /// Writes candidate `index` of the open step, bounds not looked at.
    fn candidate(&self, at: &Point, index: usize, out: &mut [f64]);

    /// The same within the box: where the cost was taken.
    fn admitted(&self, at: &Point, index: usize, out: &mut [f64]) {
        self.candidate(at, index, out);
        at.admit(at.number(index), out);
    }

    /// All candidates of the open step within the box, where the method keeps them as rows.
    fn kept(&self, at: &Point) -> Option<&[f64]> {
        let _ = at;
        None
    }

    /// Which random sample a candidate is evaluated on, of those of its step.
    fn sample(&self, index: usize) -> usize {
        index
    }

    /// Takes what a model says of the candidates, a row each, and returns their costs; the call
    /// of [`Method::advance`] that follows may use both.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for methods that know costs alone, [`Error::Shape`] for another size.
    fn observe(&mut self, outputs: &[f64]) -> Result<Vec<f64>> {
        let _ = outputs;
        let (what, fix) = ("outputs of a model".into(), "tell costs".into());
        Err(Error::Unsupported { what, fix })
    }

    /// Whether bad costs become the worst finite one plus the spread; else they become infinite.
    fn repairs(&self) -> bool {
        false
    }

    /// Moves by the costs of the candidates.
    fn advance(&mut self, at: &mut Point, costs: &[f64]);

    /// Candidates that a ranking of the open step names; none where values are needed.
    fn ranked(&self) -> Option<usize> {
        None
    }

    /// Moves by an order alone.
    fn order(&mut self, _at: &mut Point, _ranking: &Ranking) {}

    /// What is asked, where steps are of several kinds.
    fn phase(&self) -> &'static str {
        "step"
    }

    /// Moves to a point of the caller if that is cheaper, and says whether; `renew` asks the method
    /// to look further again.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the method has no use for other points.
    fn place(&mut self, _at: &mut Point, _x: &[f64], _cost: f64, _renew: bool) -> Result<bool> {
        let fix = "only covering direct search takes points of others".into();
        Err(Error::Unsupported { what: "a point that was not asked".into(), fix })
    }

    /// Length of the next step in some norm of x, for the rule that stops.
    fn reach(&self, at: &Point) -> f64;

    /// Vectors that a resumed run needs besides x, by name.
    fn memory(&mut self) -> Vec<(&'static str, &mut Vec<f64>)>;
}

/// A search in progress.
pub struct Search {
    pub(super) method: Box<dyn Method>,
    pub(super) point: Point,
    /// The cheapest candidate so far.
    pub best_x: Vec<f64>,
    /// Its cost, infinite before the first.
    pub best_cost: f64,
    /// Costs told so far.
    pub evaluations: u64,
    /// How many of them were NaN or infinite.
    pub nonfinite: u64,
    pub(super) pending: bool,
}

/// Candidates a task of a parallel loop.
const TASK: usize = 16;

impl Search {
    /// Starts at `x0`.
    ///
    /// # Errors
    /// [`Error::Value`] for an empty `x0`, [`Error::NonFinite`] for a NaN in it.
    pub fn new(
        method: Box<dyn Method>,
        x0: &[f64],
        bounds: Option<Boundary>,
        seed: u64,
    ) -> Result<Self> {
        if x0.is_empty() {
            return Err(Error::value("x0", "at least one coordinate", 0, "pass a longer x0"));
        }
        if x0.iter().any(|x| !x.is_finite()) {
            let fix = "start from finite numbers".into();
            return Err(Error::NonFinite { name: "x0".into(), fix });
        }
        let mut x = x0.to_vec();
        if let Some(bounds) = &bounds {
            bounds.inner(&mut x);
        }
        let point = Point { x, step: 0, rng: Philox::new(seed), bounds };
        let best_x = point.x.clone();
        let best_cost = f64::INFINITY;
        let (evaluations, nonfinite, pending) = (0, 0, false);
        let mut out = Self { method, point, best_x, best_cost, evaluations, nonfinite, pending };
        out.best_x = out.x();
        Ok(out)
    }

    /// Where it stands.
    pub fn x(&self) -> Vec<f64> {
        let mut x = self.point.x.clone();
        self.outer(&mut x);
        x
    }

    /// Steps so far.
    pub fn step(&self) -> u64 {
        self.point.step
    }

    /// Candidates of a step.
    pub fn population(&self) -> usize {
        self.method.population()
    }

    /// Length of the next step.
    pub fn reach(&self) -> f64 {
        self.method.reach(&self.point)
    }

    /// Opens a step and writes its candidates, a row each.
    ///
    /// # Errors
    /// [`Error::Value`] when the last candidates were not told, [`Error::Shape`] for another size.
    pub fn ask(&mut self, out: &mut [f64]) -> Result<()> {
        if self.pending {
            let fix = "tell the costs of the last candidates first";
            return Err(Error::value("ask", "called once before tell", "a second call", fix));
        }
        let dim = self.point.x.len();
        if out.len() != dim * self.population() {
            let allowed = format!("{} x {dim} numbers", self.population());
            return Err(Error::value("out", allowed, out.len(), "pass one row a candidate"));
        }
        let this = &*self;
        match self.method.kept(&self.point) {
            Some(kept) => {
                out.copy_from_slice(kept);
                if this.point.bounds.is_some() {
                    out.chunks_exact_mut(dim).for_each(|row| this.outer(row));
                }
            }
            None => threads::for_each_chunk(out, TASK * dim, |task, rows| {
                for (i, row) in rows.chunks_exact_mut(dim).enumerate() {
                    this.candidate(task * TASK + i, row);
                }
            }),
        }
        self.pending = true;
        Ok(())
    }

    fn candidate(&self, index: usize, out: &mut [f64]) {
        self.method.admitted(&self.point, index, out);
        self.outer(out);
    }

    fn outer(&self, x: &mut [f64]) {
        if let Some(bounds) = &self.point.bounds {
            bounds.outer(x);
        }
    }

    /// A number for each candidate, equal where candidates share a random sample.
    pub fn samples(&self) -> Vec<u64> {
        let (rng, population) = (&self.point.rng, self.population());
        let number = |index| self.point.number(self.method.sample(index));
        (0..population)
            .map(|index| rng.below(stream(Purpose::Samples, number(index)), 0, 1 << 63))
            .collect()
    }

    /// Moves by what a model says of all candidates, a row each; see [`Search::tell`].
    ///
    /// # Errors
    /// Those of [`Search::tell`] and of [`Method::observe`].
    pub fn tell_outputs(&mut self, outputs: &[f64]) -> Result<()> {
        self.opened()?;
        let costs = self.method.observe(outputs)?;
        self.tell(&costs)
    }

    /// Moves by the costs of all candidates of the open step, in their order.
    ///
    /// # Errors
    /// [`Error::Value`] when no step is open, [`Error::Shape`] for the wrong number of costs.
    /// Nothing has changed then, and the step stays open.
    pub fn tell(&mut self, costs: &[f64]) -> Result<()> {
        self.opened()?;
        if costs.len() != self.population() {
            return Err(Error::Shape {
                name: "costs".into(),
                given: format!("({},)", costs.len()),
                other: "the candidates".into(),
                expected: format!("({},)", self.population()),
                fix: "return one cost for each candidate".into(),
            });
        }
        let (mut lowest, mut cheaper) = (self.best_cost, None);
        for (index, &cost) in costs.iter().enumerate() {
            if cost < lowest && cost.is_finite() {
                (lowest, cheaper) = (cost, Some(index));
            }
        }
        if let Some(index) = cheaper {
            let mut best = std::mem::take(&mut self.best_x);
            self.candidate(index, &mut best);
            (self.best_x, self.best_cost) = (best, lowest);
        }
        let mut costs = costs.to_vec();
        if self.method.repairs() {
            self.nonfinite += repair(&mut costs, false) as u64;
        } else {
            for cost in costs.iter_mut().filter(|c| !c.is_finite()) {
                *cost = f64::INFINITY;
                self.nonfinite += 1;
            }
        }
        self.evaluations += costs.len() as u64;
        self.close(|method, point| method.advance(point, &costs));
        Ok(())
    }

    pub(super) fn opened(&self) -> Result<()> {
        let fix = "call ask() first";
        let error = || Error::value("tell", "called after ask", "no open step", fix);
        self.pending.then_some(()).ok_or_else(error)
    }

    /// Lets the method move and ends the step.
    pub(super) fn close(&mut self, advance: impl FnOnce(&mut dyn Method, &mut Point)) {
        let before = self.point.x.clone();
        advance(&mut *self.method, &mut self.point);
        if self.point.x.iter().any(|x| !x.is_finite()) {
            self.point.x = before;
            self.method.memory().into_iter().for_each(|(_, v)| v.fill(0.0));
        }
        if let Some(bounds) = &self.point.bounds {
            bounds.clip(&mut self.point.x);
        }
        self.point.step += 1;
        self.pending = false;
    }

    /// Everything that a resumed run needs, by name.
    pub fn save(&mut self) -> Vec<(String, Vec<f64>)> {
        // Counters stay far below 2^53, so a float holds them.
        let counters = [self.point.step, self.evaluations, self.nonfinite, self.pending.into()];
        let mut out = vec![
            ("x".into(), self.point.x.clone()),
            ("best_x".into(), self.best_x.clone()),
            ("best_cost".into(), vec![self.best_cost]),
            ("counters".into(), counters.map(|c| c as f64).to_vec()),
        ];
        out.extend(self.method.memory().into_iter().map(|(name, v)| (name.into(), v.clone())));
        out
    }

    /// Takes over what [`Search::save`] returned for a search of the same settings.
    ///
    /// # Errors
    /// [`Error::Value`] for a missing or misshapen entry; nothing has changed then.
    pub fn restore(&mut self, saved: &[(String, Vec<f64>)]) -> Result<()> {
        let get = |name: &str, length: usize| -> Result<&[f64]> {
            let entry = saved.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_slice());
            entry.filter(|v| v.len() == length).ok_or_else(|| {
                let given = entry.map_or("nothing".into(), |v| format!("{} numbers", v.len()));
                let fix = "load the state of a search with the same settings and dimensions";
                Error::value(format!("state[{name:?}]"), format!("{length} numbers"), given, fix)
            })
        };
        let n = self.point.x.len();
        let (x, best_x) = (get("x", n)?, get("best_x", n)?);
        let (best_cost, counters) = (get("best_cost", 1)?[0], get("counters", 4)?);
        for (name, vector) in self.method.memory() {
            get(name, vector.len())?;
        }
        for (name, vector) in self.method.memory() {
            let saved = get(name, vector.len())?;
            vector.copy_from_slice(saved);
        }
        self.point.x.copy_from_slice(x);
        self.best_x.copy_from_slice(best_x);
        self.best_cost = best_cost;
        self.point.step = counters[0] as u64;
        (self.evaluations, self.nonfinite) = (counters[1] as u64, counters[2] as u64);
        self.pending = counters[3] != 0.0;
        Ok(())
    }
}

/// The index of the smallest cost, the first of equal ones.
pub fn cheapest(costs: &[f64]) -> usize {
    (1..costs.len()).fold(0, |best, i| if costs[i] < costs[best] { i } else { best })
}
