//! A forward pass and what it leaves for the probes.

use super::Network;
use super::batch::{Batch, Signal};
use super::dense::Dense;
use super::layer::Layer;
use super::loss::{Loss, Targets, predict};
use super::select;
use super::unit::{Lif, Unit};
use crate::engine::lanes::{self, LANES, Lanes};
use crate::engine::simd::{self, Kernel};
use crate::engine::threads;
use crate::linalg::gemm::gemm;

/// What a layer did on a batch.
#[derive(Debug, Clone)]
pub struct Response {
    /// Pre-activations.
    pub z: Signal,
    /// Outputs; spike counts of spiking units.
    pub out: Signal,
    /// Spikes over time, for a spiking layer below another one.
    pub spikes: Option<Signal>,
    /// Codes of units that have them, `[unit][sample]`.
    pub codes: Vec<u8>,
    /// Trains of spiking units, `[unit][sample]`.
    pub trains: Vec<u64>,
    /// What a selecting layer computed: see [`super::select`].
    pub inner: Vec<Signal>,
}

/// A batch, the responses of all layers to it, and its cost.
#[derive(Debug, Clone)]
pub struct State {
    /// The samples.
    pub batch: Batch,
    /// One a layer.
    pub responses: Vec<Response>,
    /// Contribution of every lane to the cost.
    pub losses: Vec<Lanes>,
    /// Their sum over the batch.
    pub sum: f64,
    /// The cost.
    pub cost: f64,
}

impl State {
    /// Runs `network` on `batch`.
    pub fn new(network: &Network, batch: Batch) -> Self {
        let mut responses: Vec<Response> = Vec::with_capacity(network.layers.len());
        for (index, layer) in network.layers.iter().enumerate() {
            let input = match responses.last() {
                None => &batch.input,
                Some(below) => below.seen_by(layer),
            };
            let train =
                network.layers.get(index + 1).is_some_and(|next| next.unit().lif().is_some());
            let response = match layer {
                Layer::Dense(dense) => respond(dense, input, train),
                _ => select::respond(layer, input),
            };
            responses.push(response);
        }
        let logits = &responses[responses.len() - 1].out;
        let losses = simd::dispatch(Losses { loss: network.loss, logits, targets: &batch.targets });
        let sum = lanes::sum(&losses.as_flattened()[..batch.size]);
        let cost = network.loss.total(sum, batch.size, batch.positives);
        Self { batch, responses, losses, sum, cost }
    }

    /// The input of a layer.
    pub fn input(&self, network: &Network, layer: usize) -> &Signal {
        match layer {
            0 => &self.batch.input,
            _ => self.responses[layer - 1].seen_by(&network.layers[layer]),
        }
    }

    /// The input of a matrix: that of its layer, or the hidden units of its expert.
    pub fn matrix_input(&self, network: &Network, matrix: usize) -> &Signal {
        let (layer, part) = network.address(matrix);
        match &network.layers[layer] {
            Layer::Routed { .. } if part > 0 && part % 2 == 0 => {
                select::hidden(&self.responses[layer], part / 2 - 1)
            }
            _ => self.input(network, layer),
        }
    }

    /// The outputs of the network.
    pub fn logits(&self) -> &Signal {
        &self.responses[self.responses.len() - 1].out
    }

    /// What is wrong with the outputs, `[output][sample]`: softmax minus class, or output minus
    /// value.
    pub fn residuals(&self) -> Vec<Vec<f32>> {
        let logits = self.logits();
        let outputs = logits.units();
        let mut residuals = vec![vec![0.0; self.batch.size]; outputs];
        for n in 0..self.batch.size {
            let top = (0..outputs).map(|o| logits.at(o, 0, n)).fold(f32::MIN, f32::max);
            // one output stands against a second one of zero
            let top = if outputs == 1 { top.max(0.0) } else { top };
            let power = |o: usize| (logits.at(o, 0, n) - top).exp();
            let sum = (0..outputs).map(power).sum::<f32>()
                + if outputs == 1 { (-top).exp() } else { 0.0 };
            for (o, residual) in residuals.iter_mut().enumerate() {
                residual[n] = match &self.batch.targets {
                    Targets::Labels(labels) => {
                        let class = if outputs == 1 { 1 } else { o as u32 };
                        power(o) / sum - if labels[n] == class { 1.0 } else { 0.0 }
                    }
                    Targets::Values(values) => {
                        let blocks = values.len() / outputs;
                        logits.at(o, 0, n) - values[o * blocks + n / LANES][n % LANES]
                    }
                };
            }
        }
        residuals
    }

    /// Predicted classes of the batch.
    pub fn classes(&self) -> Vec<u32> {
        let logits = self.logits();
        let mut classes = Vec::with_capacity(logits.blocks * LANES);
        for block in 0..logits.blocks {
            let row: Vec<Lanes> = (0..logits.units()).map(|o| logits.unit(o)[block]).collect();
            classes.extend(predict(&row));
        }
        classes.truncate(self.batch.size);
        classes
    }
}

impl Response {
    /// The output as the layer above reads it: spikes if both spike, values otherwise.
    pub fn seen_by(&self, above: &Layer) -> &Signal {
        match (&self.spikes, above.unit().lif()) {
            (Some(spikes), Some(_)) => spikes,
            _ => &self.out,
        }
    }
}

/// Pre-activations of a layer.
pub fn preactivations(layer: &Dense, input: &Signal) -> Signal {
    let width = input.steps * input.blocks;
    let mut data = vec![[0.0; LANES]; layer.outputs * width];
    gemm(&layer.used_weights(), layer.inputs, &layer.used_bias(), &input.data, &mut data, width);
    Signal { steps: input.steps, blocks: input.blocks, data }
}

fn respond(layer: &Dense, input: &Signal, spike: bool) -> Response {
    let z = preactivations(layer, input);
    let blocks = z.blocks;
    let lanes = blocks * LANES;
    let signal = |steps: usize| Signal {
        steps,
        blocks,
        data: vec![[0.0; LANES]; layer.outputs * steps * blocks],
    };
    let coded = z.steps == 1 && layer.unit.codes().is_some();
    let mut codes = vec![0u8; if coded { layer.outputs * lanes } else { 0 }];
    let lif = layer.unit.lif();
    let mut trains = vec![0u64; if lif.is_some() { layer.outputs * lanes } else { 0 }];
    let mut out = signal(1);
    if coded {
        threads::for_each_chunk(&mut codes, lanes, |unit, codes| {
            simd::dispatch(Encode { unit: &layer.unit, z: z.unit(unit), codes });
        });
    }
    if let Some(lif) = lif {
        threads::for_each_chunk(&mut trains, lanes, |unit, trains| {
            if coded {
                let codes = &codes[unit * lanes..(unit + 1) * lanes];
                for (train, &code) in trains.iter_mut().zip(codes) {
                    *train = lif.trains[code as usize];
                }
            } else {
                simd::dispatch(Fire { lif, current: z.unit(unit), blocks, trains });
            }
        });
        for (value, train) in out.data.as_flattened_mut().iter_mut().zip(&trains) {
            *value = train.count_ones() as f32;
        }
    } else {
        threads::for_each_chunk(&mut out.data, blocks, |unit, out| {
            simd::dispatch(Activate { unit: &layer.unit, z: z.unit(unit), out });
        });
    }
    let spikes = lif.filter(|_| spike).map(|lif| {
        let mut spikes = signal(lif.steps);
        threads::for_each_chunk(&mut spikes.data, lif.steps * blocks, |unit, spikes| {
            let trains = &trains[unit * lanes..(unit + 1) * lanes];
            simd::dispatch(Expand { trains, spikes });
        });
        spikes
    });
    Response { z, out, spikes, codes, trains, inner: Vec::new() }
}

struct Losses<'a> {
    loss: Loss,
    logits: &'a Signal,
    targets: &'a Targets,
}
impl Kernel for Losses<'_> {
    type Output = Vec<Lanes>;
    #[inline(always)]
    fn run(self) -> Vec<Lanes> {
        let mut row = vec![[0.0; LANES]; self.logits.units()];
        let mut losses = Vec::with_capacity(self.logits.blocks);
        for block in 0..self.logits.blocks {
            for (o, row) in row.iter_mut().enumerate() {
                *row = self.logits.unit(o)[block];
            }
            let samples = std::array::from_fn(|l| (block * LANES + l) as u32);
            losses.push(self.loss.block(&mut row, &samples, self.targets));
        }
        losses
    }
}

struct Encode<'a> {
    unit: &'a Unit,
    z: &'a [Lanes],
    codes: &'a mut [u8],
}
impl Kernel for Encode<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Some(table) = self.unit.codes() else { return };
        let mut codes = vec![0; self.codes.len()];
        table.encode(self.z.as_flattened(), &mut codes);
        for (narrow, code) in self.codes.iter_mut().zip(codes) {
            *narrow = code as u8;
        }
    }
}

struct Fire<'a> {
    lif: &'a Lif,
    current: &'a [Lanes],
    blocks: usize,
    trains: &'a mut [u64],
}
impl Kernel for Fire<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        for block in 0..self.blocks {
            let trains = &mut self.trains[block * LANES..(block + 1) * LANES];
            let mut v = [0.0; LANES];
            trains.fill(0);
            for t in 0..self.lif.steps {
                let spikes = self.lif.step(&mut v, &self.current[t * self.blocks + block]);
                for l in 0..LANES {
                    trains[l] |= u64::from(spikes[l] > 0.0) << t;
                }
            }
        }
    }
}

struct Activate<'a> {
    unit: &'a Unit,
    z: &'a [Lanes],
    out: &'a mut [Lanes],
}
impl Kernel for Activate<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        for (z, out) in self.z.iter().zip(self.out) {
            *out = self.unit.outputs(z);
        }
    }
}

struct Expand<'a> {
    trains: &'a [u64],
    spikes: &'a mut [Lanes],
}
impl Kernel for Expand<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let blocks = self.trains.len() / LANES;
        for (index, spikes) in self.spikes.iter_mut().enumerate() {
            let (t, block) = (index / blocks, index % blocks);
            let trains = &self.trains[block * LANES..(block + 1) * LANES];
            for l in 0..LANES {
                spikes[l] = ((trains[l] >> t) & 1) as u8 as f32;
            }
        }
    }
}
