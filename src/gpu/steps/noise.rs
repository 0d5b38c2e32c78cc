//! Normal numbers in WGSL: the generator of [`crate::engine::rng`], bit for bit, and its
//! transform to normal numbers in single precision.
//!
//! Words c, d of a block give an angle, a, b a length, each 53 bits on the CPU. Here the quarter
//! of the turn is taken off in integers, and the logarithm of 1 - u comes from u itself where u is
//! small, so that the numbers are those of the CPU but for rounding.

/// `normal(key, stream, element)`: the numbers of four elements, the first a multiple of 4.
pub const FUNCTIONS: &str = "\
fn high(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let first = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let second = (a & 0xffffu) * (b >> 16u) + (first & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (first >> 16u) + (second >> 16u);
}
fn philox(key: vec2<u32>, counter: vec4<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
    for (var round = 0; round < 10; round++) {
        c = vec4<u32>(
            high(c.z, 0xcd9e8d57u) ^ c.y ^ k.x,
            c.z * 0xcd9e8d57u,
            high(c.x, 0xd2511f53u) ^ c.w ^ k.y,
            c.x * 0xd2511f53u,
        );
        k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return c;
}
fn pair(words: vec4<u32>) -> vec2<f32> {
    let u = f32(words.y) * 2.3283064365386963e-10 + f32(words.x) * 5.421010862427522e-20;
    // 1 - u from the complement, which singles hold to full precision.
    let left = f32(~words.y) * 2.3283064365386963e-10 + f32(~words.x) * 5.421010862427522e-20;
    let s = u / (2.0 - u);
    let q = s * s;
    let series = 1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0
        + q * (1.0 / 11.0 + q * (1.0 / 13.0))))));
    let log = select(logarithm(vec4<f32>(left)).x, -2.0 * s * series, u < 0.5);
    let radius = sqrt(-2.0 * log);
    let quarter = (words.w + 0x20000000u) >> 30u;
    let rest = bitcast<i32>(words.w - (quarter << 30u));
    let turns = f32(rest) * 2.3283064365386963e-10 + f32(words.z) * 5.421010862427522e-20;
    let x = 6.283185307179586 * turns;
    let xx = x * x;
    let sine = x * (1.0 + xx * (-1.0 / 6.0 + xx * (1.0 / 120.0 + xx * (-1.0 / 5040.0
        + xx * (1.0 / 362880.0)))));
    let cosine = 1.0 + xx * (-0.5 + xx * (1.0 / 24.0 + xx * (-1.0 / 720.0 + xx * (1.0 / 40320.0
        + xx * (-1.0 / 3628800.0)))));
    var turned = vec2<f32>(cosine, sine);
    if (quarter == 1u) {
        turned = vec2<f32>(-sine, cosine);
    } else if (quarter == 2u) {
        turned = -turned;
    } else if (quarter == 3u) {
        turned = vec2<f32>(sine, -cosine);
    }
    return radius * turned;
}
fn normal(key: vec2<u32>, stream: vec2<u32>, element: u32) -> vec4<f32> {
    let first = pair(philox(key, vec4<u32>(element >> 1u, 0u, stream)));
    let second = pair(philox(key, vec4<u32>((element >> 1u) + 1u, 0u, stream)));
    return vec4<f32>(first, second);
}
";
