// Weight of the unsatisfied clauses of one span, for one row of bits: a workgroup each.
// params: clauses, words a row, rows, spans, clauses of a span

@group(0) @binding(3) var<storage, read> bits: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<vec2<u32>>; // [row][span]

var<workgroup> sums: array<vec2<u32>, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let span = group.x;
    let row = group.y;
    let end = min(params[0], (span + 1u) * params[4]);
    var cost = vec2<u32>(0u, 0u);
    for (var c = span * params[4] + lane; c < end; c += 256u) {
        var holds = 0u;
        let last = first_literal(c + 1u);
        for (var l = first_literal(c); l < last; l++) {
            let literal = literals[l];
            let variable = literal >> 1u;
            holds |= (bits[row * params[1] + (variable >> 5u)] >> (variable & 31u)) ^ literal;
        }
        if (holds & 1u) == 0u {
            cost = plus(cost, weight(c));
        }
    }
    sums[lane] = cost;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            sums[lane] = plus(sums[lane], sums[lane + half]);
        }
        workgroupBarrier();
    }
    if lane == 0u {
        out[row * params[3] + span] = sums[0];
    }
}
