//! The text of a shader around a recorded formula.
//!
//! A workgroup of 64 works through one run (see [`Layout::runs`](super::layout::Layout::runs)), a
//! block of 256 elements at a time, four elements an invocation. What is the same for a whole
//! tensor stands in its row.

use super::noise;
use super::storage;
use crate::engine::source::wgsl::{PRELUDE, Wgsl};
use crate::engine::source::{Source, print};
use crate::engine::trace::Expression;
use crate::optim::formula::Stage;
use crate::optim::precision::StateDtype;
use std::fmt::Write;

/// Numbers of the bindings.
pub mod slot {
    #![allow(missing_docs)]
    pub const RUNS: u32 = 0;
    pub const ROWS: u32 = 1;
    pub const PARAM: u32 = 2;
    pub const GRAD: u32 = 3;
    pub const STATE: u32 = 4;
    pub const SCALE: u32 = 5;
    pub const OUT: u32 = 6;
    pub const DIRECTION: u32 = 7;
}

/// What a formula stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Number of states.
    pub states: usize,
    /// How they are stored.
    pub kind: StateDtype,
    /// Whether the formula takes noise, after the states.
    pub noise: bool,
    /// What the formula yields; none for quantities to reduce.
    pub stage: Option<Stage>,
}

impl Frame {
    fn writes(&self) -> bool {
        matches!(self.stage, Some(Stage::Update | Stage::Move))
    }

    /// The words of a row: elements of the tensor, 0, noise, dithers, uniforms.
    pub fn row(
        &self,
        len: usize,
        noise: Option<(u64, u64)>,
        dithers: &[[u32; 2]],
        uniforms: &[f64],
    ) -> Vec<u32> {
        let mut row = vec![len as u32, 0];
        if let Some((seed, stream)) = noise {
            row.extend([seed as u32, (seed >> 32) as u32, stream as u32, (stream >> 32) as u32]);
        }
        row.extend(dithers.as_flattened());
        row.extend(uniforms.iter().map(|&value| (value as f32).to_bits()));
        row
    }

    fn uniforms_at(&self) -> usize {
        self.dither_at() + if self.dithered() { 2 * self.states } else { 0 }
    }

    fn dither_at(&self) -> usize {
        2 + if self.noise { 4 } else { 0 }
    }

    /// Whether rows hold the keys of dithers.
    pub fn dithered(&self) -> bool {
        self.writes() && self.kind != StateDtype::Float32
    }
}

/// A shader, and the bindings it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shader {
    /// WGSL with the entry `main`.
    pub text: String,
    /// Slots, in ascending order.
    pub slots: Vec<u32>,
}

/// One quantity of a reduction: whether it is a sum, else the largest magnitude.
pub type Summed = bool;

/// The shader of a formula; `reduce` says how quantities are reduced.
pub fn shader(expression: &Expression, frame: &Frame, reduce: &[Summed]) -> Shader {
    let source = print(expression, &Wgsl, "t");
    let writer = Writer { frame, source: &source, reduce };
    writer.shader()
}

struct Writer<'a> {
    frame: &'a Frame,
    source: &'a Source,
    reduce: &'a [Summed],
}

impl Writer<'_> {
    fn reads(&self, input: usize) -> bool {
        self.source.inputs.contains(&input)
    }

    /// Whether a state changes.
    fn stores(&self, state: usize) -> bool {
        self.frame.writes() && self.source.outputs[1 + state] != format!("i{}", 2 + state)
    }

    fn shader(&self) -> Shader {
        let Frame { states, kind, noise, stage } = *self.frame;
        let coded = kind == StateDtype::Int8;
        let mut slots = vec![slot::RUNS, slot::ROWS];
        let mut text = String::from(PRELUDE);
        text += &storage::functions(kind);
        if noise {
            text += noise::FUNCTIONS;
        }
        let mut bind = |slot: u32, access: &str, name: &str, kind: &str| {
            slots.push(slot);
            format!("@group(0) @binding({slot}) var<storage, {access}> {name}: array<{kind}>;\n")
        };
        let access = if self.frame.writes() { "read_write" } else { "read" };
        text += "@group(0) @binding(0) var<storage, read> runs: array<vec4<u32>>;\n";
        text += "@group(0) @binding(1) var<storage, read> rows: array<u32>;\n";
        if self.frame.writes() || self.reads(0) {
            text += &bind(slot::PARAM, access, "param", "vec4<f32>");
        }
        if self.reads(1) {
            text += &bind(slot::GRAD, "read", "grad", "vec4<f32>");
        }
        let stored = (0..states).any(|k| self.reads(2 + k) || self.stores(k));
        if stored {
            text += &bind(slot::STATE, access, "state", storage::word(kind));
        }
        if stored && coded {
            text += &bind(slot::SCALE, access, "scale", "f32");
        }
        if !self.reduce.is_empty() {
            text += &bind(slot::OUT, "read_write", "total", "vec2<f32>");
        }
        match stage {
            Some(Stage::Direction) => {
                text += &bind(slot::DIRECTION, "read_write", "direction", "vec4<f32>");
            }
            Some(Stage::Move) => text += &bind(slot::DIRECTION, "read", "direction", "vec4<f32>"),
            _ => {}
        }
        if self.frame.dithered() && coded {
            let count = 6 * states.max(1);
            let _ = writeln!(text, "var<workgroup> tops: array<atomic<u32>, {count}>;");
        }
        if !self.reduce.is_empty() {
            text += "var<workgroup> parts: array<vec2<f32>, 64>;\n";
            text += super::reduce::FUNCTIONS;
        }
        text += &self.main(stored);
        Shader { text, slots }
    }

    fn main(&self, stored: bool) -> String {
        let Frame { states, kind, .. } = *self.frame;
        let mut text = String::from(MAIN);
        let row = self.frame.uniforms_at();
        for &number in &self.source.uniforms {
            let place = row + number;
            let _ = writeln!(
                text,
                "    let u{number} = vec4<f32>(bitcast<f32>(rows[run.z + {place}u]));"
            );
        }
        if stored {
            let _ = writeln!(text, "    let stride = arrayLength(&state) / {states}u;");
        }
        for (k, &sum) in self.reduce.iter().enumerate() {
            let kind = if sum { "f32" } else { "u32" };
            let _ =
                writeln!(text, "    var sum{k} = vec4<{kind}>();\n    var rest{k} = vec4<f32>();");
        }
        text += "    for (var b = 0u; b < run.y; b++) {\n";
        text += "        let i = (run.x + b) * 64u + lane;\n";
        text += "        let element = (run.w + b) * 256u + lane * 4u;\n";
        text += &self.load();
        text += &self.source.body("        ");
        text += &self.store(kind);
        text += "    }\n";
        for (k, &sum) in self.reduce.iter().enumerate() {
            let count = self.reduce.len();
            let join = if sum { "join" } else { "join_max" };
            let _ = writeln!(
                text,
                "    let total{k} = {join}(lane, sum{k}, rest{k}, zero);\n    \
                 if (lane == 0u) {{ total[number * {count}u + {k}u] = total{k}; }}"
            );
        }
        text + "}\n"
    }

    fn load(&self) -> String {
        let Frame { states, kind, noise, stage } = *self.frame;
        let mut text = String::new();
        let mut load = |input: usize, value: String| {
            if self.reads(input) {
                let _ = writeln!(text, "        let i{input} = {value};");
            }
        };
        load(0, "param[i]".into());
        load(1, "grad[i]".into());
        for k in 0..states {
            let word = format!("state[{k}u * stride + i]");
            load(
                2 + k,
                match kind {
                    StateDtype::Float32 => word,
                    StateDtype::Bfloat16 => format!("unpack({word})"),
                    StateDtype::Int8 => {
                        format!("unpack({word}, scale[{k}u * (stride / 64u) + run.x + b])")
                    }
                },
            );
        }
        if noise {
            let words =
                |at: usize| format!("vec2<u32>(rows[run.z + {at}u], rows[run.z + {}u])", at + 1);
            load(2 + states, format!("normal({}, {}, element)", words(2), words(4)));
        }
        if stage == Some(Stage::Move) {
            load(2 + states + usize::from(noise), "direction[i]".into());
        }
        text
    }

    fn store(&self, kind: StateDtype) -> String {
        let mut text = String::new();
        let outputs = &self.source.outputs;
        if self.frame.stage == Some(Stage::Direction) {
            // The rest of a block takes part in norms and products.
            text += VALID;
            let _ = writeln!(
                text,
                "        direction[i] = select(vec4<f32>(0.0), {}, valid);",
                outputs[0]
            );
        }
        if !self.reduce.is_empty() {
            text += VALID;
        }
        for (k, &sum) in self.reduce.iter().enumerate() {
            let value = &outputs[k];
            text += &if sum {
                format!(
                    "        let v{k} = select(vec4<f32>(0.0), {value}, valid);\n        \
                     let s{k} = sum{k} + v{k};\n        \
                     rest{k} += lost(sum{k}, v{k}, s{k}, zero);\n        sum{k} = s{k};\n"
                )
            } else {
                format!(
                    "        let m{k} = bitcast<vec4<u32>>({value}) & vec4<u32>(0x7fffffffu);\n        \
                     sum{k} = max(sum{k}, select(vec4<u32>(0u), m{k}, valid));\n"
                )
            };
        }
        if !self.frame.writes() {
            return text;
        }
        let _ = writeln!(text, "        param[i] = {};", outputs[0]);
        let changed: Vec<usize> = (0..self.frame.states).filter(|&k| self.stores(k)).collect();
        let random = |k: usize| {
            let at = self.frame.dither_at() + 2 * k;
            format!("words(element, rows[run.z + {at}u], rows[run.z + {}u])", at + 1)
        };
        match kind {
            StateDtype::Float32 => {
                for k in changed {
                    let _ =
                        writeln!(text, "        state[{k}u * stride + i] = {};", outputs[1 + k]);
                }
            }
            StateDtype::Bfloat16 => {
                for k in changed {
                    let value = format!("pack({}, {})", outputs[1 + k], random(k));
                    let _ = writeln!(text, "        state[{k}u * stride + i] = {value};");
                }
            }
            StateDtype::Int8 => text += &self.store_codes(&changed, random),
        }
        text
    }

    /// The largest number of a block decides its scale. Three sets of words take turns, so that one
    /// barrier a block is enough: a set is cleared two blocks before it is used again.
    fn store_codes(&self, changed: &[usize], random: impl Fn(usize) -> String) -> String {
        let (mut text, states) = (String::from(VALID), self.frame.states);
        let _ = writeln!(text, "        let turn = (b % 3u) * {}u;", 2 * states);
        for k in changed {
            let value = &self.source.outputs[1 + k];
            let _ = writeln!(
                text,
                "        let c{k} = select(vec4<f32>(0.0), {value}, valid);\n        \
                 let b{k} = bitcast<vec4<u32>>(c{k});\n        \
                 atomicMax(&tops[turn + {}u], largest(b{k} & vec4<u32>(0x7fffffffu)));\n        \
                 atomicMax(&tops[turn + {}u], largest(b{k}));",
                2 * k,
                2 * k + 1
            );
        }
        text += "        workgroupBarrier();\n";
        for k in changed {
            let _ = writeln!(
                text,
                "        let scale{k} = scale_of(atomicLoad(&tops[turn + {}u]), \
                 atomicLoad(&tops[turn + {}u]));\n        \
                 state[{k}u * stride + i] = pack(c{k}, scale{k}, {});\n        \
                 if (lane == 0u) {{ scale[{k}u * (stride / 64u) + run.x + b] = scale{k}; }}",
                2 * k,
                2 * k + 1,
                random(*k)
            );
        }
        let _ = writeln!(
            text,
            "        if (lane < {0}u) {{ atomicStore(&tops[((b + 2u) % 3u) * {0}u + lane], 0u); }}",
            2 * states
        );
        text
    }
}

/// Elements that the tensor has; its last block may be longer.
const VALID: &str = "        let valid = vec4<u32>(element) + vec4<u32>(0u, 1u, 2u, 3u) < \
                     vec4<u32>(rows[run.z]);\n";

const MAIN: &str = "\
@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group.y * groups.x + group.x;
    if (number >= arrayLength(&runs)) {
        return;
    }
    let run = runs[number];
    let zero = rows[run.z + 1u];
";
