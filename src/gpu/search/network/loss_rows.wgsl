// Sums of losses of rows of outputs: a workgroup a row. MODE is 0 for sums, 1 to keep the losses as
// well, 2 for sums of what was added to the losses kept.
// params: samples, words from output to output, words from row to row, rows

@group(0) @binding(1) var<storage, read> outputs: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    zero = params[0] >> 31u;
    let row = group.y * groups.x + group.x;
    if row >= params[3] {
        return;
    }
    var sum = vec2<f32>(0.0, 0.0);
    for (var n = lane; n < params[0]; n += 64u) {
        for (var o = 0u; o < OUTPUTS; o++) {
            logits[o] = outputs[row * params[2] + o * params[1] + n];
        }
        let loss = sample_loss(n);
        var change = vec2<f32>(loss, 0.0);
        if MODE == 2u {
            change = two_sum(loss, -base_loss(n));
        }
        store(n, loss);
        sum = add_pairs(sum, change);
    }
    let whole = total(lane, sum);
    if lane == 0u {
        out[row] = whole;
    }
}
