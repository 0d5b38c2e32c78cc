//! What a ratio and its start must satisfy.

use super::Problem;
use crate::engine::{Error, Result};

fn shape(name: &str, given: usize, other: &str, expected: usize, fix: &str) -> Error {
    Error::Shape {
        name: name.into(),
        given: format!("({given},)"),
        other: other.into(),
        expected: format!("({expected},)"),
        fix: fix.into(),
    }
}

/// Checks that a vector has an entry for each row (or column) of its matrix.
pub fn length(name: &str, given: usize, expected: usize) -> Result<()> {
    if given == expected {
        return Ok(());
    }
    Err(shape(name, given, "its matrix", expected, "pass one number a row"))
}

/// Checks a problem and its start; moves numerator and denominator there.
///
/// # Errors
/// If shapes do not fit, the start is outside the box or not finite, the numerator is negative or
/// flat along an unbounded coordinate, or the denominator is not positive.
pub fn check(problem: &mut Problem<'_>, x: &[f64]) -> Result<()> {
    let Problem { numerator, denominator, l1, low, high } = problem;
    let n = x.len();
    if n == 0 {
        return Err(Error::value("x0", "of at least one coordinate", "none", "check its shape"));
    }
    if numerator.coordinates() != n {
        let fix = "pass one number a column of the numerator";
        return Err(shape("x0", n, "the numerator", numerator.coordinates(), fix));
    }
    if let Some(given) = denominator.coordinates().filter(|&given| given != n) {
        return Err(shape("x0", n, "the denominator", given, "pass one number a column of it"));
    }
    if low.len() != n || high.len() != n {
        return Err(shape("bounds", low.len(), "x0", n, "pass one pair, or one a coordinate"));
    }
    if !x.iter().all(|x| x.is_finite()) {
        return Err(Error::NonFinite { name: "x0".into(), fix: "start elsewhere".into() });
    }
    for (i, ((x, low), high)) in x.iter().zip(*low).zip(*high).enumerate() {
        if low > high || low.is_nan() || high.is_nan() {
            let given = format!("({low}, {high})");
            return Err(Error::value(format!("bounds[{i}]"), "low <= high", given, "swap them"));
        }
        if !(low <= x && x <= high) {
            let allowed = format!("inside its bounds ({low}, {high})");
            return Err(Error::value(format!("x0[{i}]"), allowed, x, "clip it"));
        }
    }
    for i in 0..n {
        let curvature = numerator.curvature(i);
        let bounded = low[i].is_finite() && high[i].is_finite();
        if !curvature.is_finite() {
            let fix = "remove or impute these entries".into();
            return Err(Error::NonFinite { name: "the numerator's matrix".into(), fix });
        }
        if curvature < 0.0 {
            let name = format!("the numerator's curvature along coordinate {i}");
            return Err(Error::value(name, ">= 0", curvature, "pass a convex function"));
        }
        if curvature == 0.0 && !bounded {
            let name = format!("the numerator's curvature along coordinate {i}");
            let fix = "the ratio has no minimizer; drop the coordinate or bound it";
            return Err(Error::value(name, "> 0 without bounds", curvature, fix));
        }
    }
    numerator.reset(x);
    denominator.reset(x);
    let norm: f64 = x.iter().map(|x| x.abs()).sum();
    let (top, bottom) = (numerator.value() + *l1 * norm, denominator.value());
    if !(top >= 0.0 && top.is_finite()) {
        return Err(Error::value(
            "the numerator at x0",
            ">= 0 and finite",
            top,
            "add a constant, or rescale the data",
        ));
    }
    if !(bottom > 0.0 && bottom.is_finite()) {
        return Err(Error::value(
            "the denominator at x0",
            "> 0 and finite",
            bottom,
            "start elsewhere, such as from random numbers",
        ));
    }
    Ok(())
}
