// Unevaluated sums of two floats: about 48 bits where a device has no f64.
//
// Nothing here multiplies and adds in one expression unless the product is exact, so a compiler
// that contracts a * b + c to one operation changes no bit of it. Compilers also take (a + b) - a
// for b; they cannot while bits are changed by a number that they do not know.

fn opaque(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ zero);
}

// a + b and what rounding left of it (Knuth).
fn two_sum(a: f32, b: f32) -> vec2<f32> {
    let s = opaque(a + b);
    let bb = opaque(s - a);
    return vec2<f32>(s, (a - (s - bb)) + (b - bb));
}

// The same where |a| >= |b| or a = 0 (Dekker).
fn quick_two_sum(a: f32, b: f32) -> vec2<f32> {
    let s = opaque(a + b);
    return vec2<f32>(s, b - (s - a));
}

fn add_pairs(x: vec2<f32>, y: vec2<f32>) -> vec2<f32> {
    let s = two_sum(x.x, y.x);
    let t = two_sum(x.y, y.y);
    let u = quick_two_sum(s.x, s.y + t.x);
    return quick_two_sum(u.x, u.y + t.y);
}

// Twelve leading bits of x, and the rest: products of such parts are exact.
fn split(x: f32) -> vec2<f32> {
    let high = bitcast<f32>(bitcast<u32>(x) & 0xfffff000u);
    return vec2<f32>(high, x - high);
}

// x y of two split factors, to 36 bits.
fn product(x: vec2<f32>, y: vec2<f32>) -> vec2<f32> {
    let cross = x.x * y.y + x.y * y.x;
    let s = two_sum(x.x * y.x, cross);
    return quick_two_sum(s.x, s.y + x.y * y.y);
}

// x / n for a whole number n < 2^24, to 36 bits.
fn divide(x: vec2<f32>, n: f32) -> vec2<f32> {
    let q = x.x / n;
    let p = product(split(q), split(n));
    let rest = (x.x - p.x) - p.y + x.y;
    return quick_two_sum(q, rest / n);
}
