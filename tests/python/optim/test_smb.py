"""SMB against its formulas, term by term, and where plain descent diverges."""

import math

import numpy as np
import pytest
import torch

from thalweg import optim

SHAPES = [(3, 2), (4,), ()]


class Oracle:
    """The method in numpy, inner product by inner product, as the paper writes it."""

    def __init__(self, groups, closure, lr, eta=0.99, c=0.1, independent=False, **schedule):
        self.groups, self.closure = groups, closure
        self.lr = [lr] * len(groups) if np.isscalar(lr) else list(lr)
        self.eta, self.c, self.independent, self.schedule = eta, c, independent, schedule
        self.flags = [False] * len(groups)
        self.former = [None] * len(groups)
        self.log = [[] for _ in groups]

    def step(self, batch):
        start = [[x.copy() for x in group] for group in self.groups]
        f, g = self.closure(self.groups, batch)
        s = [[-lr * gi for gi in group] for group, lr in zip(g, self.lr)]
        trial = [[x + d for x, d in zip(*pair)] for pair in zip(start, s)]
        ft, gt = self.closure(trial, batch)
        for k, group in enumerate(self.groups):
            square = sum(float((gi * gi).sum()) for gi in g[k])
            fine = ft <= f - self.c * self.lr[k] * square or math.sqrt(square) < 1e-8
            if self.independent and self.flags[k]:
                h = self.former[k]
                steps = [self.model(*row) for row in zip(s[k], g[k], gt[k], h)]
                self.flags[k] = False
                self.log[k].append(1)
            elif fine:
                steps = s[k]
                self.log[k].append(0)
            elif self.independent:
                steps = [np.zeros_like(x) for x in group]
                self.former[k], self.flags[k] = g[k], True
                self.log[k].append(0)
            else:
                steps = [self.model(*row) for row in zip(s[k], g[k], gt[k], g[k])]
                self.log[k].append(1)
            self.groups[k] = [x + d for x, d in zip(start[k], steps)]
            self.change(k)
        return f

    def model(self, s, g, gt, h):
        y = gt - g
        dot = lambda a, b: float((a * b).sum())  # noqa: E731
        ys, ss, yy, yh, gg, sh = dot(y, s), dot(s, s), dot(y, y), dot(y, h), dot(g, g), dot(s, h)
        if gg == 0.0:
            return s
        sigma = 0.5 * (math.sqrt(ss) * (math.sqrt(yy) + math.sqrt(gg) / self.eta) - ys)
        theta = (ys + 2 * sigma) ** 2 - ss * yy
        cg = -ss / (2 * sigma)
        cs = cg / theta * (-(ys + 2 * sigma) * yh + yy * sh)
        cy = cg / theta * (-(ys + 2 * sigma) * sh + ss * yh)
        return cs * s + cg * h + cy * y

    def change(self, k):
        n = self.schedule.get("n_batches_per_epoch")
        if n is None or len(self.log[k]) < n:
            return
        share = np.mean(self.log[k])
        gamma, beta = self.schedule["gamma"], self.schedule["beta"]
        if share > (gamma / 2 if self.independent else gamma):
            self.lr[k] *= beta
        elif self.lr[k] / beta <= self.schedule["lr_max"]:
            self.lr[k] /= beta
        self.log[k] = []


def problem(seed=0):
    """Cosines over a quadratic: gradients of all signs and sizes, and a tensor of none."""
    rng = np.random.default_rng(seed)
    start = [rng.standard_normal(shape) for shape in SHAPES]
    scales = [1.0, 3.0, 0.0]
    batches = rng.uniform(0.5, 1.5, 12)

    def loss(tensors, batch):
        total = 0.0
        for x, scale in zip(tensors, scales):
            total = total + scale * ((x * x).sum() * 0.5 * batch + (3 * x + batch).cos().sum())
        return total

    def value(groups, batch):
        leaves = [torch.tensor(x, requires_grad=True) for group in groups for x in group]
        f = loss(leaves, batch)
        f.backward()
        found = iter(leaf.grad.numpy() for leaf in leaves)
        return float(f.detach()), [[next(found) for _ in group] for group in groups]

    return start, loss, value, batches


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("lr", [0.01, 0.1, 0.3, 1.0])
def test_follows_the_formulas(independent, dtype, lr):
    start, loss, value, batches = problem()
    oracle = Oracle([[x.copy() for x in start]], value, lr, independent=independent)
    params = [torch.nn.Parameter(torch.tensor(x, dtype=dtype)) for x in start]
    optimizer = optim.SMB(params, lr=lr, independent_batch=independent)
    exact = dtype == torch.float64
    # Each step is compared from one start: a few of them amplify rounding.
    for batch in batches:
        oracle.groups[0] = [p.detach().double().numpy().copy() for p in params]
        f = optimizer.step(lambda batch=batch: loss(params, batch))
        wanted = oracle.step(batch)
        assert float(f) == pytest.approx(wanted, rel=1e-10 if exact else 1e-4)
        for p, x in zip(params, oracle.groups[0]):
            tolerance = {"rtol": 1e-10, "atol": 1e-12} if exact else {"rtol": 1e-4, "atol": 1e-5}
            np.testing.assert_allclose(p.detach().numpy(), x, **tolerance)
    if exact and lr >= 0.3:
        assert sum(oracle.log[0]) > 0


@pytest.mark.parametrize("independent", [False, True])
def test_groups_are_tried_together_and_tested_one_by_one(independent):
    start, loss, value, batches = problem(3)
    rates = [0.02, 1.0, 0.1]
    oracle = Oracle([[x.copy()] for x in start], value, rates, independent=independent)
    params = [torch.nn.Parameter(torch.tensor(x)) for x in start]
    groups = [{"params": [p], "lr": lr} for p, lr in zip(params, rates)]
    optimizer = optim.SMB(groups, independent_batch=independent)
    for batch in batches:
        oracle.groups = [[p.detach().numpy().copy()] for p in params]
        optimizer.step(lambda batch=batch: loss(params, batch))
        oracle.step(batch)
        for p, [x] in zip(params, oracle.groups):
            np.testing.assert_allclose(p.detach().numpy(), x, rtol=1e-9, atol=1e-12)
    assert [group["model_steps"] for group in optimizer.param_groups] == [
        sum(log) for log in oracle.log
    ]


@pytest.mark.parametrize("independent", [False, True])
def test_the_schedule_follows_the_share_of_model_steps(independent):
    start, loss, value, batches = problem(5)
    schedule = {"n_batches_per_epoch": 3, "gamma": 0.4, "beta": 0.8, "lr_max": 0.4}
    for lr in (0.03, 0.35, 2.0):
        oracle = Oracle([[x.copy() for x in start]], value, lr, independent=independent, **schedule)
        params = [torch.nn.Parameter(torch.tensor(x)) for x in start]
        optimizer = optim.SMB(
            params, lr=lr, autoschedule=True, independent_batch=independent, **schedule
        )
        for batch in batches:
            optimizer.step(lambda batch=batch, params=params: loss(params, batch))
            oracle.step(batch)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(oracle.lr[0])
        assert optimizer.param_groups[0]["lr"] != lr


def test_a_tensor_of_zero_gradient_keeps_its_trial_step():
    w = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    still = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = optim.SMB([w, still], lr=5.0)
    optimizer.step(lambda: w.square().sum() + 0.0 * still.sum())
    assert optimizer.param_groups[0]["model_steps"] == 1
    assert torch.equal(still, torch.ones(2, dtype=torch.float64))
    assert w.isfinite().all()


def test_calls_and_passes_are_those_promised():
    """Two looks a step; a second backward pass only for model steps."""
    w = torch.nn.Parameter(torch.ones(2))
    passes = {"forward": 0, "backward": 0}

    def closure():
        passes["forward"] += 1
        loss = w.square().sum()
        loss.register_hook(lambda g: passes.update(backward=passes["backward"] + 1))
        return loss

    optimizer = optim.SMB([w], lr=0.1)
    optimizer.step(closure)
    assert passes == {"forward": 2, "backward": 1}
    optimizer.param_groups[0]["lr"] = 5.0
    optimizer.step(closure)
    assert passes == {"forward": 4, "backward": 3}


@pytest.mark.parametrize(
    ("name", "value", "range"),
    [
        ("lr", 0.0, r"lr must be in \(0, inf\), got 0.0"),
        ("eta", 1.0, r"eta must be in \(0, 1\), got 1.0"),
        ("c", -0.1, r"c must be in \[0, 1\), got -0.1"),
        ("n_batches_per_epoch", 0, "n_batches_per_epoch must be an integer >= 1, got 0"),
        ("gamma", 1.5, r"gamma must be in \[0, 1\], got 1.5"),
        ("beta", "x", r"beta must be in \(0, 1\), got 'x'"),
        ("lr_max", float("nan"), r"lr_max must be in \(0, inf\), got nan"),
    ],
)
def test_options_outside_their_range_are_refused(name, value, range):
    w = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(ValueError, match=range):
        optim.SMB([w], **{name: value})
    optimizer = optim.SMB([w])
    optimizer.param_groups[0][name] = value
    with pytest.raises(ValueError, match=range):
        optimizer.step(lambda: w.square().sum())


def trained(make, loss_of, epochs=6):
    """Loss on all digits of a linear model after training; the same start and batches for all."""
    datasets = pytest.importorskip("sklearn.datasets")
    images, labels = datasets.load_digits(return_X_y=True)
    x, y = torch.tensor(images / 16.0, dtype=torch.float32), torch.tensor(labels)
    torch.manual_seed(0)
    model = torch.nn.Linear(64, 10)
    optimizer = make(model.parameters())
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=order).split(128):

            def closure(rows=rows):
                optimizer.zero_grad()
                loss = loss_of(model(x[rows]), y[rows])
                loss.backward()
                return loss

            optimizer.step(closure)
    with torch.no_grad():
        return float(loss_of(model(x), y))


def squares(outputs, labels):
    return (outputs - torch.nn.functional.one_hot(labels, 10)).square().sum(1).mean()


@pytest.mark.parametrize(
    ("loss_of", "tuned", "rates", "independent"),
    [
        (squares, [0.01, 0.02, 0.03, 0.05], [0.1, 0.3, 1.0], False),
        (torch.nn.functional.cross_entropy, [0.1, 0.3, 1.0], [10.0, 20.0], True),
    ],
)
def test_is_no_worse_than_tuned_descent_where_descent_diverges(loss_of, tuned, rates, independent):
    def descent(lr):
        return trained(lambda params: torch.optim.SGD(params, lr=lr), loss_of)

    start = trained(lambda params: torch.optim.SGD(params, lr=0.0), loss_of, epochs=1)
    best = min(map(descent, tuned))
    for lr in rates:
        assert not descent(lr) < 1.5 * start
        own = trained(
            lambda params, lr=lr: optim.SMB(params, lr=lr, independent_batch=independent), loss_of
        )
        assert own < 0.85 * best
