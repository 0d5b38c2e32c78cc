//! Budgets in zero-concentrated differential privacy, and the noise that they buy.
//!
//! Bun, Steinke 2016, arXiv:1605.02658; the conversion is that of Canonne, Kamath, Steinke 2020,
//! arXiv:2004.00010: rho-zCDP is (epsilon, delta)-DP with
//!
//!   delta = min over alpha > 1 of  exp((alpha-1)(alpha rho - epsilon)) (1-1/alpha)^alpha / (alpha-1)
//!
//! One budget is for tables that differ in one row (replaced by another), their number public.

use crate::engine::{Error, Result};

/// Smallest delta for which rho-zCDP implies (epsilon, delta)-DP by the conversion above.
///
/// # Errors
/// [`Error::Value`] unless rho and epsilon are finite and >= 0.
pub fn delta(rho: f64, epsilon: f64) -> Result<f64> {
    for (name, value) in [("rho", rho), ("epsilon", epsilon)] {
        if !(value >= 0.0 && value.is_finite()) {
            return Err(Error::value(name, "finite and >= 0", value, "a usual value is 1.0"));
        }
    }
    if rho == 0.0 {
        return Ok(0.0);
    }
    // The derivative of the exponent, (2 alpha - 1) rho - epsilon + ln(1 - 1 / alpha), ascends from
    // -infinity; it is not negative at the upper end.
    let slope = |alpha: f64| (2.0 * alpha - 1.0) * rho - epsilon + (-1.0 / alpha).ln_1p();
    let (mut low, mut high) = (1.0, (epsilon + 1.0) / (2.0 * rho) + 2.0);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if slope(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    // alpha - 1 must not vanish: any alpha gives a valid bound.
    let alpha = high.max(1.0 + 1e-9);
    let exponent = (alpha - 1.0) * (alpha * rho - epsilon) + alpha * (-1.0 / alpha).ln_1p();
    Ok((exponent - (alpha - 1.0).ln()).exp().min(1.0))
}

/// Largest rho for which rho-zCDP implies (epsilon, delta)-DP.
///
/// # Errors
/// [`Error::Value`] unless epsilon > 0 is finite and delta in (0, 1).
pub fn rho(epsilon: f64, delta_: f64) -> Result<f64> {
    if !(epsilon > 0.0 && epsilon.is_finite()) {
        let fix = "None fits without privacy";
        return Err(Error::value("epsilon", "finite and > 0", epsilon, fix));
    }
    check(delta_)?;
    let (mut low, mut high) = (0.0, epsilon + 1.0);
    // Delta tends to 1 with rho.
    while delta(high, epsilon)? <= delta_ {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if delta(middle, epsilon)? <= delta_ {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Smallest epsilon for which rho-zCDP implies (epsilon, delta)-DP.
///
/// # Errors
/// [`Error::Value`] unless rho >= 0 is finite and delta in (0, 1).
pub fn epsilon(rho: f64, delta_: f64) -> Result<f64> {
    check(delta_)?;
    delta(rho, 0.0)?;
    // The simple bound of Bun and Steinke.
    let (mut low, mut high) = (0.0, rho + 2.0 * (rho * (1.0 / delta_).ln()).sqrt());
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if delta(rho, middle)? > delta_ {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(high)
}

fn check(delta: f64) -> Result<()> {
    if delta > 0.0 && delta < 1.0 {
        return Ok(());
    }
    Err(Error::value("delta", "in (0, 1)", delta, "take less than one over the number of rows"))
}

/// Deviation of the Gaussian mechanism: sensitivity / sqrt(2 rho).
pub fn gaussian(sensitivity: f64, rho: f64) -> f64 {
    sensitivity / (2.0 * rho).sqrt()
}

/// Scale of Gumbel noise that selects the `k` largest scores at once: sensitivity sqrt(k / (2 rho)).
///
/// Durfee, Rogers 2019, arXiv:1905.04273: k exponential mechanisms of epsilon' = sqrt(8 rho / k),
/// each epsilon'^2 / 8-zCDP.
pub fn gumbel(sensitivity: f64, k: usize, rho: f64) -> f64 {
    sensitivity * (k as f64 / (2.0 * rho)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_convert_there_and_back() {
        for given in [1e-3, 0.1, 1.0, 10.0, 1e4] {
            for delta_ in [1e-12, 1e-6, 1e-2, 0.9] {
                let rho = rho(given, delta_).unwrap();
                let back = epsilon(rho, delta_).unwrap();
                assert!((back - given).abs() <= 1e-6 * given, "{given} {delta_}: {back}");
                // At least as good as the simple bound.
                assert!(rho + 2.0 * (rho * (1.0 / delta_).ln()).sqrt() >= given * (1.0 - 1e-9));
            }
        }
    }

    #[test]
    fn the_minimum_is_below_every_alpha() {
        let (rho, epsilon) = (0.05, 1.0);
        let best = delta(rho, epsilon).unwrap();
        for k in 1..4000 {
            let alpha = 1.0 + 0.01 * f64::from(k);
            let value = ((alpha - 1.0) * (alpha * rho - epsilon)).exp()
                * (1.0 - 1.0 / alpha).powf(alpha)
                / (alpha - 1.0);
            assert!(best <= value * (1.0 + 1e-12));
        }
    }

    #[test]
    fn what_is_no_budget_is_refused() {
        assert!(
            rho(0.0, 1e-6).is_err() && rho(-1.0, 1e-6).is_err() && rho(f64::NAN, 1e-6).is_err()
        );
        assert!(rho(1.0, 0.0).is_err() && rho(1.0, 1.0).is_err() && rho(1.0, f64::NAN).is_err());
        assert!(epsilon(-1.0, 0.1).is_err() && delta(f64::INFINITY, 1.0).is_err());
    }
}
