// Change of the cost by flipping each variable alone: a thread a variable.
// params: clauses, words, invocations of a row, variables

@group(0) @binding(3) var<storage, read> state: array<u32>;       // bits, then truths
@group(0) @binding(4) var<storage, read> occurrences: array<u32>; // clauses of each literal
@group(0) @binding(5) var<storage, read> starts: array<u32>;
@group(0) @binding(6) var<storage, read_write> out: array<vec2<u32>>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let v = id.y * params[2] + id.x;
    if v >= params[3] {
        return;
    }
    let value = (state[v >> 5u] >> (v & 31u)) & 1u;
    var gain = vec2<u32>(0u, 0u);
    // Clauses that v alone satisfies break, clauses without a true literal are made.
    let holds = 2u * v + 1u - value;
    for (var k = starts[holds]; k < starts[holds + 1u]; k++) {
        let c = occurrences[k];
        if state[params[1] + c] == 1u {
            gain = plus(gain, weight(c));
        }
    }
    let fails = 2u * v + value;
    for (var k = starts[fails]; k < starts[fails + 1u]; k++) {
        let c = occurrences[k];
        if state[params[1] + c] == 0u {
            gain = minus(gain, weight(c));
        }
    }
    out[v] = gain;
}
