//! Newton-Schulz on a device: [`crate::linalg::newton_schulz`] by a shader that multiplies.
//!
//! X is rows by columns; A = X X^T, B = b A + c A A, X = a X + B X, on the transpose where there
//! are more rows than columns. Each product is one dispatch; a workgroup computes a tile of 16 by
//! 16, and both factors are read through strides, so that nothing is transposed.

use super::bank::Bank;
use super::shader::slot;
use crate::engine::Result;
use crate::engine::codes::BLOCK;
use crate::gpu::dispatch::Pipeline;
use crate::gpu::{Binding, Buffer, Call, Device};

const SOURCE: &str = "\
struct Shape {
    rows: u32, columns: u32, inner: u32, tiles: u32,
    left: vec2<u32>, right: vec2<u32>,
    alpha: f32, beta: f32, pad: vec2<f32>,
}
@group(0) @binding(0) var<storage, read> shape: Shape;
@group(0) @binding(1) var<storage, read> left: array<f32>;
@group(0) @binding(2) var<storage, read> right: array<f32>;
@group(0) @binding(3) var<storage, read> old: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
var<workgroup> a: array<f32, 256>;
var<workgroup> b: array<f32, 256>;
@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) at: vec3<u32>,
) {
    let tile = group.y * groups.x + group.x;
    let row = (tile / shape.tiles) * 16u + at.y;
    let column = (tile % shape.tiles) * 16u + at.x;
    var sum = 0.0;
    for (var k = 0u; k < shape.inner; k += 16u) {
        let place = at.y * 16u + at.x;
        a[place] = 0.0;
        b[place] = 0.0;
        if (row < shape.rows && k + at.x < shape.inner) {
            a[place] = left[row * shape.left.x + (k + at.x) * shape.left.y];
        }
        if (column < shape.columns && k + at.y < shape.inner) {
            b[place] = right[(k + at.y) * shape.right.x + column * shape.right.y];
        }
        workgroupBarrier();
        for (var n = 0u; n < 16u; n++) {
            sum += a[at.y * 16u + n] * b[n * 16u + at.x];
        }
        workgroupBarrier();
    }
    if (row < shape.rows && column < shape.columns) {
        let place = row * shape.columns + column;
        // Without beta there is nothing old, which may be NaN.
        let rest = select(shape.beta * old[place], 0.0, shape.beta == 0.0);
        out[place] = shape.alpha * sum + rest;
    }
}
";

/// One workgroup: the norm from the diagonal of X X^T, and its inverse as factor.
const NORM: &str = "\
@group(0) @binding(0) var<storage, read> square: array<f32>;
@group(0) @binding(1) var<storage, read_write> factor: array<f32>;
@group(0) @binding(2) var<storage, read> head: vec4<f32>;
var<workgroup> parts: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
    let side = u32(head.x);
    var sum = 0.0;
    for (var i = lane; i < side; i += 64u) {
        sum += square[i * side + i];
    }
    parts[lane] = sum;
    for (var width = 32u; width > 0u; width = width / 2u) {
        workgroupBarrier();
        if (lane < width) {
            parts[lane] += parts[lane + width];
        }
    }
    if (lane == 0u) {
        factor[0] = 1.0 / max(sqrt(parts[0]), head.y);
    }
}
";

/// `out = factor^power * old`.
const SCALE: &str = "\
@group(0) @binding(0) var<storage, read> old: array<f32>;
@group(0) @binding(1) var<storage, read> factor: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<storage, read> head: vec4<f32>;
@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i < min(arrayLength(&old), arrayLength(&out))) {
        let once = select(1.0, factor[0], head.x > 0.5);
        out[i] = old[i] * once * select(1.0, factor[0], head.x > 1.5);
    }
}
";

/// Words of `Shape`.
fn product(size: [usize; 3], left: [usize; 2], right: [usize; 2], factors: [f64; 2]) -> [u32; 12] {
    let [rows, columns, inner] = size.map(|n| n as u32);
    let tiles = columns.div_ceil(16);
    let [alpha, beta] = factors.map(|factor| (factor as f32).to_bits());
    let [l, r] = [left, right].map(|strides| strides.map(|n| n as u32));
    [rows, columns, inner, tiles, l[0], l[1], r[0], r[1], alpha, beta, 0, 0]
}

/// A buffer, or some bytes of it.
type Span<'a> = (&'a Buffer, Option<[u64; 2]>);

/// Dispatches that wait to be run, and the tables they read.
struct Queue<'a> {
    device: &'a Device,
    calls: Vec<Call<'a>>,
    pipelines: &'a [Pipeline; 3],
}

impl<'a> Queue<'a> {
    fn add(&mut self, pipeline: usize, spans: &[Span<'a>], groups: usize) -> Result<()> {
        let binding = |(slot, &(buffer, range)): (usize, &Span<'a>)| Binding {
            slot: slot as u32,
            buffer,
            range,
        };
        let bindings = spans.iter().enumerate().map(binding).collect();
        let grid = self.device.grid(groups as u64)?;
        self.calls.push(Call { pipeline: &self.pipelines[pipeline], bindings, grid });
        Ok(())
    }
}

/// Replaces the direction of a tensor by its nearly orthogonal factor.
pub fn orthogonalize(
    device: &Device,
    bank: &Bank,
    tensor: usize,
    shape: Option<[usize; 2]>,
) -> Result<()> {
    let Some([rows, columns]) = shape else { return Ok(()) };
    let Some((iteration, _)) = bank.group.rule.matrix(rows, columns) else { return Ok(()) };
    // Not cut: one piece, or none for an empty tensor.
    let Some(piece) = bank.layout.tensors[tensor].first() else { return Ok(()) };
    let Some(direction) = bank.segment(piece.segment).buffer(slot::DIRECTION) else {
        return Ok(());
    };
    let [start, bytes] = [piece.first, piece.blocks].map(|blocks| (blocks * BLOCK * 4) as u64);
    let (tall, side) = (rows > columns, rows.min(columns));
    let square = (side * side * 4) as u64;
    let (a, b, next) = (device.buffer(square)?, device.buffer(square)?, device.buffer(bytes)?);
    let factor = device.buffer(4)?;
    let [first, second, third] = iteration.coefficients;

    // Strides of X, of its transpose, and of a square.
    let (plain, across, dense) = ([columns, 1], [1, columns], [side, 1]);
    let (left, right) = if tall { (across, plain) } else { (plain, across) };
    let inner = rows.max(columns);
    let gram = device.upload(&product([side, side, inner], left, right, [1.0, 0.0]))?;
    let square = device.upload(&product([side; 3], dense, dense, [third, second]))?;
    let (left, right) = if tall { (plain, dense) } else { (dense, plain) };
    let update = product([rows, columns, side], left, right, [1.0, first]);
    let update = device.upload(&update)?;
    let head = device.upload(&[side as f32, iteration.eps as f32, 0.0, 0.0])?;
    let powers = [0.0f32, 1.0, 2.0].map(|power| device.upload(&[power, 0.0, 0.0, 0.0]));
    let [zeroth, one, two] = powers;
    let (zeroth, one, two) = (zeroth?, one?, two?);

    let pipelines = [device.pipeline(SOURCE)?, device.pipeline(NORM)?, device.pipeline(SCALE)?];
    let mut queue = Queue { device, calls: vec![], pipelines: &pipelines };
    let tiles = |m: usize, n: usize| m.div_ceil(16) * n.div_ceil(16);
    let whole = |buffer| (buffer, None);
    let (mut x, mut y) = ((&**direction, Some([start, bytes])), whole(&next));
    // The norm is the root of the trace of X X^T, which the first product needs anyway.
    queue.add(0, &[whole(&gram), x, x, x, whole(&a)], tiles(side, side))?;
    queue.add(1, &[whole(&a), whole(&factor), whole(&head)], 1)?;
    let groups = |elements: usize| elements.div_ceil(64);
    queue.add(2, &[x, whole(&factor), y, whole(&one)], groups(piece.blocks * BLOCK))?;
    queue.add(2, &[whole(&a), whole(&factor), whole(&b), whole(&two)], groups(side * side))?;
    std::mem::swap(&mut x, &mut y);
    let (mut a, mut b) = (&b, &a);
    for k in 0..iteration.steps {
        if k > 0 {
            queue.add(0, &[whole(&gram), x, x, x, whole(a)], tiles(side, side))?;
        }
        queue.add(
            0,
            &[whole(&square), whole(a), whole(a), whole(a), whole(b)],
            tiles(side, side),
        )?;
        let (left, right) = if tall { (x, whole(b)) } else { (whole(b), x) };
        queue.add(0, &[whole(&update), left, right, x, y], tiles(rows, columns))?;
        std::mem::swap(&mut x, &mut y);
        std::mem::swap(&mut a, &mut b);
    }
    if iteration.steps % 2 == 0 {
        queue.add(2, &[x, whole(&factor), y, whole(&zeroth)], groups(piece.blocks * BLOCK))?;
    }
    device.run(&queue.calls)
}
