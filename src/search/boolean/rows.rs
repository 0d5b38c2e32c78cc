//! Rows of samples through a circuit, 64 at a time.

use super::circuit::Circuit;
use super::semiring::{LANES, Semiring};
use crate::engine::{Error, Result, threads};

/// Outputs for rows of inputs.
///
/// # Errors
/// [`Error::Value`] for values that are no elements and parts of rows.
pub fn evaluate<S: Semiring>(
    circuit: &Circuit,
    ring: &S,
    theta: &[u8],
    x: &[u8],
) -> Result<Vec<u8>> {
    let [_, inputs, outputs] = circuit.shape();
    let count = check(circuit, ring, theta, x)?;
    let part = |word: usize| {
        let (begin, lanes) = lanes_of(word, count);
        let mut wires = load(circuit, ring, theta, &x[begin * inputs..][..lanes * inputs], lanes);
        circuit.forward(ring, &mut wires);
        let found: Vec<S::Word> = circuit.outputs::<S>(&wires).collect();
        unload(ring, &found, lanes, outputs)
    };
    Ok(threads::map(count.div_ceil(LANES), part).concat())
}

/// Reverse derivatives, at parameters and then inputs, for rows of inputs and of errors; with
/// `flips` differences in their place.
///
/// # Errors
/// As [`evaluate`], and [`Error::Unsupported`] for flips outside of Z_2.
pub fn reverse<S: Semiring>(
    circuit: &Circuit,
    ring: &S,
    theta: &[u8],
    [x, errors]: [&[u8]; 2],
    flips: bool,
) -> Result<Vec<u8>> {
    let [parameters, inputs, outputs] = circuit.shape();
    let count = check(circuit, ring, theta, x)?;
    if elements("errors", errors, outputs, ring.size())? != count {
        let given = errors.len() / outputs;
        return Err(Error::value("errors", format!("{count} rows, as x"), given, "align them"));
    }
    refuse_flips(ring, flips)?;
    let part = |word: usize| {
        let (begin, lanes) = lanes_of(word, count);
        let mut wires = load(circuit, ring, theta, &x[begin * inputs..][..lanes * inputs], lanes);
        circuit.forward(ring, &mut wires);
        let errors = &errors[begin * outputs..][..lanes * outputs];
        let errors = pack(ring, errors, lanes, outputs);
        let mut back = Vec::new();
        if flips {
            circuit.flips(ring, &wires, &errors, parameters + inputs, &mut back);
        } else {
            circuit.backward(ring, &wires, &errors, &mut back);
        }
        unload(ring, &back, lanes, parameters + inputs)
    };
    Ok(threads::map(count.div_ceil(LANES), part).concat())
}

/// Number of rows of `width` elements below `size`; at least one.
pub(super) fn elements(name: &str, values: &[u8], width: usize, size: u8) -> Result<usize> {
    if width == 0 || values.is_empty() || !values.len().is_multiple_of(width) {
        let allowed = format!("whole rows of {width}, at least one");
        return Err(Error::value(name, allowed, values.len(), "pass one row a sample"));
    }
    match values.iter().find(|&&value| value >= size) {
        None => Ok(values.len() / width),
        Some(value) => {
            let allowed = format!("of elements below {size}");
            Err(Error::value(name, allowed, value, "take values modulo the size"))
        }
    }
}

/// Differences are defined where adding one is flipping.
pub(super) fn refuse_flips<S: Semiring>(ring: &S, flips: bool) -> Result<()> {
    if flips && !(ring.size() == 2 && ring.has_minus()) {
        let what = "derivative='flips' outside of Z_2".into();
        return Err(Error::Unsupported { what, fix: "use derivative='reverse'".into() });
    }
    Ok(())
}

fn check<S: Semiring>(circuit: &Circuit, ring: &S, theta: &[u8], x: &[u8]) -> Result<usize> {
    let [parameters, inputs, _] = circuit.shape();
    if theta.len() != parameters || theta.iter().any(|&value| value >= ring.size()) {
        let allowed = format!("{parameters} elements below {}", ring.size());
        let given = format!("{theta:?}");
        return Err(Error::value("theta", allowed, given, "pass one element a parameter"));
    }
    elements("x", x, inputs, ring.size())
}

fn lanes_of(word: usize, count: usize) -> (usize, usize) {
    let begin = word * LANES;
    (begin, (count - begin).min(LANES))
}

fn load<S: Semiring>(
    circuit: &Circuit,
    ring: &S,
    theta: &[u8],
    x: &[u8],
    lanes: usize,
) -> Vec<S::Word> {
    let mut wires: Vec<S::Word> = theta.iter().map(|&value| ring.splat(value)).collect();
    wires.extend(pack(ring, x, lanes, circuit.shape()[1]));
    wires
}

/// Columns of rows, a lane a row.
pub(super) fn pack<S: Semiring>(ring: &S, rows: &[u8], lanes: usize, width: usize) -> Vec<S::Word> {
    let column = |i: usize| {
        let mut word = ring.splat(0);
        (0..lanes).for_each(|lane| ring.set(&mut word, lane, rows[lane * width + i]));
        word
    };
    (0..width).map(column).collect()
}

/// Rows of the first `width` words, a lane a row.
pub(super) fn unload<S: Semiring>(
    ring: &S,
    words: &[S::Word],
    lanes: usize,
    width: usize,
) -> Vec<u8> {
    (0..lanes).flat_map(|lane| words[..width].iter().map(move |w| ring.get(w, lane))).collect()
}
