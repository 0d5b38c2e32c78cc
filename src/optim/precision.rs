//! How precisely states and parameters are kept between steps.
//!
//! Formulas compute in float32 (float64 for float64 parameters) whatever is stored. States in
//! bfloat16 or [codes](crate::engine::codes) always round stochastically: a slow average moves by
//! less than half the distance of two stored numbers, so that rounding to nearest would hold it
//! where it is. The random words are a function of the number of the parameter, of the state and
//! of the step, so that a resumed run and any number of threads give the same bits.

use super::hyper::{self, Lookup, choice};
use crate::engine::Result;
use crate::engine::pass::BUFFERS;
use crate::engine::rng::Dither;

choice! {
    /// How states are stored.
    StateDtype {
        /// In float32; float64 for float64 parameters.
        Float32 = "float32",
        /// In two bytes.
        Bfloat16 = "bfloat16",
        /// In a byte, and four for each block of 256.
        Int8 = "int8",
    }
}

choice! {
    /// How parameters of two bytes are rounded; wider ones are exact.
    Rounding {
        /// To nearest: steps below half the distance of two numbers are lost.
        Nearest = "nearest",
        /// Up or down with the odds of the distance: right on average.
        Stochastic = "stochastic",
        /// To nearest, and the remainder is kept in a state of two bytes.
        Kahan = "kahan",
    }
}

/// The precision of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Precision {
    /// Of states.
    pub state: StateDtype,
    /// Of parameters.
    pub rounding: Rounding,
}

impl Precision {
    /// Reads and checks; what is not given is float32 and to nearest.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) in the caller's words.
    pub fn read(lookup: &dyn Lookup) -> Result<Self> {
        Ok(Self {
            state: hyper::read::<StateDtype>(lookup, "state_dtype", &StateDtype::Float32)?,
            rounding: hyper::read::<Rounding>(lookup, "rounding", &Rounding::Nearest)?,
        })
    }

    /// Whether random words are drawn, so that steps must be counted whatever the rule.
    pub fn is_random(self) -> bool {
        self.state != StateDtype::Float32 || self.rounding == Rounding::Stochastic
    }
}

/// The words that round a parameter (slot 0) or its states (slots from 1) in step `t`.
///
/// # Panics
/// For a slot above [`BUFFERS`].
pub fn dither(parameter: usize, slot: usize, t: u64) -> Dither {
    const SLOTS: usize = 16;
    const { assert!(BUFFERS < SLOTS) };
    assert!(slot <= BUFFERS);
    Dither::new((parameter * SLOTS + slot) as u64, t)
}
