// What a probe makes of its unit, for one sample.
// params: samples, directions, units, outputs above, first probe, probes, first weight above, a
// word that nothing reads, then a radius a unit

@group(0) @binding(0) var<storage, read> params: array<u32>;
@group(0) @binding(1) var<storage, read> z: array<f32>;      // [unit][step][sample]
@group(0) @binding(2) var<storage, read> shifts: array<f32>; // [direction][step][sample]
@group(0) @binding(3) var<storage, read> base: array<u32>;   // outputs [unit][sample], or trains

struct Head {
    unit: u32,
    changed: bool,
    value: f32,
    delta: f32,
    train: vec2<u32>,
    old: vec2<u32>,
}

fn head(probe: u32, n: u32) -> Head {
    let count_of = 2u * params[1];
    let index = probe % count_of;
    var h: Head;
    h.unit = probe / count_of;
    let size = bitcast<f32>(params[8u + h.unit]);
    let radius = select(-size, size, index < params[1]);
    let from_z = h.unit * STEPS * params[0] + n;
    let from_shift = index % params[1] * STEPS * params[0] + n;
    let moved = z[from_z] + radius * shifts[from_shift];
    if !SPIKES {
        h.value = own_unit(moved);
    } else if STEPS == 1u {
        h.train = own_train(moved);
    } else {
        var v = 0.0;
        for (var t = 0u; t < STEPS; t++) {
            let at = t * params[0];
            let fired = own_fire(v, z[from_z + at] + radius * shifts[from_shift + at]);
            v = fired.y;
            h.train = with_spike(h.train, t, fired.x);
        }
    }
    if SPIKES {
        h.value = count(h.train);
    }
    let place = h.unit * params[0] + n;
    if READS_TRAINS {
        h.old = vec2<u32>(base[2u * place], base[2u * place + 1u]);
        h.changed = any(h.train != h.old);
    } else {
        h.delta = h.value - bitcast<f32>(base[place]);
        h.changed = h.delta != 0.0;
    }
    return h;
}
