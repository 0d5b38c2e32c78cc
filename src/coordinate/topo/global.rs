//! Scores of a whole order: networks that share parameters, likelihoods that are not sums over nodes.

use super::{Model, Swap, swapped};

/// A score, and weights by node.
pub type Whole = (f64, Vec<f64>);

/// An order under a function `fit`, which returns none to stop.
pub struct Global<F> {
    fit: F,
    order: Vec<usize>,
    fitted: Whole,
    /// The best of the swaps scored last.
    best: Option<(Swap, Whole)>,
    stopped: bool,
}

impl<F: FnMut(&[usize]) -> Option<Whole>> Global<F> {
    /// At an order; none when `fit` stops.
    pub fn new(order: &[usize], mut fit: F) -> Option<Self> {
        let fitted = fit(order)?;
        Some(Self { fit, order: order.to_vec(), fitted, best: None, stopped: false })
    }

    fn ask(&mut self, order: &[usize]) -> Option<Whole> {
        let fitted = (self.fit)(order);
        self.stopped = fitted.is_none();
        fitted
    }
}

impl<F: FnMut(&[usize]) -> Option<Whole>> Model for Global<F> {
    fn order(&self) -> &[usize] {
        &self.order
    }

    fn score(&self) -> f64 {
        self.fitted.0
    }

    fn weights(&self) -> Vec<f64> {
        let (order, d) = (&self.order, self.order.len());
        (0..d * d).map(|t| self.fitted.1[order[t / d] * d + order[t % d]]).collect()
    }

    fn gains(&mut self, swaps: &[Swap]) -> Option<Vec<f64>> {
        let mut gains = Vec::with_capacity(swaps.len());
        self.best = None;
        for &swap in swaps {
            let fitted = self.ask(&swapped(&self.order, &[swap]))?;
            gains.push(self.score() - fitted.0);
            if self.best.as_ref().is_none_or(|(_, best)| fitted.0 < best.0) {
                self.best = Some((swap, fitted));
            }
        }
        Some(gains)
    }

    /// All swaps, or the best one where that is better.
    fn apply(&mut self, swaps: &[Swap]) -> Option<()> {
        let (best, alone) = self.best.take()?;
        let all = match swaps {
            [_] => None,
            _ => Some(self.ask(&swapped(&self.order, swaps))?),
        };
        let (swaps, fitted) = match all {
            Some(all) if all.0 <= alone.0 => (swaps, all),
            _ => (&[best][..], alone),
        };
        (fitted.0 < self.score()).then(|| {
            self.order = swapped(&self.order, swaps);
            self.fitted = fitted;
        })
    }

    fn stopped(&self) -> bool {
        self.stopped
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, search};
    use super::*;

    #[test]
    fn never_rises_where_swaps_do_not_add_up() {
        // Two swaps that help alone and hurt together.
        let value = |order: &[usize]| match (order[0] == 1, order[2] == 3) {
            (false, false) => 3.0,
            (true, true) => 9.0,
            (true, false) => 1.0,
            (false, true) => 2.0,
        };
        let mut model = Global::new(&[0, 1, 2, 3], |o| Some((value(o), vec![0.0; 16]))).unwrap();
        let settings = Settings { small: 6, large: 6, large_searches: 0, tol: 0.0, max_iter: 9 };
        let (rounds, _) = search(&mut model, &settings, &mut |_| true);
        let scores: Vec<f64> = rounds.iter().map(|round| round.score).collect();
        assert_eq!(scores, [3.0, 1.0]);
    }
}
