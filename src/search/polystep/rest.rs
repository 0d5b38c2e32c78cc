//! Fewer evaluations: still blocks rest, and probes along a direction become one.
//!
//! Rest (`adaptive_probes`): a block whose squared displacement in the last step was below 1e-6
//! keeps the costs and the rotation it was last probed with and asks for nothing. Unlike in the
//! published code it wakes: every tenth step probes all blocks, so that none is frozen for ever by
//! one flat neighbourhood.
//!
//! One probe (`adaptive_num_probe`): after step 20, while the transport cost
//! mean_i sum_k W_ik C_ik fell through its last three values, three times running, each direction
//! is probed once, at the mean of its radii.

use super::step::PolyStep;

const STILL: f64 = 1e-6;
const WAKE: u64 = 10;
const WARM_UP: u64 = 20;
const TIMES: u64 = 3;

/// What resting blocks remember.
#[derive(Debug, Clone, PartialEq)]
pub struct Rest {
    /// Which blocks hardly moved.
    pub still: Vec<bool>,
    /// The step whose rotation a block uses.
    pub since: Vec<u64>,
    /// One cost for each vertex.
    pub costs: Vec<f64>,
}

impl Rest {
    /// All blocks awake.
    pub fn new(rows: usize, vertices: usize) -> Self {
        Self { still: vec![false; rows], since: vec![0; rows], costs: vec![0.0; vertices] }
    }
}

/// The transport costs of the last steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Falling {
    /// The last three, oldest first; NaN before.
    pub last: [f64; 3],
    /// How often in a row they fell.
    pub times: u64,
}

impl Falling {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self { last: [f64::NAN; 3], times: 0 }
    }

    /// Follows the transport cost of a step, before step `next`.
    pub fn follow(&mut self, cost: f64, next: u64) {
        self.last = [self.last[1], self.last[2], cost];
        let fell = self.last[0] > self.last[1] && self.last[1] > self.last[2];
        self.times = if fell && next >= WARM_UP { self.times + 1 } else { 0 };
    }
}

impl Default for Falling {
    fn default() -> Self {
        Self::new()
    }
}

impl PolyStep {
    /// Probes along each direction at this step.
    pub fn probes(&self) -> usize {
        match self.config.adaptive_num_probe && self.state.falling.times >= TIMES {
            true => 1,
            false => self.config.num_probe,
        }
    }

    /// Which blocks of a group are probed at this step; none for all of them.
    pub fn awake(&self, group: usize) -> Option<&[usize]> {
        self.awake.get(group).map(Vec::as_slice)
    }

    /// Costs that a group asks for at this step.
    pub(super) fn asked(&self, g: usize) -> usize {
        let group = &self.groups[g];
        self.awake(g).map_or(group.rows.len(), <[usize]>::len) * group.count * self.probes()
    }

    /// The step whose rotation a row uses.
    pub(super) fn since(&self, row: usize) -> u64 {
        match &self.state.rest {
            Some(rest) if self.resting(row) => rest.since[row],
            _ => self.state.t,
        }
    }

    fn resting(&self, row: usize) -> bool {
        let waking = (self.state.t / self.config.amortize).is_multiple_of(WAKE);
        !waking && self.state.rest.as_ref().is_some_and(|rest| rest.still[row])
    }

    /// Lists the blocks that the coming step probes.
    pub(super) fn rouse(&mut self) {
        if self.state.rest.is_none() {
            return;
        }
        let rows = |g: &super::layout::Group| {
            (0..g.rows.len()).filter(|i| !self.resting(g.first + i)).collect()
        };
        self.awake = self.groups.iter().map(rows).collect();
    }

    /// Notes which blocks of `before` have hardly moved.
    pub(super) fn note_still(&mut self, before: &[f64]) {
        let Some(rest) = &mut self.state.rest else {
            return;
        };
        for group in &self.groups {
            for (row, still) in group.rows.iter().zip(&mut rest.still[group.first..]) {
                let span =
                    row.point * self.dim + row.span.start..row.point * self.dim + row.span.end;
                let pairs = self.state.x[span.clone()].iter().zip(&before[span]);
                *still = pairs.map(|(x, b)| (x - b).powi(2)).sum::<f64>() < STILL;
            }
        }
    }

    /// Mean costs of all vertices of a group: from `probes`, k a vertex, where it was probed, else
    /// as remembered.
    pub(super) fn vertex_costs(&mut self, g: usize, probes: &[f64]) -> Vec<f64> {
        let k = self.probes();
        let mut fresh = probes.chunks_exact(k).map(|c| c.iter().sum::<f64>() / k as f64);
        let group = &self.groups[g];
        let Some(rest) = &mut self.state.rest else {
            return fresh.collect();
        };
        let kept = &mut rest.costs[group.costs..][..group.rows.len() * group.count];
        for &i in &self.awake[g] {
            rest.since[group.first + i] = self.state.t;
            kept[i * group.count..][..group.count]
                .iter_mut()
                .zip(&mut fresh)
                .for_each(|(kept, cost)| *kept = cost);
        }
        kept.to_vec()
    }
}

/// Draws the costs of directions that told little last time to the mean of their block:
/// of each block the lower half by |C+ - C-|, by four fifths. `contrast` keeps |C+ - C-| for the
/// next step and is NaN at first.
pub(super) fn screen(costs: &mut [f64], p: usize, contrast: &mut [f64]) {
    const SHARE: f64 = 0.8;
    for (row, last) in costs.chunks_exact_mut(2 * p).zip(contrast.chunks_exact_mut(p)) {
        let now: Vec<f64> = (0..p).map(|a| (row[a] - row[p + a]).abs()).collect();
        if !last[0].is_nan() {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            let mut order: Vec<usize> = (0..p).collect();
            order.sort_by(|&a, &b| last[a].total_cmp(&last[b]));
            for &a in &order[..p / 2] {
                for vertex in [a, p + a] {
                    row[vertex] += SHARE * (mean - row[vertex]);
                }
            }
        }
        last.copy_from_slice(&now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_probe_after_three_falls_in_a_row_and_none_before_step_20() {
        let mut falling = Falling::new();
        (1..20).for_each(|t| falling.follow(-(t as f64), t));
        assert_eq!(falling.times, 0);
        (20..23).for_each(|t| falling.follow(-(t as f64), t));
        assert_eq!(falling.times, 3);
        falling.follow(0.0, 23);
        assert_eq!(falling.times, 0);
        falling.follow(f64::NAN, 24);
        assert_eq!(falling.times, 0);
    }

    #[test]
    fn the_quieter_half_is_drawn_to_the_mean() {
        let mut contrast = [f64::NAN, f64::NAN];
        let mut costs = [1.0, 5.0, 2.0, 8.0];
        screen(&mut costs, 2, &mut contrast);
        assert_eq!((costs, contrast), ([1.0, 5.0, 2.0, 8.0], [1.0, 3.0]));
        screen(&mut costs, 2, &mut contrast);
        // mean 4; direction 0 told less
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(costs[0], 3.4) && close(costs[2], 3.6));
        assert_eq!((costs[1], costs[3]), (5.0, 8.0));
        assert_eq!(contrast, [1.0, 3.0]);
    }
}
