//! Whole networks: outputs, and costs of many parameter vectors.

use super::shader::{self, Mode};
use super::stage::{Samples, Stage, samples_at_once, stages, theta, used};
use crate::engine::Result;
use crate::gpu::buffer::Buffer;
use crate::gpu::device::Device;
use crate::gpu::kernel::{launch, room, value};
use crate::search::objectives::network::{Data, Network};

/// Columns and parameter vectors that layers run on.
pub struct Forward<'a> {
    /// The device.
    pub device: &'a Device,
    /// Parameter vectors, side by side.
    pub theta: &'a Buffer,
    /// How many there are.
    pub rows: usize,
    /// Words from one to the next.
    pub stride: usize,
    /// Columns of the input of every layer.
    pub columns: usize,
}

impl Forward<'_> {
    /// Runs a layer on `input`; `shared` says that all rows read the same one. Returns what the
    /// layer writes, and its pre-activations if asked.
    pub fn layer(
        &self,
        stage: &Stage<'_>,
        input: &Buffer,
        shared: bool,
        keep: bool,
    ) -> Result<(Buffer, Option<Buffer>)> {
        let (rows, columns) = (self.rows, self.columns);
        let out = self.device.buffer(4 * (rows * stage.words() * columns) as u64)?;
        let outputs = stage.dense.outputs;
        let size = 4 * (rows * outputs * stage.steps * columns) as u64;
        let z = keep.then(|| self.device.buffer(size)).transpose()?;
        let source = shader::layer(stage, keep);
        let mut buffers = vec![(1, self.theta), (2, input), (4, &out)];
        buffers.extend(z.as_ref().map(|z| (3, z)));
        self.run(&source, stage, outputs, stage.first, shared, &buffers)?;
        Ok((out, z))
    }

    /// Pre-activations of other weights, `outputs` rows of them, on the input of a layer.
    pub fn preactivations(
        &self,
        stage: &Stage<'_>,
        outputs: usize,
        input: &Buffer,
    ) -> Result<Buffer> {
        let z = self.device.buffer(4 * (outputs * stage.steps * self.columns) as u64)?;
        let buffers = [(1, self.theta), (2, input), (3, &z)];
        self.run(&shader::preactivations(stage), stage, outputs, 0, true, &buffers)?;
        Ok(z)
    }

    fn run(
        &self,
        source: &str,
        stage: &Stage<'_>,
        outputs: usize,
        first: usize,
        shared: bool,
        buffers: &[(u32, &Buffer)],
    ) -> Result<()> {
        let inputs = stage.dense.inputs;
        let width = if stage.reads_trains { 2 } else { stage.steps };
        let below = if shared { 0 } else { inputs * width * self.columns };
        let words = [inputs, outputs, self.columns, self.rows, self.stride, first, below];
        let params = self.device.upload(&words.map(|x| x as u32))?;
        let mut all = vec![(0, &params)];
        all.extend_from_slice(buffers);
        let groups = self.columns.div_ceil(64) * outputs * self.rows;
        launch(self.device, source, &all, groups as u64)
    }

    /// The outputs of the network, layer after layer from `first` on.
    pub fn outputs(&self, stages: &[Stage<'_>], input: &Buffer, shared: bool) -> Result<Buffer> {
        let (mut out, _) = self.layer(&stages[0], input, shared, false)?;
        for stage in &stages[1..] {
            (out, _) = self.layer(stage, &out, false, false)?;
        }
        Ok(out)
    }
}

/// Sums of the losses of rows of outputs; `strides` are words from output to output and from row
/// to row.
pub fn losses(
    device: &Device,
    network: &Network,
    outputs: &Buffer,
    samples: &Samples,
    rows: usize,
    strides: [usize; 2],
    mode: Mode,
) -> Result<Vec<f64>> {
    let source = shader::loss_rows(network.loss, network.outputs(), mode);
    let words = [samples.count, strides[0], strides[1], rows];
    let params = device.upload(&words.map(|x| x as u32))?;
    let sums = device.buffer(8 * rows as u64)?;
    let buffers = [(0, &params), (1, outputs), (2, &samples.targets), (3, &sums)];
    launch(device, &source, &buffers, rows as u64)?;
    read_sums(device, &sums, rows)
}

/// Pairs of floats as numbers.
pub fn read_sums(device: &Device, sums: &Buffer, count: usize) -> Result<Vec<f64>> {
    let mut pairs = vec![[0.0f32; 2]; count];
    device.read(sums, 0, &mut pairs)?;
    Ok(pairs.into_iter().map(value).collect())
}

/// Words a sample of the largest buffer of a forward pass.
pub fn words(stages: &[Stage<'_>], data: &Data<'_>, keep: bool) -> usize {
    let widest = |s: &Stage<'_>| s.words().max(if keep { s.steps * s.dense.outputs } else { 0 });
    let layers = stages.iter().map(widest).max().unwrap_or(0);
    let outputs = stages.last().map_or(0, |s| s.dense.outputs);
    layers.max(data.steps * data.inputs).max(outputs + 1)
}

/// Costs of `network` with each of the parameter vectors `thetas`, side by side; of its own
/// parameters if there is none.
///
/// # Errors
/// What [`Network::check`] refuses, [`crate::Error::Unsupported`] for layers that select,
/// [`crate::Error::Value`] for a network too large, or what the device says.
pub fn evaluate(
    device: &Device,
    network: &Network,
    data: &Data<'_>,
    thetas: Option<&[f32]>,
) -> Result<Vec<f64>> {
    network.check(data)?;
    let stages = stages(network, data.steps)?;
    let own = theta(&stages);
    let size = own.len();
    let thetas = used(&stages, thetas.unwrap_or(&own));
    let rows = thetas.len() / size;
    let words = words(&stages, data, false);
    let at_once = samples_at_once(device, words, data.len())?;
    samples_at_once(device, size, 1)?;
    let rows_at_once = (room(device) as usize / (4 * (words * at_once).max(size))).max(1);
    let (mut totals, mut positives) = (vec![0.0; rows], 0);
    for first in (0..data.len()).step_by(at_once) {
        let columns = (data.len() - first).min(at_once);
        let samples = Samples::new(device, data, first, columns)?;
        positives += samples.positives;
        let some = thetas.chunks(rows_at_once * size).zip(totals.chunks_mut(rows_at_once));
        for (thetas, totals) in some {
            let rows = totals.len();
            let theta = device.upload(thetas)?;
            let forward = Forward { device, theta: &theta, rows, stride: size, columns };
            let out = forward.outputs(&stages, &samples.features, true)?;
            let strides = [columns, network.outputs() * columns];
            let sums = losses(device, network, &out, &samples, rows, strides, Mode::Sum)?;
            totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
    }
    let cost = |sum: f64| network.loss.total(sum, data.len(), positives);
    Ok(totals.into_iter().map(cost).collect())
}

/// Outputs of `network`, (samples, outputs) row-major.
///
/// # Errors
/// As [`evaluate`].
pub fn outputs(device: &Device, network: &Network, data: &Data<'_>) -> Result<Vec<f32>> {
    network.check(data)?;
    let stages = stages(network, data.steps)?;
    let weights = used(&stages, &theta(&stages));
    samples_at_once(device, weights.len(), 1)?;
    let at_once = samples_at_once(device, words(&stages, data, false), data.len())?;
    let theta = device.upload(&weights)?;
    let outputs = network.outputs();
    let mut rows = vec![0.0; data.len() * outputs];
    for first in (0..data.len()).step_by(at_once) {
        let columns = (data.len() - first).min(at_once);
        let samples = Samples::new(device, data, first, columns)?;
        let forward = Forward { device, theta: &theta, rows: 1, stride: 0, columns };
        let out = forward.outputs(&stages, &samples.features, true)?;
        let mut values = vec![0.0f32; outputs * columns];
        device.read(&out, 0, &mut values)?;
        for (o, column) in values.chunks_exact(columns).enumerate() {
            let places = rows[first * outputs + o..].iter_mut().step_by(outputs);
            places.zip(column).for_each(|(place, &value)| *place = value);
        }
    }
    Ok(rows)
}
