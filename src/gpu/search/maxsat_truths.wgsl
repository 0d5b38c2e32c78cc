// True literals of every clause under one assignment. params: clauses, words, invocations of a row

@group(0) @binding(3) var<storage, read_write> state: array<u32>; // bits, then truths

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let c = id.y * params[2] + id.x;
    if c >= params[0] {
        return;
    }
    var count = 0u;
    let last = first_literal(c + 1u);
    for (var l = first_literal(c); l < last; l++) {
        let literal = literals[l];
        let variable = literal >> 1u;
        count += ((state[variable >> 5u] >> (variable & 31u)) ^ literal) & 1u;
    }
    state[params[1] + c] = count;
}
