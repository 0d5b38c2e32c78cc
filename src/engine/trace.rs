//! A scalar that records what is done with it.
//!
//! A formula that runs on [`Trace`] leaves an [`Expression`]: the list of its operations, which can
//! be evaluated, or printed as the source of a shader.

use super::real::Real;
use std::cell::RefCell;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

/// One recorded operation; numbers are places in the list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Node {
    /// A constant of the formula.
    Constant(f64),
    /// A scalar of the step, the same for every element, by its number.
    Uniform(usize),
    /// An element read from memory, by its number: x, g, then the states.
    Input(usize),
    /// A function of one value.
    Unary(Unary, u32),
    /// A function of two values or masks.
    Binary(Binary, u32, u32),
    /// The second where the first (a mask) holds, else the third.
    Select(u32, u32, u32),
}

/// Functions of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unary {
    Neg,
    Sqrt,
    Abs,
    Exp,
    Ln,
    Not,
}

/// Functions of two values, comparisons and functions of two masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Lt,
    Le,
    Eq,
    And,
    Or,
}

/// A recorded formula.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expression {
    /// The operations, each after those it uses.
    pub nodes: Vec<Node>,
    /// Values of the uniforms in the step that was recorded.
    pub uniforms: Vec<f64>,
    /// Where the results stand: the step, then the new states.
    pub outputs: Vec<u32>,
}

#[derive(Default)]
struct Recorder {
    expression: Expression,
    inside: bool,
}

thread_local! {
    static RECORDER: RefCell<Recorder> = RefCell::default();
}

/// A recorded value.
#[derive(Debug, Clone, Copy)]
pub struct Trace(u32);

/// A recorded comparison.
#[derive(Debug, Clone, Copy)]
pub struct TraceMask(u32);

fn push(node: Node) -> u32 {
    RECORDER.with_borrow_mut(|recorder| {
        let nodes = &mut recorder.expression.nodes;
        nodes.push(node);
        nodes.len() as u32 - 1
    })
}

/// Starts a recording; constants made from here on, outside of [`formula`], become uniforms.
pub fn start() {
    RECORDER.with_borrow_mut(|recorder| *recorder = Recorder::default());
}

/// Ends the recording that [`start`] began: runs `body` on the inputs and takes down its outputs.
pub fn formula(inputs: usize, body: impl FnOnce(Vec<Trace>) -> Vec<Trace>) -> Expression {
    RECORDER.with_borrow_mut(|recorder| recorder.inside = true);
    let inputs = (0..inputs).map(|i| Trace(push(Node::Input(i)))).collect();
    let outputs = body(inputs).into_iter().map(|value| value.0).collect();
    let recorder = RECORDER.take();
    Expression { outputs, ..recorder.expression }
}

impl Expression {
    /// Evaluates the formula in f64 on one element.
    pub fn evaluate(&self, inputs: &[f64]) -> Vec<f64> {
        let mut values: Vec<f64> = Vec::with_capacity(self.nodes.len());
        let truth = |condition: bool| if condition { 1.0 } else { 0.0 };
        for node in &self.nodes {
            let at = |i: u32| values[i as usize];
            values.push(match *node {
                Node::Constant(value) => value,
                Node::Uniform(i) => self.uniforms[i],
                Node::Input(i) => inputs[i],
                Node::Select(mask, yes, no) => at(if at(mask) != 0.0 { yes } else { no }),
                Node::Unary(function, a) => match function {
                    Unary::Neg => -at(a),
                    Unary::Sqrt => at(a).sqrt(),
                    Unary::Abs => at(a).abs(),
                    Unary::Exp => at(a).exp(),
                    Unary::Ln => at(a).ln(),
                    Unary::Not => truth(at(a) == 0.0),
                },
                Node::Binary(function, a, b) => match function {
                    Binary::Add => at(a) + at(b),
                    Binary::Sub => at(a) - at(b),
                    Binary::Mul => at(a) * at(b),
                    Binary::Div => at(a) / at(b),
                    Binary::Lt => truth(at(a) < at(b)),
                    Binary::Le => truth(at(a) <= at(b)),
                    Binary::Eq => truth(at(a) == at(b)),
                    Binary::And => truth(at(a) != 0.0 && at(b) != 0.0),
                    Binary::Or => truth(at(a) != 0.0 || at(b) != 0.0),
                },
            });
        }
        self.outputs.iter().map(|&i| values[i as usize]).collect()
    }
}

macro_rules! operators {
    ($type:ident: $($trait:ident $name:ident $node:ident),*) => {$(
        impl $trait for $type {
            type Output = Self;
            fn $name(self, other: Self) -> Self {
                Self(push(Node::Binary(Binary::$node, self.0, other.0)))
            }
        }
    )*};
}
operators!(Trace: Add add Add, Sub sub Sub, Mul mul Mul, Div div Div);
operators!(TraceMask: BitAnd bitand And, BitOr bitor Or);

impl Neg for Trace {
    type Output = Self;
    fn neg(self) -> Self {
        Self(push(Node::Unary(Unary::Neg, self.0)))
    }
}
impl Not for TraceMask {
    type Output = Self;
    fn not(self) -> Self {
        Self(push(Node::Unary(Unary::Not, self.0)))
    }
}

impl Real for Trace {
    type Mask = TraceMask;

    fn of(value: f64) -> Self {
        let uniform = RECORDER.with_borrow_mut(|recorder| {
            let uniforms = &mut recorder.expression.uniforms;
            (!recorder.inside).then(|| {
                uniforms.push(value);
                uniforms.len() - 1
            })
        });
        Self(push(uniform.map_or(Node::Constant(value), Node::Uniform)))
    }
    fn sqrt(self) -> Self {
        Self(push(Node::Unary(Unary::Sqrt, self.0)))
    }
    fn abs(self) -> Self {
        Self(push(Node::Unary(Unary::Abs, self.0)))
    }
    fn exp(self) -> Self {
        Self(push(Node::Unary(Unary::Exp, self.0)))
    }
    fn ln(self) -> Self {
        Self(push(Node::Unary(Unary::Ln, self.0)))
    }
    fn lt(self, other: Self) -> TraceMask {
        TraceMask(push(Node::Binary(Binary::Lt, self.0, other.0)))
    }
    fn le(self, other: Self) -> TraceMask {
        TraceMask(push(Node::Binary(Binary::Le, self.0, other.0)))
    }
    fn eq(self, other: Self) -> TraceMask {
        TraceMask(push(Node::Binary(Binary::Eq, self.0, other.0)))
    }
    fn select(mask: TraceMask, yes: Self, no: Self) -> Self {
        Self(push(Node::Select(mask.0, yes.0, no.0)))
    }
}
