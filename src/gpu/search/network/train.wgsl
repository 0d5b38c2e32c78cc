// Spike trains: bit t for step t.

fn bit(train: vec2<u32>, t: u32) -> u32 {
    return (select(train.x, train.y, t >= 32u) >> (t & 31u)) & 1u;
}

fn with_spike(train: vec2<u32>, t: u32, spike: f32) -> vec2<u32> {
    let mark = u32(spike > 0.0) << (t & 31u);
    return train | select(vec2<u32>(mark, 0u), vec2<u32>(0u, mark), t >= 32u);
}

fn count(train: vec2<u32>) -> f32 {
    return f32(countOneBits(train.x) + countOneBits(train.y));
}
