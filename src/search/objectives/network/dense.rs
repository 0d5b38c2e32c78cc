//! A dense layer: z = W h + b, then its units.

use super::rounding::Rounding;
use super::unit::Unit;
use crate::engine::lanes::{LANES, Lanes, blocks};
use crate::{Error, Result};
use std::borrow::Cow;

/// Weights, biases and the kind of unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Length of an input.
    pub inputs: usize,
    /// Number of units.
    pub outputs: usize,
    /// W, (outputs, inputs) row-major.
    pub weights: Vec<f32>,
    /// b, one a unit.
    pub bias: Vec<f32>,
    /// What the units do.
    pub unit: Unit,
    /// Weights and biases are rounded where the layer is used.
    pub rounding: Option<Rounding>,
}

impl Dense {
    /// A layer from its arrays.
    pub fn new(
        weights: Vec<f32>,
        bias: Vec<f32>,
        unit: Unit,
        rounding: Option<Rounding>,
    ) -> Result<Self> {
        let outputs = bias.len();
        if outputs == 0 || weights.is_empty() || !weights.len().is_multiple_of(outputs) {
            return Err(Error::Shape {
                name: "weights".into(),
                given: format!("({},)", weights.len()),
                other: "bias".into(),
                expected: format!("({outputs},)"),
                fix: "pass weights (outputs, inputs) and one bias an output".into(),
            });
        }
        finite("weights", &weights)?;
        finite("bias", &bias)?;
        Ok(Self { inputs: weights.len() / outputs, outputs, weights, bias, unit, rounding })
    }

    /// Replaces weights and biases by others of the same shape.
    pub fn replace(&mut self, weights: &[f32], bias: &[f32]) -> Result<()> {
        for (name, given, own) in
            [("weights", weights.len(), self.weights.len()), ("bias", bias.len(), self.bias.len())]
        {
            if given != own {
                return Err(Error::Shape {
                    name: name.into(),
                    given: format!("({given},)"),
                    other: "the layer".into(),
                    expected: format!("({own},)"),
                    fix: "pass arrays of the layer's own shape".into(),
                });
            }
        }
        finite("weights", weights)?;
        finite("bias", bias)?;
        self.weights.copy_from_slice(weights);
        self.bias.copy_from_slice(bias);
        Ok(())
    }

    /// The weights in use: rounded where the layer rounds.
    pub fn used_weights(&self) -> Cow<'_, [f32]> {
        used(&self.weights, self.rounding)
    }

    /// The biases in use.
    pub fn used_bias(&self) -> Cow<'_, [f32]> {
        used(&self.bias, self.rounding)
    }

    /// Columns of the weights in use, `[input][block of outputs]`, padded with zeros.
    pub fn columns(&self) -> Vec<Lanes> {
        let width = blocks(self.outputs);
        let weights = self.used_weights();
        let mut columns = vec![[0.0; LANES]; self.inputs * width];
        for (o, row) in weights.chunks_exact(self.inputs).enumerate() {
            for (i, &w) in row.iter().enumerate() {
                columns[i * width + o / LANES][o % LANES] = w;
            }
        }
        columns
    }
}

fn finite(name: &str, values: &[f32]) -> Result<()> {
    if values.iter().all(|x| x.is_finite()) {
        return Ok(());
    }
    Err(Error::NonFinite { name: name.into(), fix: "pass finite numbers".into() })
}

fn used(values: &[f32], rounding: Option<Rounding>) -> Cow<'_, [f32]> {
    match rounding {
        Some(rounding) => values.iter().map(|&x| rounding.of(x)).collect::<Vec<_>>().into(),
        None => values.into(),
    }
}
