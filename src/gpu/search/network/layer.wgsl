// A dense layer on columns of samples: a thread an output of a column. Sums run in the order of the
// inputs from the bias on, as on the CPU.
// params: inputs, outputs, columns, rows, weights of a row, first weight, words of an input row

@group(0) @binding(0) var<storage, read> params: array<u32>;
@group(0) @binding(1) var<storage, read> theta: array<f32>; // (outputs, inputs), then biases
@group(0) @binding(2) var<storage, read> input: array<u32>; // [row][input][step][column], or trains

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    zero = params[0] >> 31u;
    let inputs = params[0];
    let outputs = params[1];
    let columns = params[2];
    let blocks = (columns + 63u) / 64u;
    let place = group.y * groups.x + group.x;
    let m = place % blocks * 64u + lane;
    let o = place / blocks % outputs;
    let row = place / blocks / outputs;
    if m >= columns || row >= params[3] {
        return;
    }
    let first = row * params[4] + params[5];
    let below = row * params[6];
    var z: array<f32, STEPS>;
    for (var t = 0u; t < STEPS; t++) {
        z[t] = theta[first + inputs * outputs + o];
    }
    for (var i = 0u; i < inputs; i++) {
        let w = theta[first + o * inputs + i];
        if INPUT_TRAINS {
            let at = below + 2u * (i * columns + m);
            let train = vec2<u32>(input[at], input[at + 1u]);
            for (var t = 0u; t < STEPS; t++) {
                z[t] += w * f32(bit(train, t));
            }
        } else {
            for (var t = 0u; t < STEPS; t++) {
                z[t] += w * bitcast<f32>(input[below + (i * STEPS + t) * columns + m]);
            }
        }
    }
    for (var t = 0u; t < STEPS; t++) {
        keep(((row * outputs + o) * STEPS + t) * columns + m, z[t]);
    }
    var train = vec2<u32>(0u, 0u);
    var value = 0.0;
    if !SPIKES {
        value = own_unit(z[0]);
    } else if STEPS == 1u {
        train = own_train(z[0]);
    } else {
        var v = 0.0;
        for (var t = 0u; t < STEPS; t++) {
            let fired = own_fire(v, z[t]);
            v = fired.y;
            train = with_spike(train, t, fired.x);
        }
    }
    if SPIKES {
        value = count(train);
    }
    put((row * outputs + o) * columns + m, value, train);
}
