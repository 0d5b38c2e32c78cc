//! Source text of a recorded formula, in whatever language a [`Dialect`] speaks.
//!
//! A formula becomes a list of statements, one an operation. Operations that occur twice are
//! printed once, and those that no result needs are left out.

pub mod triton;
pub mod wgsl;

use super::trace::{Binary, Expression, Node, Unary};
use std::collections::HashMap;

/// How a language writes values and operations. Operands are names or what the dialect wrote for
/// constants, uniforms and inputs; none needs parentheses.
pub trait Dialect {
    /// A constant of the formula.
    fn constant(&self, value: f64) -> String;
    /// A scalar of the step, by its number.
    fn uniform(&self, number: usize) -> String {
        format!("u{number}")
    }
    /// An element read from memory, by its number: x, g, then the states.
    fn input(&self, number: usize) -> String {
        format!("i{number}")
    }
    /// A function of one value or mask.
    fn unary(&self, function: Unary, a: &str) -> String;
    /// A function of two values or masks.
    fn binary(&self, function: Binary, a: &str, b: &str) -> String {
        infix(function, a, b)
    }
    /// `yes` where the mask holds, else `no`.
    fn select(&self, mask: &str, yes: &str, no: &str) -> String;
    /// A sum or difference that is itself a term of one. Where a compiler takes the liberty to
    /// cancel `(a + b) - a`, which is how formulas find what rounding lost, a dialect hides it.
    fn term(&self, sum: &str) -> String {
        sum.to_owned()
    }
    /// The statement that gives a value its name, without the end of the line.
    fn define(&self, name: &str, value: &str) -> String;
}

/// An operation between its operands, as most languages write it.
fn infix(function: Binary, a: &str, b: &str) -> String {
    let sign = match function {
        Binary::Add => "+",
        Binary::Sub => "-",
        Binary::Mul => "*",
        Binary::Div => "/",
        Binary::Lt => "<",
        Binary::Le => "<=",
        Binary::Eq => "==",
        Binary::And => "&",
        Binary::Or => "|",
    };
    format!("{a} {sign} {b}")
}

/// A printed formula.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Statements, in the order they run.
    pub statements: Vec<String>,
    /// What holds the results.
    pub outputs: Vec<String>,
    /// The inputs that are read, in ascending order.
    pub inputs: Vec<usize>,
    /// The uniforms that are read, in ascending order.
    pub uniforms: Vec<usize>,
}

impl Source {
    /// The statements, each on a line of its own after `indent`.
    pub fn body(&self, indent: &str) -> String {
        self.statements.iter().map(|line| format!("{indent}{line}\n")).collect()
    }
}

/// Prints a formula. Names begin with `prefix`, so that several formulas fit into one function.
pub fn print(expression: &Expression, dialect: &dyn Dialect, prefix: &str) -> Source {
    let expression = shared(expression);
    let live = live(&expression);
    let mut names: Vec<String> = Vec::with_capacity(expression.nodes.len());
    let mut source =
        Source { statements: vec![], outputs: vec![], inputs: vec![], uniforms: vec![] };
    for (number, node) in expression.nodes.iter().enumerate() {
        let at = |i: u32| names[i as usize].as_str();
        let value = match *node {
            _ if !live[number] => String::new(),
            Node::Constant(value) => dialect.constant(value),
            Node::Uniform(i) => {
                source.uniforms.push(i);
                dialect.uniform(i)
            }
            Node::Input(i) => {
                source.inputs.push(i);
                dialect.input(i)
            }
            Node::Unary(function, a) => dialect.unary(function, at(a)),
            Node::Binary(function, a, b) if is_sum(node) => {
                let term = |i: u32| match is_sum(&expression.nodes[i as usize]) {
                    true => dialect.term(at(i)),
                    false => at(i).to_owned(),
                };
                dialect.binary(function, &term(a), &term(b))
            }
            Node::Binary(function, a, b) => dialect.binary(function, at(a), at(b)),
            Node::Select(mask, yes, no) => dialect.select(at(mask), at(yes), at(no)),
        };
        let leaf = matches!(node, Node::Constant(_) | Node::Uniform(_) | Node::Input(_));
        if leaf || !live[number] {
            names.push(value);
        } else {
            let name = format!("{prefix}{}", source.statements.len());
            source.statements.push(dialect.define(&name, &value));
            names.push(name);
        }
    }
    source.outputs = expression.outputs.iter().map(|&i| names[i as usize].clone()).collect();
    source.inputs.sort_unstable();
    source.uniforms.sort_unstable();
    source
}

fn is_sum(node: &Node) -> bool {
    matches!(node, Node::Binary(Binary::Add | Binary::Sub, ..))
}

/// The same formula with every operation once.
fn shared(expression: &Expression) -> Expression {
    // NaN is a constant too: compare bits.
    #[derive(PartialEq, Eq, Hash)]
    enum Key {
        Constant(u64),
        Uniform(usize),
        Input(usize),
        Unary(u8, u32),
        Binary(u8, u32, u32),
        Select(u32, u32, u32),
    }
    let mut known: HashMap<Key, u32> = HashMap::new();
    let mut nodes: Vec<Node> = Vec::new();
    let mut place: Vec<u32> = Vec::with_capacity(expression.nodes.len());
    for node in &expression.nodes {
        let at = |i: u32| place[i as usize];
        let (key, node) = match *node {
            Node::Constant(value) => (Key::Constant(value.to_bits()), *node),
            Node::Uniform(i) => (Key::Uniform(i), *node),
            Node::Input(i) => (Key::Input(i), *node),
            Node::Unary(f, a) => (Key::Unary(f as u8, at(a)), Node::Unary(f, at(a))),
            Node::Binary(f, a, b) => {
                (Key::Binary(f as u8, at(a), at(b)), Node::Binary(f, at(a), at(b)))
            }
            Node::Select(m, a, b) => {
                (Key::Select(at(m), at(a), at(b)), Node::Select(at(m), at(a), at(b)))
            }
        };
        place.push(*known.entry(key).or_insert_with(|| {
            nodes.push(node);
            nodes.len() as u32 - 1
        }));
    }
    let outputs = expression.outputs.iter().map(|&i| place[i as usize]).collect();
    Expression { nodes, uniforms: expression.uniforms.clone(), outputs }
}

/// Which operations some result needs.
fn live(expression: &Expression) -> Vec<bool> {
    let mut live = vec![false; expression.nodes.len()];
    for &output in &expression.outputs {
        live[output as usize] = true;
    }
    for (number, node) in expression.nodes.iter().enumerate().rev() {
        if !live[number] {
            continue;
        }
        let used = match *node {
            Node::Constant(_) | Node::Uniform(_) | Node::Input(_) => [number as u32; 3],
            Node::Unary(_, a) => [a; 3],
            Node::Binary(_, a, b) => [a, b, b],
            Node::Select(m, a, b) => [m, a, b],
        };
        used.iter().for_each(|&i| live[i as usize] = true);
    }
    live
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::real::Real;
    use crate::engine::trace::{self, Trace};

    /// Reverse Polish notation, which the tests evaluate.
    struct Polish;

    impl Dialect for Polish {
        fn constant(&self, value: f64) -> String {
            format!("c{value:e}")
        }
        fn uniform(&self, number: usize) -> String {
            format!("u{number}")
        }
        fn input(&self, number: usize) -> String {
            format!("i{number}")
        }
        fn unary(&self, function: Unary, a: &str) -> String {
            format!("{a} {function:?}")
        }
        fn binary(&self, function: Binary, a: &str, b: &str) -> String {
            format!("{a} {b} {function:?}")
        }
        fn select(&self, mask: &str, yes: &str, no: &str) -> String {
            format!("{mask} {yes} {no} Select")
        }
        fn define(&self, name: &str, value: &str) -> String {
            format!("{name} = {value}")
        }
    }

    fn run(source: &Source, uniforms: &[f64], inputs: &[f64]) -> Vec<f64> {
        let mut names: HashMap<String, f64> = HashMap::new();
        let read = |names: &HashMap<String, f64>, word: &str| match word.split_at(1) {
            ("c", value) => value.parse().unwrap(),
            ("u", number) => uniforms[number.parse::<usize>().unwrap()],
            ("i", number) => inputs[number.parse::<usize>().unwrap()],
            _ => names[word],
        };
        for line in &source.statements {
            let (name, value) = line.split_once(" = ").unwrap();
            let mut words: Vec<&str> = value.split(' ').collect();
            let function = words.pop().unwrap();
            let v: Vec<f64> = words.iter().map(|word| read(&names, word)).collect();
            let truth = |condition: bool| f64::from(u8::from(condition));
            let result = match function {
                "Neg" => -v[0],
                "Sqrt" => v[0].sqrt(),
                "Abs" => v[0].abs(),
                "Exp" => v[0].exp(),
                "Ln" => v[0].ln(),
                "Not" => truth(v[0] == 0.0),
                "Add" => v[0] + v[1],
                "Sub" => v[0] - v[1],
                "Mul" => v[0] * v[1],
                "Div" => v[0] / v[1],
                "Lt" => truth(v[0] < v[1]),
                "Le" => truth(v[0] <= v[1]),
                "Eq" => truth(v[0] == v[1]),
                "And" => truth(v[0] != 0.0 && v[1] != 0.0),
                "Or" => truth(v[0] != 0.0 || v[1] != 0.0),
                "Select" => {
                    if v[0] != 0.0 {
                        v[1]
                    } else {
                        v[2]
                    }
                }
                other => panic!("{other}"),
            };
            names.insert(name.into(), result);
        }
        source.outputs.iter().map(|word| read(&names, word)).collect()
    }

    #[test]
    fn a_printed_formula_is_the_recorded_one() {
        trace::start();
        let rate = Trace::of(0.25);
        let expression = trace::formula(3, |inputs| {
            let [x, g, m] = inputs[..] else { unreachable!() };
            let sum = m * m + g;
            let dead = (x + g).exp();
            let _ = dead.ln();
            let root = (m * m).abs().sqrt() / (g.abs() + Trace::of(1e-3));
            vec![rate * sum.max(root) - sum.sign(), -(root.exp().ln()), m]
        });
        let source = print(&expression, &Polish, "t");
        for inputs in [[1.0, 2.0, 3.0], [-1.0, -0.5, 0.25], [0.0, 0.0, 0.0]] {
            let expected = expression.evaluate(&inputs);
            assert_eq!(run(&source, &expression.uniforms, &inputs), expected);
        }
    }

    #[test]
    fn what_occurs_twice_is_printed_once_and_what_is_not_used_never() {
        trace::start();
        let (unused, used) = (Trace::of(1.0), Trace::of(2.0));
        let expression = trace::formula(3, |inputs| {
            let _ = unused * inputs[0];
            vec![(inputs[1] * used) + (inputs[1] * used), inputs[2]]
        });
        let source = print(&expression, &Polish, "t");
        assert_eq!(source.statements, ["t0 = i1 u1 Mul", "t1 = t0 t0 Add"]);
        assert_eq!((source.inputs, source.uniforms), (vec![1, 2], vec![1]));
        assert_eq!(source.outputs, ["t1", "i2"]);
    }
}
