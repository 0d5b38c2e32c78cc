//! Changed outputs of one unit: for which sample, by how much, to which spike train.

use crate::engine::lanes::LANES;

/// A list of changed outputs, processed sixteen at a time.
#[derive(Debug, Default)]
pub struct Items {
    /// Samples.
    pub samples: Vec<u32>,
    /// New output minus old one.
    pub deltas: Vec<f32>,
    /// New spike trains; meaningful for spiking units.
    pub trains: Vec<u64>,
    /// Number of items; the lists are padded with copies to whole groups.
    pub count: usize,
}

impl Items {
    /// A list of `count` items to be written, with room to pad.
    pub fn sized(count: usize) -> Self {
        let padded = count.next_multiple_of(LANES);
        let mut samples = Vec::with_capacity(padded);
        let mut deltas = Vec::with_capacity(padded);
        let mut trains = Vec::with_capacity(padded);
        samples.resize(count, 0);
        deltas.resize(count, 0.0);
        trains.resize(count, 0);
        Self { samples, deltas, trains, count }
    }

    /// Empties the list.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.samples.clear();
        self.deltas.clear();
        self.trains.clear();
        self.count = 0;
    }

    /// Appends an item.
    #[inline(always)]
    pub fn push(&mut self, sample: u32, delta: f32, train: u64) {
        self.samples.push(sample);
        self.deltas.push(delta);
        self.trains.push(train);
        self.count += 1;
    }

    /// Repeats the last item up to a whole group.
    #[inline(always)]
    pub fn pad(&mut self) {
        while self.count > 0 && !self.samples.len().is_multiple_of(LANES) {
            let last = self.samples.len() - 1;
            self.samples.push(self.samples[last]);
            self.deltas.push(self.deltas[last]);
            self.trains.push(self.trains[last]);
        }
    }

    /// Number of groups of sixteen.
    #[inline(always)]
    pub fn groups(&self) -> usize {
        self.samples.len() / LANES
    }
}
