//! Samples that a cost is taken over, laid out for sixteen at a time.

use super::loss::{Loss, Targets, f1};
use crate::engine::lanes::{LANES, Lanes, blocks};
use crate::engine::threads;
use crate::{Error, Result};

/// Values of units over steps and samples: `[unit][step][block of samples]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// Time steps; 1 for what is constant in time.
    pub steps: usize,
    /// Blocks of sixteen samples.
    pub blocks: usize,
    /// The values.
    pub data: Vec<Lanes>,
}

impl Signal {
    /// The values of one unit, `[step][block]`.
    #[inline(always)]
    pub fn unit(&self, unit: usize) -> &[Lanes] {
        let width = self.steps * self.blocks;
        &self.data[unit * width..(unit + 1) * width]
    }

    /// Number of units.
    pub fn units(&self) -> usize {
        self.data.len() / (self.steps * self.blocks).max(1)
    }

    /// The value of a unit at a step for a sample.
    #[inline(always)]
    pub fn at(&self, unit: usize, step: usize, sample: usize) -> f32 {
        self.data[(unit * self.steps + step) * self.blocks + sample / LANES][sample % LANES]
    }

    /// The same values with samples outermost: `[sample][step][block of units]`.
    pub fn rows(&self) -> Vec<Lanes> {
        let (units, width) = (self.units(), blocks(self.units()));
        let size = self.steps * width;
        let mut rows = vec![[0.0; LANES]; self.blocks * LANES * size];
        threads::for_each_chunk(&mut rows, LANES * size, |block, rows| {
            for unit in 0..units {
                for step in 0..self.steps {
                    let values = &self.data[(unit * self.steps + step) * self.blocks + block];
                    for l in 0..LANES {
                        rows[l * size + step * width + unit / LANES][unit % LANES] = values[l];
                    }
                }
            }
        });
        rows
    }
}

/// Samples from the caller: features (samples, steps, inputs) row-major, and targets.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// The features.
    pub features: &'a [f32],
    /// Steps in time; 1 for constant features.
    pub steps: usize,
    /// Length of a sample at one step.
    pub inputs: usize,
    /// What the outputs should be.
    pub wanted: Wanted<'a>,
}

/// Targets as the caller holds them.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// A class a sample.
    Labels(&'a [u32]),
    /// (samples, outputs) row-major.
    Values(&'a [f32]),
}

impl Data<'_> {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.features.len() / (self.steps * self.inputs).max(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks the targets against a loss and `outputs` outputs.
    pub fn check(&self, loss: Loss, outputs: usize) -> Result<()> {
        let shape = |given: String, expected: String, fix: &str| {
            let (name, other) = ("y".into(), "X and the outputs".into());
            Err(Error::Shape { name, given, other, expected, fix: fix.into() })
        };
        match self.wanted {
            Wanted::Labels(labels) => {
                if loss == Loss::Squared {
                    let fix = "pass float targets of shape (samples, outputs)";
                    return Err(Error::kind("y", "floats for the squared loss", "labels", fix));
                }
                if labels.len() != self.len() {
                    let (given, expected) = (labels.len(), self.len());
                    let fix = "pass one label a sample";
                    return shape(format!("({given},)"), format!("({expected},)"), fix);
                }
                let classes = outputs.max(2);
                if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
                    let allowed = format!("labels in 0..{classes}");
                    return Err(Error::value("y", allowed, label, "count classes from 0"));
                }
            }
            Wanted::Values(values) => {
                if loss != Loss::Squared {
                    let fix = "pass integer labels, or choose loss=\"squared\"";
                    return Err(Error::kind("y", "labels for this loss", "floats", fix));
                }
                if values.len() != self.len() * outputs {
                    let given = format!("({},)", values.len());
                    let expected = format!("({}, {outputs})", self.len());
                    return shape(given, expected, "pass one row a sample");
                }
                if !values.iter().all(|x| x.is_finite()) {
                    let fix = "drop or fill those samples".into();
                    return Err(Error::NonFinite { name: "y".into(), fix });
                }
            }
        }
        Ok(())
    }
}

/// A batch in the layout of the kernels; lanes past its size repeat sample 0 and never count.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Number of samples.
    pub size: usize,
    /// The features.
    pub input: Signal,
    /// The targets.
    pub targets: Targets,
    /// Samples of class 1.
    pub positives: usize,
}

impl Batch {
    /// Gathers the samples `rows` of `data`.
    pub fn gather(data: &Data<'_>, loss: Loss, rows: &[u32], outputs: usize) -> Result<Self> {
        let (size, count) = (rows.len(), blocks(rows.len()));
        if size == 0 {
            let fix = "pass at least one sample";
            return Err(Error::value("batch", "at least one sample", 0, fix));
        }
        if loss == Loss::F1 && size > f1::MAX_BATCH {
            let allowed = format!("at most {} samples for the f1 loss", f1::MAX_BATCH);
            return Err(Error::value("batch", allowed, size, "lower batch_size"));
        }
        let width = data.steps * data.inputs;
        let sample = |n: usize| rows[if n < size { n } else { 0 }] as usize;
        let mut input = vec![[0.0; LANES]; width * count];
        // [unit][step][block] with a task per 16 units, so that reads are short runs
        threads::for_each_chunk(&mut input, 16 * data.steps * count, |task, chunk| {
            let first = task * 16;
            let units = chunk.len() / (data.steps * count);
            for n in 0..count * LANES {
                let row = &data.features[sample(n) * width..][..width];
                for step in 0..data.steps {
                    let values = &row[step * data.inputs + first..][..units];
                    for (unit, &value) in values.iter().enumerate() {
                        chunk[(unit * data.steps + step) * count + n / LANES][n % LANES] = value;
                    }
                }
            }
        });
        let input = Signal { steps: data.steps, blocks: count, data: input };
        let (targets, positives) = match data.wanted {
            Wanted::Labels(labels) => {
                let labels: Vec<u32> = (0..count * LANES).map(|n| labels[sample(n)]).collect();
                let positives = labels[..size].iter().filter(|&&label| label == 1).count();
                (Targets::Labels(labels), positives)
            }
            Wanted::Values(values) => {
                let mut wanted = vec![[0.0; LANES]; outputs * count];
                for n in 0..count * LANES {
                    for o in 0..outputs {
                        wanted[o * count + n / LANES][n % LANES] = values[sample(n) * outputs + o];
                    }
                }
                (Targets::Values(wanted), 0)
            }
        };
        Ok(Self { size, input, targets, positives })
    }
}
