//! Reductions on a device: sums in single precision with what rounding lost kept beside, in an
//! order that is fixed by the layout alone, and largest magnitudes.
//!
//! An invocation adds its own elements, a workgroup joins its 64 invocations pair by pair, and the
//! few numbers that remain, one for each run, are added in f64 on the host, in their order.

use super::layout::Layout;
use crate::optim::rule::{MAX_MEASURED, Reduce};

/// `lost` is what rounding took from `s = a + b` (Knuth's two-sum); `join` and `join_max` reduce a
/// workgroup. Largest magnitudes are compared as bits, with NaN above all.
pub const FUNCTIONS: &str = "\
fn lost(a: vec4<f32>, b: vec4<f32>, sum: vec4<f32>, zero: u32) -> vec4<f32> {
    let s = exact(sum, zero);
    let t = exact(s - a, zero);
    return (a - exact(s - t, zero)) + (b - t);
}
fn add(a: vec2<f32>, b: vec2<f32>, zero: u32) -> vec2<f32> {
    let s = a.x + b.x;
    let rest = lost(vec4<f32>(a.x), vec4<f32>(b.x), vec4<f32>(s), zero).x;
    return vec2<f32>(s, (a.y + b.y) + rest);
}
fn join(lane: u32, sum: vec4<f32>, rest: vec4<f32>, zero: u32) -> vec2<f32> {
    let first = add(vec2<f32>(sum.x, rest.x), vec2<f32>(sum.y, rest.y), zero);
    let second = add(vec2<f32>(sum.z, rest.z), vec2<f32>(sum.w, rest.w), zero);
    parts[lane] = add(first, second, zero);
    for (var width = 32u; width > 0u; width = width / 2u) {
        workgroupBarrier();
        if (lane < width) {
            parts[lane] = add(parts[lane], parts[lane + width], zero);
        }
    }
    let total = parts[0];
    workgroupBarrier();
    return total;
}
fn join_max(lane: u32, sum: vec4<u32>, rest: vec4<f32>, zero: u32) -> vec2<f32> {
    let top = max(max(sum.x, sum.y), max(sum.z, sum.w));
    parts[lane] = vec2<f32>(bitcast<f32>(top ^ zero), rest.x);
    for (var width = 32u; width > 0u; width = width / 2u) {
        workgroupBarrier();
        if (lane < width) {
            let both = max(bitcast<u32>(parts[lane].x), bitcast<u32>(parts[lane + width].x));
            parts[lane].x = bitcast<f32>(both);
        }
    }
    let total = parts[0];
    workgroupBarrier();
    return total;
}
";

/// Adds up what the runs of a segment left, into the totals of each tensor.
pub fn fold(
    layout: &Layout,
    segment: usize,
    tensors: &[(usize, u32)],
    reduce: &[Reduce],
    parts: &[[f32; 2]],
    totals: &mut [[f64; MAX_MEASURED]],
) {
    let mut parts = parts.chunks(reduce.len());
    for (place, &(tensor, _)) in tensors.iter().enumerate() {
        for _ in layout.runs(segment, &[(tensor, 0)]) {
            // There are as many as the runs that wrote them.
            let Some(values) = parts.next() else { return };
            for ((reduce, total), &[sum, rest]) in reduce.iter().zip(&mut totals[place]).zip(values)
            {
                // What an infinite sum lost is NaN.
                let rest = if sum.is_finite() { f64::from(rest) } else { 0.0 };
                reduce.fold(total, f64::from(sum) + rest);
            }
        }
    }
}
