// Clauses: costs of rows of assignments, gains of flips, changes by probes. Weights are integers
// of 64 bits in two words, so no sum depends on its order. WIDTH is the length of all clauses, 0
// where lengths differ; WEIGHTED says whether they have weights other than 1.

@group(0) @binding(0) var<storage, read> params: array<u32>;
@group(0) @binding(1) var<storage, read> literals: array<u32>; // 2 variable + negated
@group(0) @binding(2) var<storage, read> clauses: array<u32>;  // first literals (if WIDTH = 0), weights

fn first_literal(clause: u32) -> u32 {
    if WIDTH > 0u {
        return clause * WIDTH;
    }
    return clauses[clause];
}

fn weight(clause: u32) -> vec2<u32> {
    if !WEIGHTED {
        return vec2<u32>(1u, 0u);
    }
    let place = select(0u, params[0] + 1u, WIDTH == 0u) + 2u * clause;
    return vec2<u32>(clauses[place], clauses[place + 1u]);
}

fn plus(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + u32(low < a.x));
}

fn minus(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(a.x - b.x, a.y - b.y - u32(a.x < b.x));
}
