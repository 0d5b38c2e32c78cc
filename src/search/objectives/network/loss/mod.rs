//! Losses on sixteen samples at a time, one kind a file.

pub mod cross_entropy;
pub mod f1;
pub mod squared;
pub mod zero_one;

use crate::engine::lanes::{LANES, Lanes};
use crate::{Error, Result};

/// What the outputs should be.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// A class a sample.
    Labels(Vec<u32>),
    /// A value a sample and output, `[output][block]`.
    Values(Vec<Lanes>),
}

/// A cost of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// [`cross_entropy`].
    CrossEntropy,
    /// [`squared`].
    Squared,
    /// [`zero_one`].
    ZeroOne,
    /// [`f1`].
    F1,
}

impl Loss {
    /// A loss from its name.
    pub fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "cross_entropy" => Self::CrossEntropy,
            "squared" => Self::Squared,
            "zero_one" => Self::ZeroOne,
            "f1" => Self::F1,
            _ => {
                let allowed = "cross_entropy, squared, zero_one or f1";
                return Err(Error::value("loss", allowed, name, "pick one of these"));
            }
        })
    }

    /// Contributions of sixteen samples: their losses, or packed counts for F1.
    ///
    /// `logits` holds one row an output and is used up; lanes whose sample is outside the batch give any number.
    #[inline(always)]
    pub fn block(self, logits: &mut [Lanes], samples: &[u32; LANES], targets: &Targets) -> Lanes {
        match targets {
            Targets::Values(values) => {
                let blocks = values.len() / logits.len();
                let mut wanted = [0.0; LANES];
                let mut sum = [0.0; LANES];
                for (o, logit) in logits.iter().enumerate() {
                    for l in 0..LANES {
                        let n = samples[l] as usize;
                        wanted[l] = values[o * blocks + n / LANES][n % LANES];
                    }
                    squared::add(&mut sum, logit, &wanted);
                }
                squared::scale(sum, logits.len())
            }
            Targets::Labels(labels) => {
                let mut label = [0u32; LANES];
                for l in 0..LANES {
                    label[l] = labels[samples[l] as usize];
                }
                match self {
                    Self::CrossEntropy | Self::Squared => cross_entropy::block(logits, &label),
                    Self::ZeroOne => zero_one::block(logits, &label),
                    Self::F1 => f1::block(logits, &label),
                }
            }
        }
    }

    /// Cost of a batch of `size` samples from the sum of their contributions.
    pub fn total(self, sum: f64, size: usize, positives: usize) -> f64 {
        match self {
            Self::F1 => f1::total(sum, positives),
            _ => sum / size as f64,
        }
    }

    /// Change of the cost when the contributions sum to `sum + change` instead of `sum`.
    pub fn difference(self, sum: f64, change: f64, size: usize, positives: usize) -> f64 {
        match self {
            Self::F1 => f1::total(sum + change, positives) - f1::total(sum, positives),
            _ => change / size as f64,
        }
    }
}

/// Predicted classes: the first largest output, or output > 0 where there is only one.
#[inline(always)]
pub fn predict(logits: &[Lanes]) -> [u32; LANES] {
    let mut best = logits[0];
    let mut class = [0u32; LANES];
    if logits.len() == 1 {
        for l in 0..LANES {
            class[l] = u32::from(best[l] > 0.0);
        }
    }
    for (o, logit) in logits.iter().enumerate().skip(1) {
        for l in 0..LANES {
            let better = logit[l] > best[l];
            best[l] = if better { logit[l] } else { best[l] };
            class[l] = if better { o as u32 } else { class[l] };
        }
    }
    class
}
