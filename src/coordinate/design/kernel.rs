//! Inner loops over a contiguous column.

use super::Moments;
use crate::engine::real::Float;

const LANES: usize = 16;

#[inline(always)]
fn sum(lanes: [f64; LANES]) -> f64 {
    let mut lanes = lanes;
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `x . v`
#[inline(always)]
pub fn dot<F: Float>(x: &[F], v: &[f64]) -> f64 {
    let (xs, vs) = (x.chunks_exact(LANES), v.chunks_exact(LANES));
    let tail: f64 = xs.remainder().iter().zip(vs.remainder()).map(|(x, v)| x.to_f64() * v).sum();
    let mut lanes = [0.0; LANES];
    for (x, v) in xs.zip(vs) {
        for l in 0..LANES {
            lanes[l] += x[l].to_f64() * v[l];
        }
    }
    sum(lanes) + tail
}

/// `x . v`, `x . h` and `x^2 . h` in one pass.
#[inline(always)]
pub fn moments<F: Float>(x: &[F], v: &[f64], h: &[f64]) -> Moments {
    const LANES: usize = 8;
    let whole = x.len() / LANES * LANES;
    let mut lanes = [[0.0; LANES]; 3];
    let chunks = x.chunks_exact(LANES).zip(v.chunks_exact(LANES)).zip(h.chunks_exact(LANES));
    for ((x, v), h) in chunks {
        for l in 0..LANES {
            let x = x[l].to_f64();
            let hx = h[l] * x;
            lanes[0][l] += x * v[l];
            lanes[1][l] += hx;
            lanes[2][l] += hx * x;
        }
    }
    let [mut dot, mut first, mut second] =
        lanes.map(|l| ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7])));
    for i in whole..x.len() {
        let x = x[i].to_f64();
        dot += x * v[i];
        first += h[i] * x;
        second += h[i] * x * x;
    }
    Moments { dot, first, second }
}

/// As [`moments`] where every weight is `h`, which then need not be read.
#[inline(always)]
pub fn moments_equal<F: Float>(x: &[F], v: &[f64], h: f64) -> Moments {
    let (xs, vs) = (x.as_chunks::<LANES>(), v.as_chunks::<LANES>());
    let mut lanes = [[0.0; LANES]; 3];
    for (x, v) in xs.0.iter().zip(vs.0) {
        for l in 0..LANES {
            let x = x[l].to_f64();
            lanes[0][l] += x * v[l];
            lanes[1][l] += x;
            lanes[2][l] += x * x;
        }
    }
    let [mut dot, mut first, mut second] = lanes.map(sum);
    for (x, v) in xs.1.iter().zip(vs.1) {
        let x = x.to_f64();
        dot += x * v;
        first += x;
        second += x * x;
    }
    Moments { dot, first: h * first, second: h * second }
}

/// `out += a x`
#[inline(always)]
pub fn axpy<F: Float>(a: f64, x: &[F], out: &mut [f64]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += a * x.to_f64();
    }
}

/// `out += a h x`
#[inline(always)]
pub fn axpy_weighted<F: Float>(a: f64, h: &[f64], x: &[F], out: &mut [f64]) {
    for ((out, x), h) in out.iter_mut().zip(x).zip(h) {
        *out += a * h * x.to_f64();
    }
}
