//! Costs of probes on a device: one unit's weights moved along a direction.
//!
//! What all probes share (the forward pass, x.u of every direction, the losses as they are) is
//! computed once; a probe then runs its unit and what lies above it, sample by sample.

use super::forward::{Forward, losses, read_sums, words};
use super::shader::{self, Mode};
use super::stage::{Samples, Stage, samples_at_once, stages, theta, used};
use crate::engine::{Error, Result};
use crate::gpu::buffer::Buffer;
use crate::gpu::device::Device;
use crate::gpu::kernel::{launch, room};
use crate::search::objectives::network::{Data, Network};

/// Cost changes of all units of a layer, `[unit][2 p]`: +u_1 .. +u_p, then -u_1 .. -u_p.
///
/// # Errors
/// What the network refuses, [`Error::Unsupported`] for layers that select or a probed layer of
/// integer weights, [`Error::Value`] for a network too large, or what the device says.
pub fn probe(
    device: &Device,
    network: &Network,
    data: &Data<'_>,
    layer: usize,
    directions: &[f32],
    radius: &[f32],
) -> Result<Vec<f64>> {
    network.check(data)?;
    network.check_probe(layer, directions, radius)?;
    let stages = stages(network, data.steps)?;
    if stages[layer].dense.rounding.is_some() {
        return Err(Error::Unsupported {
            what: "a probe of integer weights on a GPU".into(),
            fix: "use probe of the network itself, or evaluate".into(),
        });
    }
    let probes = Probes::new(device, network, &stages, data, layer, directions, radius)?;
    let mut changes = vec![0.0; probes.count];
    let (mut sum, mut positives) = (0.0, 0);
    for first in (0..data.len()).step_by(probes.samples_at_once) {
        let count = (data.len() - first).min(probes.samples_at_once);
        let samples = Samples::new(device, data, first, count)?;
        positives += samples.positives;
        sum += probes.add(&samples, &mut changes)?;
    }
    let size = data.len();
    Ok(changes.into_iter().map(|c| network.loss.difference(sum, c, size, positives)).collect())
}

/// The probes of a layer, and what they need of the device.
struct Probes<'a> {
    device: &'a Device,
    network: &'a Network,
    stages: &'a [Stage<'a>],
    layer: usize,
    /// Number of directions.
    width: usize,
    /// Number of probes.
    count: usize,
    samples_at_once: usize,
    theta: Buffer,
    directions: Buffer,
    radius: &'a [f32],
}

/// What the probes of one set of samples start from.
struct Base {
    z: Buffer,
    out: Buffer,
    shifts: Buffer,
    above: Option<Buffer>,
}

impl<'a> Probes<'a> {
    fn new(
        device: &'a Device,
        network: &'a Network,
        stages: &'a [Stage<'a>],
        data: &Data<'_>,
        layer: usize,
        directions: &[f32],
        radius: &'a [f32],
    ) -> Result<Self> {
        let stage = &stages[layer];
        let row = stage.dense.inputs + 1;
        let width = directions.len() / row;
        let weights = used(stages, &theta(stages));
        for size in [weights.len(), directions.len(), 4 * width * stage.dense.outputs] {
            samples_at_once(device, size, 1)?;
        }
        let words = words(stages, data, true).max(width * stage.steps.max(2));
        let samples_at_once = samples_at_once(device, words, data.len())?;
        // As a layer has them: weights, then biases.
        let parts = |range: std::ops::Range<usize>| {
            directions.chunks_exact(row).flat_map(move |u| u[range.clone()].to_vec())
        };
        let turned: Vec<f32> = parts(0..row - 1).chain(parts(row - 1..row)).collect();
        Ok(Self {
            device,
            network,
            stages,
            layer,
            width,
            count: 2 * width * stage.dense.outputs,
            samples_at_once,
            theta: device.upload(&weights)?,
            directions: device.upload(&turned)?,
            radius,
        })
    }

    /// Adds what the probes change on some samples; returns the losses of these as they are.
    fn add(&self, samples: &Samples, changes: &mut [f64]) -> Result<f64> {
        let (base, sum) = self.base(samples)?;
        let stages = &self.stages[self.layer + 1..];
        let found = match stages {
            [_, _, ..] => self.deep(samples, &base, stages)?,
            _ => match self.stages[self.layer].levels() {
                Some(levels) => self.coded(samples, &base, stages.first(), levels)?,
                None => self.last(samples, &base, stages.first())?,
            },
        };
        changes.iter_mut().zip(found).for_each(|(change, found)| *change += found);
        Ok(sum)
    }

    /// The forward pass; keeps the losses of the samples.
    fn base(&self, samples: &Samples) -> Result<(Base, f64)> {
        let device = self.device;
        let columns = samples.count;
        let forward = Forward { device, theta: &self.theta, rows: 1, stride: 0, columns };
        let along = Forward { theta: &self.directions, ..forward };
        let forward = Forward { device, theta: &self.theta, rows: 1, stride: 0, columns };
        let mut kept = [None, None];
        let mut probed = None;
        let mut shifts = None;
        let mut below: Option<Buffer> = None;
        for (k, stage) in self.stages.iter().enumerate() {
            let input = below.as_ref().unwrap_or(&samples.features);
            if k == self.layer {
                shifts = Some(along.preactivations(stage, self.width, input)?);
            }
            let place = k.wrapping_sub(self.layer);
            let (out, z) = forward.layer(stage, input, true, place < 2)?;
            if place < 2 {
                kept[place] = z;
            }
            if k == self.layer + 1 {
                probed = below.take();
            }
            below = Some(out);
        }
        let [Some(z), above] = kept else { unreachable!("the layer is one of the network") };
        let (Some(logits), Some(shifts)) = (below, shifts) else { unreachable!("as above") };
        let strides = [columns, 0];
        let sums = losses(device, self.network, &logits, samples, 1, strides, Mode::Keep)?;
        let out = probed.unwrap_or(logits);
        Ok((Base { z, out, shifts, above }, sums[0]))
    }

    fn params(&self, samples: &Samples, first: usize, count: usize) -> Result<Buffer> {
        let stage = &self.stages[self.layer];
        let next = self.stages.get(self.layer + 1);
        let outputs = next.map_or(0, |next| next.dense.outputs);
        let weights = next.map_or(0, |next| next.first);
        let units = stage.dense.outputs;
        let numbers = [samples.count, self.width, units, outputs, first, count, weights, 0];
        let radius = self.radius.iter().map(|r| r.to_bits());
        let words: Vec<u32> = numbers.iter().map(|&x| x as u32).chain(radius).collect();
        self.device.upload(&words)
    }

    /// Where at most one layer lies above.
    fn last(&self, samples: &Samples, base: &Base, next: Option<&Stage<'_>>) -> Result<Vec<f64>> {
        let source = shader::probe_last(&self.stages[self.layer], next, self.network.loss);
        let params = self.params(samples, 0, self.count)?;
        let sums = self.device.buffer(8 * self.count as u64)?;
        let mut buffers = vec![
            (0, &params),
            (1, &base.z),
            (2, &base.shifts),
            (3, &base.out),
            (6, &samples.targets),
            (7, &sums),
        ];
        if let Some(above) = &base.above {
            buffers.extend([(4, above), (5, &self.theta)]);
        }
        launch(self.device, &source, &buffers, self.count as u64)?;
        read_sums(self.device, &sums, self.count)
    }

    /// The same where units have few outputs: the loss of each that is reached, then look-ups.
    fn coded(
        &self,
        samples: &Samples,
        base: &Base,
        next: Option<&Stage<'_>>,
        levels: usize,
    ) -> Result<Vec<f64>> {
        let (device, stage) = (self.device, &self.stages[self.layer]);
        let source = shader::probe_codes(stage, next, self.network.loss, levels);
        let row = 2 * self.width;
        let most = (room(device) as usize / (4 * row * samples.count)).max(1);
        let mut found = Vec::with_capacity(self.count);
        for first in (0..stage.dense.outputs).step_by(most) {
            let units = (stage.dense.outputs - first).min(most);
            let params = self.params(samples, first, units)?;
            let changes = device.buffer(4 * (units * row * samples.count) as u64)?;
            let mut buffers = vec![
                (0, &params),
                (1, &base.z),
                (2, &base.shifts),
                (6, &samples.targets),
                (7, &changes),
            ];
            match &base.above {
                Some(above) => buffers.extend([(4, above), (5, &self.theta)]),
                None => buffers.push((3, &base.out)),
            }
            launch(device, &source, &buffers, (units * samples.count).div_ceil(64) as u64)?;
            let params = device.upload(&[samples.count as u32, (units * row) as u32])?;
            let sums = device.buffer(8 * (units * row) as u64)?;
            let buffers = [(0, &params), (1, &changes), (2, &sums)];
            launch(device, &shader::sum_rows(), &buffers, (units * row) as u64)?;
            found.extend(read_sums(device, &sums, units * row)?);
        }
        Ok(found)
    }

    /// Where several layers lie above: some probes at a time, each with all samples.
    fn deep(&self, samples: &Samples, base: &Base, above: &[Stage<'_>]) -> Result<Vec<f64>> {
        let device = self.device;
        let widest = above.iter().map(Stage::words).max().unwrap_or(1);
        let most = (room(device) as usize / (4 * widest * samples.count)).max(1);
        let source = shader::probe_spread(&self.stages[self.layer], &above[0]);
        let mut changes = Vec::with_capacity(self.count);
        for first in (0..self.count).step_by(most) {
            let count = (self.count - first).min(most);
            let columns = count * samples.count;
            let params = self.params(samples, first, count)?;
            let spread = device.buffer(4 * (above[0].words() * columns) as u64)?;
            let mut buffers = vec![
                (0, &params),
                (1, &base.z),
                (2, &base.shifts),
                (3, &base.out),
                (5, &self.theta),
                (6, &spread),
            ];
            buffers.extend(base.above.as_ref().map(|z| (4, z)));
            launch(device, &source, &buffers, columns.div_ceil(64) as u64)?;
            let forward = Forward { device, theta: &self.theta, rows: 1, stride: 0, columns };
            let out = forward.outputs(&above[1..], &spread, true)?;
            let strides = [columns, samples.count];
            let mode = Mode::Change;
            changes.extend(losses(device, self.network, &out, samples, count, strides, mode)?);
        }
        Ok(changes)
    }
}
