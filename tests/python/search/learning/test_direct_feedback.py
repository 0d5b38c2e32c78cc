"""Direct feedback alignment against numpy, on any module, resumed, refused."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from thalweg.search.learning import DirectFeedback  # noqa: E402

RNG = np.random.default_rng(0)
X = torch.from_numpy(RNG.normal(size=(12, 5)))
Y = torch.from_numpy(RNG.integers(0, 3, 12))


def mlp(middle=nn.Tanh):
    torch.manual_seed(1)
    layers = nn.Linear(5, 7), middle(), nn.Linear(7, 4), middle(), nn.Linear(4, 3)
    return nn.Sequential(*layers).double()


def oracle(model, B):
    """Deltas of every layer in numpy; B_l given."""
    weights = [
        (m.weight.detach().numpy(), m.bias.detach().numpy()) for m in model if hasattr(m, "weight")
    ]
    h = [X.numpy()]
    for W, b in weights[:-1]:
        h.append(np.tanh(h[-1] @ W.T + b))
    logits = h[-1] @ weights[-1][0].T + weights[-1][1]
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    e = (p - np.eye(3)[Y.numpy()]) / len(X)
    deltas = [(e @ B_l) * (1 - a**2) for B_l, a in zip(B, h[1:], strict=True)] + [e]
    loss = -np.log(p[np.arange(len(X)), Y.numpy()]).mean()
    return loss, [g for d, a in zip(deltas, h, strict=True) for g in (d.T @ a, d.sum(0))], e


def slices(rule, normalize=True):
    B = rule.feedback.numpy()
    return [B[:, :d] * (np.sqrt(7 / d) if normalize else 1.0) for d in (7, 4)]


@pytest.mark.parametrize("normalize", [True, False])
def test_gradients_are_those_of_the_explicit_deltas(normalize):
    rule = DirectFeedback(mlp(), normalize=normalize, seed=0)
    loss = rule.backward(X, Y)
    expected, gradients, _ = oracle(rule.model, slices(rule, normalize))
    assert loss == pytest.approx(expected, rel=1e-12)
    for p, g in zip(rule.parameters(), gradients, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), g, rtol=1e-10, atol=1e-14)
    rule.backward(X, Y)
    np.testing.assert_allclose(p.grad.numpy(), 2 * g, rtol=1e-10, atol=1e-14)


def test_feedback_has_the_published_scale():
    model = nn.Sequential(nn.Linear(5, 3000), nn.Tanh(), nn.Linear(3000, 3))
    rule = DirectFeedback(model, seed=0)
    rule.backward(X.float(), Y)
    # N(0, 1 / (classes d)); 9000 draws know their deviation to a hundredth.
    assert float(rule.feedback.std()) * np.sqrt(3 * 3000) == pytest.approx(1, abs=0.03)
    plain = DirectFeedback(model, normalize=False, seed=0)
    plain.backward(X.float(), Y)
    assert float(plain.feedback.std()) == pytest.approx(1, abs=0.03)


def test_feedback_that_is_the_transposed_weight_is_backpropagation():
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    rule = DirectFeedback(model, seed=0)
    rule.backward(X, Y)
    rule.feedback = model[2].weight.detach().clone()
    model.zero_grad()
    rule.backward(X, Y)
    found = [p.grad.clone() for p in model.parameters()]
    nn.functional.cross_entropy(model(X), Y).backward()
    for p, g in zip(model.parameters(), found, strict=True):
        torch.testing.assert_close(p.grad, 2 * g)
    assert rule.alignment(X, Y)[0] == pytest.approx(0, abs=1e-4)
    rule.feedback = -rule.feedback
    assert rule.alignment(X, Y)[0] == pytest.approx(180, abs=1e-4)


def test_alignment_is_the_angle_of_the_explicit_vectors():
    rule = DirectFeedback(mlp(), seed=3)
    rule.backward(X, Y)
    before = [p.grad.clone() for p in rule.parameters()]
    angles = rule.alignment(X, Y)
    *_, e = oracle(rule.model, slices(rule))
    W3, W2 = rule.model[4].weight.detach().numpy(), rule.model[2].weight.detach().numpy()
    h2 = rule.model[:4](X).detach().numpy()
    true = [((e @ W3) * (1 - h2**2)) @ W2, e @ W3]
    for angle, B_l, t in zip(angles, slices(rule), true, strict=True):
        f = e @ B_l
        c = (f * t).sum(1) / np.linalg.norm(f, axis=1) / np.linalg.norm(t, axis=1)
        assert angle == pytest.approx(np.degrees(np.arccos(c)).mean(), rel=1e-6)
    for p, g in zip(rule.parameters(), before, strict=True):
        assert torch.equal(p.grad, g)


class Blocks(nn.Module):
    """Convolutions with skips inside of each block, and a head."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)])
        self.head = nn.Linear(2 * 16, 3)

    def forward(self, x):
        for block in self.blocks:
            x = x + torch.tanh(block(x))
        return self.head(x.flatten(1))


def test_any_module_and_only_the_parameters_before_a_cut_see_its_feedback():
    torch.manual_seed(0)
    model, x = Blocks(), torch.randn(6, 1, 4, 4)
    x_before, hooks = x.clone(), len(model.head._forward_pre_hooks)
    rule = DirectFeedback(model, ["head"], seed=0)
    rule.backward(x, Y[:6])
    head = [p.grad.clone() for p in model.head.parameters()]
    model.zero_grad()
    nn.functional.cross_entropy(model(x), Y[:6]).backward()
    for p, g in zip(model.head.parameters(), head, strict=True):
        torch.testing.assert_close(p.grad, g)
    assert len(model.head._forward_pre_hooks) == hooks
    assert torch.equal(x, x_before)
    model.zero_grad()
    # The upper block's weights do not reach the lower one, but through e.
    rule = DirectFeedback(model, ["blocks.1", model.head], seed=0)
    rule.backward(x, Y[:6])
    assert all(p.grad is not None for p in model.parameters())
    e_free = DirectFeedback(model, ["blocks.1", "head"], seed=0, loss=lambda o, t: o.sum())
    model.zero_grad()
    e_free.backward(x, Y[:6])
    lower = model.blocks[0].weight.grad.clone()
    with torch.no_grad():
        model.blocks[1].weight.mul_(-3)
    model.zero_grad()
    e_free.backward(x, Y[:6])
    assert torch.equal(model.blocks[0].weight.grad, lower)


def test_frozen_layers_and_dropout():
    model = nn.Sequential(
        nn.Linear(5, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)
    )
    model[3].weight.requires_grad_(False)
    rule = DirectFeedback(model, seed=0)
    rule.backward(X.float(), Y)
    assert model[3].weight.grad is None
    assert model[0].weight.grad.abs().sum() > 0
    model.train()
    assert torch.equal(rule.predict(X.float()), rule.predict(X.float()))
    assert model.training
    assert model[2].training


def test_resumes_and_copies():
    def train(rule, steps):
        optimizer = torch.optim.SGD(rule.parameters(), lr=0.3)
        for _ in range(steps):
            optimizer.zero_grad()
            rule.backward(X, Y)
            optimizer.step()
        return [p.detach().clone() for p in rule.model.parameters()]

    rule = DirectFeedback(mlp(), seed=5)
    train(rule, 3)
    other = DirectFeedback(mlp(), seed=6)
    other.backward(X, Y)
    other.load_state_dict(rule.state_dict())
    twin = copy.deepcopy(rule)
    ends = [train(r, 3) for r in (rule, other, twin)]
    for a, b, c in zip(*ends, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


def test_learns_and_aligns():
    torch.manual_seed(0)
    x = torch.randn(256, 10)
    y = (x[:, :2].prod(1) > 0).long()
    model = nn.Sequential(
        nn.Linear(10, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2)
    )
    rule = DirectFeedback(model, seed=0)
    optimizer = torch.optim.Adam(rule.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss = rule.backward(x, y)
        optimizer.step()
    assert loss < 0.2
    assert max(rule.alignment(x, y)) < 85


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"cuts": []}, ValueError, "at least one module"),
        ({"cuts": ["nowhere"]}, ValueError, "parts of the model"),
        ({"cuts": [nn.Linear(1, 1)]}, ValueError, "parts of the model"),
        ({"model": Blocks()}, ValueError, "cuts must be given"),
        ({"model": nn.Sequential(nn.Linear(2, 2))}, ValueError, "at least one module"),
        ({"seed": -1}, ValueError, "seed"),
    ],
)
def test_refuses_settings(change, error, match):
    with pytest.raises(error, match=match):
        DirectFeedback(**{"model": mlp(), **change})


@pytest.mark.parametrize(
    ("inputs", "targets", "error", "match"),
    [
        (X[:0], Y[:0], ValueError, "at least one sample"),
        (X.numpy(), Y, TypeError, "torch tensor"),
        (X / 0, Y, ValueError, "finite"),
        (X, Y[:3], ValueError, "shape"),
        (X, Y.double(), TypeError, "class indices"),
        (X, Y + 1, ValueError, r"\[0, 3\)"),
        (X, Y - 1, ValueError, r"\[0, 3\)"),
    ],
)
def test_refuses_batches_before_anything_is_written(inputs, targets, error, match):
    rule = DirectFeedback(mlp(), seed=0)
    with pytest.raises(error, match=match):
        rule.backward(inputs, targets)
    assert all(p.grad is None for p in rule.parameters())


def test_refuses_cuts_that_cannot_be():
    shared = nn.Linear(5, 5)
    twice = DirectFeedback(nn.Sequential(nn.Linear(5, 5), shared, shared), cuts=[shared])
    with pytest.raises(ValueError, match="twice"):
        twice.backward(X.float(), Y)
    with pytest.raises(ValueError, match="something to train"):
        DirectFeedback(mlp(), cuts=["0"]).backward(X, Y)
    rule = DirectFeedback(mlp(), seed=0)
    rule.backward(X, Y)
    rule.model[0] = nn.Linear(5, 9).double()
    rule.model[2] = nn.Linear(9, 4).double()
    with pytest.raises(ValueError, match="at most 7"):
        rule.backward(X, Y)
