// The sum over a workgroup of 64, for its first lane.

var<workgroup> sums: array<vec2<f32>, 64>;

fn total(lane: u32, sum: vec2<f32>) -> vec2<f32> {
    sums[lane] = sum;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if lane < half {
            sums[lane] = add_pairs(sums[lane], sums[lane + half]);
        }
        workgroupBarrier();
    }
    return sums[0];
}
