//! Units in WGSL, printed from the formulas that the CPU runs.
//!
//! A printed unit has three functions: `unit(z)`, its output for a constant pre-activation,
//! `train(z)`, its spikes for one, and `fire(v, current)`, a spike and the potential left. Units
//! without spikes have trains of zeros, units with them count those. Those of finitely many outputs
//! also have `code(z)`, a whole number, and `value(code)` and `train_of(code)`.

use crate::engine::source::{self, wgsl::Wgsl};
use crate::engine::trace::{self, Trace};
use crate::search::objectives::network::Unit;
use crate::search::objectives::network::unit::{Codes, Lif, relu, tanh};

/// The functions of a unit, each name after `prefix`. They call those of `train.wgsl` and of
/// [`crate::engine::source::wgsl::PRELUDE`], and read [`crate::gpu::kernel::ZERO`].
pub fn print(unit: &Unit, prefix: &str) -> String {
    match unit {
        Unit::Linear => plain(prefix, |z| z),
        Unit::Relu => plain(prefix, relu::formula),
        Unit::Tanh => plain(prefix, tanh::formula),
        Unit::Codes(codes) => {
            let unit = plain(prefix, |z| codes.formula(z));
            unit + &coded(prefix, codes, &vec![0; codes.levels()])
        }
        Unit::Lif(lif) => spiking(prefix, lif),
    }
}

fn plain(prefix: &str, formula: impl FnOnce(Trace) -> Trace) -> String {
    let unit = function(&format!("{prefix}_unit"), ["z"], |[z]| [formula(z)]);
    format!(
        "{unit}\
         fn {prefix}_train(z: f32) -> vec2<u32> {{ return vec2<u32>(0u, 0u); }}\n\
         fn {prefix}_fire(v: f32, current: f32) -> vec2<f32> {{ return vec2<f32>(0.0, 0.0); }}\n"
    )
}

fn spiking(prefix: &str, lif: &Lif) -> String {
    let fire =
        function(&format!("{prefix}_fire"), ["v", "current"], |[v, current]| lif.fire(v, current));
    // The code of a constant current, exact as on the CPU, leads to its train.
    let codes = coded(prefix, &lif.codes, &lif.trains);
    format!(
        "{codes}{fire}\
         fn {prefix}_train(z: f32) -> vec2<u32> {{\n    \
         return {prefix}_train_of(u32({prefix}_code(z)));\n}}\n\
         fn {prefix}_unit(z: f32) -> f32 {{ return {prefix}_value(u32({prefix}_code(z))); }}\n"
    )
}

/// The code of a pre-activation, and tables of its output and train.
fn coded(prefix: &str, codes: &Codes, trains: &[u64]) -> String {
    let count = codes.levels();
    let numbers = Codes {
        thresholds: codes.thresholds.clone(),
        values: (0..count).map(|code| code as f32).collect(),
    };
    let code = function(&format!("{prefix}_code"), ["z"], |[z]| [numbers.formula(z)]);
    let words = |train: &u64| format!("vec2<u32>({}u, {}u)", *train as u32, train >> 32);
    let trains = trains.iter().map(words).collect::<Vec<_>>().join(", ");
    let values: Vec<String> = codes.values.iter().map(|value| format!("{value:?}f")).collect();
    let values = values.join(", ");
    format!(
        "{code}\
         var<private> {prefix}_trains: array<vec2<u32>, {count}> = array<vec2<u32>, {count}>({trains});\n\
         var<private> {prefix}_values: array<f32, {count}> = array<f32, {count}>({values});\n\
         fn {prefix}_train_of(code: u32) -> vec2<u32> {{ return {prefix}_trains[code]; }}\n\
         fn {prefix}_value(code: u32) -> f32 {{ return {prefix}_values[code]; }}\n"
    )
}

/// A function of floats; two results come as a vector.
fn function<const N: usize, const M: usize>(
    name: &str,
    arguments: [&str; N],
    formula: impl FnOnce([Trace; N]) -> [Trace; M],
) -> String {
    trace::start();
    let expression = trace::formula(N, |inputs| {
        let inputs = std::array::from_fn(|i| inputs[i]);
        formula(inputs).to_vec()
    });
    let printed = source::print(&expression, &Wgsl, "t");
    let list: Vec<String> = arguments.iter().map(|name| format!("{name}: f32")).collect();
    // Formulas are printed for four elements; compilers drop the three that nothing reads.
    let inputs: String = (printed.inputs.iter())
        .map(|&i| format!("    let i{i} = vec4<f32>({});\n", arguments[i]))
        .collect();
    let results: Vec<String> = printed.outputs.iter().map(|out| format!("({out}).x")).collect();
    let (kind, result) = match M {
        1 => ("f32".to_owned(), results[0].clone()),
        _ => (format!("vec{M}<f32>"), format!("vec{M}<f32>({})", results.join(", "))),
    };
    let list = list.join(", ");
    format!(
        "fn {name}({list}) -> {kind} {{\n{inputs}{}    return {result};\n}}\n",
        printed.body("    ")
    )
}
