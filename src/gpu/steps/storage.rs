//! How states lie in memory, in WGSL: float32, two bfloat16 a word, four codes a word.
//!
//! The same bits as [`crate::engine::codes`] and the rounding of bfloat16 on the CPU: rounding
//! takes the random words of [`crate::engine::rng::Dither`], from the key of its parameter, state
//! and step.

use crate::optim::precision::StateDtype;

/// Bytes of a block of one state, without its scale.
pub fn block_bytes(kind: StateDtype) -> usize {
    match kind {
        StateDtype::Float32 => 1024,
        StateDtype::Bfloat16 => 512,
        StateDtype::Int8 => 256,
    }
}

/// The type of what four elements of a state lie in.
pub fn word(kind: StateDtype) -> &'static str {
    match kind {
        StateDtype::Float32 => "vec4<f32>",
        StateDtype::Bfloat16 => "vec2<u32>",
        StateDtype::Int8 => "u32",
    }
}

/// Functions that read and write states.
pub fn functions(kind: StateDtype) -> String {
    let own = match kind {
        StateDtype::Float32 => return String::new(),
        StateDtype::Bfloat16 => BFLOAT16,
        StateDtype::Int8 => INT8,
    };
    format!("{WORDS}{own}")
}

/// Random words of four elements.
const WORDS: &str = "\
fn words(element: u32, first: u32, second: u32) -> vec4<u32> {
    var x = (vec4<u32>(element) + vec4<u32>(0u, 1u, 2u, 3u)) ^ vec4<u32>(first);
    x = (x ^ (x >> vec4<u32>(16u))) * 0x7feb352du;
    x = ((x ^ (x >> vec4<u32>(15u))) + vec4<u32>(second)) * 0x846ca68bu;
    return x ^ (x >> vec4<u32>(16u));
}
";

const BFLOAT16: &str = "\
fn unpack(word: vec2<u32>) -> vec4<f32> {
    let bits = vec4<u32>(word.x << 16u, word.x & 0xffff0000u, word.y << 16u, word.y & 0xffff0000u);
    return bitcast<vec4<f32>>(bits);
}
fn pack(x: vec4<f32>, random: vec4<u32>) -> vec2<u32> {
    let bits = bitcast<vec4<u32>>(x);
    let size = bits & vec4<u32>(0x7fffffffu);
    let part = select(random >> vec4<u32>(16u), vec4<u32>(0u), size >= vec4<u32>(0x7f7f0000u));
    let quiet = select(vec4<u32>(0u), vec4<u32>(0x00400000u), size > vec4<u32>(0x7f800000u));
    let upper = ((bits | quiet) + part) >> vec4<u32>(16u);
    return vec2<u32>(upper.x | (upper.y << 16u), upper.z | (upper.w << 16u));
}
";

/// As in `codes.rs`: a negative scale stands for a block without negative numbers.
const INT8: &str = "\
fn unpack(word: u32, scale: f32) -> vec4<f32> {
    let codes = (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu);
    let plain = scale < 0.0;
    let top = select(127u, 255u, plain);
    let level = codes & vec4<u32>(top);
    let base = 1023u - top;
    let size = select((level + base) << vec4<u32>(20u), vec4<u32>(0u), level == vec4<u32>(0u));
    let sign = select((codes & vec4<u32>(0x80u)) << vec4<u32>(24u), vec4<u32>(0u), vec4<bool>(plain));
    return bitcast<vec4<f32>>(size | sign) * abs(scale);
}
fn largest(v: vec4<u32>) -> u32 {
    return max(max(v.x, v.y), max(v.z, v.w));
}
fn scale_of(top: u32, raw: u32) -> f32 {
    if (top == 0u) {
        return 0.0;
    }
    var nan = 0x7fc00000u;
    if (top >= 0x7f800000u) {
        return bitcast<f32>(nan);
    }
    let exponent = clamp((top + 0x000fffffu) & 0x7f800000u, 0x00800000u, 0x7f000000u);
    return select(-bitcast<f32>(exponent), bitcast<f32>(exponent), raw > 0x80000000u);
}
fn pack(x: vec4<f32>, scale: f32, random: vec4<u32>) -> u32 {
    let number = bitcast<u32>(scale) & 0x7fffffffu;
    if (number == 0u || number >= 0x7f800000u) {
        return 0u;
    }
    let plain = scale < 0.0;
    let top = select(127, 255, plain);
    let base = 1023 - top;
    let bits = bitcast<vec4<u32>>(x);
    let size = bits & vec4<u32>(0x7fffffffu);
    // The inverse of a power of two.
    let y = bitcast<vec4<f32>>(size) * bitcast<f32>(0x7f000000u - number);
    let part = bitcast<vec4<i32>>(random >> vec4<u32>(12u));
    let level = min(((bitcast<vec4<i32>>(y) + part) >> vec4<u32>(20u)) - base, vec4<i32>(top));
    var codes: vec4<u32>;
    if (plain) {
        codes = select(vec4<u32>(max(level, vec4<i32>(1))), vec4<u32>(0u), size == vec4<u32>(0u));
    } else {
        let smallest = bitcast<f32>(u32(base + 1) << 20u);
        let below = select(vec4<i32>(0), vec4<i32>(1), vec4<f32>(part) < y * (1048576.0 / smallest));
        let magnitude = select(below, level, y >= vec4<f32>(smallest));
        codes = vec4<u32>(magnitude) | ((bits >> vec4<u32>(24u)) & vec4<u32>(0x80u));
    }
    return codes.x | (codes.y << 8u) | (codes.z << 16u) | (codes.w << 24u);
}
";
