//! Shader texts of a network: units as functions, numbers as constants.

use super::stage::Stage;
use crate::engine::source::wgsl::PRELUDE;
use crate::gpu::kernel::{PAIR, ZERO};
use crate::gpu::search::units;
use crate::search::objectives::network::{Loss, Unit};

const TRAIN: &str = include_str!("train.wgsl");
const LAYER: &str = include_str!("layer.wgsl");
const HEAD: &str = include_str!("head.wgsl");
const ABOVE: &str = include_str!("above.wgsl");
const TOTAL: &str = include_str!("total.wgsl");
const LAST: &str = include_str!("probe_last.wgsl");
const CODES: &str = include_str!("probe_codes.wgsl");
const SUMS: &str = include_str!("sum_rows.wgsl");
const SPREAD: &str = include_str!("probe_spread.wgsl");
const LOSSES: &str = include_str!("loss.wgsl");
const ROWS: &str = include_str!("loss_rows.wgsl");

/// What becomes of the losses of samples.
#[derive(Clone, Copy)]
pub enum Mode {
    /// Their sum.
    Sum,
    /// Their sum; they are kept.
    Keep,
    /// The sum of what was added to those that were kept.
    Change,
}

/// A layer whose outputs are kept (binding 4), and its pre-activations (binding 3) if asked.
pub fn layer(stage: &Stage<'_>, keep: bool) -> String {
    let put = match stage.writes_trains {
        true => "out[2u * i] = train.x;\n    out[2u * i + 1u] = train.y;",
        false => "out[i] = bitcast<u32>(value);",
    };
    let put = format!(
        "@group(0) @binding(4) var<storage, read_write> out: array<u32>;\n\
         fn put(i: u32, value: f32, train: vec2<u32>) {{\n    {put}\n}}\n"
    );
    text(stage, &stage.dense.unit, keep, &put)
}

/// Pre-activations alone, for other weights on the input of a layer.
pub fn preactivations(stage: &Stage<'_>) -> String {
    text(stage, &Unit::Linear, true, "fn put(i: u32, value: f32, train: vec2<u32>) {\n}\n")
}

fn text(stage: &Stage<'_>, unit: &Unit, keep: bool, put: &str) -> String {
    let keep = match keep {
        true => {
            "@group(0) @binding(3) var<storage, read_write> kept: array<f32>;\n\
             fn keep(i: u32, z: f32) {\n    kept[i] = z;\n}\n"
        }
        false => "fn keep(i: u32, z: f32) {\n}\n",
    };
    format!(
        "const STEPS = {}u;\nconst INPUT_TRAINS = {};\nconst SPIKES = {};\n{ZERO}{PRELUDE}{TRAIN}{}{keep}{put}{LAYER}",
        stage.steps,
        stage.reads_trains,
        unit.lif().is_some(),
        units::print(unit, "own"),
    )
}

/// Probes of `stage` below `next`, the last layer, or of the last layer itself.
pub fn probe_last(stage: &Stage<'_>, next: Option<&Stage<'_>>, loss: Loss) -> String {
    format!("{}{TOTAL}{LAST}", filled(stage, next, loss))
}

/// The same for a unit of so many outputs: losses of samples instead of sums.
pub fn probe_codes(
    stage: &Stage<'_>,
    next: Option<&Stage<'_>>,
    loss: Loss,
    levels: usize,
) -> String {
    format!("const LEVELS = {levels}u;\n{}{CODES}", filled(stage, next, loss))
}

/// Sums of rows.
pub fn sum_rows() -> String {
    format!("{ZERO}{PAIR}{TOTAL}{SUMS}")
}

/// What brings the outputs of the network about, and their loss.
fn filled(stage: &Stage<'_>, next: Option<&Stage<'_>>, loss: Loss) -> String {
    let top = "fn fill(h: Head, n: u32) {\n    \
               for (var o = 0u; o < OUTPUTS; o++) {\n        \
               logits[o] = bitcast<f32>(base[o * params[0] + n]);\n    }\n    \
               logits[h.unit] = h.value;\n}\n";
    let below = "fn fill(h: Head, n: u32) {\n    \
                 for (var o = 0u; o < OUTPUTS; o++) {\n        \
                 logits[o] = above(h, o, n).value;\n    }\n}\n";
    let outputs = next.unwrap_or(stage).dense.outputs;
    let fill = if next.is_some() { below } else { top };
    format!(
        "{}{}{PAIR}{}{fill}",
        head(stage),
        next.map(above).unwrap_or_default(),
        losses(loss, outputs, 6, "read"),
    )
}

/// Probes of `stage` below `next`, where more layers follow.
pub fn probe_spread(stage: &Stage<'_>, next: &Stage<'_>) -> String {
    let trains = next.writes_trains;
    format!("const OUTPUT_TRAINS = {trains};\n{}{}{SPREAD}", head(stage), above(next))
}

fn head(stage: &Stage<'_>) -> String {
    let unit = &stage.dense.unit;
    format!(
        "const STEPS = {}u;\nconst SPIKES = {};\nconst READS_TRAINS = {};\n{ZERO}{PRELUDE}{TRAIN}{}{HEAD}",
        stage.steps,
        unit.lif().is_some(),
        stage.writes_trains,
        units::print(unit, "own"),
    )
}

fn above(next: &Stage<'_>) -> String {
    let unit = &next.dense.unit;
    format!(
        "const STEPS_ABOVE = {}u;\nconst SPIKES_ABOVE = {};\n{}{ABOVE}",
        next.steps,
        unit.lif().is_some(),
        units::print(unit, "next"),
    )
}

/// Sums of losses of rows of outputs.
pub fn loss_rows(loss: Loss, outputs: usize, mode: Mode) -> String {
    let (access, store) = match mode {
        Mode::Keep => ("read_write", "samples[n] = bitcast<u32>(loss);"),
        _ => ("read", ""),
    };
    format!(
        "const MODE = {}u;\n\
         @group(0) @binding(0) var<storage, read> params: array<u32>;\n\
         fn store(n: u32, loss: f32) {{\n    {store}\n}}\n{ZERO}{PRELUDE}{PAIR}{}{TOTAL}{ROWS}",
        mode as u32,
        losses(loss, outputs, 2, access),
    )
}

fn losses(loss: Loss, outputs: usize, slot: u32, access: &str) -> String {
    let number = match loss {
        Loss::CrossEntropy => 0,
        Loss::Squared => 1,
        Loss::ZeroOne => 2,
        Loss::F1 => 3,
    };
    format!(
        "const OUTPUTS = {outputs}u;\nconst LOSS = {number}u;\n\
         @group(0) @binding({slot}) var<storage, {access}> samples: array<u32>;\n{LOSSES}"
    )
}
