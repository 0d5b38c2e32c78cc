"""Networks: every probe equals a full forward pass; training; errors."""

import numpy as np
import pytest
from search.network_oracle import cost, forward, matrices, probe

import thalweg
from thalweg.search.objectives import Attention, Dense, Layer, Network, Routed

LIF = {"beta": 0.75, "threshold": 1.0, "steps": 9}
SHAPES = {
    "one layer": [("linear", 4)],
    "relu": [("relu", 7), ("linear", 4)],
    "tanh": [("tanh", 7), ("linear", 4)],
    "sign": [("sign", 7), ("linear", 4)],
    "threshold deep": [("threshold", 9), ("threshold", 6), ("linear", 4)],
    "staircase deep": [("staircase", 7), ("staircase", 18), ("linear", 4)],
    "relu deep": [("relu", 7), ("tanh", 17), ("relu", 5), ("linear", 4)],
    "staircase out": [("relu", 7), ("staircase", 4)],
    "lif": [("lif", 7), ("lif", 4)],
    "lif wide": [("lif", 7), ("lif", 18)],
    "lif deep": [("lif", 7), ("lif", 18), ("lif", 4)],
    "lif read out": [("lif", 7), ("linear", 4)],
    "lif lif read out": [("lif", 7), ("lif", 6), ("linear", 4)],
    "relu lif": [("relu", 7), ("lif", 4)],
    "lif relu lif": [("lif", 7), ("relu", 6), ("lif", 4)],
    "attention": [("relu", 9), ("attention", 5), ("linear", 4)],
    "attention below": [("attention", 3), ("staircase", 6), ("lif", 4)],
    "attention on top": [("relu", 4), ("attention", 4)],
    "attention twice": [("sign", 7), ("attention", 3), ("attention", 4), ("linear", 4)],
    "routed": [("relu", 9), ("routed", 18), ("linear", 4)],
    "routed on top": [("tanh", 9), ("routed", 4)],
    "routed below": [("routed", 5), ("relu", 17), ("linear", 4)],
    "lif routed": [("lif", 9), ("routed", 5), ("attention", 3), ("linear", 4)],
    "int8": [("relu", 7), ("relu8", 6), ("linear", 4)],
    "int8 sign": [("sign", 7), ("sign8", 6), ("linear8", 4)],
}


def build(shape, inputs, rng, loss, outputs=None):
    """The same random network twice: for the oracle and for the product.

    Weights are multiples of 1/64 so that pre-activations are exact in float32 and a threshold is
    never decided by rounding; four levels keep staircase outputs exact, too.
    """
    layers, dense = [], []
    for index, (name, units) in enumerate(shape):
        if name in ("attention", "routed"):
            layer, kind, inputs = build_select(name, units, inputs, rng)
            layers.append(layer)
            dense.append(kind)
            continue
        units = outputs if outputs and index == len(shape) - 1 else units
        spread = 1.2 if name == "lif" else 0.8
        w = np.round(rng.normal(0, spread / np.sqrt(inputs), (units, inputs)) * 64) / 64
        b = np.round(rng.normal(0.2, 0.3, units) * 64) / 64
        unit = name.rstrip("8")
        numbers = dict(LIF) if unit == "lif" else {"levels": 4} if unit == "staircase" else {}
        if name.endswith("8"):
            numbers |= {"scale": 0.0625, "bits": 8}
        layers.append({"w": w, "b": b, "unit": unit, **numbers})
        dense.append(Dense(w, b, unit, **numbers))
        inputs = units
    return layers, Network(dense, loss)


def build_select(name, units, inputs, rng):
    """Attention over `units` slots, or three experts of `units` outputs."""

    def part(o, i):
        return {
            "w": np.round(rng.normal(0, 1 / np.sqrt(i), (o, i)) * 64) / 64,
            "b": np.round(rng.normal(0, 0.3, o) * 64) / 64,
        }

    if name == "attention":
        parts = [part(units, inputs), part(inputs, inputs)]
        keys, values = (Dense(p["w"], p["b"], "linear") for p in parts)
        return {"parts": parts}, Attention(keys, values), inputs
    parts = [part(3, inputs)] + [part(*s) for _ in range(3) for s in ((6, inputs), (units, 6))]
    gate, *rest = [Dense(p["w"], p["b"], "linear") for p in parts]
    for hidden in rest[::2]:
        hidden.unit = "relu"
    experts = list(zip(rest[::2], rest[1::2], strict=True))
    return {"parts": parts}, Routed(gate, experts), units


def samples(rng, n, inputs, steps=None):
    shape = (n, inputs) if steps is None else (n, steps, inputs)
    return np.round(rng.normal(0, 1, shape) * 8) / 8


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("n", [37, 64])
def test_forward_and_probes_equal_the_oracle(name, n):
    rng = np.random.default_rng(len(name) * 1000 + n)
    layers, network = build(SHAPES[name], 5, rng, "cross_entropy")
    X = samples(rng, n, 5)
    y = rng.integers(0, network.outputs, n)
    logits = forward(layers, X)
    np.testing.assert_allclose(network.decision_function(X), logits, atol=2e-5)
    assert network.evaluate(X, y) == pytest.approx(cost(logits, y, "cross_entropy"), abs=1e-5)
    assert network.accuracy(X, y) == (logits.argmax(1) == y).mean()
    for layer, item in enumerate(matrices(layers)):
        inputs = item["w"].shape[1]
        directions = np.round(rng.normal(0, 0.5, (3, inputs + 1)) * 16) / 16
        radius = np.round(rng.uniform(0.25, 1.0, len(item["b"])) * 8) / 8
        got = network.probe(X, y, layer, directions, radius)
        want = probe(layers, X, y, "cross_entropy", layer, directions, radius)
        moves = np.abs(want).max() > 1e-3
        assert moves or "parts" in str(layers), "no probe changed the cost"
        np.testing.assert_allclose(got, want, atol=1e-5, err_msg=f"layer {layer}")


@pytest.mark.parametrize("loss", ["cross_entropy", "squared", "zero_one", "f1"])
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("name", ["one layer", "sign", "relu deep", "lif", "staircase deep"])
def test_every_loss(loss, outputs, name):
    rng = np.random.default_rng(len(name) + 10 * outputs + len(loss))
    layers, network = build(SHAPES[name], 5, rng, loss, outputs)
    X = samples(rng, 50, 5)
    y = rng.integers(0, 2, 50)
    if loss == "squared":
        y = np.round(rng.normal(size=(50, outputs)), 2)
    assert network.evaluate(X, y) == pytest.approx(cost(forward(layers, X), y, loss), abs=1e-5)
    for layer, item in enumerate(matrices(layers)):
        directions = np.round(rng.normal(0, 0.5, (4, item["w"].shape[1] + 1)) * 16) / 16
        got = network.probe(X, y, layer, directions)
        want = probe(layers, X, y, loss, layer, directions, np.ones(len(item["b"])))
        np.testing.assert_allclose(got, want, atol=1e-5, err_msg=f"layer {layer}")


@pytest.mark.parametrize("name", ["lif", "lif wide", "lif deep", "lif read out"])
def test_input_that_varies_in_time(name):
    rng = np.random.default_rng(5)
    layers, network = build(SHAPES[name], 5, rng, "cross_entropy")
    X = samples(rng, 40, 5, LIF["steps"])
    y = rng.integers(0, network.outputs, 40)
    np.testing.assert_allclose(network.decision_function(X), forward(layers, X), atol=2e-5)
    for layer, item in enumerate(matrices(layers)):
        directions = np.round(rng.normal(0, 0.5, (3, item["w"].shape[1] + 1)) * 16) / 16
        got = network.probe(X, y, layer, directions, 0.5)
        radius = np.full(len(item["b"]), 0.5)
        want = probe(layers, X, y, "cross_entropy", layer, directions, radius)
        assert np.abs(want).max() > 1e-3
        np.testing.assert_allclose(got, want, atol=1e-5)


def moons(n, rng):
    t = rng.uniform(0, np.pi, n)
    y = rng.integers(0, 2, n)
    x = np.where(y == 0, np.cos(t), 1 - np.cos(t))
    z = np.where(y == 0, np.sin(t), 0.5 - np.sin(t))
    return np.stack([x, z], 1) + rng.normal(0, 0.1, (n, 2)), y


def test_training_a_sign_network_on_the_0_1_loss():
    rng = np.random.default_rng(0)
    X, y = moons(1000, rng)
    network = Network(
        [Dense.random(2, 32, "sign", rng=1), Dense.random(32, 2, "linear", rng=2)], "zero_one"
    )
    before = network.accuracy(X, y)
    out = network.train(X, y, epochs=60, batch_size=250, validation=(X, y), seed=3)
    assert out.steps == 240
    assert len(out.history) == 60
    assert out.history[-1].validation_accuracy == network.accuracy(X, y)
    assert network.accuracy(X, y) > max(0.97, before)


def test_training_does_not_depend_on_threads():
    rng = np.random.default_rng(0)
    X, y = moons(700, rng)
    runs = []
    for threads in (1, 2, 7):
        thalweg.set_num_threads(threads)
        network = Network(
            [Dense.random(2, 40, "lif", rng=1), Dense.random(40, 2, "lif", rng=2, bias=0.2)]
        )
        out = network.train(X, y, epochs=3, batch_size=200, seed=9)
        runs.append((network.theta.tobytes(), [item.cost for item in out.history]))
    thalweg.set_num_threads(0)
    assert runs[0] == runs[1] == runs[2]


@pytest.mark.parametrize("patience", [0, 3])
def test_a_dead_output_is_healed(patience):
    rng = np.random.default_rng(0)
    X, y = moons(600, rng)
    # the first class fires for no sample, and no probe changes that
    dead = Dense(np.full((2, 20), 0.01), [-8.0, 0.2], "lif")
    network = Network([Dense.random(2, 20, "lif", rng=1), dead])
    out = network.train(X, y, epochs=60, batch_size=200, patience=patience, seed=1)
    healed = sum(item.healed for item in out.history)
    fires = network.decision_function(X)[:, 0].max() > 0
    assert (healed > 0) == fires == (patience > 0)


def test_the_objective_serves_any_searcher():
    rng = np.random.default_rng(0)
    X, y = moons(100, rng)
    network = Network([Dense.random(2, 4, "tanh", rng=1), Dense.random(4, 2, "linear", rng=2)])
    theta = network.theta
    f = network.objective(X, y)
    assert f(theta) == network.evaluate(X, y)
    costs = f(np.stack([theta, theta + 0.1]))
    assert costs[0] == f(theta)
    assert costs[1] != costs[0]
    assert (network.theta == theta).all()


def test_weights_travel_to_torch_and_back():
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3))
    network = Network.from_torch(module)
    x = np.random.default_rng(0).normal(size=(11, 5)).astype(np.float32)
    want = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(network.decision_function(x), want, atol=1e-5)
    network.theta = network.theta * 2
    network.to_torch(module)
    np.testing.assert_allclose(
        network.decision_function(x), module(torch.from_numpy(x)).detach().numpy(), atol=1e-5
    )
    twin = Network([Dense.random(5, 7), Dense.random(7, 3, "linear")])
    twin.load_torch(module)
    assert (twin.theta == network.theta).all()
    with pytest.raises(ValueError, match="does not match the layers"):
        network.to_torch(torch.nn.Linear(5, 3))


@pytest.mark.parametrize(
    ("action", "match"),
    [
        (lambda: Network([]), "at least one layer"),
        (lambda: Network([Dense([[1.0]], unit="gelu")]), "unit must be one of"),
        (lambda: Network([Dense([[1.0]], [1.0, 2.0])]), "bias of shape"),
        (
            lambda: Network(
                [Attention(Dense(np.ones((2, 3)), unit="linear"), Dense(np.ones((3, 3))))]
            ),
            "must have unit 'linear'",
        ),
        (lambda: Network([Attention.random(3, 17, rng=0)]), "slots must be 2 to 16"),
        (lambda: Network([Routed.random(3, 4, 5, 1, rng=0)]), "experts must be 2 to 16"),
        (lambda: Network([Dense([[np.nan]])]), "NaN or infinity"),
        (lambda: Network([Dense([[1.0]], unit="lif", steps=64)]), "steps must be in 1..=63"),
        (lambda: Network([Dense([[1.0]], unit="lif", beta=1.5)]), r"beta must be in \[0, 1\]"),
        (lambda: Network([Dense([[1.0]], unit="staircase", levels=1)]), "levels must be in"),
        (lambda: Network([Dense([[1.0]], scale=-1.0)]), "scale must be positive"),
        (lambda: Network([Dense([[1.0]])], "hinge"), "loss must be cross_entropy"),
        (lambda: Network([Dense(np.ones((3, 2)))], "f1"), "one for two classes"),
        (lambda: Network([Dense(np.ones((3, 2))), Dense(np.ones((2, 4)))]), "does not match"),
    ],
)
def test_refuses_a_malformed_network(action, match):
    with pytest.raises(ValueError, match=match):
        action()


@pytest.mark.parametrize(
    ("X", "y", "error", "match"),
    [
        (np.ones((4, 3)), [0, 1, 0, 1], ValueError, "X of shape"),
        (np.ones((4, 2)), [0, 1, 0], ValueError, "one label a sample"),
        (np.ones((4, 2)), [0, 1, 0, 2], ValueError, r"labels in 0\.\.2"),
        (np.ones((4, 2)), [0, 1, 0, -1], ValueError, "labels from 0"),
        (np.ones((4, 2)), [0.0, 1.0, 0.0, 1.0], TypeError, "integer labels"),
        (np.full((4, 2), np.inf), [0, 1, 0, 1], ValueError, "X holds NaN"),
        (np.ones(4), [0, 1, 0, 1], ValueError, "reshape"),
        (np.ones((4, 3, 2)), [0, 1, 0, 1], NotImplementedError, "varies in time"),
        (np.ones((0, 2)), np.zeros(0, int), ValueError, "at least one sample"),
    ],
)
def test_refuses_malformed_data_and_changes_nothing(X, y, error, match):
    network = Network([Dense.random(2, 4, rng=0), Dense.random(4, 2, "linear", rng=1)])
    theta = network.theta
    for action in (network.evaluate, network.train):
        with pytest.raises(error, match=match):
            action(X, y)
    assert (network.theta == theta).all()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"epochs": 0}, "epochs must be positive"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"momentum": 1.0}, "momentum must be in"),
        ({"epsilon": 0.0}, "epsilon must be positive"),
        ({"decay": 0.0}, "decay must be in"),
        ({"plan": [Layer()]}, "plans must be one for each"),
        (
            {"plan": [Layer(source="pca"), None]},
            "directions must be differences, residuals or random",
        ),
        ({"plan": [Layer(probe_radius=-1.0), None]}, "probe_radius must be positive"),
    ],
)
def test_refuses_bad_settings(arguments, match):
    network = Network([Dense.random(2, 4, rng=0), Dense.random(4, 2, "linear", rng=1)])
    with pytest.raises(ValueError, match=match):
        network.train(np.ones((4, 2)), [0, 1, 0, 1], **arguments)


def test_stops_in_time_and_on_request():
    rng = np.random.default_rng(0)
    X, y = moons(500, rng)
    network = Network([Dense.random(2, 8, rng=0), Dense.random(8, 2, "linear", rng=1)])
    out = network.train(X, y, epochs=10_000, batch_size=50, seconds=0.05)
    assert "time" in out.message
    assert out.steps < 100_000
    out = network.train(X, y, epochs=50, batch_size=50, callback=lambda entry: entry.epoch == 2)
    assert len(out.history) == 2
    assert "callback" in out.message
