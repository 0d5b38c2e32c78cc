//! An assignment and what each term costs there: a change pays for the terms it touches.

use super::FactorGraph;
use crate::engine::{Error, Result, threads};
use std::sync::Arc;

/// An assignment with the cost of every term.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub(super) graph: Arc<FactorGraph>,
    pub(super) values: Vec<u32>,
    charges: Vec<f64>,
}

/// Terms below this many are charged on the calling thread.
const CHUNK: usize = 1024;

impl State {
    /// Charges every term.
    ///
    /// # Errors
    /// As [`FactorGraph::check`].
    pub fn new(graph: &Arc<FactorGraph>, values: &[u32]) -> Result<Self> {
        graph.check(values)?;
        let mut charges = vec![0.0; graph.terms()];
        threads::for_each_chunk(&mut charges, CHUNK, |chunk, charges| {
            for (i, charge) in charges.iter_mut().enumerate() {
                *charge = graph.charge(chunk * CHUNK + i, |v| values[v as usize]);
            }
        });
        Ok(Self { graph: graph.clone(), values: values.to_vec(), charges })
    }

    /// The graph.
    pub fn graph(&self) -> &FactorGraph {
        &self.graph
    }

    /// The assignment.
    pub fn values(&self) -> &[u32] {
        &self.values
    }

    /// Its cost: the sum of the terms in order, equal to a full evaluation.
    pub fn cost(&self) -> f64 {
        self.charges.iter().sum()
    }

    /// Gives distinct variables new values.
    ///
    /// # Errors
    /// A variable or value out of range, or a variable named twice; nothing changes then.
    pub fn set(&mut self, changes: &[(u32, u32)]) -> Result<()> {
        self.check(changes)?;
        self.apply(changes);
        Ok(())
    }

    pub(super) fn apply(&mut self, changes: &[(u32, u32)]) {
        changes.iter().for_each(|&(v, value)| self.values[v as usize] = value);
        let Self { graph, values, charges } = self;
        for &(v, _) in changes {
            for &term in &graph.terms[v as usize] {
                charges[term as usize] = graph.charge(term as usize, |v| values[v as usize]);
            }
        }
    }

    /// Change of the cost by `changes` of distinct variables; `touched` is scratch.
    pub(super) fn probe(&self, changes: &[(u32, u32)], touched: &mut Vec<u32>) -> f64 {
        touched.clear();
        for &(v, _) in changes {
            touched.extend_from_slice(&self.graph.terms[v as usize]);
        }
        if changes.len() > 1 {
            touched.sort_unstable();
            touched.dedup();
        }
        // Blocks are small: a scan beats any index.
        let value = |v: u32| {
            let changed = changes.iter().find(|change| change.0 == v);
            changed.map_or(self.values[v as usize], |change| change.1)
        };
        touched
            .iter()
            .map(|&t| self.graph.charge(t as usize, value) - self.charges[t as usize])
            .sum()
    }

    /// Changes of the cost for many probes, on all threads: probe i sets
    /// `changes[offsets[i]..offsets[i + 1]]`.
    ///
    /// # Errors
    /// Offsets that do not fit, or a probe that [`State::set`] would refuse.
    pub fn probe_all(&self, changes: &[(u32, u32)], offsets: &[usize]) -> Result<Vec<f64>> {
        if offsets.last().copied().unwrap_or(0) != changes.len() || !offsets.is_sorted() {
            let allowed = "ascending to the number of changes";
            return Err(Error::value("offsets", allowed, "others", "count those of each probe"));
        }
        for window in offsets.windows(2) {
            self.check(&changes[window[0]..window[1]])?;
        }
        let mut out = vec![0.0; offsets.len().saturating_sub(1)];
        threads::for_each_chunk(&mut out, CHUNK, |chunk, out| {
            let mut touched = Vec::new();
            for (i, out) in out.iter_mut().enumerate() {
                let i = chunk * CHUNK + i;
                *out = self.probe(&changes[offsets[i]..offsets[i + 1]], &mut touched);
            }
        });
        Ok(out)
    }

    fn check(&self, changes: &[(u32, u32)]) -> Result<()> {
        let count = self.values.len();
        let mut seen: Vec<u32> = changes.iter().map(|change| change.0).collect();
        seen.sort_unstable();
        if let Some(&large) = seen.last().filter(|&&v| v as usize >= count) {
            let allowed = format!("below {count}");
            return Err(Error::value("variables", allowed, large, "count variables from 0"));
        }
        if let Some(pair) = seen.windows(2).find(|pair| pair[0] == pair[1]) {
            let given = format!("{} twice", pair[0]);
            return Err(Error::value("variables", "distinct in a probe", given, "name each once"));
        }
        let high = |&&(v, value): &&(u32, u32)| value >= self.graph.domains[v as usize];
        match changes.iter().find(high) {
            Some(&(v, value)) => Err(self.graph.out_of_range(v as usize, value)),
            None => Ok(()),
        }
    }
}
