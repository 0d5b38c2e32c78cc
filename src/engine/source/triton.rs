//! Formulas in Triton, on blocks of float32.
//!
//! Exponential and logarithm are functions of a module `memory`, which must be in scope: they have
//! the bits of [`Real`](crate::engine::Real), as division and square root, rounded to nearest, do.

use super::{Dialect, infix};
use crate::engine::trace::{Binary, Unary};

/// Triton whose uniforms are `u0`, `u1`, ... and whose inputs are `i0`, `i1`, ...
#[derive(Debug, Clone, Copy, Default)]
pub struct Triton;

impl Dialect for Triton {
    fn constant(&self, value: f64) -> String {
        // Rounded here; Triton would take what singles hold badly for doubles.
        let single = value as f32;
        if single.is_normal() || single == 0.0 {
            format!("{single:?}")
        } else if single.is_nan() {
            "float(\"nan\")".into()
        } else if single.is_infinite() {
            format!("float(\"{single}\")")
        } else {
            format!(
                "tl.full((), {}, tl.int32).to(tl.float32, bitcast=True)",
                single.to_bits() as i32
            )
        }
    }
    fn unary(&self, function: Unary, a: &str) -> String {
        match function {
            Unary::Neg => format!("-({a})"),
            Unary::Sqrt => format!("tl.sqrt_rn({a})"),
            Unary::Abs => format!("tl.abs({a})"),
            Unary::Exp => format!("memory.exponential({a})"),
            Unary::Ln => format!("memory.logarithm({a})"),
            Unary::Not => format!("({a}) == 0"),
        }
    }
    fn binary(&self, function: Binary, a: &str, b: &str) -> String {
        match function {
            Binary::Div => format!("tl.div_rn({a}, {b})"),
            _ => infix(function, a, b),
        }
    }
    fn select(&self, mask: &str, yes: &str, no: &str) -> String {
        format!("tl.where({mask}, {yes}, {no})")
    }
    fn define(&self, name: &str, value: &str) -> String {
        format!("{name} = {value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_singles() {
        let text = |value: f64| Triton.constant(value);
        assert_eq!(text(1.0), "1.0");
        assert_eq!(text(-0.0), "-0.0");
        assert_eq!(text(1e-18), "1e-18");
        assert_eq!(text(1e-300), "0.0");
        assert_eq!(text(1e300), "float(\"inf\")");
        assert_eq!(text(f64::NEG_INFINITY), "float(\"-inf\")");
        assert_eq!(text(f64::NAN), "float(\"nan\")");
        assert!(text(1e-40).starts_with("tl.full((), 71362, tl.int32)"));
    }
}
