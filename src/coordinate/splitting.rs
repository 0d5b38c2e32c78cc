//! Elementwise blocks of the three-splitting of a ReLU network.
//!
//! Zeng, Lau, Lin, Yao 2019, "Global convergence of block coordinate descent in deep learning", ICML,
//! arXiv:1803.00225.
//!
//!   F = 1/2 |V_N - Y|^2 + sum_i gamma/2 |V_i - S_i - sigma_i(U_i)|^2 + rho/2 |U_i - Z_i|^2
//!   Z_i = V_{i-1} W_i' + b_i     S_i = V_{i-1} where layer i has a skip, else 0     sigma_N = identity
//!   alpha: weight of 1/2 |x - x_old|^2 in the blocks that have it
//!
//!   V_N = (Y + gamma (S_N + U_N) + alpha V_N) / (1 + gamma + alpha)
//!   U_N = (gamma (V_N - S_N) + rho Z_N) / (gamma + rho)
//!   U_i = argmin_u 1/2 (a - relu(u))^2 + g/2 (u - c)^2 with a = V_i - S_i,
//!         c = (rho Z_i + alpha U_i) / (rho + alpha), g = (rho + alpha) / gamma
//!
//! Samples are rows. A pass updates a block, leaves U - b where Z was (what the weights are fitted to),
//! and sums the terms of F as they were before it: every term is read by the last block that may
//! change it, so the sums of one sweep are F at its start. Arithmetic and sums are in f64; the sum of
//! a block of rows belongs to one task, so the result does not depend on threads. Products of matrices
//! are those of the engine, a chunk of samples at a time, and add up in f64.

use crate::engine::gemm::{Matrix, gemm};
use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};
use crate::engine::threads;
use crate::linalg::syrk;

/// Rows of a task.
const ROWS: usize = 64;

/// Strengths of the terms.
#[derive(Debug, Clone, Copy)]
pub struct Strengths {
    /// Of the activations, > 0.
    pub gamma: f64,
    /// Of the layers, > 0.
    pub rho: f64,
    /// Of the distance from the last iterate, >= 0.
    pub alpha: f64,
}

/// A layer: its weights, and the blocks of all samples.
pub struct Layer<'a, F> {
    /// Activations that come in.
    pub input: &'a [F],
    /// Weights, a row an output.
    pub weights: &'a [F],
    /// Bias.
    pub bias: &'a [F],
    /// Block U of what comes out before the activation; updated.
    pub u: &'a mut [F],
    /// Block V of what comes out; updated where it is the network's output.
    pub v: &'a mut [F],
    /// Targets of the network, if this is its last layer.
    pub y: Option<&'a [F]>,
    /// Whether the input is added to the activation.
    pub skip: bool,
}

/// Updates the blocks of a layer, and adds up what its weights are fitted to: (U - b)' input in
/// `cross`, and the lower triangle of input' input in `gram`, if asked for.
///
/// # Panics
/// If lengths differ.
pub fn update_layer<F: Float>(
    layer: Layer<'_, F>,
    strengths: Strengths,
    chunk: usize,
    cross: &mut [f64],
    mut gram: Option<&mut [f64]>,
) -> Sums {
    let Layer { input, weights, bias, u, v, y, skip } = layer;
    let d = bias.len();
    let wide = weights.len() / d;
    let mut sums =
        Sums { layer: 0.0, output: [0.0; 2], target: vec![0.0; d], residual: vec![0.0; d] };
    let mut z = vec![F::default(); (chunk * d).min(u.len())];
    let blocks = u.chunks_mut(chunk * d).zip(v.chunks_mut(chunk * d));
    for (k, ((u, v), input)) in blocks.zip(input.chunks(chunk * wide)).enumerate() {
        let z = &mut z[..u.len()];
        let rows = Matrix::new(input, u.len() / d, wide);
        gemm(1.0, rows, Matrix::new(weights, d, wide).transpose(), 0.0, z);
        let skip = skip.then_some(input);
        let new = match y {
            Some(y) => output(z, u, v, &y[k * chunk * d..][..z.len()], skip, bias, strengths),
            None => hidden(z, u, v, skip, bias, strengths),
        };
        sums.add(&new);
        syrk::accumulate(Matrix::new(z, rows.shape()[0], d).transpose(), rows, cross);
        if let Some(gram) = gram.as_deref_mut() {
            syrk::accumulate_lower(rows.transpose(), 0, gram, wide);
        }
    }
    sums
}

/// A hidden activation between two layers, and the system that it solves.
pub struct Between<'a, F> {
    /// Block V; updated.
    pub v: &'a mut [F],
    /// Block U below it.
    pub u: &'a [F],
    /// Input of the layer below, where it is added to the activation.
    pub skip: Option<&'a [F]>,
    /// Block U of the layer above.
    pub asked: &'a [F],
    /// Block V of the layer above, where it adds this activation.
    pub above: Option<&'a [F]>,
    /// Whether the layer above is the last one.
    pub last: bool,
    /// Weights of the layer above, a row an output, and its bias.
    pub weights: &'a [F],
    /// The bias above.
    pub bias: &'a [F],
    /// Inverse of (1 or, with `above`, 2) gamma I + rho W'W; or, where W has fewer rows than columns
    /// and nothing is added, rho (gamma I + rho W W')^-1 W.
    pub gain: &'a [F],
}

/// Minimises the objective over a hidden activation; returns the squared distance of what it was from
/// S + relu(U).
///
/// # Panics
/// If lengths differ.
pub fn update_activation<F: Float>(
    between: Between<'_, F>,
    Strengths { gamma, rho, .. }: Strengths,
    chunk: usize,
) -> f64 {
    let Between { v, u, skip, asked, above, last, weights, bias, gain } = between;
    let (out, d) = (bias.len(), weights.len() / bias.len());
    let small = gain.len() < d * d;
    let mut row = vec![0.0; d];
    if !small {
        for (weights, b) in weights.chunks_exact(d).zip(bias) {
            row.iter_mut().zip(weights).for_each(|(sum, w)| *sum -= rho * b.to_f64() * w.to_f64());
        }
    }
    let row: Vec<F> = row.into_iter().map(F::from_f64).collect();
    let weights = Matrix::new(weights, out, d);
    let gain = Matrix::new(gain, if small { out } else { d }, d);
    let mut t = vec![F::default(); (chunk * d).min(u.len())];
    let mut total = 0.0;
    let blocks = v.chunks_mut(chunk * d).zip(u.chunks(chunk * d)).zip(asked.chunks(chunk * out));
    for (k, ((v, u), asked)) in blocks.enumerate() {
        let (n, t) = (u.len() / d, &mut t[..u.len()]);
        let these = k * chunk * d..k * chunk * d + n * d;
        let skip = skip.map(|skip| &skip[these.clone()]);
        let next = above.map(|above| Next { v: &above[these.clone()], u: asked, last });
        if small {
            // V = R + (U - b - R W') K with R the activation that U asks for.
            t.fill(F::default());
            total += activation(t, v, u, skip, None, &row, 1.0, 0.0);
            let pairs = asked.iter().zip(bias.iter().cycle());
            let mut off: Vec<F> =
                pairs.map(|(u, b)| F::from_f64(u.to_f64() - b.to_f64())).collect();
            gemm(-1.0, Matrix::new(t, n, d), weights.transpose(), 1.0, &mut off);
            v.copy_from_slice(t);
            gemm(1.0, Matrix::new(&off, n, out), gain, 1.0, v);
        } else {
            gemm(1.0, Matrix::new(asked, n, out), weights, 0.0, t);
            total += activation(t, v, u, skip, next, &row, gamma, rho);
            gemm(1.0, Matrix::new(t, n, d), gain, 0.0, v);
        }
    }
    total
}

/// What a pass over a block U sums, over rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Sums {
    /// Squared distance of U from Z, before the update.
    pub layer: f64,
    /// Squared distances of V_N from Y and from its activation, before the update.
    pub output: [f64; 2],
    /// Columns of U - b, after it.
    pub target: Vec<f64>,
    /// Columns of U - Z + b.
    pub residual: Vec<f64>,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.layer += other.layer;
        self.output.iter_mut().zip(other.output).for_each(|(sum, x)| *sum += x);
        self.target.iter_mut().zip(&other.target).for_each(|(sum, x)| *sum += x);
        self.residual.iter_mut().zip(&other.residual).for_each(|(sum, x)| *sum += x);
    }
}

/// Minimises `(a - relu(u))^2 / 2 + g (u - c)^2 / 2`, where `root` is [`root`] of g. Of equal minima
/// it takes the one at `c`.
#[inline(always)]
pub fn relu_prox(a: f64, c: f64, g: f64, root: f64) -> f64 {
    let active = a + g * c;
    let inside = active / (1.0 + g);
    let positive = if active >= 0.0 { inside } else { 0.0 };
    // Both branches have a minimum: their values meet at g c = a root. Never so for a <= 0.
    let negative = if g * c > a * root { inside } else { c };
    if c >= 0.0 { positive } else { negative }
}

/// g - sqrt(g (g + 1)), without cancellation.
pub fn root(g: f64) -> f64 {
    -g / (g + (g * (g + 1.0)).sqrt())
}

/// Sums of the columns of one task.
struct Columns<const K: usize>([Vec<f64>; K]);

impl<const K: usize> Columns<K> {
    fn zero(d: usize) -> Self {
        Self(std::array::from_fn(|_| vec![0.0; d]))
    }

    fn join(parts: impl Iterator<Item = Self>, d: usize) -> [Vec<f64>; K] {
        let mut total = Self::zero(d).0;
        for part in parts {
            for (total, part) in total.iter_mut().zip(&part.0) {
                total.iter_mut().zip(part).for_each(|(total, x)| *total += x);
            }
        }
        total
    }
}

/// Blocks of rows of the arrays that a pass writes, in tasks; `work(range, block, sums)`.
fn pass<F: Float, const W: usize, const K: usize>(
    written: [&mut [F]; W],
    d: usize,
    work: impl Fn(std::ops::Range<usize>, [&mut [F]; W], &mut Columns<K>) + Sync,
) -> [Vec<f64>; K] {
    let size = ROWS * d.max(1);
    let count = written[0].len().div_ceil(size);
    let mut blocks = written.map(|array| array.chunks_mut(size));
    let next = |k: usize| (k, Some(blocks.each_mut().map(|b| b.next().unwrap_or_default())));
    let mut tasks: Vec<_> =
        (0..count).map(next).map(|(k, block)| (k, block, Columns::zero(d))).collect();
    threads::for_each_chunk(&mut tasks, 1, |_, task| {
        let (k, block, sums) = &mut task[0];
        // Taken once: every task runs once.
        if let Some(block) = block.take() {
            let start = *k * size;
            work(start..start + block[0].len(), block, sums);
        }
    });
    Columns::join(tasks.into_iter().map(|task| task.2), d)
}

/// Updates `u` of a hidden layer. `z` holds the products without `bias`, and U - b afterwards.
fn hidden<F: Float>(
    z: &mut [F],
    u: &mut [F],
    v: &[F],
    skip: Option<&[F]>,
    bias: &[F],
    strengths: Strengths,
) -> Sums {
    assert!(z.len() == u.len() && v.len() == u.len() && skip.is_none_or(|s| s.len() == u.len()));
    let [layer, target, residual] = pass([z, u], bias.len(), |rows, [z, u], sums| {
        let (v, skip) = (&v[rows.clone()], skip.map(|skip| &skip[rows]));
        simd::dispatch(Hidden {
            z,
            u,
            v,
            skip: skip.unwrap_or(v),
            has: skip.is_some(),
            bias,
            strengths,
            sums,
        });
    });
    Sums { layer: layer.iter().sum(), output: [0.0; 2], target, residual }
}

struct Hidden<'a, F> {
    z: &'a mut [F],
    u: &'a mut [F],
    v: &'a [F],
    skip: &'a [F],
    has: bool,
    bias: &'a [F],
    strengths: Strengths,
    sums: &'a mut Columns<3>,
}
impl<F: Float> Kernel for Hidden<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { z, u, v, skip, has, bias, strengths: Strengths { gamma, rho, alpha }, sums } =
            self;
        let d = bias.len();
        let (g, keep) = ((rho + alpha) / gamma, if has { 1.0 } else { 0.0 });
        let (root, near, far) = (root(g), rho / (rho + alpha), alpha / (rho + alpha));
        let [layer, target, residual] = &mut sums.0;
        let (layer, target, residual) = (&mut layer[..d], &mut target[..d], &mut residual[..d]);
        let rows = z.chunks_exact_mut(d).zip(u.chunks_exact_mut(d));
        for ((z, u), (v, skip)) in rows.zip(v.chunks_exact(d).zip(skip.chunks_exact(d))) {
            for j in 0..d {
                let (b, product, old) = (bias[j].to_f64(), z[j].to_f64(), u[j].to_f64());
                let distance = old - product - b;
                layer[j] += distance * distance;
                let c = near * (product + b) + far * old;
                let a = v[j].to_f64() - keep * skip[j].to_f64();
                u[j] = F::from_f64(relu_prox(a, c, g, root));
                let new = u[j].to_f64();
                z[j] = F::from_f64(new - b);
                target[j] += new - b;
                residual[j] += new - product;
            }
        }
    }
}

/// Updates `v` and `u` of the last layer; `z` as in [`hidden`].
#[allow(clippy::too_many_arguments)]
fn output<F: Float>(
    z: &mut [F],
    u: &mut [F],
    v: &mut [F],
    y: &[F],
    skip: Option<&[F]>,
    bias: &[F],
    strengths: Strengths,
) -> Sums {
    assert!(z.len() == u.len() && v.len() == u.len() && y.len() == u.len());
    assert!(skip.is_none_or(|skip| skip.len() == u.len()));
    let Strengths { gamma, rho, alpha } = strengths;
    let d = bias.len();
    let [fit, link, layer, target, residual] = pass([z, u, v], d, |rows, [z, u, v], sums| {
        for (k, t) in rows.enumerate() {
            let (j, s) = (k % d, skip.map_or(0.0, |skip| skip[t].to_f64()));
            let b = bias[j].to_f64();
            let [product, old, value, y] = [z[k], u[k], v[k], y[t]].map(F::to_f64);
            let distances = [value - y, value - s - old, old - product - b];
            v[k] = F::from_f64((y + gamma * (s + old) + alpha * value) / (1.0 + gamma + alpha));
            let active = gamma * (v[k].to_f64() - s) + rho * (product + b);
            u[k] = F::from_f64(active / (gamma + rho));
            let new = u[k].to_f64();
            z[k] = F::from_f64(new - b);
            let terms = [new - b, new - product];
            let squares = distances.map(|x| x * x);
            let terms = squares.into_iter().chain(terms);
            sums.0.iter_mut().zip(terms).for_each(|(sum, x)| sum[j] += x);
        }
    });
    let output = [fit, link].map(|columns| columns.iter().sum());
    Sums { layer: layer.iter().sum(), output, target, residual }
}

/// What the next layer asks of the activation that it skips over.
#[derive(Debug, Clone, Copy)]
struct Next<'a, F> {
    /// Its activation.
    v: &'a [F],
    /// Its input.
    u: &'a [F],
    /// Whether that is the last layer, whose activation is the identity.
    last: bool,
}

/// The right-hand side of the normal equations of `v`, a hidden activation, in `t`, which holds the
/// products of the next layer's input with its weights:
/// rho t + row + gamma (S + relu(u)) + gamma (V_next - sigma(U_next)).
/// Returns the squared distance of `v` from S + relu(u).
#[allow(clippy::too_many_arguments)]
fn activation<F: Float>(
    t: &mut [F],
    v: &[F],
    u: &[F],
    skip: Option<&[F]>,
    next: Option<Next<'_, F>>,
    row: &[F],
    gamma: f64,
    rho: f64,
) -> f64 {
    assert!(t.len() == u.len() && v.len() == u.len() && skip.is_none_or(|s| s.len() == u.len()));
    assert!(next.is_none_or(|next| next.v.len() == u.len() && next.u.len() == u.len()));
    let [distance] = pass([t], row.len(), |rows, [t], sums| {
        // Where there is nothing to read any array stands in: its factor is zero.
        let (next_v, next_u) = next.map_or((v, v), |next| (next.v, next.u));
        let nexts = [&next_v[rows.clone()], &next_u[rows.clone()]];
        let skipped = &skip.unwrap_or(v)[rows.clone()];
        let flags = [skip.is_some(), next.is_some(), next.is_some_and(|next| next.last)];
        let (v, u) = (&v[rows.clone()], &u[rows.clone()]);
        simd::dispatch(Activation { t, v, u, skip: skipped, nexts, flags, row, gamma, rho, sums });
    });
    distance.iter().sum()
}

struct Activation<'a, F> {
    t: &'a mut [F],
    v: &'a [F],
    u: &'a [F],
    skip: &'a [F],
    nexts: [&'a [F]; 2],
    /// Whether there is a skip, a next layer with one, and whether that is the last layer.
    flags: [bool; 3],
    row: &'a [F],
    gamma: f64,
    rho: f64,
    sums: &'a mut Columns<1>,
}
impl<F: Float> Kernel for Activation<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { t, v, u, skip, nexts, flags, row, gamma, rho, sums } = self;
        let d = row.len();
        let [keep, ahead, _] = flags.map(|flag| if flag { 1.0 } else { 0.0 });
        let floor = if flags[2] { f64::NEG_INFINITY } else { 0.0 };
        let distance = &mut sums.0[0][..d];
        for (i, t) in t.chunks_exact_mut(d).enumerate() {
            let [v, u, skip, next_v, next_u] =
                [v, u, skip, nexts[0], nexts[1]].map(|array| &array[i * d..(i + 1) * d]);
            for j in 0..d {
                let active = keep * skip[j].to_f64() + u[j].to_f64().max(0.0);
                let off = v[j].to_f64() - active;
                distance[j] += off * off;
                let asked = next_v[j].to_f64() - next_u[j].to_f64().max(floor);
                let sum = rho * t[j].to_f64() + row[j].to_f64() + gamma * (active + ahead * asked);
                t[j] = F::from_f64(sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Strengths = Strengths { gamma: 0.7, rho: 1.3, alpha: 0.4 };

    fn data(seed: usize, count: usize) -> Vec<f64> {
        (0..count).map(|i| ((i * 37 + seed * 101) as f64 * 0.731).sin() * 2.0).collect()
    }

    #[test]
    fn the_proximal_point_is_the_lowest_of_a_grid() {
        for g in [0.01, 0.5, 6.0, 300.0] {
            let value =
                |a: f64, c: f64, u: f64| 0.5 * (a - u.max(0.0)).powi(2) + 0.5 * g * (u - c).powi(2);
            for (a, c) in data(1, 300).into_iter().zip(data(2, 300)) {
                let best = value(a, c, relu_prox(a, c, g, root(g)));
                let grid = (-4000..=4000).map(|k| value(a, c, f64::from(k) * 1e-3));
                assert!(grid.fold(f64::INFINITY, f64::min) >= best - 1e-12, "{a} {c} {g}");
            }
        }
        let tie = root(3.0) / 3.0;
        assert_eq!(relu_prox(1.0, tie, 3.0, root(3.0)), tie);
    }

    #[test]
    fn a_layer_and_an_activation_depend_neither_on_threads_nor_much_on_chunks() {
        let (n, [d, wide]) = (1500, [37, 150]);
        let out = d;
        let [input, v, y, skip] = [1, 2, 3, 4].map(|seed| data(seed, n * d.max(wide)));
        let (weights, above, asked) = (data(5, d * wide), data(6, out * d), data(7, n * out));
        let (bias, gain) = (data(8, d.max(out)), data(9, d * d));
        let run = |count: usize, chunk: usize| {
            threads::set(count);
            let (mut u, mut w) = (data(10, n * d), data(11, n * d));
            let (mut cross, mut gram) = (vec![0.0; d * wide], vec![0.0; wide * wide]);
            let mut sums = Vec::new();
            for y in [None, Some(&y[..n * d])] {
                let (input, bias) = (&input[..n * wide], &bias[..d]);
                let (u, v) = (&mut u[..], &mut w[..]);
                let layer = Layer { input, weights: &weights, bias, u, v, y, skip: false };
                sums.push(update_layer(layer, S, chunk, &mut cross, Some(&mut gram)));
            }
            let between = Between {
                v: &mut w,
                u: &u,
                skip: Some(&skip[..n * d]),
                asked: &asked,
                above: Some(&v[..n * d]),
                last: false,
                weights: &above,
                bias: &bias[..out],
                gain: &gain,
            };
            let distance = update_activation(between, S, chunk);
            threads::set(0);
            (u, w, cross, sums, distance)
        };
        let one = run(1, n);
        assert!(run(2, n) == one && run(7, n) == one);
        let chunked = run(1, 128);
        assert_eq!((&chunked.0, &chunked.1), (&one.0, &one.1));
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9 * (1.0 + b.abs()), "{a} {b}");
        chunked.2.iter().zip(&one.2).for_each(|(a, b)| near(*a, *b));
        near(chunked.3[1].layer, one.3[1].layer);
        near(chunked.4, one.4);
    }
}
