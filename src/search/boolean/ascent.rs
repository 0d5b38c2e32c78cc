//! Reverse derivative ascent: parameters move by the reverse derivative of the error.
//!
//!   theta = theta + (R_theta f)(theta, x; y - f(theta, x))        one sample after the other
//!
//! Over Z_2 sums and differences are xor. It is no descent: a step that mends one sample may break
//! others, so the order of samples matters and the best parameters so far are kept. Lanes are
//! starts, 64 in a word; all see the samples in the same order, a new one each epoch, which is a
//! function of (seed, epoch). Cost: O(gates) word operations a sample and 64 starts, twice.

use super::circuit::Circuit;
use super::rows::{elements, pack, refuse_flips, unload};
use super::semiring::{LANES, Semiring};
use crate::engine::rng::Philox;
use crate::engine::{Error, Result, threads};

/// How an ascent runs.
#[derive(Debug, Clone, Copy)]
pub struct Ascent {
    /// Of the orders of samples.
    pub seed: u64,
    /// The epoch to begin with.
    pub first: u64,
    /// Number of epochs; the search ends early where a start makes no errors.
    pub epochs: u64,
    /// Differences by flips in place of formal derivatives; of Z_2 alone.
    pub flips: bool,
}

/// What an ascent found: parameters of every start, and its best with their errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Parameters now, start after start.
    pub now: Vec<u8>,
    /// Best parameters, start after start.
    pub best: Vec<u8>,
    /// Samples that the best parameters get wrong.
    pub errors: Vec<u64>,
    /// Epochs after which the best parameters were found.
    pub when: Vec<u64>,
    /// Epochs that were run.
    pub epochs: u64,
}

/// Samples: rows of inputs, and of outputs.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    /// Inputs, row after row.
    pub x: &'a [u8],
    /// Outputs, row after row.
    pub y: &'a [u8],
}

impl Ascent {
    /// Runs epochs from `starts`, rows of parameters.
    ///
    /// # Errors
    /// [`Error::Value`] for values that are no elements, parts of rows, no samples; and
    /// [`Error::Unsupported`] where sums cannot be undone, or for flips outside of Z_2.
    pub fn run<S: Semiring>(
        &self,
        circuit: &Circuit,
        ring: &S,
        samples: Samples<'_>,
        starts: &[u8],
    ) -> Result<Outcome> {
        let [parameters, inputs, outputs] = circuit.shape();
        let count = elements("x", samples.x, inputs, ring.size())?;
        if elements("y", samples.y, outputs, ring.size())? != count {
            let given = samples.y.len() / outputs;
            return Err(Error::value("y", format!("{count} rows, as x"), given, "align them"));
        }
        let lanes = elements("parameters", starts, parameters, ring.size())?;
        if !ring.has_minus() {
            let what = "learning over a semiring whose sums cannot be undone".into();
            return Err(Error::Unsupported { what, fix: "use Semiring.modular".into() });
        }
        refuse_flips(ring, self.flips)?;
        // Every word of starts is on its own, so all stop at the epoch of the first success of its
        // word; what they find does not depend on the threads.
        let parts = threads::map(lanes.div_ceil(LANES), |word| {
            let begin = word * LANES * parameters;
            let end = (begin + LANES * parameters).min(starts.len());
            self.word(circuit, ring, samples, count, &starts[begin..end])
        });
        let mut out =
            Outcome { now: vec![], best: vec![], errors: vec![], when: vec![], epochs: 0 };
        for part in parts {
            out.now.extend(part.now);
            out.best.extend(part.best);
            out.errors.extend(part.errors);
            out.when.extend(part.when);
            out.epochs = out.epochs.max(part.epochs);
        }
        Ok(out)
    }

    fn word<S: Semiring>(
        &self,
        circuit: &Circuit,
        ring: &S,
        samples: Samples<'_>,
        count: usize,
        starts: &[u8],
    ) -> Outcome {
        let [parameters, inputs, outputs] = circuit.shape();
        let lanes = starts.len() / parameters;
        let mut theta = pack(ring, starts, lanes, parameters);
        let mut wires = Vec::with_capacity(parameters + inputs);
        let load = |theta: &[S::Word], sample: usize, wires: &mut Vec<S::Word>| {
            wires.clear();
            wires.extend_from_slice(theta);
            let row = &samples.x[sample * inputs..][..inputs];
            wires.extend(row.iter().map(|&value| ring.splat(value)));
            circuit.forward(ring, wires);
        };
        let target = |sample: usize| samples.y[sample * outputs..][..outputs].iter();
        let mut count_errors = |theta: &[S::Word]| -> Vec<u64> {
            let mut errors = vec![0; lanes];
            for sample in 0..count {
                load(theta, sample, &mut wires);
                let found = circuit.outputs::<S>(&wires).zip(target(sample));
                let wrong =
                    found.fold(0, |bits, (got, &want)| bits | ring.differ(got, ring.splat(want)));
                errors.iter_mut().enumerate().for_each(|(r, n)| *n += wrong >> r & 1);
            }
            errors
        };
        let mut best = theta.clone();
        let mut fewest = count_errors(&theta);
        let rng = Philox::new(self.seed);
        let (mut scratch, mut wrong, mut back) = (Vec::new(), Vec::new(), Vec::new());
        let (mut done, mut when) = (0, vec![self.first; lanes]);
        while done < self.epochs && !fewest.contains(&0) {
            for sample in order(&rng, self.first + done, count) {
                load(&theta, sample, &mut scratch);
                wrong.clear();
                let found = circuit.outputs::<S>(&scratch).zip(target(sample));
                wrong.extend(found.map(|(got, &want)| ring.minus(ring.splat(want), got)));
                if self.flips {
                    circuit.flips(ring, &scratch, &wrong, parameters, &mut back);
                } else {
                    circuit.backward(ring, &scratch, &wrong, &mut back);
                }
                theta
                    .iter_mut()
                    .zip(&back)
                    .for_each(|(theta, &step)| *theta = ring.add(*theta, step));
            }
            done += 1;
            for (r, errors) in count_errors(&theta).into_iter().enumerate() {
                if errors < fewest[r] {
                    (fewest[r], when[r]) = (errors, self.first + done);
                    let copy = |(best, now): (&mut S::Word, &S::Word)| {
                        ring.set(best, r, ring.get(now, r));
                    };
                    best.iter_mut().zip(&theta).for_each(copy);
                }
            }
        }
        let flat = |words: &[S::Word]| unload(ring, words, lanes, parameters);
        Outcome { now: flat(&theta), best: flat(&best), errors: fewest, when, epochs: done }
    }
}

/// The order of samples in an epoch (Fisher, Yates).
fn order(rng: &Philox, epoch: u64, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for i in (1..count).rev() {
        order.swap(i, rng.below(epoch, i as u64, i as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::super::circuit::Gate;
    use super::super::semiring::Bits;
    use super::*;

    #[test]
    fn a_parity_is_learnt_and_the_best_is_kept() {
        // f = t0 x0 + t1 x1 + t2; learn x0 + 1.
        let gates = vec![Gate::Mul(0, 3), Gate::Mul(1, 4), Gate::Add(5, 6), Gate::Add(7, 2)];
        let circuit = Circuit::new([3, 2], gates, vec![8], 2).unwrap();
        let (x, y) = ([0, 0, 0, 1, 1, 0, 1, 1], [1, 1, 0, 0]);
        let samples = Samples { x: &x, y: &y };
        let ascent = Ascent { seed: 1, first: 0, epochs: 50, flips: false };
        let starts: Vec<u8> = (0..8u8).flat_map(|i| [i & 1, i >> 1 & 1, i >> 2]).collect();
        let found = ascent.run(&circuit, &Bits, samples, &starts).unwrap();
        let solved = found.errors.iter().position(|&errors| errors == 0).unwrap();
        assert_eq!(found.best[3 * solved..][..3], [1, 0, 1]);
        let none = Ascent { epochs: 0, ..ascent }.run(&circuit, &Bits, samples, &starts).unwrap();
        assert!(none.best == starts && none.errors.iter().sum::<u64>() == 8 * 2);
    }

    #[test]
    fn an_order_is_a_permutation_of_its_epoch() {
        let rng = Philox::new(3);
        let mut one = order(&rng, 0, 50);
        assert_ne!(one, order(&rng, 1, 50));
        assert_eq!(one, order(&rng, 0, 50));
        one.sort_unstable();
        assert_eq!(one, (0..50).collect::<Vec<_>>());
    }
}
