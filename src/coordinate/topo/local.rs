//! Scores that are sums over nodes of a function of the node and its parents.
//!
//! What a function returned is kept by (node, parents): a swap asks for the nodes of its segment
//! alone, and a round for none of the segments that the last one left as they were. The function is
//! called once for a batch, and need not be cheap.

use super::{Model, Swap, swapped};
use std::collections::HashMap;

/// A node and its possible parents, ascending.
pub type Question = (usize, Vec<usize>);

/// The score of a node and the weights of its parents.
pub type Fit = (f64, Vec<f64>);

/// Entries after which all is forgotten.
const ROOM: usize = 1 << 16;

/// See the module; `fit` answers questions in their order, or none to stop.
pub struct Local<F> {
    fit: F,
    known: HashMap<Question, Fit>,
    order: Vec<usize>,
    stopped: bool,
}

impl<F: FnMut(&[Question]) -> Option<Vec<Fit>>> Local<F> {
    /// At an order; none when `fit` stops.
    pub fn new(order: &[usize], fit: F) -> Option<Self> {
        let mut model = Self { fit, known: HashMap::new(), order: order.to_vec(), stopped: false };
        model.learn(questions(order, 0..order.len()))?;
        Some(model)
    }

    fn learn(&mut self, questions: Vec<Question>) -> Option<()> {
        let mut new: Vec<Question> =
            questions.into_iter().filter(|q| !self.known.contains_key(q)).collect();
        new.sort_unstable();
        new.dedup();
        if new.is_empty() {
            return Some(());
        }
        let Some(fits) = (self.fit)(&new) else {
            self.stopped = true;
            return None;
        };
        self.known.extend(new.into_iter().zip(fits));
        Some(())
    }

    /// Sum over the segment of what has been learned.
    fn sum(&self, order: &[usize], segment: std::ops::Range<usize>) -> f64 {
        questions(order, segment).iter().map(|question| self.known[question].0).sum()
    }
}

fn questions(order: &[usize], segment: std::ops::Range<usize>) -> Vec<Question> {
    let mut parents = order[..segment.start].to_vec();
    parents.sort_unstable();
    let ask = |k: usize| {
        let node = order[k];
        let question = (node, parents.clone());
        let place = parents.partition_point(|p| *p < node);
        parents.insert(place, node);
        question
    };
    segment.map(ask).collect()
}

impl<F: FnMut(&[Question]) -> Option<Vec<Fit>>> Model for Local<F> {
    fn order(&self) -> &[usize] {
        &self.order
    }

    fn score(&self) -> f64 {
        self.sum(&self.order, 0..self.order.len())
    }

    fn weights(&self) -> Vec<f64> {
        let d = self.order.len();
        let mut place = vec![0; d];
        self.order.iter().enumerate().for_each(|(p, &node)| place[node] = p);
        let mut out = vec![0.0; d * d];
        for question in questions(&self.order, 0..d) {
            let (node, parents) = &question;
            let weights = &self.known[&question].1;
            parents.iter().zip(weights).for_each(|(p, w)| out[place[*p] * d + place[*node]] = *w);
        }
        out
    }

    fn gains(&mut self, swaps: &[Swap]) -> Option<Vec<f64>> {
        if self.known.len() > ROOM {
            let current = questions(&self.order, 0..self.order.len());
            self.known.retain(|question, _| current[..].contains(question));
        }
        let orders: Vec<Vec<usize>> = swaps.iter().map(|s| swapped(&self.order, &[*s])).collect();
        let segments = || orders.iter().zip(swaps).map(|(order, &[a, b])| (order, a..b + 1));
        self.learn(segments().flat_map(|(order, s)| questions(order, s)).collect())?;
        let gain = |(order, s): (&Vec<usize>, std::ops::Range<usize>)| {
            self.sum(&self.order, s.clone()) - self.sum(order, s)
        };
        Some(segments().map(gain).collect())
    }

    fn apply(&mut self, swaps: &[Swap]) -> Option<()> {
        let order = swapped(&self.order, swaps);
        self.learn(questions(&order, 0..order.len()))?;
        let lower = self.sum(&order, 0..order.len()) < self.score();
        lower.then(|| self.order = order)
    }

    fn stopped(&self) -> bool {
        self.stopped
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, search};
    use super::*;
    use crate::coordinate::solver::Status;

    /// A node costs 1 for each larger one among its parents: sorted is best.
    fn inversions((node, parents): &Question) -> Fit {
        let larger = parents.iter().filter(|p| *p > node).count();
        (larger as f64, parents.iter().map(|p| f64::from(p > node)).collect())
    }

    #[test]
    fn finds_the_sorted_order_and_asks_nothing_twice() {
        let order: Vec<usize> = (0..12).map(|i| i * 5 % 12).collect();
        let mut asked = Vec::new();
        let fit = |questions: &[Question]| {
            asked.extend_from_slice(questions);
            Some(questions.iter().map(inversions).collect())
        };
        let mut model = Local::new(&order, fit).unwrap();
        let settings = Settings { small: 66, large: 66, large_searches: 0, tol: 0.0, max_iter: 99 };
        let (rounds, status) = search(&mut model, &settings, &mut |_| true);
        assert_eq!((model.order(), status), (&(0..12).collect::<Vec<_>>()[..], Status::Converged));
        assert!(rounds.windows(2).all(|pair| pair[1].score < pair[0].score));
        assert!(model.weights().iter().all(|w| *w == 0.0));
        let count = asked.len();
        asked.sort_unstable();
        asked.dedup();
        assert_eq!(asked.len(), count);
    }

    #[test]
    fn stops_when_the_function_does() {
        let mut calls = 0;
        let fit = |questions: &[Question]| {
            calls += 1;
            (calls < 2).then(|| questions.iter().map(inversions).collect())
        };
        let mut model = Local::new(&[1, 0], fit).unwrap();
        let settings = Settings { small: 1, large: 1, large_searches: 0, tol: 0.0, max_iter: 9 };
        assert_eq!(search(&mut model, &settings, &mut |_| true).1, Status::Interrupted);
        assert!(model.stopped());
    }
}
