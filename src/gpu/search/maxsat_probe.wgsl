// Change of the cost by flipping several variables together: a thread a probe.
// params: clauses, words, invocations of a row, probes

@group(0) @binding(3) var<storage, read> state: array<u32>;       // bits, then truths
@group(0) @binding(4) var<storage, read> occurrences: array<u32>; // clauses of each literal
@group(0) @binding(5) var<storage, read> starts: array<u32>;
@group(0) @binding(6) var<storage, read> flips: array<u32>; // where each probe starts, variables
@group(0) @binding(7) var<storage, read_write> out: array<vec2<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let probe = id.y * params[2] + id.x;
    if probe >= params[3] {
        return;
    }
    let base = params[3] + 1u;
    let first = base + flips[probe];
    let last = base + flips[probe + 1u];
    var change = vec2<u32>(0u, 0u);
    for (var i = first; i < last; i++) {
        let v = flips[i];
        for (var k = starts[2u * v]; k < starts[2u * v + 2u]; k++) {
            let c = occurrences[k];
            let before = state[params[1] + c];
            var after = before;
            // A clause that holds several of the variables counts at the first of them.
            var counts = true;
            let end = first_literal(c + 1u);
            for (var l = first_literal(c); l < end; l++) {
                let literal = literals[l];
                let u = literal >> 1u;
                var place = last;
                for (var a = first; a < last; a++) {
                    place = select(place, a, flips[a] == u);
                }
                if place < last {
                    counts = counts && place >= i;
                    let holds = ((state[u >> 5u] >> (u & 31u)) ^ literal) & 1u;
                    after += 1u - 2u * holds;
                }
            }
            if counts && before > 0u && after == 0u {
                change = plus(change, weight(c));
            }
            if counts && before == 0u && after > 0u {
                change = minus(change, weight(c));
            }
        }
    }
    out[probe] = change;
}
