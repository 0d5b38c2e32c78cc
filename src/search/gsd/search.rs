//! Generations: proposals from one operator, the best of which is made where it helps.
//!
//! Weights of operators and the early stop are looked at every max(100, rows) generations; the
//! search stops where the cost fell by less than `tol` of itself since the last look. Random
//! numbers are a function of (seed, generation, proposal). Cost: O(proposals x marginals of a
//! column) a generation, whatever the number of rows.

use super::arms::Arms;
use super::operators::{Operator, Operators};
use super::table::Table;
use crate::engine::rng::Philox;
use crate::engine::{Error, Result};

/// How a search runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Of all draws.
    pub seed: u64,
    /// Proposals of a generation.
    pub proposals: usize,
    /// Relative progress between two looks below which the search stops.
    pub tol: f64,
    /// Names of operators.
    pub operators: Vec<String>,
}

/// What a search needs to go on, beside the table and its settings.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Generations so far.
    pub generation: u64,
    /// How often each operator was used.
    pub used: Vec<u64>,
    /// Weights that draws follow.
    pub drawn: Vec<f64>,
    /// Weights that rewards have made since.
    pub earned: Vec<f64>,
    /// Cost at the last look.
    pub last: f64,
    /// Generation of the next look.
    pub look: u64,
}

/// A table on its way to the targets.
#[derive(Debug, Clone)]
pub struct Search {
    table: Table,
    operators: Operators,
    arms: Arms,
    rng: Philox,
    proposals: usize,
    tol: f64,
    generation: u64,
    used: Vec<u64>,
    last: f64,
    look: u64,
    quantiles: Vec<f64>,
}

/// Where the draws of the operator of a generation lie among those of its proposals.
const OPERATOR: u64 = u64::MAX;
/// The stream of the first table.
const START: u64 = u64::MAX - 1;

/// Uniform codes of `rows` rows.
pub fn start(sizes: &[u32], rows: usize, seed: u64) -> Vec<u32> {
    let rng = Philox::new(seed);
    let draw = |i: usize| rng.below(START, i as u64, u64::from(sizes[i % sizes.len()])) as u32;
    (0..rows * sizes.len()).map(draw).collect()
}

impl Search {
    /// A search from a table; `edges` as in [`Operators::new`].
    ///
    /// # Errors
    /// As [`Table::new`] and [`Operators::new`]; [`Error::Value`] for no proposals or a tolerance
    /// that is not a number >= 0.
    pub fn new(table: Table, edges: Vec<Vec<f64>>, settings: &Settings) -> Result<Self> {
        let Settings { seed, proposals, tol, ref operators } = *settings;
        if proposals == 0 {
            return Err(Error::value("proposals", ">= 1", 0, "a usual value is 50"));
        }
        if !(tol >= 0.0 && tol.is_finite()) {
            return Err(Error::value("tol", "a number >= 0", tol, "a usual value is 1e-4"));
        }
        let rng = Philox::new(seed);
        let operators = Operators::new(operators, edges, &table, &rng)?;
        let count = operators.all.len();
        Ok(Self {
            look: window(&table),
            arms: Arms::new(count),
            used: vec![0; count],
            generation: 0,
            last: f64::INFINITY,
            quantiles: Vec::new(),
            table,
            operators,
            rng,
            proposals,
            tol,
        })
    }

    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The operators in use, in the order of the weights.
    pub fn operators(&self) -> &[Operator] {
        &self.operators.all
    }

    /// What it takes to go on.
    pub fn state(&self) -> State {
        State {
            generation: self.generation,
            used: self.used.clone(),
            drawn: self.arms.drawn.clone(),
            earned: self.arms.earned.clone(),
            last: self.last,
            look: self.look,
        }
    }

    /// Goes on from a state of a search with the same settings, whose table this one began with.
    ///
    /// # Errors
    /// [`Error::Value`] for a state with other operators.
    pub fn restore(&mut self, state: State) -> Result<()> {
        let lengths = [state.used.len(), state.drawn.len(), state.earned.len()];
        if lengths != [self.used.len(); 3] {
            let allowed = format!("of {} operators", self.used.len());
            let given = format!("{lengths:?}");
            return Err(Error::value("state", allowed, given, "use the same settings"));
        }
        self.arms = Arms { drawn: state.drawn, earned: state.earned };
        (self.generation, self.used) = (state.generation, state.used);
        (self.last, self.look) = (state.last, state.look);
        Ok(())
    }

    /// Runs generations, at most until the next look says that the search has come to rest:
    /// whether it did.
    pub fn run(&mut self, generations: u64) -> bool {
        for _ in 0..generations {
            self.step();
            if self.generation == self.look && self.rests() {
                return true;
            }
        }
        false
    }

    fn step(&mut self) {
        let [u, _] = self.rng.uniform(self.generation, OPERATOR);
        let arm = self.arms.draw(u);
        let operator = self.operators.all[arm];
        let column = self.operators.column(operator, self.used[arm]);
        if operator == Operator::Continuous {
            self.operators.quantiles(column, &mut self.quantiles);
        }
        let mut best = (0, None);
        for i in 0..self.proposals {
            let words = self.rng.words(self.generation, i as u64);
            let edit =
                self.operators.propose(operator, column, words, &self.table, &self.quantiles);
            let gain = self.table.gain(edit);
            if gain < best.0 {
                best = (gain, Some(edit));
            }
        }
        if let (_, Some(edit)) = best {
            self.operators.follow(edit, &self.table);
            self.table.apply(edit);
            self.arms.reward(arm);
        }
        self.used[arm] += 1;
        self.generation += 1;
    }

    fn rests(&mut self) -> bool {
        self.arms.refresh();
        let (last, cost) = (self.last, self.table.cost());
        self.last = cost;
        self.look += window(&self.table);
        cost == 0.0 || last - cost < self.tol * last
    }
}

/// Generations between two looks.
fn window(table: &Table) -> u64 {
    u64::from(table.rows()).max(100)
}

#[cfg(test)]
mod tests {
    use super::super::Marginals;
    use super::*;

    fn settings(tol: f64) -> Settings {
        let operators = ["mutate", "continuous", "swap", "cross"].map(String::from).to_vec();
        Settings { seed: 5, proposals: 20, tol, operators }
    }

    fn edges() -> Vec<Vec<f64>> {
        vec![vec![], vec![], vec![], (0..7).map(f64::from).collect()]
    }

    fn search(tol: f64) -> Search {
        let sizes = [3, 4, 2, 6];
        let workloads = [vec![0, 1], vec![1, 2], vec![2, 3], vec![0, 3]];
        let marginals = Marginals::new(&sizes, &workloads).unwrap();
        let rows = 60;
        let target = start(&sizes, rows, 1).iter().map(|c| c / 2).collect::<Vec<_>>();
        let counts = marginals.count(&target).unwrap();
        let targets: Vec<f64> = counts.iter().map(|&n| n as f64 / rows as f64).collect();
        let table = Table::new(marginals, start(&sizes, rows, 2), &targets).unwrap();
        Search::new(table, edges(), &settings(tol)).unwrap()
    }

    #[test]
    fn targets_of_a_table_are_met_exactly() {
        let mut search = search(0.0);
        let before = search.table().cost();
        assert!(search.run(100_000));
        assert!(before > 0.01 && search.table().cost() == 0.0, "{}", search.table().cost());
    }

    #[test]
    fn a_search_goes_on_where_it_was() {
        let (mut whole, mut part) = (search(0.0), search(0.0));
        whole.run(150);
        part.run(70);
        let mut next = Search::new(part.table().clone(), edges(), &settings(0.0)).unwrap();
        next.restore(part.state()).unwrap();
        next.run(80);
        assert_eq!(next.state(), whole.state());
        assert_eq!(next.table().codes(), whole.table().codes());
    }

    #[test]
    fn it_stops_where_little_is_gained() {
        let mut search = search(0.9);
        assert!(search.run(100_000));
        assert!(search.generation <= 400, "{}", search.generation);
    }
}
