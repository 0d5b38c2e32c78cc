"""Networks by shaders, against float64 forward passes of the moved networks."""

import numpy as np
import pytest
from gpu.adapter import gpu
from search.network_oracle import cost, forward, probe

from thalweg.search import minimize
from thalweg.search.objectives import Attention, Dense, Network

LIF = {"beta": 0.75, "threshold": 1.0, "steps": 9}
SHAPES = {
    "linear": [("linear", 4)],
    "relu": [("relu", 7), ("linear", 4)],
    "threshold tanh": [("threshold", 9), ("tanh", 6), ("linear", 4)],
    "sign staircase": [("sign", 7), ("staircase", 5), ("linear", 4)],
    "staircase out": [("relu", 7), ("staircase", 4)],
    "lif": [("lif", 7), ("lif", 4)],
    "lif deep": [("lif", 7), ("lif", 8), ("lif", 4)],
    "lif read out": [("lif", 7), ("lif", 5), ("linear", 4)],
    "lif relu lif": [("lif", 7), ("relu", 6), ("lif", 4)],
}


def build(shape, rng, loss):
    """The same network for the oracle and for the product.

    Weights are multiples of 1/64, so that no threshold is decided by rounding.
    """
    layers, dense, inputs = [], [], 6
    for name, units in shape:
        w = np.round(rng.normal(0, 1 / np.sqrt(inputs), (units, inputs)) * 64) / 64
        b = np.round(rng.normal(0.2, 0.3, units) * 64) / 64
        numbers = dict(LIF) if name == "lif" else {"levels": 4} if name == "staircase" else {}
        layers.append({"w": w, "b": b, "unit": name, **numbers})
        dense.append(Dense(w, b, name, **numbers))
        inputs = units
    return layers, gpu.Network(Network(dense, loss))


def samples(rng, n=70, outputs=4, loss="cross_entropy", steps=None):
    shape = (n, 6) if steps is None else (n, steps, 6)
    x = np.round(rng.normal(0, 1, shape) * 8) / 8
    y = rng.normal(0, 1, (n, outputs)) if loss == "squared" else rng.integers(0, outputs, n)
    return x, y


def check_probes(layers, network, x, y, layer, tolerance=2e-6):
    rng = np.random.default_rng(layer)
    shape = np.shape(layers[layer]["w"])
    directions = np.round(rng.normal(0, 1, (3, shape[1] + 1)) * 8) / 8
    radius = rng.choice([0.125, 0.5, 1.0], shape[0])
    want = probe(layers, x, y, network.network.loss, layer, directions, radius)
    found = network.probe(x, y, layer, directions, radius)
    np.testing.assert_allclose(found, want, rtol=2e-6, atol=tolerance)
    assert np.abs(want).max() > 1e-3


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_costs_outputs_and_probes_are_those_of_full_passes(shape):
    rng = np.random.default_rng(0)
    layers, network = build(shape, rng, "cross_entropy")
    x, y = samples(rng)
    want = forward(layers, x)
    np.testing.assert_allclose(network.decision_function(x), want, rtol=1e-5, atol=1e-6)
    assert network.evaluate(x, y) == pytest.approx(cost(want, y, "cross_entropy"), rel=1e-6)
    for layer in range(len(layers)):
        check_probes(layers, network, x, y, layer)


@pytest.mark.parametrize("loss", ["squared", "zero_one", "f1"])
@pytest.mark.parametrize("name", ["lif", "threshold tanh"])
def test_losses(loss, name):
    rng = np.random.default_rng(1)
    *below, (last, _) = SHAPES[name]
    layers, network = build([*below, (last, 2)], rng, loss)
    x, y = samples(rng, outputs=2, loss=loss)
    assert network.evaluate(x, y) == pytest.approx(cost(forward(layers, x), y, loss), rel=1e-6)
    for layer in range(len(layers)):
        check_probes(layers, network, x, y, layer)


@pytest.mark.parametrize("loss", ["cross_entropy", "f1"])
def test_one_output(loss):
    rng = np.random.default_rng(5)
    layers, network = build([("relu", 7), ("linear", 1)], rng, loss)
    x, y = samples(rng, outputs=2)
    assert network.evaluate(x, y) == pytest.approx(cost(forward(layers, x), y, loss), rel=1e-6)
    check_probes(layers, network, x, y, 0)


@pytest.mark.parametrize("name", ["lif", "lif relu lif"])
def test_input_that_varies_in_time(name):
    rng = np.random.default_rng(1)
    layers, network = build(SHAPES[name], rng, "cross_entropy")
    x, y = samples(rng, steps=LIF["steps"])
    assert network.evaluate(x, y) == pytest.approx(cost(forward(layers, x), y, "cross_entropy"))
    for layer in range(len(layers)):
        check_probes(layers, network, x, y, layer)


def test_trains_of_more_than_32_steps():
    rng = np.random.default_rng(2)
    numbers = {"beta": 0.875, "threshold": 1.0, "steps": 50}
    layers, parts = [], []
    for i, o in [(6, 7), (7, 4)]:
        w, b = np.round(rng.normal(0, 0.5, (o, i)) * 64) / 64, np.full(o, 0.25)
        layers.append({"w": w, "b": b, "unit": "lif", **numbers})
        parts.append(Dense(w, b, "lif", **numbers))
    network = gpu.Network(Network(parts))
    x, y = samples(rng)
    assert (network.decision_function(x) == forward(layers, x)).mean() > 0.99
    check_probes(layers, network, x, y, 0, 5e-4)


def test_random_weights_agree_with_the_cpu():
    rng = np.random.default_rng(0)
    for units in (["lif", "lif"], ["threshold", "staircase", "linear"]):
        sizes = [20] + [30] * (len(units) - 1) + [10]
        parts = [Dense.random(i, o, u, rng=rng) for i, o, u in zip(sizes, sizes[1:], units)]
        cpu = Network(parts)
        network = gpu.Network(cpu)
        x, y = rng.random((200, 20)), rng.integers(0, 10, 200)
        assert network.evaluate(x, y) == pytest.approx(cpu.evaluate(x, y), rel=1e-6)
        u = rng.normal(0, 0.3, (4, 21))
        np.testing.assert_allclose(
            network.probe(x, y, 0, u), cpu.probe(x, y, 0, u), rtol=1e-5, atol=1e-6
        )


def test_integer_weights_are_rounded_where_they_are_used():
    rng = np.random.default_rng(4)
    w, b = rng.normal(0, 1, (4, 6)), rng.normal(0, 1, 4)
    cpu = Network([Dense(w, b, "linear", scale=0.125, bits=4)])
    network = gpu.Network(cpu)
    x, y = samples(rng)
    assert network.evaluate(x, y) == pytest.approx(cpu.evaluate(x, y), rel=1e-6)
    theta = rng.normal(0, 1, (3, 28))
    np.testing.assert_allclose(
        network.objective(x, y)(theta), cpu.objective(x, y)(theta), rtol=1e-6
    )
    with pytest.raises(NotImplementedError, match="a probe of integer weights on a GPU"):
        network.probe(x, y, 0, np.ones((1, 7)))


def test_the_objective_takes_many_parameter_vectors():
    rng = np.random.default_rng(6)
    _, network = build(SHAPES["lif read out"], rng, "cross_entropy")
    x, y = samples(rng)
    objective, other = network.objective(x, y), network.network.objective(x, y)
    thetas = network.network.theta + rng.normal(0, 0.1, (9, network.network.theta.size))
    costs = objective(thetas)
    assert costs.shape == (9,)
    np.testing.assert_allclose(costs, other(thetas), rtol=2e-6)
    assert objective(thetas[4]) == costs[4]
    run = minimize(objective, thetas[0], method="openai_es", vectorized=True, seed=0, maxiter=4)
    assert run.fun < costs[0]


def test_small_buffers_and_repeats():
    rng = np.random.default_rng(7)
    cpu = build([("lif", 7), ("lif", 8), ("lif", 2)], rng, "f1")[1].network
    network, small = gpu.Network(cpu), gpu.Network(cpu, max_binding=8192)
    x, y = samples(rng, n=300, outputs=2)
    u = rng.normal(0, 1, (2, 7))
    want = network.probe(x, y, 0, u)
    assert (network.probe(x, y, 0, u) == want).all()
    np.testing.assert_allclose(small.probe(x, y, 0, u), want, atol=1e-12)
    assert small.evaluate(x, y) == network.evaluate(x, y)
    assert (small.decision_function(x) == network.decision_function(x)).all()
    thetas = rng.normal(0, 0.5, (40, cpu.theta.size))
    assert (small.objective(x, y)(thetas) == network.objective(x, y)(thetas)).all()


def test_refusals_leave_the_arrays_alone():
    rng = np.random.default_rng(8)
    _, network = build(SHAPES["relu"], rng, "cross_entropy")
    x, y = samples(rng)
    u = np.ones((2, 7))
    with pytest.raises(TypeError, match=r"must be a thalweg\.search\.objectives\.Network"):
        gpu.Network([1])
    with pytest.raises(ValueError, match="X of shape"):
        network.evaluate(x[:, :3], y)
    with pytest.raises(TypeError, match="y must be integer labels"):
        network.evaluate(x, y * 0.5)
    with pytest.raises(ValueError, match=r"y must be labels in 0\.\.4"):
        network.evaluate(x, y + 1)
    for layer in (-1, 2):
        with pytest.raises(ValueError, match=r"layer must be in 0\.\.2"):
            network.probe(x, y, layer, u)
    with pytest.raises(ValueError, match="directions of shape"):
        network.probe(x, y, 0, u[:, :6])
    with pytest.raises(ValueError, match="radius holds NaN or infinity"):
        network.probe(x, y, 0, u, np.inf)
    with pytest.raises(ValueError, match="theta of shape"):
        network.objective(x, y)(np.zeros(5))
    with pytest.raises(ValueError, match="theta holds NaN"):
        network.objective(x, y)(np.full(network.network.theta.size, np.nan))
    broken = x.copy()
    broken[3, 2] = np.nan
    with pytest.raises(ValueError, match="X holds NaN or infinity"):
        network.probe(broken, y, 0, u)
    wide = gpu.Network(Network([Dense(np.ones((2, 3000)))]), max_binding=8192)
    with pytest.raises(ValueError, match="at most 2048 numbers a sample on a GPU, got"):
        wide.evaluate(np.ones((2, 3000)), [0, 1])
    attention = gpu.Network(Network([Attention.random(6, 4, rng=0)]))
    with pytest.raises(NotImplementedError, match="attention or routing on a GPU"):
        attention.evaluate(x, y)
    assert np.isfinite(x).all()


def test_it_survives_a_lost_device():
    rng = np.random.default_rng(9)
    _, network = build(SHAPES["linear"], rng, "cross_entropy")
    x, y = samples(rng)
    before = network.evaluate(x, y)
    gpu.release()
    assert network.evaluate(x, y) == before
    assert type(network)(network.network, adapter=0).evaluate(x, y) == before


def test_nothing_is_left_on_the_device():
    rng = np.random.default_rng(0)
    _, network = build(SHAPES["lif deep"], rng, "cross_entropy")
    x, y = samples(rng)
    before = gpu.memory().buffers
    for _ in range(3):
        network.probe(x, y, 0, np.ones((2, 7)))
        network.objective(x, y)(network.network.theta)
        gpu.simplex(np.ones((2, 3), np.float32))
        gpu.gramian(np.ones((2, 3), np.float32))
    assert gpu.memory().buffers == before
