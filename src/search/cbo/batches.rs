//! Which particles a step looks at: a permutation of all of them, taken piece by piece.
//!
//! The first permutation is the given order. What is left of one and too short for a batch is
//! dropped, or joined to the next one, where a particle may then stand twice.

use crate::engine::rng::Philox;
use crate::search::ask_tell::{Purpose, stream};

/// Batches and where they stand; numbers are kept as f64, as all state of a search.
#[derive(Debug, Clone)]
pub struct Batches {
    count: usize,
    join: bool,
    /// The open batch.
    pub batch: Vec<f64>,
    /// The permutation.
    pub order: Vec<f64>,
    /// How much of it is used, and how many came before it.
    pub used: Vec<f64>,
}

impl Batches {
    /// Batches of `size` of `count` particles.
    pub fn new(count: usize, size: usize, join: bool) -> Self {
        let order: Vec<f64> = (0..count).map(|i| i as f64).collect();
        let batch = order[..size].to_vec();
        Self { count, join, batch, order, used: vec![size as f64, 0.0] }
    }

    /// Whether a batch is all particles.
    pub fn whole(&self) -> bool {
        self.batch.len() == self.count
    }

    /// Particles of the open batch.
    pub fn particles(&self) -> Vec<usize> {
        if self.whole() {
            return (0..self.count).collect();
        }
        (0..self.batch.len()).map(|k| self.particle(k)).collect()
    }

    /// The `k`-th of them; a state from elsewhere may hold any number.
    pub fn particle(&self, k: usize) -> usize {
        if self.whole() { k } else { (self.batch[k] as usize).min(self.count - 1) }
    }

    /// Opens the next batch.
    pub fn next(&mut self, rng: &Philox) {
        if self.whole() {
            return;
        }
        let (size, used) = (self.batch.len(), self.count.min(self.used[0] as usize));
        let left = &self.order[used..self.count.min(used + size)];
        let kept = if left.len() == size || self.join { left.len() } else { 0 };
        self.batch[..kept].copy_from_slice(&left[..kept]);
        if kept == size {
            self.used[0] += size as f64;
            return;
        }
        self.used = vec![(size - kept) as f64, self.used[1] + 1.0];
        self.order.iter_mut().enumerate().for_each(|(i, slot)| *slot = i as f64);
        let key = stream(Purpose::Other, self.used[1] as u64);
        for i in (1..self.count).rev() {
            let j = rng.below(key, i as u64, i as u64 + 1) as usize;
            self.order.swap(i, j);
        }
        self.batch[kept..].copy_from_slice(&self.order[..size - kept]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(count: usize, size: usize, join: bool, steps: usize) -> Vec<usize> {
        let mut batches = Batches::new(count, size, join);
        let mut out = Vec::new();
        for _ in 0..steps {
            out.extend(batches.particles());
            batches.next(&Philox::new(3));
        }
        out
    }

    fn is_permutation(part: &[usize]) -> bool {
        let mut sorted = part.to_vec();
        sorted.sort_unstable();
        sorted.iter().enumerate().all(|(i, &k)| i == k)
    }

    #[test]
    fn joined_leftovers_make_every_stretch_a_permutation() {
        let all = run(10, 4, true, 25);
        assert!(all.chunks(10).all(is_permutation));
        assert_ne!(all[10..20], all[20..30]);
    }

    #[test]
    fn dropped_leftovers_leave_batches_without_repetition() {
        let all = run(10, 4, false, 20);
        assert!(all.chunks(8).all(|two| (0..10).filter(|k| two.contains(k)).count() == 8));
        assert!(run(10, 10, false, 2).chunks(10).all(is_permutation));
    }
}
