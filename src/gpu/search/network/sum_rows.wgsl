// Sums of rows: a workgroup a row. params: numbers of a row, rows

@group(0) @binding(0) var<storage, read> params: array<u32>;
@group(0) @binding(1) var<storage, read> numbers: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    zero = params[0] >> 31u;
    let row = group.y * groups.x + group.x;
    if row >= params[1] {
        return;
    }
    var sum = vec2<f32>(0.0, 0.0);
    for (var n = lane; n < params[0]; n += 64u) {
        sum = add_pairs(sum, vec2<f32>(numbers[row * params[0] + n], 0.0));
    }
    let whole = total(lane, sum);
    if lane == 0u {
        out[row] = whole;
    }
}
