"""Circuits against polynomials in plain Python, and learning against a replay."""

import pickle
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import thalweg
from thalweg.search.boolean import Circuit, ReverseDerivativeAscent, Semiring, lookup

RINGS = {
    "Z_2": Semiring.modular(2),
    "Z_5": Semiring.modular(5),
    "Z_6": Semiring.modular(6),
    "counts": Semiring.saturating(4),
    "chain": Semiring.chain(3),
    "or and": Semiring.chain(2),
}


class Polynomial:
    """A polynomial over a semiring: coefficients by exponents; knows nothing of gates."""

    def __init__(self, ring, terms):
        self.ring, self.terms = ring, terms

    def add(self, other):
        terms = dict(self.terms)
        for powers, c in other.terms.items():
            terms[powers] = int(self.ring.sums[terms[powers], c]) if powers in terms else c
        return Polynomial(self.ring, terms)

    def mul(self, other):
        out = Polynomial(self.ring, {})
        for p, a in self.terms.items():
            for q, b in other.terms.items():
                powers = tuple(i + j for i, j in zip(p, q))
                out = out.add(Polynomial(self.ring, {powers: int(self.ring.products[a, b])}))
        return out

    def derivative(self, i):
        """d/dz_i: n c z^(n-1), n c being c added n times."""
        out = Polynomial(self.ring, {})
        for powers, c in self.terms.items():
            lower = tuple(n - (j == i) for j, n in enumerate(powers))
            for _ in range(powers[i]):
                out = out.add(Polynomial(self.ring, {lower: c}))
        return out

    def at(self, z, zero, one):
        total = zero
        for powers, c in self.terms.items():
            value = c
            for v, n in zip(z, powers):
                for _ in range(n):
                    value = int(self.ring.products[value, v])
            total = int(self.ring.sums[total, value])
        return total


def neutral(ring):
    size = range(ring.size)
    zero = next(e for e in size if all(ring.sums[e, a] == a for a in size))
    one = next(e for e in size if all(ring.products[e, a] == a for a in size))
    return zero, one


@st.composite
def circuits(draw, ring, gates=7):
    """A random circuit of few wires, and its outputs as polynomials."""
    parameters, inputs = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    circuit = Circuit(parameters, inputs, ring)
    wires = [*circuit.parameters, *circuit.inputs]
    _, one = neutral(ring)
    count = len(wires)
    unit = [tuple(int(i == j) for j in range(count)) for i in range(count)]
    polynomials = [Polynomial(ring, {powers: one}) for powers in unit]
    degree = [1] * count
    for _ in range(draw(st.integers(1, gates))):
        a, b = (draw(st.integers(0, len(wires) - 1)) for _ in range(2))
        kind = draw(st.sampled_from(["add", "mul", "constant"]))
        if kind == "constant":
            value = draw(st.integers(0, ring.size - 1))
            wires.append(circuit.constant(value))
            polynomials.append(Polynomial(ring, {(0,) * count: value}))
            degree.append(0)
        elif kind == "mul" and degree[a] + degree[b] <= 6:
            wires.append(wires[a] * wires[b])
            polynomials.append(polynomials[a].mul(polynomials[b]))
            degree.append(degree[a] + degree[b])
        else:
            wires.append(wires[a] + wires[b])
            polynomials.append(polynomials[a].add(polynomials[b]))
            degree.append(max(degree[a], degree[b]))
    outputs = draw(st.lists(st.integers(0, len(wires) - 1), min_size=1, max_size=3))
    circuit.output(*(wires[i] for i in outputs))
    return circuit, [polynomials[i] for i in outputs]


def random(draw, ring, *shape):
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).integers(0, ring.size, size=shape)


@pytest.mark.parametrize("name", RINGS)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_values_and_reverse_derivatives_are_those_of_polynomials(name, data):
    ring = RINGS[name]
    zero, one = neutral(ring)
    circuit, polynomials = data.draw(circuits(ring))
    parameters, inputs = len(circuit.parameters), len(circuit.inputs)
    rows = data.draw(st.sampled_from([1, 3, 64, 65]))
    theta = random(data.draw, ring, parameters)
    x = random(data.draw, ring, rows, inputs)
    errors = random(data.draw, ring, rows, len(polynomials))
    values = circuit.evaluate(theta, x)
    back = np.concatenate(circuit.reverse(theta, x, errors), axis=1)
    for row in {0, rows - 1}:
        z = [*theta.tolist(), *x[row].tolist()]
        assert values[row].tolist() == [p.at(z, zero, one) for p in polynomials]
        for i in range(parameters + inputs):
            expected = zero
            for p, e in zip(polynomials, errors[row]):
                part = ring.products[p.derivative(i).at(z, zero, one), e]
                expected = int(ring.sums[expected, part])
            assert back[row, i] == expected


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_differences_are_those_of_flips(data):
    ring = RINGS["Z_2"]
    circuit, polynomials = data.draw(circuits(ring))
    parameters, inputs = len(circuit.parameters), len(circuit.inputs)
    theta = random(data.draw, ring, parameters)
    x = random(data.draw, ring, 70, inputs)
    errors = random(data.draw, ring, 70, len(polynomials))
    back = np.concatenate(circuit.reverse(theta, x, errors, derivative="flips"), axis=1)
    base = circuit.evaluate(theta, x)
    for i in range(parameters + inputs):
        z, w = theta.copy(), x.copy()
        if i < parameters:
            z[i] ^= 1
        else:
            w[:, i - parameters] ^= 1
        expected = ((circuit.evaluate(z, w) ^ base) & errors).sum(axis=1) % 2
        np.testing.assert_array_equal(back[:, i], expected)
    # Where every polynomial is linear in each wire the two forms agree.
    if all(max(powers) <= 1 for p in polynomials for powers, c in p.terms.items() if c):
        both = np.concatenate(circuit.reverse(theta, x, errors), axis=1)
        np.testing.assert_array_equal(back, both)


def test_forms_differ_where_a_square_hides():
    circuit = Circuit(1, 1)
    (a,) = circuit.parameters
    circuit.output(a & a)
    assert circuit.reverse([1], [[0]], [[1]])[0].tolist() == [[0]]
    assert circuit.reverse([1], [[0]], [[1]], derivative="flips")[0].tolist() == [[1]]


@settings(deadline=None, max_examples=40)
@given(data=st.data(), name=st.sampled_from(["Z_2", "Z_5", "counts"]))
def test_chain_rule(data, name):
    """R[g f](z, e) = R[f](z, R[g](f(z), e)): two circuits in a row against one."""
    ring = RINGS[name]
    f, _ = data.draw(circuits(ring, gates=4))
    width = len(f.outputs)
    kinds = [data.draw(st.sampled_from(["add", "mul"])) for _ in range(3)]
    picks = [
        [data.draw(st.integers(0, width + k)) for _ in range(2)] for k in range(3)
    ]  # fmt: skip

    def top(wires):
        wires = list(wires)
        for kind, (i, j) in zip(kinds, picks):
            i, j = i % len(wires), j % len(wires)
            wires.append(wires[i] + wires[j] if kind == "add" else wires[i] * wires[j])
        return wires[-1]

    g = Circuit(0, width, ring)
    g.output(top(g.inputs))
    whole = pickle.loads(pickle.dumps(f))
    last = top(whole.outputs)
    whole.outputs = ()
    whole.output(last)
    theta = random(data.draw, ring, len(f.parameters))
    x = random(data.draw, ring, 5, len(f.inputs))
    e = random(data.draw, ring, 5, 1)
    middle = f.evaluate(theta, x)
    np.testing.assert_array_equal(whole.evaluate(theta, x), g.evaluate([], middle))
    through = f.reverse(theta, x, g.reverse([], middle, e)[1])
    for a, b in zip(whole.reverse(theta, x, e), through):
        np.testing.assert_array_equal(a, b)


def every(bits):
    return (np.arange(2**bits)[:, None] >> np.arange(bits)) & 1


def test_operators_are_those_of_logic():
    circuit = Circuit(0, 2)
    a, b = circuit.inputs
    circuit.output(a ^ b, a & b, a | b, ~a, 1 ^ a, 1 | b, 0 & b, a + 1, 1 * b)
    expected = [
        [a ^ b, a & b, a | b, 1 - a, 1 - a, 1, 0, 1 - a, b] for a, b in every(2).tolist()
    ]  # fmt: skip
    assert circuit.evaluate([], every(2)).tolist() == expected


# Learning


def lookup_circuit(bits):
    circuit = Circuit(2**bits, bits)
    circuit.output(lookup(circuit.parameters, circuit.inputs))
    return circuit


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 6), st.integers(0, 2**31))
def test_a_table_of_truth_is_filled_by_one_pass(bits, seed):
    y = np.random.default_rng(seed).integers(0, 2, size=(2**bits, 1))
    learner = ReverseDerivativeAscent(lookup_circuit(bits), restarts=3, seed=seed)
    learner.fit(every(bits), y, epochs=1)
    assert learner.errors == 0
    np.testing.assert_array_equal(learner.theta, y[:, 0])
    np.testing.assert_array_equal(learner.predict(every(bits)), y)


def affine(bits):
    circuit = Circuit(bits + 1, bits)
    total = circuit.parameters[-1]
    for p, x in zip(circuit.parameters, circuit.inputs):
        total = total ^ (p & x)
    circuit.output(total)
    return circuit


@pytest.mark.parametrize("derivative", ["reverse", "flips"])
def test_a_hidden_parity_is_found(derivative):
    x = every(6)
    hidden = np.array([1, 0, 1, 1, 0, 1])
    y = ((x @ hidden + 1) % 2)[:, None]
    learner = ReverseDerivativeAscent(affine(6), derivative=derivative, seed=2).fit(x, y)
    assert learner.errors == 0
    assert learner.theta.tolist() == [*hidden, 1]


def test_products_modulo_five_are_learnt():
    # f = (a + b x) (c + d y) over Z_5 is to become 2 x (y + 3); many parameters do.
    circuit = Circuit(4, 2, Semiring.modular(5))
    (a, b, c, d), (x, y) = circuit.parameters, circuit.inputs
    circuit.output((a + b * x) * (c + d * y))
    points = np.array(list(product(range(5), repeat=2)))
    wanted = (2 * points[:, 0] * (points[:, 1] + 3) % 5)[:, None]
    learner = ReverseDerivativeAscent(circuit, restarts=256, seed=0).fit(points, wanted)
    assert learner.errors == 0
    np.testing.assert_array_equal(learner.predict(points), wanted)


@pytest.mark.parametrize("modulus", [2, 3])
def test_a_step_is_the_formula(modulus):
    # One sample a call leaves no freedom in the order.
    rng = np.random.default_rng(modulus)
    circuit = Circuit(4, 3, Semiring.modular(modulus))
    (a, b, c, d), (x, y, z) = circuit.parameters, circuit.inputs
    circuit.output(a * x + b * y * z + c, (d + x) * (a + y))
    learner = ReverseDerivativeAscent(circuit, rng.integers(0, modulus, 4), restarts=1, seed=0)
    steps = 0
    for _ in range(40):
        inputs = rng.integers(0, modulus, size=(1, 3))
        wanted = rng.integers(0, modulus, size=(1, 2))
        theta, before = learner.thetas[0].astype(int), learner.epochs
        learner.fit(inputs, wanted, epochs=1)
        assert learner.errors == (learner.predict(inputs) != wanted).any()
        error = (wanted - circuit.evaluate(theta, inputs).astype(int)) % modulus
        if learner.epochs > before:
            steps += 1
            theta = (theta + circuit.reverse(theta, inputs, error)[0][0]) % modulus
        np.testing.assert_array_equal(learner.thetas[0], theta)
    assert steps > 5


def random_task(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, size=(40, 6))
    return x, rng.integers(0, 2, size=(40, 1))


def test_the_best_so_far_is_kept():
    x, y = random_task()
    learner = ReverseDerivativeAscent(affine(6), seed=0)
    fewest = 40
    for _ in range(30):
        learner.fit(x, y, epochs=1)
        assert learner.errors <= fewest
        fewest = learner.errors
        assert fewest == (learner.predict(x) != y).sum()
    # No parity fits noise: the ascent goes on moving.
    assert learner.epochs == 30
    assert fewest > 0


def test_calls_thread_counts_and_pickles_do_not_matter():
    x, y = random_task()
    whole = ReverseDerivativeAscent(affine(6), restarts=150, seed=3).fit(x, y, epochs=20)
    part = ReverseDerivativeAscent(affine(6), restarts=150, seed=3).fit(x, y, epochs=7)
    thalweg.set_num_threads(7)
    try:
        part = pickle.loads(pickle.dumps(part)).fit(x, y, epochs=13)
    finally:
        thalweg.set_num_threads(0)
    np.testing.assert_array_equal(whole.thetas, part.thetas)
    np.testing.assert_array_equal(whole.theta, part.theta)
    assert (whole.errors, whole.epochs) == (part.errors, part.epochs)


def test_orders_come_from_the_seed():
    x, y = random_task()
    ends = [
        ReverseDerivativeAscent(affine(6), np.zeros(7, int), restarts=1, seed=seed)
        .fit(x, y, epochs=3).thetas.tolist()
        for seed in (0, 0, 1, 2, 3)
    ]  # fmt: skip
    assert ends[0] == ends[1]
    assert any(end != ends[0] for end in ends[2:])


# Bad input


def test_circuits_are_checked():
    with pytest.raises(ValueError, match="parameters must be >= 0"):
        Circuit(1, 0)
    circuit, other = Circuit(1, 1), Circuit(1, 1)
    with pytest.raises(ValueError, match="wires must be of this circuit"):
        circuit.inputs[0] + other.inputs[0]
    with pytest.raises(ValueError, match="wires must be of this circuit"):
        circuit.output(other.inputs[0])
    with pytest.raises(ValueError, match="a constant must be in"):
        circuit.inputs[0] + 2
    with pytest.raises(ValueError, match="outputs must be wires"):
        circuit.evaluate([0], [[0]])
    with pytest.raises(TypeError, match="must be used over Z_2"):
        Circuit(1, 1, Semiring.modular(3)).inputs[0] ^ 1
    with pytest.raises(ValueError, match=r"entries must be 2\*\*1"):
        lookup(circuit.parameters, circuit.inputs)


@pytest.mark.parametrize(
    ("theta", "x", "message"),
    [
        ([0, 0], [[0]], "theta must be of shape"),
        ([2], [[0]], "theta must hold elements 0 to 1"),
        ([0], [[0, 0]], "x must be of shape"),
        ([0], [0], "x must be of shape"),
        ([0], np.zeros((0, 1), int), "x must be of shape"),
        ([0], [[-1]], "x must hold elements"),
        ([0], [[256]], "x must hold elements"),
    ],
)
def test_samples_are_checked(theta, x, message):
    circuit = Circuit(1, 1)
    circuit.output(circuit.inputs[0])
    with pytest.raises(ValueError, match=message):
        circuit.evaluate(theta, x)


def test_errors_and_forms_are_checked():
    circuit = Circuit(1, 1)
    circuit.output(circuit.inputs[0])
    with pytest.raises(TypeError, match="x must hold integers or bools, got float64"):
        circuit.evaluate([0], [[0.5]])
    with pytest.raises(ValueError, match="errors must be of shape"):
        circuit.reverse([0], [[0]], [[0, 1]])
    with pytest.raises(ValueError, match="align them"):
        circuit.reverse([0], [[0]], [[0], [1]])
    with pytest.raises(ValueError, match="derivative must be one of"):
        circuit.reverse([0], [[0]], [[0]], derivative="forward")


@pytest.mark.parametrize("name", ["Z_5", "or and"])
def test_flips_belong_to_bits(name):
    circuit = Circuit(1, 1, RINGS[name])
    circuit.output(circuit.parameters[0] * circuit.inputs[0])
    with pytest.raises(NotImplementedError, match="derivative='flips' outside of Z_2"):
        circuit.reverse([0], [[0]], [[0]], derivative="flips")


def test_learning_is_checked():
    circuit = lookup_circuit(2)
    with pytest.raises(ValueError, match="restarts must be >= 1"):
        ReverseDerivativeAscent(circuit, restarts=0)
    with pytest.raises(ValueError, match="derivative must be one of"):
        ReverseDerivativeAscent(circuit, derivative="forward")
    with pytest.raises(ValueError, match="circuit must have parameters and outputs"):
        ReverseDerivativeAscent(Circuit(1, 1))
    learner = ReverseDerivativeAscent(circuit, seed=0)
    with pytest.raises(ValueError, match="epochs must be >= 0"):
        learner.fit(every(2), every(2)[:, :1], epochs=-1)
    with pytest.raises(ValueError, match="y must have 4 rows"):
        learner.fit(every(2), [[0]])
    with pytest.raises(ValueError, match="y must be of shape"):
        learner.fit(every(2), every(2))
    assert learner.epochs == 0
    levels = Circuit(1, 1, Semiring.saturating(3))
    levels.output(levels.parameters[0] * levels.inputs[0])
    with pytest.raises(NotImplementedError, match="whose sums cannot be undone"):
        ReverseDerivativeAscent(levels).fit([[1]], [[2]])


def test_semirings_are_checked():
    with pytest.raises(ValueError, match=r"size must be in \[2, 64\]"):
        Semiring.modular(65)
    with pytest.raises(ValueError, match="must be a square table"):
        Semiring([[0, 0]], [[0, 0]])
    with pytest.raises(ValueError, match="must hold elements 0 to 1"):
        Semiring([[0, 2], [2, 0]], [[0, 0], [0, 1]])
    odd = Circuit(1, 1, Semiring([[0, 1], [0, 1]], [[0, 0], [0, 1]]))
    odd.output(odd.inputs[0] + odd.parameters[0])
    with pytest.raises(ValueError, match="sums must be commutative"):
        odd.evaluate([0], [[0]])
