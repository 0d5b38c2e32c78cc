//! Circuits of sums and products: values forwards, formal derivatives backwards.
//!
//!   (R f)(z, e)_i = sum_j (d f_j / d z_i)(z) e_j
//!   c = a + b:  R = (e, e)        c = a b:  R = (b e, a e)        copies: sums
//!
//! Derivatives are those of polynomials. Over Z_2 they equal f(z) xor f(z with bit i flipped)
//! where no product has two factors that both depend on z_i; otherwise not: a a has the
//! derivative 0 and changes with a. [`Circuit::flips`] has the differences themselves.

use super::semiring::Semiring;
use crate::engine::{Error, Result};

/// A gate; wires are parameters, then inputs, then gates in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// An element.
    Constant(u8),
    /// Sum of two wires.
    Add(u32, u32),
    /// Product of two wires.
    Mul(u32, u32),
}

/// Gates in an order in which each has its wires before it.
#[derive(Debug, Clone)]
pub struct Circuit {
    parameters: usize,
    inputs: usize,
    gates: Vec<Gate>,
    outputs: Vec<u32>,
}

impl Circuit {
    /// A circuit whose constants are below `size`.
    ///
    /// # Errors
    /// [`Error::Value`] for a wire that is not there yet, a constant that is no element, and a
    /// circuit without outputs.
    pub fn new(
        [parameters, inputs]: [usize; 2],
        gates: Vec<Gate>,
        outputs: Vec<u32>,
        size: u8,
    ) -> Result<Self> {
        let fix = "build circuits with thalweg.search.boolean.Circuit";
        for (at, gate) in gates.iter().enumerate() {
            let known = parameters + inputs + at;
            let allowed = format!("of wires below {known} and elements below {size}");
            let fits = match *gate {
                Gate::Constant(value) => value < size,
                Gate::Add(a, b) | Gate::Mul(a, b) => (a.max(b) as usize) < known,
            };
            if !fits {
                let given = format!("{gate:?}");
                return Err(Error::value(format!("gates[{at}]"), allowed, given, fix));
            }
        }
        let wires = parameters + inputs + gates.len();
        if outputs.is_empty() || outputs.iter().any(|&wire| wire as usize >= wires) {
            let allowed = format!("wires below {wires}, at least one");
            return Err(Error::value("outputs", allowed, format!("{outputs:?}"), "name outputs"));
        }
        Ok(Self { parameters, inputs, gates, outputs })
    }

    /// Numbers of parameters, inputs and outputs.
    pub fn shape(&self) -> [usize; 3] {
        [self.parameters, self.inputs, self.outputs.len()]
    }

    /// Values of all wires; those of parameters and inputs are in place.
    pub fn forward<S: Semiring>(&self, ring: &S, wires: &mut Vec<S::Word>) {
        wires.truncate(self.parameters + self.inputs);
        for gate in &self.gates {
            let value = match *gate {
                Gate::Constant(value) => ring.splat(value),
                Gate::Add(a, b) => ring.add(wires[a as usize], wires[b as usize]),
                Gate::Mul(a, b) => ring.mul(wires[a as usize], wires[b as usize]),
            };
            wires.push(value);
        }
    }

    /// The outputs among the values of wires.
    pub fn outputs<S: Semiring>(&self, wires: &[S::Word]) -> impl Iterator<Item = S::Word> {
        self.outputs.iter().map(|&wire| wires[wire as usize])
    }

    /// The reverse derivative at all wires, for one `error` an output.
    pub fn backward<S: Semiring>(
        &self,
        ring: &S,
        wires: &[S::Word],
        errors: &[S::Word],
        back: &mut Vec<S::Word>,
    ) {
        back.clear();
        back.resize(wires.len(), ring.splat(ring.neutral()[0]));
        for (&wire, &error) in self.outputs.iter().zip(errors) {
            back[wire as usize] = ring.add(back[wire as usize], error);
        }
        let first = self.parameters + self.inputs;
        for (at, gate) in self.gates.iter().enumerate().rev() {
            let error = back[first + at];
            let mut give = |wire: u32, part| {
                back[wire as usize] = ring.add(back[wire as usize], part);
            };
            match *gate {
                Gate::Constant(_) => {}
                Gate::Add(a, b) => {
                    give(a, error);
                    give(b, error);
                }
                Gate::Mul(a, b) => {
                    give(a, ring.mul(wires[b as usize], error));
                    give(b, ring.mul(wires[a as usize], error));
                }
            }
        }
    }

    /// The same with differences in place of derivatives, at the wires `0..count` of parameters and
    /// inputs: the circuit is run once for each of them, with one added. Meant for Z_2.
    pub fn flips<S: Semiring>(
        &self,
        ring: &S,
        wires: &[S::Word],
        errors: &[S::Word],
        count: usize,
        back: &mut Vec<S::Word>,
    ) {
        let [zero, one] = ring.neutral();
        back.clear();
        let mut flipped = wires[..self.parameters + self.inputs].to_vec();
        for i in 0..count {
            let kept = flipped[i];
            flipped[i] = ring.add(kept, ring.splat(one));
            self.forward(ring, &mut flipped);
            let mut sum = ring.splat(zero);
            for (&wire, &error) in self.outputs.iter().zip(errors) {
                let change = ring.minus(flipped[wire as usize], wires[wire as usize]);
                sum = ring.add(sum, ring.mul(change, error));
            }
            back.push(sum);
            flipped[i] = kept;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::semiring::Bits;
    use super::*;

    #[test]
    fn a_square_has_no_derivative_but_a_difference() {
        let circuit = Circuit::new([1, 1], vec![Gate::Mul(0, 0), Gate::Mul(0, 1)], vec![2, 3], 2);
        let circuit = circuit.unwrap();
        let mut wires = vec![0b01, 0b11];
        circuit.forward(&Bits, &mut wires);
        assert_eq!(circuit.outputs::<Bits>(&wires).collect::<Vec<_>>(), [1, 1]);
        let mut back = Vec::new();
        circuit.backward(&Bits, &wires, &[!0, 0], &mut back);
        assert_eq!(back[..2], [0, 0]);
        circuit.flips(&Bits, &wires, &[!0, 0], 2, &mut back);
        assert_eq!(back, [!0, 0]);
        // The product of parameter and input: both forms agree.
        circuit.backward(&Bits, &wires, &[0, !0], &mut back);
        assert_eq!(back[..2], [0b11, 0b01]);
        circuit.flips(&Bits, &wires, &[0, !0], 2, &mut back);
        assert_eq!(back, [0b11, 0b01]);
    }

    #[test]
    fn wires_must_exist_before_they_are_used() {
        assert!(Circuit::new([1, 0], vec![Gate::Add(0, 1)], vec![0], 2).is_err());
        assert!(Circuit::new([1, 0], vec![Gate::Constant(2)], vec![0], 2).is_err());
        assert!(Circuit::new([1, 0], vec![], vec![1], 2).is_err());
        assert!(Circuit::new([1, 0], vec![], vec![], 2).is_err());
    }
}
