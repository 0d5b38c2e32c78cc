//! Feed-forward networks whose probes cost what they change.

// A loop over lanes reads several arrays at one index; iterators would hide that.
#![allow(clippy::needless_range_loop)]

pub mod batch;
pub mod dense;
pub mod layer;
pub mod loss;
pub mod probe;
pub mod rounding;
pub mod select;
pub mod state;
pub mod train;
pub mod unit;

pub use batch::{Batch, Data, Signal, Wanted};
pub use dense::Dense;
pub use layer::Layer;
pub use loss::Loss;
pub use rounding::Rounding;
pub use state::State;
pub use unit::{Lif, Unit};

use crate::engine::threads;
use crate::{Error, Result};

/// Layers, lowest first, and a loss on the outputs of the last one.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// The layers.
    pub layers: Vec<Layer>,
    /// The loss.
    pub loss: Loss,
}

impl Network {
    /// A network from its layers.
    pub fn new(layers: Vec<Layer>, loss: Loss) -> Result<Self> {
        let Some(last) = layers.last() else {
            return Err(Error::value("layers", "at least one layer", 0, "pass a list of layers"));
        };
        for (index, pair) in layers.windows(2).enumerate() {
            if pair[0].outputs() != pair[1].inputs() {
                return Err(Error::Shape {
                    name: format!("layers[{}] weights", index + 1),
                    given: format!("({}, {})", pair[1].outputs(), pair[1].inputs()),
                    other: format!("layers[{index}]"),
                    expected: format!("({}, {})", pair[0].outputs(), pair[0].inputs()),
                    fix: "the inputs of a layer are the outputs of the one below".into(),
                });
            }
            if let (Some(below), Some(above)) = (pair[0].unit().lif(), pair[1].unit().lif())
                && below.steps != above.steps
            {
                let name = format!("layers[{}] steps", index + 1);
                let allowed = format!("{} as in the spiking layer below", below.steps);
                return Err(Error::value(name, allowed, above.steps, "use one T throughout"));
            }
        }
        if loss == Loss::F1 && last.outputs() > 2 {
            let fix = "use one or two outputs, or another loss";
            return Err(Error::value("loss", "one for two classes", "f1", fix));
        }
        Ok(Self { layers, loss })
    }

    /// Length of an input sample (at one step).
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs()
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        // `new` refuses an empty list.
        self.layers[self.layers.len() - 1].outputs()
    }

    /// All matrices, layer after layer.
    pub fn matrices(&self) -> Vec<&Dense> {
        self.layers.iter().flat_map(Layer::matrices).collect()
    }

    /// The same, to write to.
    pub fn matrices_mut(&mut self) -> Vec<&mut Dense> {
        self.layers.iter_mut().flat_map(Layer::matrices_mut).collect()
    }

    /// Layer and part of a matrix.
    pub fn address(&self, matrix: usize) -> (usize, usize) {
        let parts = self.layers.iter().enumerate();
        let all = parts.flat_map(|(l, layer)| (0..layer.matrices().len()).map(move |p| (l, p)));
        all.into_iter().nth(matrix).unwrap_or((self.layers.len(), 0))
    }

    /// Checks that `data` fits this network, and that its features are finite.
    pub fn check(&self, data: &Data<'_>) -> Result<()> {
        self.check_targets(data)?;
        if data.features.iter().all(|x| x.is_finite()) {
            return Ok(());
        }
        let fix = "drop or fill those samples".into();
        Err(Error::NonFinite { name: "X".into(), fix })
    }

    /// Checks shape and targets of `data`.
    pub fn check_targets(&self, data: &Data<'_>) -> Result<()> {
        if data.inputs != self.inputs() || data.is_empty() {
            return Err(Error::Shape {
                name: "X".into(),
                given: format!("({}, {})", data.len(), data.inputs),
                other: "the first layer".into(),
                expected: format!("({}, {})", self.layers[0].outputs(), self.inputs()),
                fix: "pass at least one sample, each as long as a row of the weights".into(),
            });
        }
        if data.steps > 1 {
            match self.layers[0].unit().lif() {
                Some(lif) if lif.steps == data.steps => {}
                Some(lif) => {
                    let allowed = format!("{} steps long as the spiking layer", lif.steps);
                    return Err(Error::value("X", allowed, data.steps, "use one T throughout"));
                }
                None => {
                    return Err(Error::Unsupported {
                        what: "input that varies in time below a layer without spikes".into(),
                        fix: "pass (samples, inputs), or make the first layer spiking".into(),
                    });
                }
            }
        }
        data.check(self.loss, self.outputs())
    }

    /// Checks the arguments of a probe.
    pub fn check_probe(&self, layer: usize, directions: &[f32], radius: &[f32]) -> Result<()> {
        let matrices = self.matrices();
        let Some(dense) = matrices.get(layer) else {
            let allowed = format!("in 0..{}", matrices.len());
            return Err(Error::value("layer", allowed, layer, "count layers from 0"));
        };
        let shape = |name: &str, given: usize, expected: usize, fix: &str| Error::Shape {
            name: name.into(),
            given: format!("({given},)"),
            other: format!("layers[{layer}]"),
            expected: format!("({expected},)"),
            fix: fix.into(),
        };
        let row = dense.inputs + 1;
        if directions.is_empty() || !directions.len().is_multiple_of(row) {
            let fix = "pass rows of inputs + 1 numbers, the bias last";
            return Err(shape("directions", directions.len(), row, fix));
        }
        if radius.len() != dense.outputs {
            let fix = "pass one radius a unit";
            return Err(shape("radius", radius.len(), dense.outputs, fix));
        }
        for (name, values) in [("directions", directions), ("radius", radius)] {
            if !values.iter().all(|x| x.is_finite()) {
                let fix = "pass finite numbers".into();
                return Err(Error::NonFinite { name: name.into(), fix });
            }
        }
        Ok(())
    }

    /// Outputs for features (samples, steps, inputs), (samples, outputs) row-major.
    pub fn outputs_of(&self, features: &[f32], steps: usize, inputs: usize) -> Result<Vec<f32>> {
        let count = features.len() / (steps * inputs).max(1);
        // any targets do: only the outputs are read
        let (labels, values) = (vec![0; count], vec![0.0; count * self.outputs()]);
        let wanted = match self.loss {
            Loss::Squared => Wanted::Values(&values),
            _ => Wanted::Labels(&labels),
        };
        let data = Data { features, steps, inputs, wanted };
        self.check(&data)?;
        let outputs = self.outputs();
        let mut out = vec![0.0; count * outputs];
        const CHUNK: usize = 512;
        let failure = std::sync::Mutex::new(None);
        threads::for_each_chunk(&mut out, CHUNK * outputs, |chunk, out| {
            let first = (chunk * CHUNK) as u32;
            let rows: Vec<u32> = (first..first + (out.len() / outputs) as u32).collect();
            match Batch::gather(&data, Loss::CrossEntropy, &rows, outputs) {
                Ok(batch) => {
                    let state = State::new(self, batch);
                    for (n, row) in out.chunks_exact_mut(outputs).enumerate() {
                        for (o, value) in row.iter_mut().enumerate() {
                            *value = state.logits().at(o, 0, n);
                        }
                    }
                }
                Err(error) => *failure.lock().unwrap_or_else(|e| e.into_inner()) = Some(error),
            }
        });
        match failure.into_inner().unwrap_or_else(|e| e.into_inner()) {
            Some(error) => Err(error),
            None => Ok(out),
        }
    }
}
