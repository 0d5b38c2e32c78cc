//! A sum of terms over variables of few values, each term of a few variables.
//!
//!   cost(z) = sum_t w_t f_t(z at the scope of t)
//!   probe   = sum over the terms that hold a changed variable of (new - old), each term once
//!
//! A term is a table or one of the kinds of [`Kind`]. Tables of integers give exact costs; other
//! numbers are summed in a fixed order, so results never depend on threads.

mod polystep;
mod state;

use crate::engine::{Error, Result};
pub use polystep::run;
pub use state::State;

/// What a term charges, in units of its weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// The entry of a table in row-major order of its scope; `start` is where the table begins.
    Table {
        /// First entry among all tables.
        start: usize,
    },
    /// 1 where the sum of the values has another parity than `target`.
    Parity {
        /// Wanted sum, modulo 2.
        target: f64,
    },
    /// 1 where not all values are equal.
    Equal,
    /// Number of pairs of equal values.
    Different,
    /// Square of the sum of the values less `target`.
    Count {
        /// Wanted sum.
        target: f64,
    },
    /// Product of the spins 2 z - 1 of 0/1 variables.
    Spin,
}

impl Kind {
    /// The kind of a name, which takes a `target` or ignores one of 0.
    ///
    /// # Errors
    /// An unknown name, or a target that the kind has no use for.
    pub fn named(name: &str, target: f64) -> Result<Self> {
        let kind = match name {
            "parity" if target == 0.0 || target == 1.0 => return Ok(Self::Parity { target }),
            "parity" => {
                return Err(Error::value(
                    "target",
                    "0 or 1 for parity",
                    target,
                    "take it modulo 2",
                ));
            }
            "count" if target.is_finite() => return Ok(Self::Count { target }),
            "count" => return Err(Error::value("target", "finite", target, "give the wanted sum")),
            "equal" => Self::Equal,
            "different" => Self::Different,
            "spin" => Self::Spin,
            _ => {
                let allowed = "parity, equal, different, count or spin";
                let fix = "use a table for anything else";
                return Err(Error::value("kind", allowed, format!("{name:?}"), fix));
            }
        };
        if target == 0.0 {
            return Ok(kind);
        }
        Err(Error::value("target", format!("0 for {name}"), target, "leave it out"))
    }
}

/// Variables, and terms over a few of them each.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FactorGraph {
    domains: Vec<u32>,
    scopes: Vec<u32>,
    offsets: Vec<usize>,
    kinds: Vec<Kind>,
    weights: Vec<f64>,
    tables: Vec<f64>,
    // The terms of each variable, in order.
    terms: Vec<Vec<u32>>,
}

impl FactorGraph {
    /// No terms over variables that take `domains[v]` values, 0 to `domains[v] - 1`.
    ///
    /// # Errors
    /// A variable of no value.
    pub fn new(domains: Vec<u32>) -> Result<Self> {
        if let Some(v) = domains.iter().position(|&k| k == 0 || k > 1 << 20) {
            let fix = "2 is a usual value";
            return Err(Error::value(format!("values[{v}]"), "in [1, 2**20]", domains[v], fix));
        }
        let terms = vec![Vec::new(); domains.len()];
        Ok(Self { domains, terms, offsets: vec![0], ..Self::default() })
    }

    /// Number of variables.
    pub fn variables(&self) -> usize {
        self.domains.len()
    }

    /// Number of terms.
    pub fn terms(&self) -> usize {
        self.kinds.len()
    }

    /// Values that each variable takes.
    pub fn domains(&self) -> &[u32] {
        &self.domains
    }

    /// Adds a term for every `arity` entries of `scopes`, with its table in `tables`: one for all
    /// terms, or one each.
    ///
    /// # Errors
    /// Scopes out of range or with repeats, tables of another size, entries that are not finite.
    pub fn add_tables(&mut self, scopes: &[u32], arity: usize, tables: &[f64]) -> Result<()> {
        let count = self.check_scopes(scopes, arity)?;
        if tables.iter().any(|entry| !entry.is_finite()) {
            let fix = "give a forbidden combination a large finite cost";
            return Err(Error::NonFinite { name: "table".into(), fix: fix.into() });
        }
        let size =
            |scope: &[u32]| scope.iter().map(|&v| self.domains[v as usize] as usize).product();
        let sizes: Vec<usize> = scopes.chunks_exact(arity).map(size).collect();
        let shared = sizes.iter().all(|&size| size == tables.len());
        if !shared && sizes.iter().sum::<usize>() != tables.len() {
            return Err(Error::Shape {
                name: "table".into(),
                given: format!("({},)", tables.len()),
                other: "the values of its scope".into(),
                expected: format!("({},)", sizes.first().copied().unwrap_or(0)),
                fix: "give an axis a variable, one entry a value".into(),
            });
        }
        let mut start = self.tables.len();
        let base = self.kinds.len();
        for size in sizes {
            self.kinds.push(Kind::Table { start });
            start += if shared { 0 } else { size };
        }
        self.tables.extend_from_slice(tables);
        self.weights.resize(base + count, 1.0);
        self.attach(scopes, arity, base);
        Ok(())
    }

    /// Adds a term of a kind for every `arity` entries of `scopes`; a weight for all, or one each.
    ///
    /// # Errors
    /// Scopes out of range or with repeats, weights of another number or not finite, spins of
    /// variables that do not take two values.
    pub fn add(&mut self, kind: Kind, scopes: &[u32], arity: usize, weights: &[f64]) -> Result<()> {
        let count = self.check_scopes(scopes, arity)?;
        if weights.iter().any(|weight| !weight.is_finite()) {
            return Err(Error::NonFinite { name: "weight".into(), fix: "give finite ones".into() });
        }
        if weights.len() != 1 && weights.len() != count {
            return Err(Error::Shape {
                name: "weight".into(),
                given: format!("({},)", weights.len()),
                other: "the terms".into(),
                expected: format!("({count},)"),
                fix: "give one number, or one a term".into(),
            });
        }
        let wide = |&&v: &&u32| self.domains[v as usize] != 2;
        if let (Kind::Spin, Some(&v)) = (kind, scopes.iter().find(wide)) {
            let fix = "use a table for variables of more values";
            return Err(Error::value("scopes", "variables of two values for spin", v, fix));
        }
        let base = self.kinds.len();
        self.kinds.resize(base + count, kind);
        (0..count).for_each(|t| self.weights.push(weights[if weights.len() == 1 { 0 } else { t }]));
        self.attach(scopes, arity, base);
        Ok(())
    }

    /// Cost of an assignment, from every term anew.
    ///
    /// # Errors
    /// An assignment of another length, or a value out of range.
    pub fn evaluate(&self, values: &[u32]) -> Result<f64> {
        self.check(values)?;
        Ok((0..self.terms()).map(|t| self.charge(t, |v| values[v as usize])).sum())
    }

    /// Refuses what is no assignment.
    ///
    /// # Errors
    /// Another length, or a value out of range.
    pub fn check(&self, values: &[u32]) -> Result<()> {
        if values.len() != self.variables() {
            return Err(Error::Shape {
                name: "assignment".into(),
                given: format!("({},)", values.len()),
                other: "the variables".into(),
                expected: format!("({},)", self.variables()),
                fix: "give one value a variable".into(),
            });
        }
        match values.iter().zip(&self.domains).position(|(value, domain)| value >= domain) {
            Some(v) => Err(self.out_of_range(v, values[v])),
            None => Ok(()),
        }
    }

    fn out_of_range(&self, variable: usize, value: u32) -> Error {
        let allowed = format!("below {}", self.domains[variable]);
        let fix = "values count from 0";
        Error::value(format!("value of variable {variable}"), allowed, value, fix)
    }

    fn scope(&self, term: usize) -> &[u32] {
        &self.scopes[self.offsets[term]..self.offsets[term + 1]]
    }

    /// What a term costs where variable v has the value `value(v)`.
    #[inline]
    fn charge(&self, term: usize, value: impl Fn(u32) -> u32) -> f64 {
        let scope = self.scope(term);
        let sum = || scope.iter().map(|&v| f64::from(value(v))).sum::<f64>();
        let units = match self.kinds[term] {
            Kind::Table { start } => {
                let place = |at: usize, &v: &u32| {
                    at * self.domains[v as usize] as usize + value(v) as usize
                };
                self.tables[start + scope.iter().fold(0, place)]
            }
            Kind::Parity { target } => f64::from(sum() % 2.0 != target),
            Kind::Equal => f64::from(scope.windows(2).any(|pair| value(pair[0]) != value(pair[1]))),
            Kind::Different => {
                let twins = |i: usize| {
                    scope[i + 1..].iter().filter(|&&v| value(v) == value(scope[i])).count()
                };
                (0..scope.len()).map(twins).sum::<usize>() as f64
            }
            Kind::Count { target } => (sum() - target).powi(2),
            Kind::Spin => scope.iter().map(|&v| f64::from(value(v)) * 2.0 - 1.0).product(),
        };
        self.weights[term] * units
    }

    fn check_scopes(&self, scopes: &[u32], arity: usize) -> Result<usize> {
        if arity == 0 || !scopes.len().is_multiple_of(arity) {
            let fix = "give at least one variable a term";
            return Err(Error::value("scopes", "of shape (terms, k) with k >= 1", arity, fix));
        }
        if let Some(&v) = scopes.iter().find(|&&v| v as usize >= self.variables()) {
            let allowed = format!("variables below {}", self.variables());
            return Err(Error::value("scopes", allowed, v, "count variables from 0"));
        }
        for scope in scopes.chunks_exact(arity) {
            if let Some(v) = scope.iter().enumerate().find(|(i, v)| scope[..*i].contains(v)) {
                let given = format!("{} twice", v.1);
                return Err(Error::value("scopes", "distinct variables", given, "name each once"));
            }
        }
        Ok(scopes.len() / arity)
    }

    fn attach(&mut self, scopes: &[u32], arity: usize, base: usize) {
        for (t, scope) in scopes.chunks_exact(arity).enumerate() {
            self.scopes.extend_from_slice(scope);
            self.offsets.push(self.scopes.len());
            scope.iter().for_each(|&v| self.terms[v as usize].push((base + t) as u32));
        }
    }
}

#[cfg(test)]
mod tests;
