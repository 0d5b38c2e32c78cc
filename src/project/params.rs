//! Parameters of sets as they come from callers: checked once, borrowed after.

use crate::engine::{Error, Result};

/// One number for all entries, or one for each.
#[derive(Debug, Clone, Copy)]
pub struct Spread<'a>(&'a [f64]);

impl<'a> Spread<'a> {
    /// `values` of length 1 or `n`.
    pub fn new(values: &'a [f64], n: usize, name: &str) -> Result<Self> {
        if values.len() != 1 && values.len() != n {
            return Err(Error::value(
                name,
                format!("a number or of length {n}"),
                format!("length {}", values.len()),
                "give one value for each entry along the axis",
            ));
        }
        Ok(Self(values))
    }

    /// A constant.
    pub(super) const fn constant(values: &'a [f64; 1]) -> Self {
        Self(values)
    }

    /// The value for entry `i`.
    #[inline(always)]
    pub fn at(&self, i: usize) -> f64 {
        if let [one] = self.0 { *one } else { self.0[i] }
    }

    /// The value, where it is the same for all.
    pub fn same(&self) -> Option<f64> {
        if let [one] = self.0 { Some(*one) } else { None }
    }

    /// Refuses values that `allowed` does not hold for.
    pub fn all(self, name: &str, words: &str, allowed: impl Fn(f64) -> bool) -> Result<Self> {
        match self.0.iter().find(|&&value| !allowed(value)) {
            Some(value) => Err(Error::value(name, words, value, "see the documentation")),
            None => Ok(self),
        }
    }
}

/// The numbers and vectors of a set, in the order of its registry line.
#[derive(Debug, Clone, Copy)]
pub struct Params<'a> {
    /// Entries of one problem.
    pub n: usize,
    /// Numbers.
    pub scalars: &'a [f64],
    /// Vectors.
    pub vectors: &'a [&'a [f64]],
}

impl<'a> Params<'a> {
    /// Number `k`.
    pub fn scalar(&self, k: usize) -> Result<f64> {
        self.scalars.get(k).copied().ok_or_else(|| self.missing("numbers", k))
    }

    /// Number `k`, finite and at least 0.
    pub fn non_negative(&self, k: usize, name: &str) -> Result<f64> {
        number(self.scalar(k)?, name, "finite and >= 0", |x| x >= 0.0 && x.is_finite())
    }

    /// Number `k`, at least 0; infinity is allowed.
    pub fn strength(&self, k: usize, name: &str) -> Result<f64> {
        number(self.scalar(k)?, name, ">= 0", |x| x >= 0.0)
    }

    /// Vector `k` as it is.
    pub fn vector(&self, k: usize) -> Result<&'a [f64]> {
        self.vectors.get(k).copied().ok_or_else(|| self.missing("vectors", k))
    }

    /// Vector `k` as one value or one for each entry.
    pub fn spread(&self, k: usize, name: &str) -> Result<Spread<'a>> {
        Spread::new(self.vector(k)?, self.n, name)
    }

    fn missing(&self, what: &str, k: usize) -> Error {
        Error::value(what, format!("more than {k}"), k, "pass the parameters of the set in order")
    }
}

/// `value` if it is allowed.
pub fn number(value: f64, name: &str, words: &str, allowed: impl Fn(f64) -> bool) -> Result<f64> {
    if allowed(value) {
        Ok(value)
    } else {
        Err(Error::value(name, words, value, "see the documentation"))
    }
}

/// Refuses sets without a point of length `n` = 0.
pub fn not_empty(n: usize) -> Result<()> {
    if n > 0 {
        return Ok(());
    }
    Err(Error::value("x", "of length at least 1 along the axis", 0, "the set has no such point"))
}
