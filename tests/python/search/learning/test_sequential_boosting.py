"""Sequential boosting against the published costs and edges in numpy; rounds kept apart."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from thalweg.search.learning import SequentialBoosting  # noqa: E402

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0)).double()
Y = X[:, :3].argmax(1)


def block(width=4):
    return nn.Sequential(nn.Linear(width, 8), nn.Tanh(), nn.Linear(8, width))


def build(rounds=3, stem=None):
    torch.manual_seed(1)
    blocks, heads = [block() for _ in range(rounds)], [nn.Linear(4, 3) for _ in range(rounds)]
    return SequentialBoosting(blocks, heads, 3, stem=stem).double()


def fit(rule, steps, lr=1e-2):
    optimizer = torch.optim.Adam(rule.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = rule.backward(X, Y)
        optimizer.step()
    return loss


def probabilities(rule, t):
    """Features and o of every head up to t, in numpy."""
    g, out = X.numpy(), []
    for k in range(t + 1):
        first, _, last = rule.blocks[k]
        hidden = np.tanh(g @ first.weight.detach().numpy().T + first.bias.detach().numpy())
        g = g + hidden @ last.weight.detach().numpy().T + last.bias.detach().numpy()
        head = rule.heads[k]
        z = g @ head.weight.detach().numpy().T + head.bias.detach().numpy()
        out.append(np.exp(z) / np.exp(z).sum(1, keepdims=True))
    return out


def costs(s):
    """cost(i, l) of AdaBoost.MM."""
    y = Y.numpy()
    c = np.exp(s - s[np.arange(len(s)), y][:, None])
    c[np.arange(len(s)), y] = 0
    z = c.sum()
    c[np.arange(len(s)), y] = -c.sum(1)
    return c, z


def test_rounds_are_the_published_costs_and_edges():
    rule, gamma = build(), 0.0
    s = previous = np.zeros((40, 3))
    for t in range(3):
        fit(rule, 30)
        closed = rule.advance([(X[:25], Y[:25]), (X[25:], Y[25:])])
        o = probabilities(rule, t)[-1]
        alpha = np.exp(rule.log_alphas[t].item())
        c, z = costs(s)
        # The ensemble by its definition, a sum of increments h_t.
        s = s + alpha * o - previous
        previous = alpha * o
        new = -(c * o).sum() / z
        square = (new**2 - gamma**2) / (1 - gamma**2)
        expected = np.sign(square) * np.sqrt(abs(square)), new, costs(s)[1] / z
        np.testing.assert_allclose(closed, expected, rtol=1e-9)
        np.testing.assert_allclose(rule.predict(X).numpy(), s, rtol=1e-9)
        gamma = new
    assert rule.rounds[0].factor < 0.7
    assert len(rule.rounds) == 3


def test_loss_is_the_exponential_loss_and_its_gradient_that_of_one_block():
    rule = build()
    fit(rule, 10)
    rule.advance([(X, Y)])
    loss = rule.backward(X, Y)
    alpha = np.exp(rule.log_alphas[1].item())
    assert loss == pytest.approx(costs(alpha * probabilities(rule, 1)[-1])[1] / (40 * 2), rel=1e-12)
    # Finite differences of one weight of the open block and of its alpha.
    for p in (rule.blocks[1][0].weight, rule.log_alphas[1]):
        rule.zero_grad()
        rule.backward(X, Y)
        found, values = float(p.grad.reshape(-1)[0]), []
        for step in (1e-6, -2e-6):
            with torch.no_grad():
                p.view(-1)[0] += step
            values.append(rule.backward(X, Y))
        assert found == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-9)


def test_only_the_open_round_is_trained():
    rule = build(stem=nn.Linear(4, 4))
    rule.backward(X, Y)
    trained = {name for name, p in rule.named_parameters() if p.grad is not None}
    own = ("stem", "blocks.0", "heads.0", "log_alphas.0")
    assert trained == {name for name, _ in rule.named_parameters() if name.startswith(own)}
    fit(rule, 5)
    rule.advance([(X, Y)])
    assert all(p.grad is None for p in rule.parameters())
    before = {name: p.detach().clone() for name, p in rule.named_parameters()}
    fit(rule, 5)
    moved = {name for name, p in rule.named_parameters() if not torch.equal(p, before[name])}
    own = ("blocks.1", "heads.1", "log_alphas.1")
    assert moved == {name for name, _ in rule.named_parameters() if name.startswith(own)}


def test_blocks_before_keep_their_statistics():
    norm = nn.BatchNorm1d(4)
    blocks = [nn.Sequential(nn.Linear(4, 4), norm), nn.Linear(4, 4)]
    rule = SequentialBoosting(blocks, [nn.Linear(4, 3), nn.Linear(4, 3)], 3).double()
    rule.backward(X, Y)
    rule.advance([(X, Y)])
    before = norm.running_mean.clone()
    rule.backward(X, Y)
    assert torch.equal(norm.running_mean, before)
    assert norm.training


def test_learns_round_by_round():
    torch.manual_seed(0)
    x = torch.randn(400, 2)
    y = (x[:, 0] * x[:, 1] > 0).long() + 2 * (x.norm(dim=1) > 1).long()
    blocks = [nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 8)) for _ in range(4)]
    rule = SequentialBoosting(blocks, [nn.Linear(8, 4) for _ in range(4)], 4, stem=nn.Linear(2, 8))
    optimizer = torch.optim.Adam(rule.parameters(), lr=2e-2)
    shares = []
    for _ in range(4):
        for _ in range(150):
            optimizer.zero_grad()
            rule.backward(x, y)
            optimizer.step()
        rule.advance([(x, y)])
        shares.append(float((rule.predict(x).argmax(1) == y).float().mean()))
    assert shares[-1] > max(0.95, shares[0] + 0.1)
    factors = [r.factor for r in rule.rounds]
    assert np.prod(factors) < 0.5 * factors[0]
    assert rule.rounds[0].edge > 0.5


def test_resumes_between_rounds():
    rule = build()
    fit(rule, 5)
    rule.advance([(X, Y)])
    fit(rule, 5)
    other = build()
    other.load_state_dict(rule.state_dict())
    assert other.rounds == rule.rounds
    assert fit(other, 3) == fit(rule, 3)
    assert other.advance([(X, Y)]) == rule.advance([(X, Y)])


@pytest.mark.parametrize(
    ("blocks", "heads", "classes", "match"),
    [(0, 0, 3, "at least one"), (2, 1, 3, "one for each"), (1, 1, 1, "classes")],
)
def test_refuses_settings(blocks, heads, classes, match):
    with pytest.raises(ValueError, match=match):
        SequentialBoosting(
            [block() for _ in range(blocks)], [nn.Linear(4, 3) for _ in range(heads)], classes
        )


def test_refuses_batches_and_parts():
    rule = build(1)
    for inputs, targets, match in (
        (X / 0, Y, "finite"), (X, Y + 1, r"\[0, 3\)"), (X, Y[:2], "shape")
    ):  # fmt: skip
        with pytest.raises(ValueError, match=match):
            rule.backward(inputs, targets)
    with pytest.raises(ValueError, match="training samples"):
        rule.advance([])
    rule.advance([(X, Y)])
    with pytest.raises(ValueError, match="are trained"):
        rule.backward(X, Y)
    with pytest.raises(ValueError, match="are trained"):
        rule.advance([(X, Y)])
    wide = SequentialBoosting([nn.Linear(4, 5)], [nn.Linear(5, 3)], 3).double()
    with pytest.raises(ValueError, match="the shape they take"):
        wide.backward(X, Y)
    short = SequentialBoosting([nn.Linear(4, 4)], [nn.Linear(4, 2)], 3).double()
    with pytest.raises(ValueError, match="heads must return"):
        short.backward(X, Y)
