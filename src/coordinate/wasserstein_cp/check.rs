//! What a fit asks of its input; nothing is written before all of it holds.

use super::{Problem, State};
use crate::engine::{Error, Result};

/// How far a sum may be from 1.
const SLACK: f64 = 1e-6;

/// Checks samples, costs, weights and where the fit starts.
///
/// # Errors
/// Names what does not fit.
pub fn check(problem: &Problem<'_>, state: &State<'_>) -> Result<()> {
    let Problem { samples, sizes, costs, components: r, gamma, rho, tau } = problem;
    let m: usize = sizes.iter().product();
    if m == 0 || samples.is_empty() || *r == 0 {
        let given = format!("sizes {sizes:?} and {r} components");
        return Err(Error::value("X", "not empty", given, "check its shape"));
    }
    if !(*gamma > 0.0 && gamma.is_finite()) {
        return Err(Error::value("gamma", "positive", gamma, "try 0.02 of the largest cost"));
    }
    for (kind, block) in ["codes", "factors"].into_iter().enumerate() {
        for (name, weight) in [("rho", rho[kind]), ("tau", tau[kind])] {
            if !(weight >= 0.0 && weight.is_finite()) {
                let name = format!("{name} of the {block}");
                return Err(Error::value(name, ">= 0 and finite", weight, "try 0.01"));
            }
        }
        if rho[kind] + tau[kind] <= 0.0 {
            let name = format!("rho + tau of the {block}");
            return Err(Error::value(name, "positive", 0, "the block's dual is not smooth at 0"));
        }
    }
    lengths("X", samples.len() % m, 0)?;
    simplices("X", samples, m)?;
    lengths("costs", costs.len(), sizes.len())?;
    for (k, (cost, size)) in costs.iter().zip(*sizes).enumerate() {
        lengths(&format!("costs[{k}]"), cost.len(), size * size)?;
        if cost.iter().any(|c| !c.is_finite()) {
            let fix = "replace such costs by large ones".into();
            return Err(Error::NonFinite { name: format!("costs[{k}]"), fix });
        }
    }
    lengths("codes", state.codes.len(), samples.len() / m * r)?;
    simplices("codes", state.codes, *r)?;
    lengths("factors", state.factors.len(), sizes.len())?;
    for (k, (factor, &size)) in state.factors.iter().zip(*sizes).enumerate() {
        lengths(&format!("factors[{k}]"), factor.len(), r * size)?;
        simplices(&format!("factors[{k}]"), factor, size)?;
    }
    lengths("potentials", state.potentials.len(), samples.len())?;
    if state.potentials.iter().any(|g| !g.is_finite()) {
        let fix = "start from zeros".into();
        return Err(Error::NonFinite { name: "potentials".into(), fix });
    }
    Ok(())
}

fn lengths(name: &str, given: usize, expected: usize) -> Result<()> {
    if given == expected {
        return Ok(());
    }
    Err(Error::value(name, format!("of size {expected}"), given, "check its shape"))
}

fn simplices(name: &str, data: &[f64], n: usize) -> Result<()> {
    for (k, row) in data.chunks_exact(n).enumerate() {
        if row.iter().any(|x| !x.is_finite()) {
            let fix = "remove or impute these entries".into();
            return Err(Error::NonFinite { name: format!("{name}[{k}]"), fix });
        }
        if let Some(x) = row.iter().find(|x| **x < 0.0) {
            let name = format!("{name}[{k}]");
            return Err(Error::value(name, ">= 0", x, "shift or clip the data"));
        }
        let sum: f64 = row.iter().sum();
        if (sum - 1.0).abs() > SLACK {
            let name = format!("{name}[{k}]");
            return Err(Error::value(name, "of sum 1", sum, "divide it by its sum"));
        }
    }
    Ok(())
}
