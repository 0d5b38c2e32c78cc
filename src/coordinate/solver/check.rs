//! Checks of a problem before anything is computed.

use crate::coordinate::datafit::Loss;
use crate::coordinate::design::Design;
use crate::engine::{Error, Result};

/// Checks lengths, targets, weights and factors.
///
/// # Errors
/// Names the argument that does not fit.
pub fn check(
    design: &dyn Design,
    y: &[f64],
    weights: &[f64],
    loss: &dyn Loss,
    factors: Option<&[f64]>,
    start: Option<(&[f64], f64)>,
) -> Result<()> {
    let (n, p) = (design.rows(), design.cols());
    length("y", y.len(), n, "one target a sample")?;
    length("sample_weight", weights.len(), n, "one weight a sample")?;
    if n == 0 {
        return Err(Error::value("X", "of at least one sample", "none", "check its shape"));
    }
    if let Some(factors) = factors {
        length("weights", factors.len(), p, "one factor a feature")?;
        if let Some(bad) = factors.iter().find(|v| v.is_nan() || **v < 0.0) {
            return Err(Error::value("weights", ">= 0", bad, "use infinity to remove a feature"));
        }
    }
    if let Some((w, b)) = start {
        length("coef_init", w.len(), p, "one coefficient a feature")?;
        if !b.is_finite() || w.iter().any(|w| !w.is_finite()) {
            return Err(Error::NonFinite {
                name: "coef_init".into(),
                fix: "start from zeros".into(),
            });
        }
    }
    if y.iter().any(|y| !y.is_finite()) {
        return Err(Error::NonFinite { name: "y".into(), fix: "remove these samples".into() });
    }
    if let Some(bad) = y.iter().find(|y| !loss.admits(**y)) {
        return Err(Error::value("y", loss.targets(), bad, "recode the targets"));
    }
    let total: f64 = weights.iter().sum();
    if weights.iter().any(|s| s.is_nan() || *s < 0.0) || (total - 1.0).abs() > 1e-6 {
        let fix = "divide them by their sum";
        return Err(Error::value("sample_weight", ">= 0 with a sum of one", total, fix));
    }
    Ok(())
}

fn length(name: &str, given: usize, expected: usize, fix: &str) -> Result<()> {
    if given == expected {
        return Ok(());
    }
    Err(Error::Shape {
        name: name.into(),
        given: format!("({given},)"),
        other: "X".into(),
        expected: format!("({expected},) along this axis"),
        fix: format!("pass {fix}"),
    })
}
