// Contributions of samples to the cost, as on the CPU. LOSS is 0 for cross-entropy, 1 squared,
// 2 zero-one, 3 F1. `samples` holds the losses of the unmoved network, then labels or values.

var<private> logits: array<f32, OUTPUTS>;

fn base_loss(n: u32) -> f32 {
    return bitcast<f32>(samples[n]);
}

fn predicted() -> u32 {
    if OUTPUTS == 1u {
        return u32(logits[0] > 0.0);
    }
    var class_ = 0u;
    for (var o = 1u; o < OUTPUTS; o++) {
        class_ = select(class_, o, logits[o] > logits[class_]);
    }
    return class_;
}

fn cross_entropy(label: u32) -> f32 {
    if OUTPUTS == 1u {
        let z = logits[0];
        let log_part = logarithm(vec4<f32>(1.0 + exponential(vec4<f32>(-abs(z))).x)).x;
        return log_part + (max(z, 0.0) - select(0.0, z, label == 1u));
    }
    var top = logits[0];
    for (var o = 1u; o < OUTPUTS; o++) {
        top = max(top, logits[o]);
    }
    var sum = 0.0;
    for (var o = 0u; o < OUTPUTS; o++) {
        sum += exponential(vec4<f32>(logits[o] - top)).x;
    }
    return (logarithm(vec4<f32>(sum)).x + top) - logits[label];
}

fn sample_loss(n: u32) -> f32 {
    let count_of = params[0];
    if LOSS == 1u {
        var sum = 0.0;
        for (var o = 0u; o < OUTPUTS; o++) {
            let error = logits[o] - bitcast<f32>(samples[count_of + o * count_of + n]);
            sum += error * error;
        }
        return sum / f32(OUTPUTS);
    }
    let label = samples[count_of + n];
    if LOSS == 2u {
        return select(1.0, 0.0, predicted() == label);
    }
    if LOSS == 3u {
        // Predicted positives in units of 2^14, hits below.
        return select(0.0, select(16384.0, 16385.0, label == 1u), predicted() == 1u);
    }
    return cross_entropy(label);
}
