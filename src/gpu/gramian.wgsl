// Inner products of the rows of a matrix of few rows and many columns.
//
// A workgroup owns SIDE x SIDE products of one span of columns, a thread 2 x 2 of them for every
// LANES-th column. Factors are split in two, so their products are exact; sums are pairs of floats,
// added in a fixed order.

@group(0) @binding(0) var<storage, read> params: array<u32>; // rows, columns, columns of a span
@group(0) @binding(1) var<storage, read> matrix: array<f32>;
@group(0) @binding(2) var<storage, read> scales: array<f32>; // a power of two a row
@group(0) @binding(3) var<storage, read_write> out: array<vec2<f32>>; // [span][tile][SIDE * SIDE]

const LANES = 1024u / (SIDE * SIDE);
const PAIRS = 256u / LANES;
const DEPTH = 512u / SIDE;

var<workgroup> left: array<vec2<f32>, 512>;
var<workgroup> right: array<vec2<f32>, 512>;
var<workgroup> sums: array<vec2<f32>, 1024>;

fn factor(row: u32, column: u32, end: u32) -> vec2<f32> {
    if row >= params[0] || column >= end {
        return vec2<f32>(0.0, 0.0);
    }
    return split(matrix[row * params[1] + column] * scales[row]);
}

// sum + x y; what is small is gathered apart.
fn add_product(sum: vec2<f32>, x: vec2<f32>, y: vec2<f32>) -> vec2<f32> {
    let s = two_sum(sum.x, x.x * y.x);
    let small = (x.x * y.y + x.y * y.x) + x.y * y.y;
    return vec2<f32>(s.x, sum.y + (s.y + small));
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    zero = params[0] >> 31u;
    // Tiles of the lower triangle, row after row.
    var i = 0u;
    var j = group.x;
    while j > i {
        i += 1u;
        j -= i;
    }
    let lane = thread / PAIRS;
    let pair = thread % PAIRS;
    let a = pair / (SIDE / 2u) * 2u;
    let b = pair % (SIDE / 2u) * 2u;
    let first = group.y * params[2];
    let end = min(params[1], first + params[2]);
    var s00 = vec2<f32>(0.0, 0.0);
    var s01 = s00;
    var s10 = s00;
    var s11 = s00;
    for (var column = first; column < end; column += DEPTH) {
        workgroupBarrier();
        for (var k = thread; k < 512u; k += 256u) {
            left[k] = factor(i * SIDE + k / DEPTH, column + k % DEPTH, end);
            right[k] = factor(j * SIDE + k / DEPTH, column + k % DEPTH, end);
        }
        workgroupBarrier();
        for (var k = lane; k < DEPTH; k += LANES) {
            let x0 = left[a * DEPTH + k];
            let x1 = left[a * DEPTH + DEPTH + k];
            let y0 = right[b * DEPTH + k];
            let y1 = right[b * DEPTH + DEPTH + k];
            s00 = add_product(s00, x0, y0);
            s01 = add_product(s01, x0, y1);
            s10 = add_product(s10, x1, y0);
            s11 = add_product(s11, x1, y1);
        }
        // Before the second parts grow and lose digits of their own.
        s00 = quick_two_sum(s00.x, s00.y);
        s01 = quick_two_sum(s01.x, s01.y);
        s10 = quick_two_sum(s10.x, s10.y);
        s11 = quick_two_sum(s11.x, s11.y);
    }
    let place = lane * SIDE * SIDE + a * SIDE + b;
    sums[place] = s00;
    sums[place + 1u] = s01;
    sums[place + SIDE] = s10;
    sums[place + SIDE + 1u] = s11;
    workgroupBarrier();
    let tiles = params[3];
    for (var k = thread; k < SIDE * SIDE; k += 256u) {
        var sum = sums[k];
        for (var l = 1u; l < LANES; l++) {
            sum = add_pairs(sum, sums[l * SIDE * SIDE + k]);
        }
        out[(group.y * tiles + group.x) * SIDE * SIDE + k] = sum;
    }
}
