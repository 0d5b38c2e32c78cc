"""NoProp: the chain against Bayes' rule, each block alone, no labels in prediction."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from thalweg.search.learning import NoProp  # noqa: E402

X = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 3


class Block(nn.Module):
    def __init__(self, dim=3, out=3):
        super().__init__()
        self.hidden, self.scores = nn.Linear(3 + dim, 16), nn.Linear(16, out)
        self.seen = []

    def forward(self, x, z):
        self.seen.append(z)
        return self.scores(torch.tanh(self.hidden(torch.cat([x, z], 1))))


def build(blocks=4, dim=3, out=3, **settings):
    torch.manual_seed(1)
    made = [Block(dim, out) for _ in range(blocks)]
    rule = NoProp(made, 3, **{"dim": dim, "seed": 0, **settings})
    # It begins at zero, where mistakes of formulas would hide.
    nn.init.normal_(rule.out.weight, std=0.3)
    return rule


@pytest.mark.parametrize("blocks", [1, 2, 10])
def test_chain_is_the_posterior_of_the_noising(blocks):
    """z_t given z_{t-1} and u, by conditioning the joint Gaussian of the chain."""
    rule = build(blocks)
    ab = rule.alphabar
    assert ab.shape == (blocks + 1,)
    assert np.all(np.diff(ab) > 0)
    assert 0 < ab[0] < 0.01
    assert ab[-1] < 1
    for t in range(1, blocks + 1):
        # z_t ~ N(sqrt(ab_t) u, 1 - ab_t), z_{t-1} = sqrt(alpha) z_t + N(0, 1 - alpha)
        alpha = ab[t - 1] / ab[t]
        variance, covariance = 1 - ab[t], np.sqrt(alpha) * (1 - ab[t])
        gain = covariance / (alpha * variance + 1 - alpha)
        constant = np.sqrt(ab[t]) - gain * np.sqrt(alpha * ab[t])
        found = rule.a[t - 1], rule.b[t - 1], rule.c[t - 1]
        np.testing.assert_allclose(found, [constant, gain, variance - gain * covariance], rtol=1e-9)
        # The chain hands on the marginals that blocks are trained on.
        a, b, c = found
        assert a + b * np.sqrt(ab[t - 1]) == pytest.approx(np.sqrt(ab[t]))
        assert b**2 * (1 - ab[t - 1]) + c == pytest.approx(1 - ab[t])


@pytest.mark.parametrize("embedding", ["one_hot", "learned"])
@pytest.mark.parametrize("predicts", ["classes", "embedding"])
def test_loss_is_the_formula(embedding, predicts):
    dim = 3 if embedding == "one_hot" else 5
    out = 3 if predicts == "classes" else dim
    rule = build(3, dim, out, embedding=embedding, predicts=predicts, eta=0.3).double()
    x = X.double()
    twin = copy.deepcopy(rule)
    loss = rule.backward(x, Y)
    u, ab = twin.embeddings.detach().numpy(), rule.alphabar
    uy, snr, total = u[Y.numpy()], ab / (1 - ab), 0.0
    for t, block in enumerate(rule.blocks):
        z = block.seen[-1].detach()
        noise = twin.normal(12, dim, like=z).numpy()
        np.testing.assert_allclose(z.numpy(), np.sqrt(ab[t]) * uy + np.sqrt(1 - ab[t]) * noise)
        said = block(x, z).detach().numpy()
        if predicts == "classes":
            said = np.exp(said) / np.exp(said).sum(1, keepdims=True) @ u
        total += 0.3 / 2 * (snr[t + 1] - snr[t]) * ((said - uy) ** 2).sum(1).mean()
    noise = twin.normal(12, dim, like=z).numpy()
    z = np.sqrt(ab[3]) * uy + np.sqrt(1 - ab[3]) * noise
    scores = z @ rule.out.weight.detach().numpy().T + rule.out.bias.detach().numpy()
    log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    # KL of N(m, s I) and N(0, I)
    m, s = np.sqrt(ab[0]) * uy, 1 - ab[0]
    kl = 0.5 * ((m**2).sum(1) + dim * (s - 1 - np.log(s)))
    assert loss == pytest.approx(total - log_p[np.arange(12), Y].mean() + kl.mean(), rel=1e-9)


def test_no_gradient_crosses_blocks():
    rule = build()
    rule.backward(X, Y)
    first = [p.grad.clone() for p in rule.blocks[1].parameters()]
    assert not any(z.requires_grad for block in rule.blocks for z in block.seen)
    twin = build()
    with torch.no_grad():
        for k in (0, 2, 3):
            for p in twin.blocks[k].parameters():
                p.mul_(-5)
    twin.backward(X, Y)
    for p, g in zip(twin.blocks[1].parameters(), first, strict=True):
        assert torch.equal(p.grad, g)
    assert not torch.equal(twin.blocks[0].scores.bias.grad, rule.blocks[0].scores.bias.grad)


def test_learned_embeddings_take_the_whole_gradient():
    rule = build(2, 4, 4, embedding="learned", predicts="embedding").double()
    x = X.double()
    start, step = copy.deepcopy(rule), 1e-6
    rule.backward(x, Y)
    for i in range(rule.embeddings.numel()):
        values = []
        for sign in (1, -1):
            moved = copy.deepcopy(start)
            with torch.no_grad():
                moved.embeddings.view(-1)[i] += sign * step
            values.append(moved.backward(x, Y))
        slope = (values[0] - values[1]) / (2 * step)
        assert float(rule.embeddings.grad.view(-1)[i]) == pytest.approx(slope, abs=1e-6)


def test_prediction_begins_from_noise_and_repeats():
    rule = build().eval()
    for block in rule.blocks:
        block.seen.clear()
    scores = rule.predict(X)
    assert torch.equal(scores, rule.predict(X))
    z = rule.blocks[0].seen[0]
    assert torch.equal(z, rule.normal(12, 3, like=z, stream=0))
    # Each block sees a_t uhat + b_t z + sqrt(c_t) e of the one before.
    uhat = rule.blocks[0](X, z).softmax(1)
    e = rule.normal(12, 3, like=z, stream=1)
    after = rule.a[0] * uhat + rule.b[0] * z + rule.c[0] ** 0.5 * e
    torch.testing.assert_close(rule.blocks[1].seen[0], after.detach())
    other = NoProp(rule.blocks, 3, seed=1)
    other.out.load_state_dict(rule.out.state_dict())
    assert not torch.equal(other.predict(X), scores)


def test_labels_that_say_nothing_are_not_predicted():
    """A leak of labels would score above chance where inputs know nothing of them."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.zeros(600, 3), torch.randint(0, 3, (600,), generator=generator)
    rule = build()
    optimizer = torch.optim.Adam(rule.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        rule.backward(x, y)
        optimizer.step()
    assert float((rule.predict(x).argmax(1) == y).float().mean()) < 0.42


@pytest.mark.parametrize("embedding", ["one_hot", "learned"])
def test_learns(embedding):
    x = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
    y = x.argmax(1)
    rule = build(8, embedding=embedding)
    optimizer = torch.optim.Adam(rule.parameters(), lr=1e-2)
    for _ in range(250):
        optimizer.zero_grad()
        rule.backward(x, y)
        optimizer.step()
    assert float((rule.predict(x).argmax(1) == y).float().mean()) > 0.9


def test_resumes():
    def train(rule, steps):
        optimizer = torch.optim.SGD(rule.parameters(), lr=0.1)
        for _ in range(steps):
            optimizer.zero_grad()
            rule.backward(X, Y)
            optimizer.step()
        return [p.detach().clone() for p in rule.parameters()]

    rule, other = build(), build(seed=7)
    train(rule, 3)
    other.load_state_dict(rule.state_dict())
    for a, b in zip(train(rule, 2), train(other, 2), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(rule.predict(X), other.predict(X))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"blocks": []}, "at least one block"),
        ({"classes": 1}, "classes"),
        ({"dim": 7}, "dim"),
        ({"dim": 0}, "dim"),
        ({"embedding": "prototype"}, "embedding"),
        ({"predicts": "noise"}, "predicts"),
        ({"eta": 0.0}, "eta"),
        ({"eta": float("inf")}, "eta"),
    ],
)
def test_refuses_settings(change, match):
    with pytest.raises(ValueError, match=match):
        NoProp(**{"blocks": [Block()], "classes": 3, **change})


@pytest.mark.parametrize(
    ("inputs", "targets", "error", "match"),
    [
        (X / 0, Y, ValueError, "finite"),
        (X, Y.float(), TypeError, "class indices"),
        (X, Y[:4], ValueError, "shape"),
        (X, Y + 1, ValueError, r"\[0, 3\)"),
    ],
)
def test_refuses_batches(inputs, targets, error, match):
    rule = build()
    with pytest.raises(error, match=match):
        rule.backward(inputs, targets)
    assert all(p.grad is None for p in rule.parameters())


def test_a_wrong_block_leaves_gradients_and_noise_as_they_were():
    rule = NoProp([Block(), Block(out=4)], 3, seed=0)
    with pytest.raises(ValueError, match="must return shape"):
        rule.backward(X, Y)
    assert all(p.grad is None for p in rule.parameters())
    assert (
        rule.get_extra_state()["draws"] == NoProp([Block()], 3, seed=0).get_extra_state()["draws"]
    )
