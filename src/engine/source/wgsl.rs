//! Formulas in WGSL, four elements at a time.
//!
//! Values are `vec4<f32>`, masks `vec4<bool>`. Exponential and logarithm are functions of
//! [`PRELUDE`], since those of the language may be off by several units in the last place; it also
//! makes infinity and NaN, which the language has no constants for.

use super::Dialect;
use crate::engine::trace::Unary;

/// WGSL whose uniforms are `u0`, `u1`, ... and whose inputs are `i0`, `i1`, ...; `zero`, which has to
/// be a `u32` that is 0 but comes from memory, keeps compilers from cancelling terms of sums.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wgsl;

/// Functions that printed formulas call. As [`Real`](crate::engine::Real) has them on the CPU, but
/// that they round with `round`: adding and subtracting a large number is something that
/// compilers of shaders may simplify.
pub const PRELUDE: &str = "\
fn special(bits: u32) -> vec4<f32> {
    var word = bits;
    return vec4<f32>(bitcast<f32>(word));
}
fn exact(x: vec4<f32>, zero: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) ^ vec4<u32>(zero));
}
fn exponential(x: vec4<f32>) -> vec4<f32> {
    let y = clamp(x, vec4<f32>(-104.0), vec4<f32>(89.0));
    let k = round(y * 1.4426950408889634);
    let r = (y - k * 0.693359375) - k * -2.12194440e-4;
    let square = r * r;
    let rest = (1.0 / 24.0 + r * (1.0 / 120.0)) + square * (1.0 / 720.0 + r * (1.0 / 5040.0));
    let sum = 1.0 + (r + square * ((0.5 + r * (1.0 / 6.0)) + square * rest));
    let whole = vec4<i32>(k);
    let half = whole >> vec4<u32>(1u);
    let first = bitcast<vec4<f32>>((half + 127) << vec4<u32>(23u));
    let second = bitcast<vec4<f32>>((whole - half + 127) << vec4<u32>(23u));
    return select(sum * first * second, x, x != x);
}
fn logarithm(x: vec4<f32>) -> vec4<f32> {
    let small = x < vec4<f32>(1.1754943508222875e-38);
    let y = select(x, x * 33554432.0, small);
    let bits = bitcast<vec4<i32>>(y) - 0x3f3504f3;
    let m = bitcast<vec4<f32>>((bits & vec4<i32>(0x007fffff)) + 0x3f3504f3);
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    var sum = vec4<f32>(1.0 / 9.0);
    sum = sum * square + 1.0 / 7.0;
    sum = sum * square + 1.0 / 5.0;
    sum = sum * square + 1.0 / 3.0;
    let k = vec4<f32>(bits >> vec4<u32>(23u)) - select(vec4<f32>(0.0), vec4<f32>(25.0), small);
    let low = k * -2.12194440e-4 + 2.0 * s * square * sum;
    let value = k * 0.693359375 + (2.0 * s + low);
    let finite = select(value, special(0xff800000u), x == vec4<f32>(0.0));
    let known = select(finite, x, x == special(0x7f800000u));
    return select(special(0x7fc00000u), known, x >= vec4<f32>(0.0));
}
";

impl Dialect for Wgsl {
    fn constant(&self, value: f64) -> String {
        // Rounded here: a literal that singles cannot hold is an error of the language.
        let single = value as f32;
        if single.is_finite() {
            format!("vec4<f32>({single:?}f)")
        } else {
            format!("special({:#x}u)", single.to_bits())
        }
    }
    fn unary(&self, function: Unary, a: &str) -> String {
        match function {
            Unary::Neg => format!("-{a}"),
            Unary::Sqrt => format!("sqrt({a})"),
            Unary::Abs => format!("abs({a})"),
            Unary::Exp => format!("exponential({a})"),
            Unary::Ln => format!("logarithm({a})"),
            Unary::Not => format!("!{a}"),
        }
    }
    fn select(&self, mask: &str, yes: &str, no: &str) -> String {
        format!("select({no}, {yes}, {mask})")
    }
    fn term(&self, sum: &str) -> String {
        format!("exact({sum}, zero)")
    }
    fn define(&self, name: &str, value: &str) -> String {
        format!("let {name} = {value};")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_that_singles_cannot_hold_are_still_wgsl() {
        let text = |value: f64| Wgsl.constant(value);
        assert_eq!(text(1.0), "vec4<f32>(1.0f)");
        assert_eq!(text(1e-8), "vec4<f32>(1e-8f)");
        assert_eq!(text(1e300), "special(0x7f800000u)");
        assert_eq!(text(f64::NEG_INFINITY), "special(0xff800000u)");
        assert_eq!(text(f64::NAN), "special(0x7fc00000u)");
        assert_eq!(text(1e-300), "vec4<f32>(0.0f)");
    }

    #[test]
    fn terms_of_sums_are_hidden_from_compilers() {
        use crate::engine::source::print;
        use crate::engine::trace;
        trace::start();
        let expression = trace::formula(2, |inputs| {
            let sum = inputs[0] + inputs[1];
            vec![(sum - inputs[0]) * inputs[1]]
        });
        let source = print(&expression, &Wgsl, "t");
        assert_eq!(source.statements[..2], ["let t0 = i0 + i1;", "let t1 = exact(t0, zero) - i0;"]);
    }

    #[test]
    fn select_takes_its_mask_last() {
        assert_eq!(Wgsl.select("m", "yes", "no"), "select(no, yes, m)");
    }
}
