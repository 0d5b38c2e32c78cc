//! Which operator is next: exponential weights with importance weighting.
//!
//!   p = 0.95 w + 0.05 / K        probability of an arm
//!   w_i = w_i exp(0.1 reward / p_i), normalised
//!
//! Draws follow the weights of the last refresh. Deviation: a weight never falls below 1e-12, from
//! which it can come back.

const RATE: f64 = 0.1;
const MIX: f64 = 0.05;
const LEAST: f64 = 1e-12;

/// Weights that draws follow, and those that rewards have made since.
#[derive(Debug, Clone, PartialEq)]
pub struct Arms {
    /// What draws follow.
    pub drawn: Vec<f64>,
    /// What rewards have made of it.
    pub earned: Vec<f64>,
}

impl Arms {
    /// Equal weights.
    pub fn new(count: usize) -> Self {
        let even = vec![1.0 / count as f64; count];
        Self { drawn: even.clone(), earned: even }
    }

    /// The arm at `u` in [0, 1).
    #[inline]
    pub fn draw(&self, u: f64) -> usize {
        let mut left = u;
        for (arm, &w) in self.drawn.iter().enumerate() {
            left -= chance(w, self.drawn.len());
            if left < 0.0 {
                return arm;
            }
        }
        self.drawn.len() - 1
    }

    /// Rewards an arm that helped; a reward of 0 would change nothing.
    pub fn reward(&mut self, arm: usize) {
        let count = self.earned.len();
        self.earned[arm] *= (RATE / chance(self.earned[arm], count)).exp();
        let sum: f64 = self.earned.iter().sum();
        self.earned.iter_mut().for_each(|w| *w = (*w / sum).max(LEAST));
    }

    /// Draws follow the rewards from now on.
    pub fn refresh(&mut self) {
        self.drawn.clone_from(&self.earned);
    }
}

fn chance(w: f64, count: usize) -> f64 {
    (1.0 - MIX) * w + MIX / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_count_from_the_next_refresh() {
        let mut arms = Arms::new(2);
        arms.reward(1);
        let grown = 0.5 * (0.1_f64 / 0.5).exp();
        assert!((arms.earned[1] - grown / (0.5 + grown)).abs() < 1e-15);
        assert_eq!(arms.drawn, [0.5, 0.5]);
        arms.refresh();
        let chance = 0.95 * arms.earned[0] + 0.025;
        assert_eq!([arms.draw(chance - 1e-9), arms.draw(chance + 1e-9)], [0, 1]);
    }

    #[test]
    fn no_arm_is_given_up() {
        let mut arms = Arms::new(3);
        (0..100_000).for_each(|_| arms.reward(0));
        assert!(arms.earned.iter().all(|w| w.is_finite() && *w >= LEAST));
        arms.refresh();
        assert_eq!(arms.draw(0.999), 2);
    }
}
