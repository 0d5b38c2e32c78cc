//! What each layer reads and writes on a device, and samples as its shaders read them.

use crate::engine::{Error, Result, threads};
use crate::gpu::buffer::Buffer;
use crate::gpu::device::Device;
use crate::gpu::kernel::room;
use crate::search::objectives::network::{Data, Dense, Network, Unit, Wanted};

/// Most outputs of a network: the shader of the loss keeps them in registers or its own memory.
const OUTPUTS: usize = 1024;

/// A layer.
pub struct Stage<'a> {
    /// Its matrix.
    pub dense: &'a Dense,
    /// Steps of its pre-activations.
    pub steps: usize,
    /// Whether it reads spike trains.
    pub reads_trains: bool,
    /// Whether the layer above does.
    pub writes_trains: bool,
    /// Its first weight in a parameter vector.
    pub first: usize,
}

impl Stage<'_> {
    /// How many outputs its units have, where they are few and constant in time.
    pub fn levels(&self) -> Option<usize> {
        self.dense.unit.codes().filter(|_| self.steps == 1).map(|codes| codes.levels())
    }

    /// Words a sample of what it writes.
    pub fn words(&self) -> usize {
        self.dense.outputs * if self.writes_trains { 2 } else { 1 }
    }
}

/// The layers of a network for input of `steps` steps.
pub fn stages(network: &Network, steps: usize) -> Result<Vec<Stage<'_>>> {
    if network.outputs() > OUTPUTS {
        let allowed = format!("of at most {OUTPUTS} outputs on a GPU");
        let fix = "use evaluate and probe of the network itself";
        return Err(Error::value("network", allowed, network.outputs(), fix));
    }
    let select = || Error::Unsupported {
        what: "attention or routing on a GPU".into(),
        fix: "use evaluate and probe of the network itself".into(),
    };
    let layers = network.layers.iter().map(|layer| layer.dense().ok_or_else(select));
    let layers = layers.collect::<Result<Vec<&Dense>>>()?;
    let spikes = |k: usize| layers.get(k).is_some_and(|dense| dense.unit.lif().is_some());
    let mut first = 0;
    let mut stages = Vec::with_capacity(layers.len());
    for (k, &dense) in layers.iter().enumerate() {
        let reads_trains = k > 0 && spikes(k - 1) && spikes(k);
        let steps = match &dense.unit {
            Unit::Lif(lif) if reads_trains => lif.steps,
            _ if k == 0 => steps,
            _ => 1,
        };
        let writes_trains = spikes(k) && spikes(k + 1);
        stages.push(Stage { dense, steps, reads_trains, writes_trains, first });
        first += dense.outputs * (dense.inputs + 1);
    }
    Ok(stages)
}

/// Parameter vectors as the layers use them: rounded where they round.
pub fn used(stages: &[Stage<'_>], thetas: &[f32]) -> Vec<f32> {
    let size: usize = stages.iter().map(|s| s.dense.outputs * (s.dense.inputs + 1)).sum();
    let mut out = thetas.to_vec();
    for row in out.chunks_exact_mut(size) {
        for stage in stages {
            let Some(grid) = stage.dense.rounding else { continue };
            let count = stage.dense.outputs * (stage.dense.inputs + 1);
            row[stage.first..stage.first + count].iter_mut().for_each(|w| *w = grid.of(*w));
        }
    }
    out
}

/// The parameters of the network itself.
pub fn theta(stages: &[Stage<'_>]) -> Vec<f32> {
    stages.iter().flat_map(|s| s.dense.weights.iter().chain(&s.dense.bias)).copied().collect()
}

/// Samples that fit at once, if each takes at most so many words of a buffer.
pub fn samples_at_once(device: &Device, words: usize, count: usize) -> Result<usize> {
    let most = room(device) as usize / (4 * words.max(1));
    if most > 0 {
        return Ok(most.min(count));
    }
    let allowed = format!("at most {} numbers a sample on a GPU", room(device) / 4);
    Err(Error::value("network", allowed, words, "use evaluate and probe of the network itself"))
}

/// Samples `first..first + count` on a device.
pub struct Samples {
    /// Features `[input][step][sample]`.
    pub features: Buffer,
    /// Losses (zeros at first) `[sample]`, then labels `[sample]` or values `[output][sample]`.
    pub targets: Buffer,
    /// How many there are.
    pub count: usize,
    /// Samples of class 1.
    pub positives: usize,
}

impl Samples {
    /// Copies them.
    pub fn new(device: &Device, data: &Data<'_>, first: usize, count: usize) -> Result<Self> {
        let width = data.steps * data.inputs;
        let rows = &data.features[first * width..(first + count) * width];
        let mut features = vec![0.0f32; rows.len()];
        threads::for_each_chunk(&mut features, count * data.steps, |input, out| {
            for (step, out) in out.chunks_exact_mut(count).enumerate() {
                let values = rows[step * data.inputs + input..].iter().step_by(width);
                out.iter_mut().zip(values).for_each(|(out, &x)| *out = x);
            }
        });
        let mut words = vec![0u32; count];
        let mut positives = 0;
        match data.wanted {
            Wanted::Labels(labels) => {
                let labels = &labels[first..first + count];
                words.extend_from_slice(labels);
                positives = labels.iter().filter(|&&label| label == 1).count();
            }
            Wanted::Values(values) => {
                let outputs = values.len() / data.len();
                let values = &values[first * outputs..(first + count) * outputs];
                for o in 0..outputs {
                    words.extend(values[o..].iter().step_by(outputs).map(|value| value.to_bits()));
                }
            }
        }
        let (features, targets) = (device.upload(&features)?, device.upload(&words)?);
        Ok(Self { features, targets, count, positives })
    }
}
