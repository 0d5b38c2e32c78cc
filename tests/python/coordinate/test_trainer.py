"""BlockCoordinateTrainer: against a plain float64 sweep, its objective, and bad input."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg import _core

torch = pytest.importorskip("torch")
nn = torch.nn

from thalweg.coordinate import BlockCoordinateTrainer  # noqa: E402


def network(widths, seed=0, dtype=torch.float64, scale=0.3):
    torch.manual_seed(seed)
    modules = []
    for a, b in itertools.pairwise(widths):
        modules += [nn.Linear(a, b, dtype=dtype), nn.ReLU()]
        nn.init.normal_(modules[-2].weight, std=scale)
    return nn.Sequential(*modules[:-1])


def data(widths, n=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, widths[0])), rng.standard_normal((n, widths[-1]))


def prox(a, c, g):
    """The lower of the two branches' minima."""
    on, off = np.maximum((a + g * c) / (1 + g), 0), np.minimum(c, 0)
    cost = lambda u: (a - np.maximum(u, 0)) ** 2 + g * (u - c) ** 2  # noqa: E731
    return np.where(cost(off) <= cost(on), off, on)


class Plain:
    """The sweep as the paper writes it: columns are samples, one block after another."""

    def __init__(self, layers, X, Y, skips, gamma, rho, alpha, joint):
        self.W = [layer.weight.detach().numpy().copy() for layer in layers]
        self.b = [
            np.zeros((len(w), 1))
            if layer.bias is None
            else layer.bias.detach().numpy()[:, None].copy()
            for layer, w in zip(layers, self.W, strict=True)
        ]
        self.free = [layer.bias is not None for layer in layers]
        self.Y, self.skips, self.strengths, self.joint = Y.T, skips, (gamma, rho, alpha), joint
        self.U, self.V = [None], [X.T]
        for k, (w, b) in enumerate(zip(self.W, self.b, strict=True)):
            u = w @ self.V[-1] + b
            v = (u if k == len(layers) - 1 else np.maximum(u, 0)) + (self.V[-1] if skips[k] else 0)
            self.U.append(u)
            self.V.append(v)

    def objective(self):
        gamma, rho, _ = self.strengths
        N = len(self.W)
        total = np.sum((self.V[N] - self.Y) ** 2)
        for i in range(1, N + 1):
            active = self.U[i] if i == N else np.maximum(self.U[i], 0)
            total += gamma * np.sum(
                (self.V[i] - (self.V[i - 1] if self.skips[i - 1] else 0) - active) ** 2
            ) + rho * np.sum((self.U[i] - self.W[i - 1] @ self.V[i - 1] - self.b[i - 1]) ** 2)
        return total / 2

    def weights(self, i):
        _, rho, alpha = self.strengths
        W, b, V, U = self.W[i - 1], self.b[i - 1], self.V[i - 1], self.U[i]
        if self.joint and self.free[i - 1]:
            A, old = np.vstack([V, np.ones(V.shape[1])]), np.hstack([W, b])
            new = (alpha * old + rho * U @ A.T) @ np.linalg.inv(
                alpha * np.eye(len(A)) + rho * A @ A.T
            )
            self.W[i - 1], self.b[i - 1] = new[:, :-1], new[:, -1:]
            return
        self.W[i - 1] = (alpha * W + rho * (U - b) @ V.T) @ np.linalg.inv(
            alpha * np.eye(len(V)) + rho * V @ V.T
        )
        if self.free[i - 1]:
            off = np.sum(U - W @ V, axis=1, keepdims=True)
            self.b[i - 1] = (alpha * b + rho * off) / (rho * V.shape[1] + alpha)

    def sweep(self):
        gamma, rho, alpha = self.strengths
        N = len(self.W)
        skip = lambda i: self.V[i - 1] if self.skips[i - 1] else 0  # noqa: E731
        Z = lambda i: self.W[i - 1] @ self.V[i - 1] + self.b[i - 1]  # noqa: E731
        self.V[N] = (self.Y + gamma * (skip(N) + self.U[N]) + alpha * self.V[N]) / (
            1 + gamma + alpha
        )
        self.U[N] = (gamma * (self.V[N] - skip(N)) + rho * Z(N)) / (gamma + rho)
        self.weights(N)
        for i in range(N - 1, 0, -1):
            W, b, s = self.W[i], self.b[i], self.skips[i]
            after = self.U[i + 1] if i + 1 == N else np.maximum(self.U[i + 1], 0)
            right = rho * W.T @ (self.U[i + 1] - b) + gamma * (skip(i) + np.maximum(self.U[i], 0))
            if s:
                right = right + gamma * (self.V[i + 1] - after)
            self.V[i] = np.linalg.solve(rho * W.T @ W + gamma * (1 + s) * np.eye(W.shape[1]), right)
            c = (rho * Z(i) + alpha * self.U[i]) / (rho + alpha)
            self.U[i] = prox(self.V[i] - skip(i), c, (rho + alpha) / gamma)
            self.weights(i)


CASES = {
    "wide": ([5, 9, 4, 2], False, {}),
    "growing": ([3, 4, 8, 8, 3], False, {"gamma": 0.5, "rho": 2.0, "alpha": 0.3}),
    "joint": ([5, 9, 4, 2], False, {"joint_bias": True, "alpha": 0.1}),
    "one layer": ([4, 3], False, {}),
    "residual": ([4, 6, 6, 6, 2], True, {"joint_bias": True, "alpha": 1.0}),
    "residual ends": ([5, 5, 5, 5], True, {"gamma": 2.0}),
    "some skips": ([5, 5, 5, 5], [False, True, False], {}),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("chunk", [7, 4096])
def test_equals_a_plain_sweep(name, chunk):
    widths, residual, options = CASES[name]
    X, Y = data(widths)
    layers = list(network(widths)[::2])
    model = layers if residual else nn.Sequential(*network(widths))
    layers = layers if residual else list(model[::2])
    trainer = BlockCoordinateTrainer(model, residual=residual, chunk=chunk, **options)
    strengths = {"gamma": 1.0, "rho": 1.0, "alpha": 5.0, **options}
    joint = strengths.pop("joint_bias", False)
    plain = Plain(layers, X, Y, trainer.skips, joint=joint, **strengths)
    for _ in range(6):
        assert trainer.sweep(X, Y) == pytest.approx(plain.objective(), rel=1e-9)
        plain.sweep()
    assert trainer.objective() == pytest.approx(plain.objective(), rel=1e-9)
    for layer, W, b in zip(layers, plain.W, plain.b, strict=True):
        np.testing.assert_allclose(layer.weight.detach().numpy(), W, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(layer.bias.detach().numpy(), b[:, 0], rtol=1e-7, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    widths=st.lists(st.integers(1, 7), min_size=2, max_size=5),
    strengths=st.tuples(*[st.sampled_from([0.1, 1.0, 7.0])] * 3),
    residual=st.booleans(),
    n=st.integers(1, 30),
)
def test_the_objective_never_rises(seed, widths, strengths, residual, n):
    X, Y = data(widths, n, seed)
    gamma, rho, alpha = strengths
    model = list(network(widths, seed, scale=1.0)[::2])
    options = {"gamma": gamma, "rho": rho, "alpha": alpha, "residual": residual}
    history = BlockCoordinateTrainer(model, joint_bias=True, **options).fit(X, Y, sweeps=8)
    for before, after in itertools.pairwise(history):
        assert after <= before * (1 + 1e-10)


@pytest.mark.parametrize("g", [0.01, 1.0, 6.0, 1e4])
def test_relu_prox_is_lowest_on_a_dense_grid(g):
    rng = np.random.default_rng(0)
    a, c = rng.standard_normal((2, 400)) * 2
    a[:20], c[20:40] = 0, 0
    u = _core.splitting_relu_prox(a, c, g)
    grid = np.concatenate([np.linspace(-9, 9, 20_001), [0.0]])[:, None]
    cost = lambda u: 0.5 * (a - np.maximum(u, 0)) ** 2 + 0.5 * g * (u - c) ** 2  # noqa: E731
    assert (cost(u) <= cost(grid).min(axis=0) + 1e-9).all()
    np.testing.assert_allclose(u, prox(a, c, g), atol=1e-12)


def test_float32_follows_float64_and_writes_the_model():
    widths = [6, 12, 12, 3]
    X, Y = data(widths, 200)
    models = [network(widths, dtype=dtype) for dtype in (torch.float32, torch.float64)]
    models[0].load_state_dict(models[1].state_dict())
    runs = [BlockCoordinateTrainer(model, chunk=64).fit(X, Y, 10) for model in models]
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-4)
    weight = models[0][0].weight
    assert weight.dtype == torch.float32
    assert weight._version > 1
    inputs = torch.from_numpy(X.astype(np.float32))
    predicted = BlockCoordinateTrainer(models[0]).predict(inputs)
    torch.testing.assert_close(predicted, models[0](inputs).detach(), rtol=1e-5, atol=1e-5)


def test_labels_layers_without_bias_and_tensors():
    X, _ = data([4, 3], 60)
    labels = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0.5)
    model = network([4, 16, 3], scale=0.5)
    model[0] = nn.Linear(4, 16, bias=False, dtype=torch.float64)
    other = network([4, 16, 3])
    other[0] = nn.Linear(4, 16, bias=False, dtype=torch.float64)
    other.load_state_dict(model.state_dict())
    BlockCoordinateTrainer(model, alpha=0.1).fit(torch.from_numpy(X), torch.from_numpy(labels), 60)
    BlockCoordinateTrainer(other, alpha=0.1).fit(X, np.eye(3)[labels], 60)
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    accuracy = (model(torch.from_numpy(X)).argmax(1).numpy() == labels).mean()
    assert accuracy > 0.85


@pytest.mark.parametrize("joint", [False, True])
def test_resumes_exactly(joint, tmp_path):
    widths = [5, 8, 8, 2]
    X, Y = data(widths, 50)
    whole, part, rest = (network(widths, dtype=torch.float32) for _ in range(3))
    BlockCoordinateTrainer(whole, joint_bias=joint).fit(X, Y, 7)
    first = BlockCoordinateTrainer(part, joint_bias=joint)
    first.fit(X, Y, 3)
    torch.save([first.state_dict(), part.state_dict()], tmp_path / "state.pt")
    state, weights = torch.load(tmp_path / "state.pt")
    rest.load_state_dict(weights)
    second = BlockCoordinateTrainer(rest, joint_bias=joint)
    second.load_state_dict(state)
    second.fit(X, Y, 4)
    assert second.sweeps == 7
    for name, value in whole.state_dict().items():
        assert torch.equal(value, rest.state_dict()[name])


def test_refuses_models():
    linear, relu = nn.Linear(3, 3), nn.ReLU()
    cases = [
        (nn.Linear(3, 3), TypeError, "model must be a Sequential of Linear and ReLU, or a list"),
        (
            nn.Sequential(linear, nn.Tanh(), linear),
            TypeError,
            r"model\[1\] must be a ReLU, got Tanh",
        ),
        (nn.Sequential(linear, linear), TypeError, r"model\[1\] must be a ReLU, got Linear"),
        (nn.Sequential(linear, relu), ValueError, "model must end with a Linear, got 2 modules"),
        (nn.Sequential(), ValueError, "got 0 modules"),
        ([linear, nn.Linear(4, 3)], ValueError, "layer 1 of 4 inputs does not match layer 0 of 3"),
        ([nn.Linear(3, 3).half()], TypeError, "layer 0 must be float32 or float64"),
        ([linear, nn.Linear(3, 3).double()], TypeError, "layer 1 must be float32 or float64"),
        ([nn.Linear(3, 3, device="meta")], ValueError, "must be on the CPU, got meta"),
    ]
    for model, kind, message in cases:
        with pytest.raises(kind, match=message):
            BlockCoordinateTrainer(model)
    bad = nn.Linear(2, 2)
    nn.init.constant_(bad.weight, math.nan)
    with pytest.raises(ValueError, match="layer 0 holds NaN"):
        BlockCoordinateTrainer([bad])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rho": 0}, r"rho must be in \(0"),
        ({"gamma": -1.0}, r"gamma must be in \(0"),
        ({"alpha": -0.1}, r"alpha must be in \[0"),
        ({"alpha": math.inf}, "alpha must be in"),
        ({"chunk": 0}, "chunk must be >= 1"),
        ({"residual": [True]}, "residual must hold 2 flags, got 1"),
        ({"residual": [True, False]}, r"residual\[0\] must be False for a layer of 4 inputs and 3"),
    ],
)
def test_refuses_options(options, message):
    with pytest.raises(ValueError, match=message):
        BlockCoordinateTrainer([nn.Linear(4, 3), nn.Linear(3, 2)], **options)


def test_a_sequential_has_no_skips():
    with pytest.raises(ValueError, match="residual must be False for a Sequential"):
        BlockCoordinateTrainer(network([3, 3, 3]), residual=True)


def test_refuses_data():
    X, Y = data([4, 3, 2])
    model = network([4, 3, 2])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = BlockCoordinateTrainer(model, alpha=0.0)
    cases = [
        (X[:, :3], Y, r"X must be of shape \(n, 4\) with n >= 1, got \(40, 3\)"),
        (X[:0], Y[:0], r"got \(0, 4\)"),
        (X, Y[:, :1], r"Y must be of shape \(n, 2\)"),
        (X[:9], Y, "X of 9 samples does not match Y of 40"),
        (X, np.full_like(Y, np.nan), "Y holds NaN or infinity"),
        (np.where(X > 1, np.inf, X), Y, "X holds NaN or infinity"),
        (X, np.arange(40), r"Y must hold classes in 0\.\.1, got 0\.\.39"),
    ]
    for x, y, message in cases:
        with pytest.raises(ValueError, match=message):
            trainer.sweep(x, y)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    with pytest.raises(TypeError, match="X must hold numbers"):
        trainer.sweep(X.astype(str), Y)
    with pytest.raises(
        ValueError, match="of layer 0 must be linearly independent at alpha = 0, got a"
    ):
        BlockCoordinateTrainer([nn.Linear(4, 2)], alpha=0).sweep(np.ones((40, 4)), Y)


def test_goes_on_with_the_same_data_alone():
    X, Y = data([4, 3, 2])
    trainer = BlockCoordinateTrainer(network([4, 3, 2]))
    trainer.fit(X, Y, 2)
    trainer.sweep(X.copy(), Y.copy())
    with pytest.raises(ValueError, match=r"those of the first sweep, got others; call reset\(\)"):
        trainer.sweep(X + 1, Y)
    state = trainer.state_dict()
    trainer.reset()
    trainer.fit(X[:9] + 1, Y[:9], 1)
    trainer.load_state_dict(state)
    with pytest.raises(ValueError, match="X of 9 samples does not match a state of 40"):
        trainer.sweep(X[:9], Y[:9])
    with pytest.raises(ValueError, match="does not match layers of widths"):
        BlockCoordinateTrainer(network([4, 4, 2])).load_state_dict(state)


def test_reports_sweeps():
    X, Y = data([4, 3, 2])
    rows = []
    history = BlockCoordinateTrainer(network([4, 3, 2])).fit(X, Y, 3, callback=rows.append)
    assert [row["sweep"] for row in rows] == [1, 2, 3]
    assert [row["objective"] for row in rows] == history[:3]
