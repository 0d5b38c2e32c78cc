//! The one error type, and the only place that words its messages.

use std::fmt;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What a caller can do wrong. Every check runs before a buffer is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// A value outside its range.
    Value {
        /// Argument as the caller typed it, such as `betas[1]`.
        name: String,
        /// Allowed values, in words that follow "must be".
        allowed: String,
        /// The value, as text.
        given: String,
        /// What to do.
        fix: String,
    },
    /// An argument of the wrong kind, in the same words.
    Type {
        /// Argument as the caller typed it.
        name: String,
        /// Allowed kinds, in words that follow "must be".
        allowed: String,
        /// The kind that was given.
        given: String,
        /// What to do.
        fix: String,
    },
    /// Two arguments whose shapes do not fit.
    Shape {
        /// What has the wrong shape.
        name: String,
        /// Its shape, as text.
        given: String,
        /// What it must fit.
        other: String,
        /// The shape of that.
        expected: String,
        /// What to do.
        fix: String,
    },
    /// Two buffers of one call share memory.
    Overlap {
        /// The first buffer.
        first: String,
        /// The second one.
        second: String,
    },
    /// A NaN or infinity where the caller asked for none.
    NonFinite {
        /// What holds it.
        name: String,
        /// What to do.
        fix: String,
    },
    /// Memory of a device that was asked for and is not there.
    Memory {
        /// What wanted it.
        what: String,
        /// What to do.
        fix: String,
    },
    /// A device that failed.
    Device {
        /// What happened.
        what: String,
        /// What to do.
        fix: String,
    },
    /// Known, and not supported.
    Unsupported {
        /// What was asked for.
        what: String,
        /// What to do.
        fix: String,
    },
}

impl Error {
    /// An [`Error::Value`] from anything that prints.
    pub fn value(
        name: impl Into<String>,
        allowed: impl Into<String>,
        given: impl fmt::Display,
        fix: impl Into<String>,
    ) -> Self {
        Self::Value {
            name: name.into(),
            allowed: allowed.into(),
            given: given.to_string(),
            fix: fix.into(),
        }
    }

    /// An [`Error::Type`] from anything that prints.
    pub fn kind(
        name: impl Into<String>,
        allowed: impl Into<String>,
        given: impl fmt::Display,
        fix: impl Into<String>,
    ) -> Self {
        Self::Type {
            name: name.into(),
            allowed: allowed.into(),
            given: given.to_string(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { name, allowed, given, fix }
            | Self::Type { name, allowed, given, fix } => {
                write!(f, "{name} must be {allowed}, got {given}; {fix}")
            }
            Self::Shape { name, given, other, expected, fix } => {
                write!(
                    f,
                    "{name} of shape {given} does not match {other} of shape {expected}; {fix}"
                )
            }
            Self::Overlap { first, second } => write!(
                f,
                "{first} shares memory with {second}; give each its own, for instance with a copy"
            ),
            Self::NonFinite { name, fix } => write!(f, "{name} holds NaN or infinity; {fix}"),
            Self::Memory { what, fix } => write!(f, "{what} is out of memory; {fix}"),
            Self::Device { what, fix } => write!(f, "{what}; {fix}"),
            Self::Unsupported { what, fix } => write!(f, "{what} is not supported; {fix}"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_was_given_what_is_allowed_and_what_to_do() {
        let error = Error::value("betas[1]", "in [0, 1)", 1.0, "a usual value is 0.999");
        assert_eq!(error.to_string(), "betas[1] must be in [0, 1), got 1; a usual value is 0.999");
    }
}
