//! Normal numbers in WGSL: the generator of [`crate::engine::rng`], bit for bit, and the transform
//! of [`crate::engine::noise`], in single precision on both sides.

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
fn normal(key: vec2<u32>, stream: vec2<u32>, element: u32) -> vec4<f32> {
    // The four lie in one part of their group of 64.
    let first = (element >> 6u) * 16u + (element & 15u);
    let part = (element >> 4u) & 3u;
    var lengths: vec4<u32>;
    var angles: vec4<u32>;
    for (var j = 0u; j < 4u; j++) {
        let words = philox(key, vec4<u32>(first + j, 0u, stream));
        lengths[j] = select(words.x, words.y, part >= 2u);
        angles[j] = select(words.z, words.w, part >= 2u);
    }
    let u = (vec4<f32>(lengths) + 0.5) * 2.3283064365386963e-10;
    let radius = sqrt(-2.0 * logarithm(u));
    let v = vec4<f32>(angles >> vec4<u32>(8u)) * 5.960464477539063e-8;
    let quarter = round(4.0 * v);
    let x = 6.283185307179586 * (v - 0.25 * quarter);
    let q = x * x;
    let sine = x + x * q * (-1.0 / 6.0 + q * (1.0 / 120.0 + q * (-1.0 / 5040.0
        + q * (1.0 / 362880.0))));
    let cosine = 1.0 + q * (-0.5 + q * (1.0 / 24.0 + q * (-1.0 / 720.0 + q * (1.0 / 40320.0
        - q * (1.0 / 3628800.0)))));
    let one = quarter == vec4<f32>(1.0);
    let two = quarter == vec4<f32>(2.0);
    let three = quarter == vec4<f32>(3.0);
    let c = select(cosine, sine, one | three);
    let s = select(sine, cosine, one | three);
    if ((part & 1u) == 0u) {
        return radius * select(c, -c, one | two);
    }
    return radius * select(s, -s, two | three);
}
";
