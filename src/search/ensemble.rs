//! Members that a method keeps from step to step: where they start, and their rows.

use super::ask_tell::Point;

/// Rows of `dim` numbers.
#[derive(Debug, Clone)]
pub struct Ensemble {
    /// Where the members are, within the box.
    pub members: Vec<f64>,
    /// Whether the caller put them there: 1 or 0.
    pub given: Vec<f64>,
    /// Deviation of drawn members where a coordinate has no bounds.
    pub spread: f64,
    dim: usize,
}

impl Ensemble {
    /// `count` members that wait for their first positions.
    pub fn new(count: usize, dim: usize, spread: f64) -> Self {
        Self { members: vec![0.0; count * dim], given: vec![0.0], spread, dim }
    }

    /// A member.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.members[index * self.dim..][..self.dim]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len() / self.dim
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The first position of a member: as given, else x, else a draw around x or in the box.
    pub fn first(&self, at: &Point, index: usize, out: &mut [f64]) {
        if self.given[0] != 0.0 {
            out.copy_from_slice(self.row(index));
            if let Some(bounds) = &at.bounds {
                bounds.inner(out);
            }
        } else if index == 0 {
            out.copy_from_slice(&at.x);
        } else {
            at.draw(at.number(index), &at.x, self.spread, out);
        }
    }

    /// Takes the first positions for the members.
    pub fn settle(&mut self, at: &Point) {
        let mut members = self.members.clone();
        for (i, row) in members.chunks_exact_mut(self.dim).enumerate() {
            self.first(at, i, row);
            at.admit(at.number(i), row);
        }
        self.members = members;
    }
}
