// An output of the layer above a probed unit.

@group(0) @binding(4) var<storage, read> above_z: array<f32>; // [output][step][sample]
@group(0) @binding(5) var<storage, read> theta: array<f32>;

struct Above {
    value: f32,
    train: vec2<u32>,
}

fn above(h: Head, o: u32, n: u32) -> Above {
    let w = theta[params[6] + o * params[2] + h.unit];
    var out: Above;
    if READS_TRAINS {
        var v = 0.0;
        for (var t = 0u; t < STEPS_ABOVE; t++) {
            let turn = f32(bit(h.train, t)) - f32(bit(h.old, t));
            let fired = next_fire(v, above_z[(o * STEPS_ABOVE + t) * params[0] + n] + turn * w);
            v = fired.y;
            out.train = with_spike(out.train, t, fired.x);
        }
    } else {
        let moved = above_z[o * params[0] + n] + h.delta * w;
        if SPIKES_ABOVE {
            out.train = next_train(moved);
        } else {
            out.value = next_unit(moved);
        }
    }
    if SPIKES_ABOVE {
        out.value = count(out.train);
    }
    return out;
}
