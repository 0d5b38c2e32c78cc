"""Equilibrium propagation against dense implicit differentiation in numpy."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from thalweg.search.learning import EquilibriumPropagation  # noqa: E402

RNG = np.random.default_rng(0)
X = torch.from_numpy(RNG.normal(size=(7, 4)))
Y = torch.from_numpy(RNG.integers(0, 3, 7))
EXACT = {"free_steps": 2000, "nudge_steps": 2000, "tol": 1e-15, "gain": 0.4}
SLOPES = {
    "sigmoid": (lambda u: 1 / (1 + np.exp(-u)), lambda a: a * (1 - a)),
    "tanh": (np.tanh, lambda a: 1 - a**2),
}


def build(**settings):
    rule = EquilibriumPropagation([4, 6, 5, 3], **{"seed": 0, **EXACT, **settings})
    torch.manual_seed(1)
    with torch.no_grad():
        for b in rule.network.biases:
            b.normal_(0, 0.5)
    return rule.double()


def dense(rule):
    """The connections of all units as one matrix, the drive of the inputs, where layers begin."""
    W = [w.detach().numpy() for w in rule.network.weights]
    V = [v.detach().numpy() for v in rule.network.feedback] or [w.T for w in W[1:]]
    b = np.concatenate([v.detach().numpy() for v in rule.network.biases])
    at = np.cumsum([0, *(len(w) for w in W)])
    K = np.zeros((at[-1], at[-1]))
    for k, (w, v) in enumerate(zip(W[1:], V, strict=True)):
        K[at[k + 1] : at[k + 2], at[k] : at[k + 1]] = w
        K[at[k] : at[k + 1], at[k + 1] : at[k + 2]] = v
    drive = np.tile(b, (len(X), 1))
    drive[:, : at[1]] += X.numpy() @ W[0].T
    return K, drive, at


def implicit(rule, transposed=True):
    """Gradients by solving with I - K D, or its transpose as the chain rule wants it."""
    K, drive, at = dense(rule)
    act, slope = SLOPES[rule.network.activation]
    u = np.zeros_like(drive)
    for _ in range(1000):
        u = act(u) @ K.T + drive
    a = act(u)
    targets = np.eye(3)[Y.numpy()]
    nudge, readout = np.zeros_like(a), []
    if rule.network.readout is None:
        nudge[:, at[-2] :] = a[:, at[-2] :] - targets
        loss = 0.5 * ((a[:, at[-2] :] - targets) ** 2).sum(1).mean()
    else:
        R, r = (p.detach().numpy() for p in rule.network.readout.parameters())
        z = a[:, at[-2] :] @ R.T + r
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        nudge[:, at[-2] :] = (p - targets) @ R
        readout = [(p - targets).T @ a[:, at[-2] :] / len(X), (p - targets).mean(0)]
        loss = -np.log(p[np.arange(len(X)), Y.numpy()]).mean()
    delta = np.empty_like(a)
    for i in range(len(X)):
        D = np.diag(slope(a[i]))
        A = (np.eye(at[-1]) - K @ D).T if transposed else np.eye(at[-1]) - D @ K
        delta[i] = np.linalg.solve(A, D @ nudge[i])
    parts = [slice(i, j) for i, j in pairwise(at)]
    below = [X.numpy(), *(a[:, s] for s in parts[:-1])]
    W = [delta[:, s].T @ h / len(X) for s, h in zip(parts, below, strict=True)]
    V = [delta[:, s].T @ a[:, t] / len(X) for s, t in pairwise(parts)]
    b = [delta[:, s].mean(0) for s in parts]
    if rule.network.symmetric:
        W, V = [W[0], *(w + v.T for w, v in zip(W[1:], V, strict=True))], []
    return loss, [*W, *b, *V, *readout]


def gradients(rule):
    rule.zero_grad()
    loss = rule.backward(X, Y)
    return loss, [p.grad.numpy().copy() for p in rule.parameters()]


def flat(parts):
    return np.concatenate([p.ravel() for p in parts])


def cosine(a, b):
    return flat(a) @ flat(b) / np.linalg.norm(flat(a)) / np.linalg.norm(flat(b))


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@pytest.mark.parametrize("points", [1, 2, 3, 4])
def test_gradient_is_that_through_the_fixed_point(loss, activation, points):
    rule = build(loss=loss, activation=activation, points=points, beta=0.01)
    found_loss, found = gradients(rule)
    expected_loss, expected = implicit(rule)
    assert found_loss == pytest.approx(expected_loss, rel=1e-9)
    assert [g.shape for g in found] == [g.shape for g in expected]
    assert cosine(found, expected) > 0.99
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            a, b, rtol=0, atol=(3e-2 if points == 1 else 1e-3) * np.abs(b).max()
        )


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("points", [1, 2, 3, 4, 6])
def test_error_falls_with_beta_to_the_number_of_points(symmetric, points):
    errors = []
    betas = (0.8, 0.4)
    for beta in betas:
        rule = build(symmetric=symmetric, points=points, beta=beta, homeostasis=0.0)
        error = flat(gradients(rule)[1]) - flat(implicit(rule, transposed=symmetric)[1])
        errors.append(np.linalg.norm(error))
    order = np.log2(errors[0] / errors[1])
    assert order == pytest.approx(points, abs=0.35)


def test_asymmetric_network_with_transposed_weights_has_the_true_gradient():
    rule = build(symmetric=False, points=4, beta=0.05, homeostasis=0.0)
    wrong = np.abs(flat(gradients(rule)[1]) - flat(implicit(rule)[1])).max()
    with torch.no_grad():
        for v, w in zip(rule.network.feedback, list(rule.network.weights)[1:], strict=True):
            v.copy_(w.T)
    assert rule.asymmetry() == 0
    right = np.abs(flat(gradients(rule)[1]) - flat(implicit(rule)[1])).max()
    assert right < 1e-7 < 1e-4 < wrong


def test_homeostasis_is_the_norm_of_the_asymmetric_part():
    rule = build(symmetric=False, homeostasis=0.0)
    K, *_ = dense(rule)
    J = K - np.eye(len(K))
    assert rule.asymmetry() == pytest.approx(((J - J.T) ** 2).sum() / (2 * len(J)), rel=1e-12)
    # Hutchinson's form of the same, as published.
    eps = np.random.default_rng(0).normal(size=(20_000, len(J)))
    draws = ((eps @ J.T) ** 2).sum(1) - (eps * (eps @ J.T @ J.T)).sum(1)
    assert draws.mean() / len(J) == pytest.approx(rule.asymmetry(), rel=0.03)


def test_homeostasis_adds_its_own_gradient():
    plain, pulled = (build(symmetric=False, homeostasis=h) for h in (0.0, 0.7))
    added = flat(gradients(pulled)[1]) - flat(gradients(plain)[1])
    step, slopes = 1e-6, []
    for p in plain.parameters():
        for i in range(p.numel()):
            values = []
            for sign in (1, -1):
                moved = copy.deepcopy(plain)
                twin = dict(moved.named_parameters())[name_of(plain, p)]
                with torch.no_grad():
                    twin.view(-1)[i] += sign * step
                values.append(moved.asymmetry())
            slopes.append(0.7 * (values[0] - values[1]) / (2 * step))
    np.testing.assert_allclose(added, slopes, atol=1e-8)
    assert np.abs(added).max() > 1e-3


def name_of(rule, parameter):
    return next(name for name, p in rule.named_parameters() if p is parameter)


def test_homeostasis_makes_the_network_symmetric():
    rule = build(symmetric=False, free_steps=50, nudge_steps=20)
    optimizer = torch.optim.SGD(rule.parameters(), lr=0.5)
    before = rule.asymmetry()
    for _ in range(60):
        optimizer.zero_grad()
        rule.backward(X, Y)
        optimizer.step()
    assert rule.asymmetry() < 0.01 * before
    rule.homeostasis = 0.0
    assert cosine(gradients(rule)[1], implicit(rule)[1]) > 0.99


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_learns(loss, symmetric):
    rule = EquilibriumPropagation(
        [4, 16, 3], loss=loss, symmetric=symmetric, activation="tanh", gain=0.3, seed=0
    ).double()
    x = torch.randn(90, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = x[:, :3].argmax(1)
    optimizer = torch.optim.Adam(rule.parameters(), lr=3e-2)
    for _ in range(100):
        optimizer.zero_grad()
        rule.backward(x, y)
        optimizer.step()
    assert rule.residual < 1e-4
    assert float((rule.predict(x).argmax(1) == y).double().mean()) > 0.9


def test_a_slower_rate_settles_at_the_same_point():
    fast, slow = build(), build(rate=0.4)
    torch.testing.assert_close(fast.predict(X), slow.predict(X), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(flat(gradients(fast)[1]), flat(gradients(slow)[1]), atol=1e-10)


def test_hard_sigmoid_by_hand():
    """One unit inside of its range: a = w x + b - beta R^T (p - y) shifts by its nudge alone."""
    rule = EquilibriumPropagation([1, 1, 2], activation="hard_sigmoid", beta=0.01, seed=0).double()
    with torch.no_grad():
        rule.network.weights[0].fill_(0.5)
        rule.network.readout.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    rule.backward(torch.ones(1, 1).double(), torch.tensor([0]))
    p = np.exp([0.5, -0.5]) / np.exp([0.5, -0.5]).sum()
    assert float(rule.network.weights[0].grad) == pytest.approx(-2 * p[1], rel=1e-4)


def test_only_what_is_asked_for_moves():
    rule = build()
    rule.network.weights[0].requires_grad_(False)
    state = torch.random.get_rng_state()
    rule.backward(X, Y)
    EquilibriumPropagation([4, 6, 3], seed=0)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert rule.network.weights[0].grad is None
    assert rule.network.weights[1].grad is not None


def test_resumes_pickles_and_repeats():
    rule = build(points=3, symmetric=False)
    other = build(points=3, symmetric=False, seed=9)
    other.load_state_dict(rule.state_dict())
    for twin in (other, pickle.loads(pickle.dumps(rule)), build(points=3, symmetric=False)):
        assert np.array_equal(flat(gradients(twin)[1]), flat(gradients(rule)[1]))


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"sizes": [4, 3]}, ValueError, "add a layer"),
        ({"sizes": [4, 0, 3]}, ValueError, "sizes"),
        ({"activation": "relu"}, ValueError, "activation"),
        ({"loss": "hinge"}, ValueError, "loss"),
        ({"points": 0}, ValueError, "points"),
        ({"points": 3, "activation": "hard_sigmoid"}, ValueError, "analytic"),
        ({"beta": 0.0}, ValueError, "beta"),
        ({"beta": float("nan")}, ValueError, "beta"),
        ({"homeostasis": 0.5}, ValueError, "homeostasis must be 0"),
        ({"homeostasis": -0.5, "symmetric": False}, ValueError, "homeostasis"),
        ({"tol": -1.0}, ValueError, "tol"),
        ({"rate": 0.0}, ValueError, "rate"),
        ({"rate": 1.5}, ValueError, "rate"),
        ({"gain": 0.0}, ValueError, "gain"),
        ({"free_steps": 0}, ValueError, "free_steps"),
        ({"nudge_steps": 2.5}, ValueError, "nudge_steps"),
    ],
)
def test_refuses_settings(change, error, match):
    with pytest.raises(error, match=match):
        EquilibriumPropagation(**{"sizes": [4, 6, 3], **change})


@pytest.mark.parametrize(
    ("inputs", "targets", "error", "match"),
    [
        (X[:, :3], Y, ValueError, "4 features"),
        (X.float(), Y, ValueError, "float64"),
        (X * np.nan, Y, ValueError, "finite"),
        (X, Y + 3, ValueError, r"\[0, 3\)"),
        (X, Y[:2], ValueError, "shape"),
    ],
)
def test_refuses_batches(inputs, targets, error, match):
    rule = build()
    with pytest.raises(error, match=match):
        rule.backward(inputs, targets)
    assert all(p.grad is None for p in rule.parameters())


def test_nudged_states_that_leave_raise():
    rule = build(loss="squared", activation="tanh", beta=1e308, points=4)
    with pytest.raises(ValueError, match="stay finite"):
        rule.backward(X, Y)
    assert all(p.grad is None for p in rule.parameters())
