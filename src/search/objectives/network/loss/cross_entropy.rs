//! Cross-entropy: log sum exp of the logits minus the logit of the class; with one output the
//! logistic loss of class 1.

use crate::engine::lanes::{self, LANES, Lanes};

/// Losses of sixteen samples; `logits` serves as scratch.
#[inline(always)]
pub fn block(logits: &mut [Lanes], label: &[u32; LANES]) -> Lanes {
    if let [logit] = logits {
        return logistic(logit, label);
    }
    let mut loss = [0.0; LANES];
    for l in 0..LANES {
        loss[l] = -logits[label[l] as usize][l];
    }
    let mut top = logits[0];
    for logit in &logits[1..] {
        top = lanes::zip(top, *logit, |a, b| if b > a { b } else { a });
    }
    for logit in logits.iter_mut() {
        *logit = lanes::exp(lanes::zip(*logit, top, |a, b| a - b));
    }
    let mut sum = [0.0; LANES];
    for power in logits.iter() {
        sum = lanes::zip(sum, *power, |a, b| a + b);
    }
    let log = lanes::zip(lanes::ln(sum), top, |a, b| a + b);
    lanes::zip(loss, log, |a, b| a + b)
}

/// ln(1 + exp(-|z|)) + max(z, 0) - z [class 1].
#[inline(always)]
fn logistic(logit: &Lanes, label: &[u32; LANES]) -> Lanes {
    let power = lanes::exp(lanes::map(*logit, |z| -z.abs()));
    let mut loss = lanes::ln(lanes::map(power, |e| 1.0 + e));
    for l in 0..LANES {
        let z = logit[l];
        loss[l] += (if z > 0.0 { z } else { 0.0 }) - if label[l] == 1 { z } else { 0.0 };
    }
    loss
}
