// The simplex, a row a workgroup: y = max(x - tau, 0) with sum y = radius.
//
//   d = x - max x;   t = (sum of d > lo, minus radius) / (how many);   lo = t
//
// Newton from the left, as the native kernel. What is left of the sum times how many are above lo
// falls to a quarter each time at least, so ROUNDS are more than pairs of floats tell apart.

@group(0) @binding(0) var<storage, read> params: array<u32>; // rows, n, radius (2 floats)
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const ROUNDS = 64u;

var<workgroup> tops: array<f32, SIZE>;
var<workgroup> sums: array<vec2<f32>, SIZE>;
var<workgroup> counts: array<u32, SIZE>;

fn top_of_row(start: u32, n: u32, lane: u32) -> f32 {
    var top = x[start];
    for (var i = lane; i < n; i += SIZE) {
        top = max(top, x[start + i]);
    }
    tops[lane] = top;
    workgroupBarrier();
    for (var half = SIZE / 2u; half > 0u; half /= 2u) {
        if lane < half {
            tops[lane] = max(tops[lane], tops[lane + half]);
        }
        workgroupBarrier();
    }
    return workgroupUniformLoad(&tops[0]);
}

fn above(d: vec2<f32>, c: vec2<f32>) -> bool {
    return d.x > c.x || (d.x == c.x && d.y > c.y);
}

@compute @workgroup_size(SIZE)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    zero = params[0] >> 31u;
    let row = group.y * groups.x + group.x;
    if row >= params[0] {
        return;
    }
    let n = params[1];
    let radius = vec2<f32>(bitcast<f32>(params[2]), bitcast<f32>(params[3]));
    let start = row * n;
    let top = top_of_row(start, n, lane);
    var lo = -radius;
    var kept = 0u;
    for (var round = 0u; round < ROUNDS; round++) {
        var sum = vec2<f32>(0.0, 0.0);
        var count = 0u;
        for (var i = lane; i < n; i += SIZE) {
            let d = two_sum(x[start + i], -top);
            if above(d, lo) {
                sum = add_pairs(sum, d);
                count += 1u;
            }
        }
        sums[lane] = sum;
        counts[lane] = count;
        workgroupBarrier();
        for (var half = SIZE / 2u; half > 0u; half /= 2u) {
            if lane < half {
                sums[lane] = add_pairs(sums[lane], sums[lane + half]);
                counts[lane] += counts[lane + half];
            }
            workgroupBarrier();
        }
        let total = workgroupUniformLoad(&sums[0]);
        let over = workgroupUniformLoad(&counts[0]);
        if over == kept {
            break;
        }
        kept = over;
        let t = divide(add_pairs(total, -radius), f32(over));
        if above(t, lo) {
            lo = t;
        }
    }
    for (var i = lane; i < n; i += SIZE) {
        let d = two_sum(x[start + i], -top);
        let value = (d.x - lo.x) + (d.y - lo.y);
        y[start + i] = select(0.0, value, above(d, lo) && value > 0.0);
    }
}
