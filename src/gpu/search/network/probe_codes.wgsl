// Change of each sample's loss by all probes of a unit of few outputs, where the outputs of the
// network are at most one layer above: a thread a unit and sample. The loss of every code that some
// probe reaches is computed once; a probe is then a look-up. As head.wgsl, but that params[4] and
// params[5] count units.

@group(0) @binding(7) var<storage, read_write> out: array<f32>; // [unit][probe][sample]

var<private> changes: array<f32, LEVELS>;

fn code_of(unit: u32, probe: u32, n: u32) -> u32 {
    let size = bitcast<f32>(params[8u + unit]);
    let radius = select(-size, size, probe < params[1]);
    let shift = shifts[probe % params[1] * params[0] + n];
    return u32(own_code(z[unit * params[0] + n] + radius * shift));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    zero = params[0] >> 31u;
    let place = (group.y * groups.x + group.x) * 64u + lane;
    let n = place % params[0];
    let row = place / params[0];
    if row >= params[5] {
        return;
    }
    let unit = params[4] + row;
    let probes = 2u * params[1];
    let now = u32(own_code(z[unit * params[0] + n]));
    var reached = vec2<u32>(0u, 0u);
    for (var probe = 0u; probe < probes; probe++) {
        reached = with_spike(reached, code_of(unit, probe, n), 1.0);
    }
    for (var code = 0u; code < LEVELS; code++) {
        if code != now && bit(reached, code) == 1u {
            var h: Head;
            h.unit = unit;
            h.value = own_value(code);
            h.delta = h.value - own_value(now);
            h.train = own_train_of(code);
            h.old = own_train_of(now);
            fill(h, n);
            changes[code] = sample_loss(n) - base_loss(n);
        }
    }
    for (var probe = 0u; probe < probes; probe++) {
        let code = code_of(unit, probe, n);
        var change = 0.0;
        if code != now {
            change = changes[code];
        }
        out[(row * probes + probe) * params[0] + n] = change;
    }
}
