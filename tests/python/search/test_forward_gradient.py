"""ForwardGradient against numpy projections of the true gradient."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.functional import cross_entropy, mse_loss  # noqa: E402

from thalweg.search import ForwardGradient  # noqa: E402

X = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = X[:, :2].sin()


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def flat(tensors):
    return np.concatenate([t.detach().numpy().ravel() for t in tensors])


def gradient(net, loss=mse_loss):
    net = copy.deepcopy(net)
    loss(net(X), Y).backward()
    return flat(p.grad for p in net.parameters())


def estimate(net, x=X, y=Y, loss=mse_loss, **chosen):
    for p in net.parameters():
        p.grad = None
    ForwardGradient(net, loss, **chosen).backward(x, y)
    return flat(p.grad for p in net.parameters())


class Given:
    """Guesses that the test knows."""

    def __init__(self, rng):
        self.rng, self.drawn = rng, []

    def __call__(self, name, p):
        self.drawn.append(self.rng.normal(size=p.shape))
        return torch.from_numpy(self.drawn[-1])

    def rows(self, tensors=4):
        parts = [d.ravel() for d in self.drawn]
        return np.stack(
            [np.concatenate(parts[i : i + tensors]) for i in range(0, len(parts), tensors)]
        )


def oracle(t, u, form):
    """The estimate of gradient t from the rows of u."""
    if form == "span":
        q, _ = np.linalg.qr(u.T)
        return q @ (q.T @ t)
    out = np.zeros_like(t)
    for row in u:
        slope = row @ t
        out += {"unbiased": slope, "sign": np.sign(slope), "projected": slope / (row @ row)}[
            form
        ] * row
    return out / len(u)


@pytest.mark.parametrize("form", ["unbiased", "projected", "sign", "span"])
@pytest.mark.parametrize("directions", [1, 3])
def test_equals_numpy(form, directions):
    net, guess = network(), Given(np.random.default_rng(4))
    found = estimate(net, guess=guess, form=form, directions=directions)
    np.testing.assert_allclose(
        found, oracle(gradient(net), guess.rows(), form), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("form", ["unbiased", "projected", "sign", "span"])
def test_equals_numpy_for_each_tensor(form):
    net, guess = network(), Given(np.random.default_rng(4))
    found = estimate(net, guess=guess, form=form, directions=2, per="tensor")
    t, u, at, expected = gradient(net), guess.rows(), 0, []
    for p in net.parameters():
        part = slice(at, at := at + p.numel())
        expected.append(oracle(t[part], u[:, part], form))
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-9, atol=1e-12)


def test_all_directions_span_the_gradient():
    net = network()
    found = estimate(net, form="span", directions=26, seed=0)
    np.testing.assert_allclose(found, gradient(net), rtol=1e-6)
    # More than there are dimensions, and guesses that depend on each other.
    zero = estimate(net, form="span", directions=2, guess=lambda name, p: torch.zeros_like(p))
    assert (zero == 0).all()


@pytest.mark.parametrize("guess", ["gaussian", "rademacher"])
@pytest.mark.parametrize("per", ["network", "tensor"])
def test_unbiased(guess, per):
    net = network()
    t, n = gradient(net), 900
    forward = ForwardGradient(net, mse_loss, guess=guess, per=per, seed=0)
    draws = np.zeros((n, len(t)))
    before = np.zeros_like(t)
    for k in range(n):
        forward.backward(X, Y)
        total = flat(p.grad for p in net.parameters())
        draws[k], before = total - before, total
    mean, deviation = draws.mean(0), draws.std(0) / n**0.5
    assert (np.abs(mean - t) < 4.5 * deviation).all()
    # Var <t, u> u_i = |t|^2 + t_i^2 (Gaussian), |t|^2 - t_i^2 (signs).
    if per == "network":
        expected = (t @ t + t**2 * (1 if guess == "gaussian" else -1)) ** 0.5
        np.testing.assert_allclose(deviation * n**0.5, expected, rtol=0.35)


def test_draws_follow_from_the_seed_and_the_call():
    net = network()
    first = estimate(net, seed=3)
    np.testing.assert_array_equal(first, estimate(net, seed=3))
    assert not np.allclose(first, estimate(net, seed=4))
    forward = ForwardGradient(net, mse_loss, seed=3)
    forward.backward(X, Y)
    other = ForwardGradient(net, mse_loss, seed=9)
    other.load_state_dict(forward.state_dict())
    ends = []
    for one in (forward, other):
        for p in net.parameters():
            p.grad = None
        one.backward(X, Y)
        ends.append(flat(p.grad for p in net.parameters()))
    np.testing.assert_array_equal(*ends)
    assert not np.allclose(first, ends[0])


def test_gradients_add_and_frozen_parameters_stay():
    net = network()
    net[0].weight.requires_grad_(False)
    forward = ForwardGradient(net, mse_loss, seed=0)
    value = forward.backward(X, Y)
    assert value.item() == pytest.approx(mse_loss(net(X), Y).item())
    assert not value.requires_grad
    assert net[0].weight.grad is None
    once = net[2].weight.grad.clone()
    ForwardGradient(net, mse_loss, seed=0).backward(X, Y)
    torch.testing.assert_close(net[2].weight.grad, 2 * once)


def test_dropout_masks_are_the_same_in_all_derivatives():
    net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2)).double()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    forward = ForwardGradient(net, mse_loss, form="span", directions=60, seed=0)
    forward.backward(X, Y)
    assert not torch.equal(state, torch.get_rng_state())
    found = flat(p.grad for p in net.parameters())
    torch.set_rng_state(state)
    np.testing.assert_allclose(found, gradient(net), rtol=1e-5, atol=1e-9)


def heads():
    torch.manual_seed(2)
    return {"0": nn.Linear(4, 2).double(), "2": None}


def test_local_guesses_are_projections_of_local_gradients():
    net, own = network(), heads()
    found = estimate(net, guess="local", form="projected", heads=own)
    # The block before the head, alone.
    block = copy.deepcopy(net[0])
    mse_loss(copy.deepcopy(own["0"])(block(X)), Y).backward()
    u, t = flat(p.grad for p in block.parameters()), gradient(net)
    np.testing.assert_allclose(found[:16], (t[:16] @ u) / (u @ u) * u, rtol=1e-9)
    # The guess of the last block is its gradient.
    np.testing.assert_allclose(found[16:], t[16:], rtol=1e-9)
    alone = copy.deepcopy(own["0"])
    for p in alone.parameters():
        p.grad = None
    mse_loss(alone(net[0](X).detach()), Y).backward()
    for p, q in zip(own["0"].parameters(), alone.parameters()):
        torch.testing.assert_close(p.grad, q.grad)


def test_local_guesses_train_where_random_ones_do_not():
    torch.manual_seed(0)
    x = torch.randn(400, 10)
    y = (x[:, 0] * x[:, 1] > 0).long()
    losses = {}
    for guess, form in (("local", "projected"), ("gaussian", "projected")):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Sequential(nn.Linear(10, 32), nn.ReLU()),
            nn.Sequential(nn.Linear(32, 32), nn.ReLU()),
            nn.Linear(32, 2),
        )
        own = {"0": nn.Linear(32, 2), "1": nn.Linear(32, 2), "2": None}
        trained = [*net.parameters()]
        chosen = {}
        if guess == "local":
            trained += [p for head in own.values() if head for p in head.parameters()]
            chosen = {"heads": own}
        forward = ForwardGradient(net, cross_entropy, guess=guess, form=form, seed=0, **chosen)
        optimizer = torch.optim.SGD(trained, lr=0.3, momentum=0.9)
        for _ in range(120):
            optimizer.zero_grad()
            value = forward.backward(x, y)
            optimizer.step()
        losses[guess] = value.item()
    assert losses["local"] < 0.15
    assert losses["gaussian"] > 0.5


@pytest.mark.parametrize(
    ("chosen", "error", "message"),
    [
        ({"guess": "uniform"}, ValueError, "guess must be one of"),
        ({"form": "exact"}, ValueError, "form must be one of"),
        ({"per": "layer"}, ValueError, "per must be one of"),
        ({"directions": 0}, ValueError, "directions must be an integer >= 1"),
        ({"directions": True}, ValueError, "directions must be an integer >= 1"),
        ({"seed": -1}, ValueError, "seed must be in"),
        ({"guess": "local"}, ValueError, "heads must be given with guess='local'"),
        ({"heads": {"0": None}}, ValueError, "heads must be given with guess='local'"),
        (
            {"guess": "local", "heads": {"0": None, "2": None}},
            ValueError,
            "directions must be 1 and form no 'unbiased'",
        ),
        (
            {"guess": "local", "form": "sign", "heads": {"0": None, "9": None}},
            ValueError,
            r"heads must name submodules of the model, got \['9'\]",
        ),
        (
            {"guess": "local", "form": "sign", "heads": {"0": None}},
            ValueError,
            "heads must cover each parameter once",
        ),
    ],
)
def test_settings_out_of_range(chosen, error, message):
    with pytest.raises(error, match=message):
        ForwardGradient(network(), mse_loss, **chosen)


def test_refusals_leave_gradients_as_they_were():
    net = network()
    for loss, chosen, message in (
        (lambda out, y: out - y, {}, "loss must return one real number"),
        (lambda out, y: 1.0, {}, "loss must return one real number"),
        (mse_loss, {"guess": lambda name, p: torch.ones(3)}, "guess must return a tensor of shape"),
        (mse_loss, {"guess": lambda name, p: None}, "guess must return a tensor of shape"),
    ):
        with pytest.raises(ValueError, match=message):
            ForwardGradient(net, loss, **chosen).backward(X, Y)
        assert all(p.grad is None for p in net.parameters())
    with pytest.raises(ValueError, match="model must have a parameter with requires_grad"):
        ForwardGradient(net.requires_grad_(False), mse_loss)
    twice = network()

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 3).double()

        def forward(self, x):
            return self.inner(self.inner(x))

    twice = Twice()
    local = {"guess": "local", "form": "sign", "heads": {"inner": None}}
    with pytest.raises(ValueError, match="heads must name blocks that are called once"):
        ForwardGradient(twice, lambda out, y: out.mean(), **local).backward(X, Y)
    assert not twice.inner._forward_hooks
    assert not twice.inner._forward_pre_hooks
