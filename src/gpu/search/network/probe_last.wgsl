// Change of the cost by each probe where the outputs of the network are at most one layer above: a
// workgroup a probe. A sample whose unit does not change costs nothing more.

@group(0) @binding(7) var<storage, read_write> out: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    zero = params[0] >> 31u;
    let place = group.y * groups.x + group.x;
    if place >= params[5] {
        return;
    }
    var sum = vec2<f32>(0.0, 0.0);
    for (var n = lane; n < params[0]; n += 64u) {
        let h = head(params[4] + place, n);
        if h.changed {
            fill(h, n);
            sum = add_pairs(sum, two_sum(sample_loss(n), -base_loss(n)));
        }
    }
    let whole = total(lane, sum);
    if lane == 0u {
        out[place] = whole;
    }
}
