// Outputs of the layer above for every probe and sample, where more layers follow: a thread each.

@group(0) @binding(6) var<storage, read_write> out: array<u32>; // [output][probe, sample], or trains

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    zero = params[0] >> 31u;
    let columns = params[5] * params[0];
    let m = (group.y * groups.x + group.x) * 64u + lane;
    if m >= columns {
        return;
    }
    let n = m % params[0];
    let h = head(params[4] + m / params[0], n);
    for (var o = 0u; o < params[3]; o++) {
        let up = above(h, o, n);
        if OUTPUT_TRAINS {
            out[2u * (o * columns + m)] = up.train.x;
            out[2u * (o * columns + m) + 1u] = up.train.y;
        } else {
            out[o * columns + m] = bitcast<u32>(up.value);
        }
    }
}
