//! Hyperparameters: named ranges, and the values that reach a rule from outside.

use crate::engine::{Error, Result};

/// A value as a caller gives it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A switch.
    Flag(bool),
    /// A choice.
    Text(String),
    /// Nothing: the option is off.
    None,
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number:?}"),
            Self::Flag(flag) => f.write_str(if *flag { "True" } else { "False" }),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::None => f.write_str("None"),
        }
    }
}

/// The set a hyperparameter is drawn from.
pub trait Domain {
    /// Its Rust type.
    type Value: Clone;
    /// What is allowed, in words that follow "must be".
    fn allowed() -> String;
    /// The value, if it is allowed.
    fn accept(value: &Value) -> Option<Self::Value>;
    /// The way back.
    fn value(value: &Self::Value) -> Value;
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident: $allowed:literal, |$x:ident| $test:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;
        impl Domain for $name {
            type Value = f64;
            fn allowed() -> String {
                $allowed.into()
            }
            fn accept(value: &Value) -> Option<f64> {
                match *value {
                    Value::Number($x) if $test => Some($x),
                    _ => None,
                }
            }
            fn value(value: &f64) -> Value {
                Value::Number(*value)
            }
        }
    )*};
}
numbers! {
    /// Finite and above 0.
    Positive: "a finite number > 0", |x| x > 0.0 && x.is_finite();
    /// Finite and at least 0.
    NonNegative: "a finite number >= 0", |x| x >= 0.0 && x.is_finite();
    /// The rate of an exponential average.
    Decay: "in [0, 1)", |x| (0.0..1.0).contains(&x);
    /// A share.
    Fraction: "in [0, 1]", |x| (0.0..=1.0).contains(&x);
    /// How much of a gradient along the velocity is taken back.
    Braking: "in [0, 2]", |x| (0.0..=2.0).contains(&x);
    /// Any finite number.
    Finite: "a finite number", |x| x.is_finite();
    /// How many gradients are remembered.
    History: "an integer in [2, 5]", |x| x.fract() == 0.0 && (2.0..=5.0).contains(&x);
    /// A coefficient of a polynomial that is iterated.
    Coefficient: "in [-1000, 1000]", |x| x.abs() <= 1000.0;
    /// A count.
    Whole: "an integer >= 0", |x| x >= 0.0 && x.fract() == 0.0 && x <= 1e15;
    /// A count of at least 1.
    Count: "an integer >= 1", |x| x >= 1.0 && x.fract() == 0.0 && x <= 1e15;
    /// A seed.
    Seed: "an integer in [0, 2**53)", |x| x >= 0.0 && x.fract() == 0.0 && x < 9_007_199_254_740_992.0;
}

/// On or off.
#[derive(Debug)]
pub struct Flag;
impl Domain for Flag {
    type Value = bool;
    fn allowed() -> String {
        "True or False".into()
    }
    fn accept(value: &Value) -> Option<bool> {
        match *value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }
    fn value(value: &bool) -> Value {
        Value::Flag(*value)
    }
}

/// `D`, or nothing.
#[derive(Debug)]
pub struct Optional<D>(D);
impl<D: Domain> Domain for Optional<D> {
    type Value = Option<D::Value>;
    fn allowed() -> String {
        format!("None or {}", D::allowed())
    }
    fn accept(value: &Value) -> Option<Self::Value> {
        match value {
            Value::None => Some(None),
            value => D::accept(value).map(Some),
        }
    }
    fn value(value: &Self::Value) -> Value {
        value.as_ref().map_or(Value::None, D::value)
    }
}

/// Defines an enum whose variants are chosen by name.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }
        impl $crate::optim::hyper::Domain for $name {
            type Value = Self;
            fn allowed() -> String {
                [$(concat!("\"", $text, "\"")),*].join(" or ")
            }
            fn accept(value: &$crate::optim::hyper::Value) -> Option<Self> {
                match value {
                    $($crate::optim::hyper::Value::Text(text) if text == $text => Some(Self::$variant),)*
                    _ => None,
                }
            }
            fn value(value: &Self) -> $crate::optim::hyper::Value {
                $crate::optim::hyper::Value::Text(match value { $(Self::$variant => $text),* }.into())
            }
        }
    };
}
pub(crate) use choice;

choice! {
    /// Where epsilon stands beside the bias correction of the second moment.
    EpsMode {
        /// `sqrt(v) / sqrt(bc2) + eps`, as in torch.
        Torch = "torch",
        /// `sqrt(v) + eps`, then divided by `sqrt(bc2)`.
        Early = "early",
    }
}

/// What the registry tells about one hyperparameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The key callers type, such as `betas`.
    pub key: &'static str,
    /// The place inside a tuple, for `betas[1]`.
    pub index: Option<usize>,
    /// What is allowed, in words.
    pub allowed: String,
    /// The default.
    pub default: Value,
}

/// Where hyperparameters come from.
pub trait Lookup {
    /// The value under a key (and place in a tuple); `Ok(None)` asks for the default.
    ///
    /// # Errors
    /// If what stands there is no [`Value`].
    fn get(&self, key: &str, index: Option<usize>) -> Result<Option<Value>>;
}

impl Lookup for [(&str, Option<usize>, Value)] {
    fn get(&self, key: &str, index: Option<usize>) -> Result<Option<Value>> {
        let found = self.iter().find(|(k, i, _)| *k == key && *i == index);
        Ok(found.map(|(_, _, value)| value.clone()))
    }
}

/// Callers type `beta1` and its like as `betas[0]`, and `ns_coefficients1` as a tuple as well.
pub fn key(field: &'static str) -> (&'static str, Option<usize>) {
    for (stem, key) in [("beta", "betas"), ("ns_coefficients", "ns_coefficients")] {
        let number = field.strip_prefix(stem).and_then(|digits| digits.parse::<usize>().ok());
        if let Some(number @ 1..) = number {
            return (key, Some(number - 1));
        }
    }
    (field, None)
}

/// Reads and checks one field.
///
/// # Errors
/// [`Error::Value`] in the caller's words.
pub fn read<D: Domain>(
    lookup: &dyn Lookup,
    field: &'static str,
    default: &D::Value,
) -> Result<D::Value> {
    let (key, index) = key(field);
    let Some(value) = lookup.get(key, index)? else { return Ok(default.clone()) };
    D::accept(&value).ok_or_else(|| {
        let name = index.map_or(key.to_owned(), |i| format!("{key}[{i}]"));
        let fix = format!("a usual value is {}", D::value(default));
        Error::value(name, D::allowed(), value, fix)
    })
}
