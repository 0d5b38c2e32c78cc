//! What a unit makes of its pre-activation, one kind a file.

pub mod codes;
pub mod lif;
pub mod relu;
pub mod sign;
pub mod staircase;
pub mod tanh;
pub mod threshold;

pub use codes::Codes;
pub use lif::Lif;

use crate::engine::lanes::{self, Lanes};
use crate::{Error, Result};

/// A kind of unit.
#[derive(Debug, Clone, PartialEq)]
pub enum Unit {
    /// The pre-activation itself.
    Linear,
    /// [`relu::relu`].
    Relu,
    /// [`tanh::tanh`].
    Tanh,
    /// Finitely many outputs: [`sign`], [`threshold`], [`staircase`].
    Codes(Codes),
    /// Spikes; read as their count by a layer that does not spike.
    Lif(Lif),
}

impl Unit {
    /// A unit from its name and its numbers: `staircase` takes the levels, `lif` beta, threshold
    /// and steps.
    pub fn parse(name: &str, numbers: &[f64]) -> Result<Self> {
        let number = |index: usize, default: f64| numbers.get(index).copied().unwrap_or(default);
        Ok(match name {
            "linear" => Self::Linear,
            "relu" => Self::Relu,
            "tanh" => Self::Tanh,
            "sign" => Self::Codes(sign::codes()),
            "threshold" => Self::Codes(threshold::codes()),
            "staircase" => Self::Codes(staircase::codes(number(0, 5.0) as usize)?),
            "lif" => {
                let steps = number(2, 15.0) as usize;
                Self::Lif(Lif::new(number(0, 0.95) as f32, number(1, 1.0) as f32, steps)?)
            }
            _ => {
                let allowed = "linear, relu, tanh, sign, threshold, staircase or lif";
                return Err(Error::value("unit", allowed, name, "pick one of these"));
            }
        })
    }

    /// The code table, for a unit that has one (a spiking unit: for constant current).
    pub fn codes(&self) -> Option<&Codes> {
        match self {
            Self::Codes(codes) => Some(codes),
            Self::Lif(lif) => Some(&lif.codes),
            _ => None,
        }
    }

    /// The spiking unit, if it is one.
    pub fn lif(&self) -> Option<&Lif> {
        match self {
            Self::Lif(lif) => Some(lif),
            _ => None,
        }
    }

    /// Outputs for many constant pre-activations.
    #[inline(always)]
    pub fn outputs_of(&self, z: &[f32], out: &mut [f32]) {
        match self {
            Self::Linear => out.copy_from_slice(z),
            Self::Relu => z.iter().zip(out).for_each(|(&z, out)| *out = relu::relu(z)),
            Self::Tanh => z.iter().zip(out).for_each(|(&z, out)| *out = tanh::tanh(z)),
            Self::Codes(codes) => codes.outputs_of(z, out),
            Self::Lif(lif) => lif.codes.outputs_of(z, out),
        }
    }

    /// Outputs for sixteen constant pre-activations.
    #[inline(always)]
    pub fn outputs(&self, z: &Lanes) -> Lanes {
        match self {
            Self::Linear => *z,
            Self::Relu => lanes::map(*z, relu::relu),
            Self::Tanh => lanes::map(*z, tanh::tanh),
            Self::Codes(codes) => codes.outputs(z),
            Self::Lif(lif) => lif.codes.outputs(z),
        }
    }
}
