"""SPIDER against its formulas, its calls, and gradient calls on a generalised-smooth problem."""

import numpy as np
import pytest
import torch

from thalweg import optim


def rows(seed=0, n=24):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 4))


def loss_of(w, bias, batch):
    return ((batch @ w - 0.3).cosh() + (bias - batch[:, :2]).square().sum(1)).mean()


def gradient(x, batch):
    """Of `loss_of`, by hand."""
    w, bias = x[:4], x[4:]
    return np.append(
        (np.sinh(batch @ w - 0.3)[:, None] * batch).mean(0), 2 * (bias - batch[:, :2]).mean(0)
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("q", [1, 3])
def test_follows_the_formulas(dtype, q):
    data, lr = rows(), [0.05, 0.02]
    tensors = torch.tensor(data, dtype=dtype)
    w = torch.nn.Parameter(torch.full((4,), 0.5, dtype=dtype))
    bias = torch.nn.Parameter(torch.zeros(2, dtype=dtype))
    groups = [{"params": [w], "lr": lr[0]}, {"params": [bias], "lr": lr[1]}]
    optimizer = optim.SPIDER(groups, q=q)
    x, former, v = np.array([0.5] * 4 + [0.0] * 2), None, None
    rates = np.repeat(lr, [4, 2])
    for step in range(12):
        part = slice(2 * step, 2 * step + 2)
        assert optimizer.due is (step % q == 0)
        loss = optimizer.step(
            lambda part=part: loss_of(w, bias, tensors[part]),
            full=lambda: loss_of(w, bias, tensors),
        )
        seen = slice(None) if step % q == 0 else part
        wanted = float(
            loss_of(*(torch.tensor(z) for z in (x[:4], x[4:])), torch.tensor(data[seen]))
        )
        if step % q == 0:
            v = gradient(x, data)
        else:
            v = v + gradient(x, data[part]) - gradient(former, data[part])
        former, x = x, x - rates * v / np.linalg.norm(v)
        tolerance = 1e-11 if dtype == torch.float64 else 1e-4
        assert float(loss) == pytest.approx(wanted, rel=tolerance)
        found = np.append(w.detach().numpy(), bias.detach().numpy())
        np.testing.assert_allclose(found, x, rtol=tolerance, atol=tolerance)
        estimates = [optimizer.state[p]["estimate"].numpy() for p in (w, bias)]
        np.testing.assert_allclose(np.concatenate(estimates), v, rtol=tolerance, atol=tolerance)


def test_state_of_halves_is_wide_and_keeps_its_type():
    w = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    optimizer = optim.SPIDER([w], lr=0.1, q=4)
    for scale in (1.0, 2.0, 3.0):
        optimizer.step(lambda scale=scale: (scale * w).square().sum())
    assert optimizer.state[w]["estimate"].dtype == torch.float32
    other = optim.SPIDER([w], lr=0.1, q=4)
    other.load_state_dict(optimizer.state_dict())
    assert other.state[w]["estimate"].dtype == torch.float32
    assert other.state[w]["previous"].dtype == torch.bfloat16


def test_without_a_large_batch_the_minibatch_takes_its_place():
    runs = []
    for full in (False, True):
        w = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
        optimizer = optim.SPIDER([w], lr=0.1, q=3)
        for scale in (1.0, 2.0, 0.5, 3.0, 1.5):

            def closure(w=w, scale=scale):
                return (scale * w).exp().sum()

            optimizer.step(closure, full=closure if full else None)
        runs.append(w.detach().clone())
    assert torch.equal(*runs)


def test_a_new_parameter_asks_for_the_large_batch():
    w, late = (torch.nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2))
    optimizer = optim.SPIDER([w, late], lr=0.1, q=100)
    calls = []

    def closure(name, late_too):
        calls.append(name)
        return w.square().sum() + (late.square().sum() if late_too else 0.0)

    for late_too in (False, False, True, True):
        optimizer.step(
            lambda it=late_too: closure("part", it), lambda it=late_too: closure("all", it)
        )
    assert calls == ["all", "part", "part", "part", "all", "part", "part"]
    # After a fresh estimate, a step is as long as the rate, over all parameters.
    assert optimizer.state[late]["estimate"].norm() > 0


def test_nothing_moves_without_a_slope():
    w = torch.nn.Parameter(torch.zeros(2))
    optimizer = optim.SPIDER([w])
    for _ in range(3):
        optimizer.step(lambda: w.square().sum())
    assert torch.equal(w, torch.zeros(2))


def test_gradients_stay_for_the_user():
    w = torch.nn.Parameter(torch.ones(2))
    optimizer = optim.SPIDER([w], lr=0.1)
    for _ in range(3):
        before = w.detach().clone()
        optimizer.step(lambda: w.square().sum())
        assert torch.equal(w.grad, 2 * before)
        state = optimizer.state[w]["estimate"].clone()
        w.grad.zero_()
        assert torch.equal(optimizer.state[w]["estimate"], state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -0.1}, r"lr must be in \[0, inf\), got -0.1"),
        ({"q": 0}, "q must be an integer >= 1, got 0"),
        ({"q": 2.0}, "q must be an integer >= 1, got 2.0"),
    ],
)
def test_options_outside_their_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        optim.SPIDER([torch.nn.Parameter(torch.ones(2))], **options)


EVERY = torch.arange(2048)


class Counted:
    """A mean of hyperbolic cosines, whose curvature grows with the gradient; counts samples."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.data = torch.randn(2048, 6, generator=generator, dtype=torch.float64)
        self.targets = 2.0 * torch.randn(2048, generator=generator, dtype=torch.float64)
        self.w = torch.nn.Parameter(torch.full((6,), 1.5, dtype=torch.float64))
        self.draw = torch.Generator().manual_seed(1)
        self.samples = 0

    def loss(self, rows):
        self.samples += len(rows)
        return self.of(rows)

    def of(self, rows):
        return (self.data[rows] @ self.w - self.targets[rows]).cosh().mean()

    def batch(self, n):
        return torch.randint(len(self.data), (n,), generator=self.draw)

    def slope(self):
        (g,) = torch.autograd.grad(self.of(EVERY), [self.w])
        return float(g.norm())


def samples_until(step, problem, budget=200_000, eps=0.1):
    """Samples of gradients until the whole gradient is small, checked every few steps."""
    while problem.samples < budget:
        for _ in range(8):
            step()
        if not problem.w.isfinite().all():
            return budget
        if problem.slope() < eps:
            return problem.samples
    return budget


def descent(lr, size, budget):
    problem = Counted()
    optimizer = torch.optim.SGD([problem.w], lr=lr)

    def step():
        optimizer.zero_grad()
        problem.loss(problem.batch(size)).backward()
        optimizer.step()

    return samples_until(step, problem, budget)


def spider(lr, q, size):
    problem = Counted()
    optimizer = optim.SPIDER([problem.w], lr=lr, q=q)

    def step():
        batch = problem.batch(size)
        optimizer.step(lambda: problem.loss(batch), full=lambda: problem.loss(EVERY))

    return samples_until(step, problem)


def test_beats_descent_in_gradient_calls():
    own = spider(0.01, q=32, size=32)
    assert own < 70_000
    for lr in (1e-4, 1e-3, 4e-3):
        for size in (16, 64, 256):
            assert descent(lr, size, budget=2 * own) >= 2 * own
