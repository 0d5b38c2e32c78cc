//! The reader: one pass over the bytes, every complaint with the number of its line.

use super::{Formula, MOST_VARIABLES};
use crate::engine::{Error, Result};
use std::fmt::Display;

/// Reads a text in any of the formats; `name` stands in messages. `weighted` says what a text
/// without a header is.
///
/// # Errors
/// A text that breaks its format, with the number of the line.
pub fn read(text: &[u8], name: &str, weighted: bool) -> Result<Formula> {
    let mut tokens = Tokens { text, at: 0, line: 1, name };
    let layout = tokens.layout(weighted)?;
    let mut formula = Formula::new(layout.variables.unwrap_or(0));
    if let Some(clauses) = layout.clauses {
        // Only what the text can hold: a header may promise anything.
        formula.offsets.reserve(clauses.min(text.len() / 2));
    }
    let mut highest = 0;
    while let Some(first) = tokens.next() {
        if layout.clauses == Some(formula.clauses()) {
            let fix = "raise the count of clauses in the header or remove the rest";
            let allowed = format!("the end after {} clauses", formula.clauses());
            return Err(tokens.wrong(allowed, quoted(first), fix));
        }
        let (weight, mut token) = if layout.weighted {
            (tokens.weight(first, layout.top)?, tokens.next())
        } else {
            (1, Some(first))
        };
        loop {
            let Some(given) = token else {
                let fix = "end every clause with 0; the text may be cut short";
                return Err(tokens.wrong("a literal or 0", "the end of the text", fix));
            };
            let literal = tokens.literal(given, layout.variables)?;
            if literal == 0 {
                break;
            }
            highest = highest.max(literal.unsigned_abs() as usize);
            formula.literals.push(literal);
            token = tokens.next();
        }
        formula.push([], weight);
    }
    if let Some(clauses) = layout.clauses.filter(|&c| c != formula.clauses()) {
        let fix = "mend the count of clauses in the header; the text may be cut short";
        let allowed = format!("one of {clauses} clauses, as the header says");
        return Err(tokens.wrong(allowed, format!("the end after {}", formula.clauses()), fix));
    }
    formula.variables = layout.variables.unwrap_or(highest);
    Ok(formula)
}

struct Layout {
    weighted: bool,
    // None without a header.
    variables: Option<usize>,
    clauses: Option<usize>,
    top: u64,
}

struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
    name: &'a str,
}

impl<'a> Tokens<'a> {
    fn wrong(&self, allowed: impl Into<String>, given: impl Display, fix: &str) -> Error {
        Error::value(format!("{} line {}", self.name, self.line), allowed, given, fix)
    }

    /// The header, or what stands for it.
    fn layout(&mut self, weighted: bool) -> Result<Layout> {
        let (at, line) = (self.at, self.line);
        let Some(first) = self.next() else {
            if weighted {
                return Ok(Layout { weighted, variables: None, clauses: None, top: u64::MAX });
            }
            return Err(self.wrong("a header `p cnf VARIABLES CLAUSES`", "nothing", "add it"));
        };
        if first != b"p" {
            if weighted || first == b"h" {
                (self.at, self.line) = (at, line);
                return Ok(Layout {
                    weighted: true,
                    variables: None,
                    clauses: None,
                    top: u64::MAX,
                });
            }
            let fix = "add it; a WCNF text may go without, and is known by its name";
            return Err(self.wrong("a header `p cnf VARIABLES CLAUSES`", quoted(first), fix));
        }
        let weighted = match self.next_on_line() {
            Some(b"cnf") => false,
            Some(b"wcnf") => true,
            other => {
                let given = other.map_or("`p`".into(), quoted);
                return Err(self.wrong("`p cnf` or `p wcnf`", given, "no other format is read"));
            }
        };
        let variables = self.count("the number of variables")?;
        if variables > MOST_VARIABLES {
            return Err(self.wrong("at most 2**30 variables", variables, "split the problem"));
        }
        let clauses = self.count("the number of clauses")?;
        let mut top = u64::MAX;
        if let Some(token) = if weighted { self.next_on_line() } else { None } {
            top = number(token).filter(|&top| top > 0).ok_or_else(|| {
                self.wrong("a top weight above 0", quoted(token), "leave it out for none")
            })?;
        }
        if let Some(extra) = self.next_on_line() {
            return Err(self.wrong(
                "a header and no more",
                quoted(extra),
                "remove what follows it",
            ));
        }
        Ok(Layout { weighted, variables: Some(variables), clauses: Some(clauses), top })
    }

    fn count(&mut self, what: &str) -> Result<usize> {
        let token = self.next_on_line();
        let value = token.and_then(number).and_then(|n| usize::try_from(n).ok());
        value.ok_or_else(|| {
            let given = token.map_or("nothing".into(), quoted);
            self.wrong(format!("a header with {what}"), given, "write `p cnf VARIABLES CLAUSES`")
        })
    }

    fn weight(&self, token: &[u8], top: u64) -> Result<u64> {
        if token == b"h" {
            return Ok(0);
        }
        match number(token) {
            Some(weight) if weight > 0 => Ok(if weight >= top { 0 } else { weight }),
            _ => {
                let fix = "scale weights to integers, or write h for a hard clause";
                Err(self.wrong("a clause with a weight above 0", quoted(token), fix))
            }
        }
    }

    fn literal(&self, token: &[u8], variables: Option<usize>) -> Result<i32> {
        let (negative, digits) = match token {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let most = variables.unwrap_or(MOST_VARIABLES);
        match number(digits) {
            Some(variable) if variable as usize <= most && !(negative && variable == 0) => {
                Ok(if negative { -(variable as i32) } else { variable as i32 })
            }
            Some(_) if variables.is_some() => Err(self.wrong(
                format!("literals of variables 1 to {most}"),
                quoted(token),
                "raise the number of variables in the header or mend the literal",
            )),
            _ => Err(self.wrong("integers", quoted(token), "mend the literal")),
        }
    }

    /// The next word on this line.
    fn next_on_line(&mut self) -> Option<&'a [u8]> {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
        let rest = &self.text[self.at..];
        let length = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        self.at += length;
        (length > 0).then(|| &rest[..length])
    }

    /// The next word outside comments.
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            match *self.text.get(self.at)? {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                }
                space if space.is_ascii_whitespace() => self.at += 1,
                b'c' if self.starts_line() => {
                    let rest = &self.text[self.at..];
                    self.at += rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
                }
                b'%' if self.starts_line() => {
                    self.at = self.text.len();
                    return None;
                }
                _ => return self.next_on_line(),
            }
        }
    }

    fn starts_line(&self) -> bool {
        let before =
            self.text[..self.at].iter().rev().find(|&&b| b == b'\n' || !b.is_ascii_whitespace());
        before.is_none_or(|&b| b == b'\n')
    }
}

fn number(token: &[u8]) -> Option<u64> {
    let digits = token.strip_prefix(b"+").unwrap_or(token);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// A word as messages show it: short, and printable.
fn quoted(token: &[u8]) -> String {
    let text = String::from_utf8_lossy(&token[..token.len().min(20)]);
    format!("`{}`", text.escape_debug())
}
