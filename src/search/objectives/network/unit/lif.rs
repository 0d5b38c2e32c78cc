//! Leaky integrate-and-fire over T steps, reset to zero.
//!
//!   v = beta v + current,  spike where v >= threshold,  v = 0 after a spike
//!
//! With a constant current the train is periodic: a spike every k steps, k the first step at which
//! the potential reaches the threshold. So the unit is a staircase of T + 1 codes, and its
//! thresholds follow by bisection on the float recursion itself (every operation in it is
//! monotone in the current, rounding included, so the codes are exact).

use super::codes::Codes;
use crate::engine::lanes::{LANES, Lanes};
use crate::engine::real::{Lane, Real};
use crate::{Error, Result};

/// Longest train: T + 1 codes are at most 64, one bit each in a set of codes.
pub const MAX_STEPS: usize = 63;

/// A leaky integrate-and-fire unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Lif {
    /// Share of the potential that stays from one step to the next, in [0, 1].
    pub beta: f32,
    /// Potential at which the unit fires, > 0.
    pub threshold: f32,
    /// Number of steps T.
    pub steps: usize,
    /// Thresholds of a constant current, and the spike count of each code.
    pub codes: Codes,
    /// Spike train of each code, bit t for step t.
    pub trains: Vec<u64>,
}

impl Lif {
    /// A unit with its code table.
    pub fn new(beta: f32, threshold: f32, steps: usize) -> Result<Self> {
        if !(0.0..=1.0).contains(&beta) {
            return Err(Error::value("beta", "in [0, 1]", beta, "a usual value is 0.95"));
        }
        if !(threshold > 0.0 && threshold.is_finite()) {
            let fix = "a usual value is 1.0";
            return Err(Error::value("threshold", "positive and finite", threshold, fix));
        }
        if !(1..=MAX_STEPS).contains(&steps) {
            return Err(Error::value("steps", "in 1..=63", steps, "a usual value is 15"));
        }
        // Code 0 never fires; code c fires every T + 1 - c steps.
        let periods = (1..=steps).rev();
        let thresholds = periods.clone().map(|k| least_current(beta, threshold, k)).collect();
        let train = |k: usize| (1..=steps / k).fold(0, |bits: u64, i| bits | 1 << (i * k - 1));
        let trains: Vec<u64> = std::iter::once(0).chain(periods.map(train)).collect();
        let values = trains.iter().map(|train| train.count_ones() as f32).collect();
        Ok(Self { beta, threshold, steps, codes: Codes { thresholds, values }, trains })
    }

    /// One step of sixteen units: updates the potentials, returns 1 where a unit fires.
    #[inline(always)]
    pub fn step(&self, v: &mut Lanes, current: &Lanes) -> Lanes {
        let mut spikes = [0.0; LANES];
        for l in 0..LANES {
            let [spike, left] = self.fire::<Lane<f32>>(Lane(v[l]), Lane(current[l]));
            (spikes[l], v[l]) = (spike.0, left.0);
        }
        spikes
    }

    /// One step in any arithmetic: 1 for a spike, and the potential left.
    #[inline(always)]
    pub fn fire<T: Real>(&self, v: T, current: T) -> [T; 2] {
        let potential = T::of(self.beta.into()) * v + current;
        let fires = potential.ge(T::of(self.threshold.into()));
        let zero = T::of(0.0);
        [T::select(fires, T::of(1.0), zero), T::select(fires, zero, potential)]
    }
}

/// The least float with a spike within `steps` steps of constant current.
fn least_current(beta: f32, threshold: f32, steps: usize) -> f32 {
    let fires = |bits: u32| {
        let current = f32::from_bits(bits);
        let mut v = 0.0f32;
        (0..steps).any(|_| {
            v = beta * v + current;
            v >= threshold
        })
    };
    // Positive floats are ordered as their bits; the threshold itself fires at once.
    let (mut silent, mut firing) = (0, threshold.to_bits());
    while firing - silent > 1 {
        let middle = silent + (firing - silent) / 2;
        if fires(middle) {
            firing = middle;
        } else {
            silent = middle;
        }
    }
    f32::from_bits(firing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_train_of_the_recursion() {
        for (beta, steps) in [(0.95, 15), (0.0, 3), (1.0, 63), (0.5, 20)] {
            let lif = Lif::new(beta, 1.0, steps).unwrap();
            let near = |x: f32| [x.next_down(), x, x.next_up()];
            let edges = lif.codes.thresholds.iter().flat_map(|&x| near(x));
            let grid = (-50..150).map(|i| i as f32 * 0.011);
            for current in edges.chain(grid) {
                let (mut v, mut train) = ([0.0; LANES], 0u64);
                for t in 0..steps {
                    train |= u64::from(lif.step(&mut v, &[current; LANES])[0] > 0.0) << t;
                }
                assert_eq!(lif.trains[lif.codes.of(current)], train, "{current} {beta} {steps}");
            }
        }
    }

    #[test]
    fn refuses_what_cannot_fire() {
        assert!(Lif::new(1.1, 1.0, 15).is_err());
        assert!(Lif::new(0.9, 0.0, 15).is_err());
        assert!(Lif::new(0.9, 1.0, 64).is_err());
    }
}
