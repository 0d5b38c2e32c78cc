//! Kinds of layers, each made of one or more matrices.

use super::dense::Dense;
use super::unit::Unit;
use crate::{Error, Result};

/// A layer.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// Units that all see the input.
    Dense(Dense),
    /// Argmax attention: y = (V h + c) * sigmoid(key_s), s the slot whose score key_s h + b_s is
    /// largest. The gate of a slot is made of its key, so both are searched together.
    Attention {
        /// Keys and score offsets, one row a slot.
        keys: Dense,
        /// V and c.
        values: Dense,
    },
    /// Hard mixture of experts: y = W2_e relu(W1_e h + b1_e) + b2_e, e the expert whose gate is
    /// largest.
    Routed {
        /// Gate scores, one row an expert.
        gate: Dense,
        /// W1_e and b1_e.
        hidden: Vec<Dense>,
        /// W2_e and b2_e.
        out: Vec<Dense>,
    },
}

const LINEAR: Unit = Unit::Linear;

impl Layer {
    /// A layer from the name of its kind and its matrices, in the order of [`Self::matrices`].
    pub fn from_matrices(kind: &str, matrices: Vec<Dense>) -> Result<Self> {
        let count = matrices.len();
        let mut rest = matrices.into_iter();
        match (kind, rest.next(), rest.next()) {
            ("dense", Some(dense), None) => Ok(Self::Dense(dense)),
            ("attention", Some(keys), Some(values)) => Self::attention(keys, values),
            ("routed", Some(gate), Some(first)) => {
                let (mut hidden, mut out) = (vec![first], vec![]);
                for matrix in rest {
                    if out.len() < hidden.len() { out.push(matrix) } else { hidden.push(matrix) }
                }
                Self::routed(gate, hidden, out)
            }
            _ => {
                let allowed = "dense of one, attention of two, routed of 1 + 2 experts matrices";
                let given = format!("{kind} of {count}");
                Err(Error::value("layer", allowed, given, "see the kinds of layers"))
            }
        }
    }

    /// Argmax attention over `keys` (slots, inputs), with `values` (outputs, inputs);
    /// outputs = inputs.
    pub fn attention(keys: Dense, values: Dense) -> Result<Self> {
        if keys.inputs != values.inputs || values.outputs != values.inputs {
            return Err(mismatch("values", &values, "keys", &keys));
        }
        many("slots", keys.outputs)?;
        Ok(Self::Attention { keys, values })
    }

    /// Experts of one hidden layer each behind a hard gate.
    pub fn routed(gate: Dense, hidden: Vec<Dense>, out: Vec<Dense>) -> Result<Self> {
        many("experts", gate.outputs)?;
        if hidden.len() != gate.outputs || out.len() != gate.outputs {
            let allowed = format!("{} as the gate has rows", gate.outputs);
            return Err(Error::value("experts", allowed, hidden.len(), "pass one an expert"));
        }
        for (hidden, out) in hidden.iter().zip(&out) {
            if hidden.inputs != gate.inputs {
                return Err(mismatch("expert", hidden, "gate", &gate));
            }
            if out.inputs != hidden.outputs {
                return Err(mismatch("expert output", out, "expert", hidden));
            }
        }
        if let Some(other) = out.iter().find(|other| other.outputs != out[0].outputs) {
            return Err(mismatch("expert output", other, "the first one", &out[0]));
        }
        Ok(Self::Routed { gate, hidden, out })
    }

    /// The layer if it is dense.
    pub fn dense(&self) -> Option<&Dense> {
        match self {
            Self::Dense(dense) => Some(dense),
            _ => None,
        }
    }

    /// What its outputs are as units; linear for layers that select.
    pub fn unit(&self) -> &Unit {
        self.dense().map_or(&LINEAR, |dense| &dense.unit)
    }

    /// Length of its input.
    pub fn inputs(&self) -> usize {
        self.matrices()[0].inputs
    }

    /// Length of its output.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Dense(dense) => dense.outputs,
            Self::Attention { values, .. } => values.outputs,
            Self::Routed { out, .. } => out[0].outputs,
        }
    }

    /// Its matrices: keys, values; gate, then hidden and output of every expert.
    pub fn matrices(&self) -> Vec<&Dense> {
        match self {
            Self::Dense(dense) => vec![dense],
            Self::Attention { keys, values } => vec![keys, values],
            Self::Routed { gate, hidden, out } => std::iter::once(gate)
                .chain(hidden.iter().zip(out).flat_map(|(hidden, out)| [hidden, out]))
                .collect(),
        }
    }

    /// The same, to write to.
    pub fn matrices_mut(&mut self) -> Vec<&mut Dense> {
        match self {
            Self::Dense(dense) => vec![dense],
            Self::Attention { keys, values } => vec![keys, values],
            Self::Routed { gate, hidden, out } => std::iter::once(gate)
                .chain(hidden.iter_mut().zip(out).flat_map(|(hidden, out)| [hidden, out]))
                .collect(),
        }
    }
}

fn many(name: &str, count: usize) -> Result<()> {
    if (2..=16).contains(&count) {
        return Ok(());
    }
    Err(Error::value(name, "2 to 16", count, "use a dense layer for one"))
}

fn mismatch(name: &str, a: &Dense, other: &str, b: &Dense) -> Error {
    Error::Shape {
        name: name.into(),
        given: format!("({}, {})", a.outputs, a.inputs),
        other: other.into(),
        expected: format!("({}, {})", b.outputs, b.inputs),
        fix: "all parts see the same input; attention keeps its length".into(),
    }
}
