//! What else a caller can tell a search: an order without values, a point of its own.

use super::ask_tell::Search;
use crate::engine::{Error, Result};
use std::cmp::Ordering;

/// The best candidates of a step, best first.
#[derive(Debug, Clone)]
pub struct Ranking {
    /// Their indices.
    pub order: Vec<usize>,
    /// Lengths of the runs of `order` that are as good as each other.
    pub groups: Vec<usize>,
}

impl Ranking {
    /// All candidates by their costs, cheapest first; equal costs are as good as each other.
    pub fn of(costs: &[f64]) -> Self {
        let mut order: Vec<usize> = (0..costs.len()).collect();
        // NaN has become infinity before; total_cmp would part -0 from 0.
        order.sort_by(|a, b| costs[*a].partial_cmp(&costs[*b]).unwrap_or(Ordering::Equal));
        let groups = order.chunk_by(|a, b| costs[*a] == costs[*b]).map(<[_]>::len).collect();
        Self { order, groups }
    }
}

impl Search {
    /// Moves by the order of the best candidates; `groups` are the lengths of runs of equals.
    ///
    /// # Errors
    /// [`Error::Value`] when no step is open, for an index that is out of range or named twice and
    /// for a wrong number of them; [`Error::Unsupported`] where the method needs values. Nothing
    /// has changed then.
    pub fn tell_ranking(&mut self, order: &[i64], groups: &[usize]) -> Result<()> {
        self.opened()?;
        let population = self.population();
        let Some(expected) = self.method.ranked() else {
            let fix = "tell its costs, or use ZORankSGD".into();
            return Err(Error::Unsupported { what: "a ranking for this method".into(), fix });
        };
        if order.len() != expected || groups.iter().sum::<usize>() != expected {
            let allowed = format!("the best {expected} of {population} candidates, best first");
            let given = format!("{} of them", order.len());
            return Err(Error::value("order", allowed, given, "name as many as the step asks for"));
        }
        let mut seen = vec![false; population];
        for &index in order {
            let known = usize::try_from(index).ok().filter(|i| *i < population);
            let Some(index) = known else {
                let allowed = format!("indices in [0, {population})");
                return Err(Error::value("order", allowed, index, "count candidates from 0"));
            };
            if std::mem::replace(&mut seen[index], true) {
                let given = format!("{index} twice");
                let allowed = "different indices";
                return Err(Error::value("order", allowed, given, "name each candidate once"));
            }
        }
        let order = order.iter().map(|i| *i as usize).collect();
        let ranking = Ranking { order, groups: groups.to_vec() };
        self.evaluations += population as u64;
        self.close(|method, point| method.order(point, &ranking));
        Ok(())
    }

    /// Candidates that [`Search::tell_ranking`] names.
    pub fn ranked(&self) -> Option<usize> {
        self.method.ranked()
    }

    /// What is asked now.
    pub fn phase(&self) -> &'static str {
        self.method.phase()
    }

    /// Tells the cost of a point that was not asked for, and moves there if that is cheaper.
    ///
    /// # Errors
    /// [`Error::Value`] while a step is open, [`Error::Shape`] for another dimension,
    /// [`Error::NonFinite`] for a point that is none, [`Error::Unsupported`] where the method takes
    /// no such points.
    pub fn place(&mut self, x: &[f64], cost: f64, renew: bool) -> Result<bool> {
        if self.pending {
            let fix = "tell the costs of the last candidates first";
            return Err(Error::value("place", "called between steps", "an open step", fix));
        }
        let dim = self.point.x.len();
        if x.len() != dim {
            return Err(Error::Shape {
                name: "x".into(),
                given: format!("({},)", x.len()),
                other: "x0".into(),
                expected: format!("({dim},)"),
                fix: "pass one coordinate for each of x0".into(),
            });
        }
        if x.iter().any(|x| !x.is_finite()) {
            let fix = "place finite coordinates".into();
            return Err(Error::NonFinite { name: "x".into(), fix });
        }
        let mut inner = x.to_vec();
        if let Some(bounds) = &self.point.bounds {
            bounds.inner(&mut inner);
        }
        let told = if cost.is_finite() { cost } else { f64::INFINITY };
        let moved = self.method.place(&mut self.point, &inner, told, renew)?;
        self.point.step += 1;
        self.evaluations += 1;
        self.nonfinite += u64::from(!cost.is_finite());
        if told < self.best_cost {
            (self.best_x, self.best_cost) = (x.to_vec(), told);
        }
        Ok(moved)
    }
}
