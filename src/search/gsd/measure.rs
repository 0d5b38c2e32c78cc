//! What is looked at in the data: the Gaussian mechanism, and a choice of marginals.
//!
//! A row that is replaced changes two counts of a marginal by one, so its shares have sensitivity
//! sqrt(2) / rows, and the largest error of a marginal 1 / rows.

use super::noise::Noise;
use super::zcdp;
use crate::engine::{Error, Result};

/// Deviation of noisy shares of `rows` rows for a budget.
pub fn deviation(rows: usize, rho: f64) -> f64 {
    zcdp::gaussian(2.0_f64.sqrt() / rows as f64, rho)
}

/// Shares of counts: exact, or noisy for a budget, in both cases clipped to [0, 1].
///
/// # Errors
/// [`Error::Value`] unless rho > 0 is finite and there is a row.
pub fn shares(
    counts: &[i64],
    rows: usize,
    rho: Option<f64>,
    noise: &mut Noise,
) -> Result<Vec<f64>> {
    check(rows, rho.unwrap_or(1.0))?;
    let deviation = rho.map(|rho| deviation(rows, rho));
    let noisy = |&count: &i64| {
        let share = count as f64 / rows as f64;
        deviation.map_or(share, |deviation| share + deviation * noise.normal()).clamp(0.0, 1.0)
    };
    Ok(counts.iter().map(noisy).collect())
}

/// The `k` entries with the largest scores after Gumbel noise, largest first; scores have
/// sensitivity 1 / rows. `rho` None selects without noise.
///
/// # Errors
/// [`Error::Value`] for a NaN, `k` above the number of scores, no rows, and rho as above.
pub fn select(
    scores: &[f64],
    k: usize,
    rows: usize,
    rho: Option<f64>,
    noise: &mut Noise,
) -> Result<Vec<usize>> {
    check(rows, rho.unwrap_or(1.0))?;
    if k > scores.len() {
        let allowed = format!("at most {}", scores.len());
        return Err(Error::value("k", allowed, k, "select fewer"));
    }
    if scores.iter().any(|score| score.is_nan()) {
        return Err(Error::NonFinite { name: "scores".into(), fix: "pass numbers".into() });
    }
    let scale = rho.map_or(0.0, |rho| zcdp::gumbel(1.0 / rows as f64, k, rho));
    let noisy: Vec<f64> = scores
        .iter()
        .map(|score| if scale > 0.0 { score + scale * noise.gumbel() } else { *score })
        .collect();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| noisy[b].total_cmp(&noisy[a]));
    order.truncate(k);
    Ok(order)
}

fn check(rows: usize, rho: f64) -> Result<()> {
    if rows == 0 {
        return Err(Error::value("rows", ">= 1", 0, "an empty table has no shares"));
    }
    if !(rho > 0.0 && rho.is_finite()) {
        return Err(Error::value("rho", "finite and > 0", rho, "None measures without noise"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_deviation_of_the_budget() {
        let (n, rows, rho) = (40_000, 1000, 0.5);
        let counts = vec![500; n];
        let found = shares(&counts, rows, Some(rho), &mut Noise::new(&[3; 32])).unwrap();
        let square = found.iter().map(|s| (s - 0.5).powi(2)).sum::<f64>() / n as f64;
        // sqrt(2) / 1000 / sqrt(2 * 0.5); four deviations of the estimate are three hundredths.
        assert!((square.sqrt() / (2.0_f64.sqrt() / 1000.0) - 1.0).abs() < 0.03);
        let exact = shares(&[0, 250, 1000], rows, None, &mut Noise::new(&[3; 32])).unwrap();
        assert_eq!(exact, [0.0, 0.25, 1.0]);
    }

    #[test]
    fn selection_prefers_large_scores_as_the_exponential_mechanism() {
        let mut noise = Noise::new(&[9; 32]);
        assert_eq!(select(&[0.1, 0.9, 0.5], 2, 10, None, &mut noise).unwrap(), [1, 2]);
        // Two scores a scale apart: the odds are e to one.
        let (rows, rho) = (100, 0.5);
        let scores = [0.0, zcdp::gumbel(1.0 / rows as f64, 1, rho)];
        let (mut wins, n) = (0, 20_000);
        for _ in 0..n {
            wins += select(&scores, 1, rows, Some(rho), &mut noise).unwrap()[0];
        }
        let expected = 1.0 / (1.0 + (-1.0_f64).exp());
        assert!((wins as f64 / f64::from(n) - expected).abs() < 0.013, "{wins}");
    }

    #[test]
    fn budgets_and_rows_are_checked() {
        let noise = &mut Noise::new(&[0; 32]);
        assert!(shares(&[1], 0, None, noise).is_err());
        assert!(shares(&[1], 1, Some(0.0), noise).is_err());
        assert!(select(&[1.0], 2, 1, None, noise).is_err());
        assert!(select(&[f64::NAN], 1, 1, None, noise).is_err());
    }
}
