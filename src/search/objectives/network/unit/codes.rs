//! Units with finitely many outputs: the code of z is the number of thresholds that z reaches.

use crate::engine::lanes::{LANES, Lanes};
use crate::engine::real::Real;

/// Ascending thresholds and the output of each code (one more than thresholds).
#[derive(Debug, Clone, PartialEq)]
pub struct Codes {
    /// `code(z)` counts the thresholds `<= z`.
    pub thresholds: Vec<f32>,
    /// Output of each code.
    pub values: Vec<f32>,
}

impl Codes {
    /// Codes of many pre-activations.
    ///
    /// Five thresholds a pass over all of them: with the thresholds innermost, the compiler would
    /// make vectors of those.
    #[inline(always)]
    pub fn encode(&self, z: &[f32], codes: &mut [i32]) {
        codes.fill(0);
        for group in self.thresholds.chunks(5) {
            let mut t = [f32::INFINITY; 5];
            t[..group.len()].copy_from_slice(group);
            for (code, &z) in codes.iter_mut().zip(z) {
                *code += i32::from(z >= t[0])
                    + i32::from(z >= t[1])
                    + i32::from(z >= t[2])
                    + i32::from(z >= t[3])
                    + i32::from(z >= t[4]);
            }
        }
    }

    /// Outputs of sixteen pre-activations.
    #[inline(always)]
    pub fn outputs(&self, z: &Lanes) -> Lanes {
        let mut out = [self.values[0]; LANES];
        for (&threshold, &value) in self.thresholds.iter().zip(&self.values[1..]) {
            out = select(out, z, threshold, value);
        }
        out
    }

    /// Outputs of many pre-activations, a pass for each threshold.
    #[inline(always)]
    pub fn outputs_of(&self, z: &[f32], out: &mut [f32]) {
        out.fill(self.values[0]);
        for (&threshold, &value) in self.thresholds.iter().zip(&self.values[1..]) {
            for (out, &z) in out.iter_mut().zip(z) {
                *out = if z >= threshold { value } else { *out };
            }
        }
    }

    /// The output in any arithmetic.
    pub fn formula<T: Real>(&self, z: T) -> T {
        let mut out = T::of(self.values[0].into());
        for (&threshold, &value) in self.thresholds.iter().zip(&self.values[1..]) {
            out = T::select(z.ge(T::of(threshold.into())), T::of(value.into()), out);
        }
        out
    }

    /// Code of one pre-activation.
    #[inline(always)]
    pub fn of(&self, z: f32) -> usize {
        let mut code = 0;
        for &threshold in &self.thresholds {
            code += usize::from(z >= threshold);
        }
        code
    }

    /// Number of codes.
    pub fn levels(&self) -> usize {
        self.values.len()
    }
}

// Lanes by value, to keep the compiler from making vectors of thresholds.

#[inline(always)]
fn select(old: Lanes, z: &Lanes, threshold: f32, value: f32) -> Lanes {
    let mut out = [0.0; LANES];
    for l in 0..LANES {
        out[l] = if z[l] >= threshold { value } else { old[l] };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::real::Lane;

    #[test]
    fn the_formula_is_what_lanes_compute() {
        let codes = Codes { thresholds: vec![-1.0, 0.5, 2.0], values: vec![3.0, -1.0, 0.0, 9.0] };
        let z: Lanes = std::array::from_fn(|l| l as f32 * 0.5 - 3.0);
        let lanes = codes.outputs(&z);
        for l in 0..LANES {
            assert_eq!(codes.formula(Lane::<f32>(z[l])).0, lanes[l]);
        }
    }
}
