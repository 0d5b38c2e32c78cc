"""O2NC against its formulas, its output, and the stationary points that it promises."""

import math

import numpy as np
import pytest
import torch

from thalweg import _core, optim
from thalweg.optim.o2nc import projected_descent


def loss_of(x):
    """Nesterov's nonsmooth form of Rosenbrock's function: every gradient is at least 0.25 long."""
    return 0.25 * (x[0] - 1).abs() + (x[1] - 2 * x[0].abs() + 1).abs()


def slope(x):
    r = x[1] - 2 * abs(x[0]) + 1
    return np.array([0.25 * np.sign(x[0] - 1) - 2 * np.sign(r) * np.sign(x[0]), np.sign(r)])


def replay(x, steps, radius, length, lr, seed, output):
    """Iterates, points and output, one vector operation after the other."""
    delta, points, epochs, chosen = np.zeros(2), [], 0, None
    for n in range(steps):
        u = _core.optim_uniform(seed, 2 * n)
        w = x + u * delta
        g = slope(w)
        x = x + delta
        delta = delta - lr * g
        if np.linalg.norm(delta) > radius:
            delta = delta * radius / np.linalg.norm(delta)
        points.append(w)
        if (n + 1) % length == 0:
            delta, epochs = np.zeros(2), epochs + 1
            if output == "last" or _core.optim_uniform(seed, 2 * epochs + 1) * epochs < 1:
                chosen = np.mean(points[-length:], axis=0)
    return x, points, chosen


@pytest.mark.parametrize("output", ["random", "last"])
@pytest.mark.parametrize("lr", [None, 0.004])
def test_follows_the_formulas(output, lr):
    radius, length, seed = 0.01, 7, 5
    x = torch.nn.Parameter(torch.tensor([-0.9, 0.4], dtype=torch.float64))
    optimizer = optim.O2NC([x], radius, length, lr, grad_bound=2.0, output=output, seed=seed)
    rate = radius / (2.0 * math.sqrt(length)) if lr is None else lr
    seen = []

    def closure():
        seen.append(x.detach().clone())
        return loss_of(x)

    for _ in range(40):
        optimizer.step(closure)
    start = np.array([-0.9, 0.4])
    wanted, points, chosen = replay(start, 40, radius, length, rate, seed, output)
    np.testing.assert_allclose(np.stack(seen), points, rtol=1e-12)
    np.testing.assert_allclose(x.detach().numpy(), wanted, rtol=1e-12)
    optimizer.eval()
    np.testing.assert_allclose(x.detach().numpy(), chosen, rtol=1e-12)
    with pytest.raises(ValueError, match=r"train_mode must be True .* call optimizer.train\(\)"):
        optimizer.step(closure)
    optimizer.train()
    np.testing.assert_allclose(x.detach().numpy(), wanted, rtol=1e-12)


def test_the_output_is_that_of_each_epoch_equally_often():
    counts = np.zeros(4)
    for seed in range(400):
        x = torch.nn.Parameter(torch.zeros(1))
        optimizer = optim.O2NC([x], radius=10.0, length=1, lr=0.0, seed=seed)
        for epoch in range(4):
            with torch.no_grad():
                x.fill_(float(epoch))
            optimizer.step(lambda x=x: x.sum())
        optimizer.eval()
        counts[int(x.item())] += 1
    # Four deviations of 400 draws of probability 1/4.
    assert abs(counts - 100).max() < 35


def test_before_the_first_epoch_ends_the_output_is_the_mean_so_far():
    x = torch.nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    optimizer = optim.O2NC([x], radius=0.1, length=50)
    points = []
    for _ in range(5):
        optimizer.step(lambda: (points.append(x.detach().clone()), loss_of(x))[1])
    optimizer.eval()
    torch.testing.assert_close(x.detach(), torch.stack(points).mean(0))
    optimizer.train()


def test_probe_and_update_are_one_step():
    ends = []
    for manual in (False, True):
        x = torch.nn.Parameter(torch.tensor([-0.5, 0.5]))
        optimizer = optim.O2NC([x], radius=0.02, length=5)
        for _ in range(12):
            if manual:
                home = x.detach().clone()
                with optimizer.probe():
                    x.grad = None
                    loss_of(x).backward()
                assert torch.equal(x, home)
                optimizer.update()
            else:
                optimizer.step(lambda x=x: loss_of(x))
        ends.append(x.detach().clone())
        with pytest.raises(ValueError, match=r"update must follow probe\(\)"):
            optimizer.update()
    assert torch.equal(*ends)


def test_groups_are_learners_of_their_own():
    a, b = (torch.nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2))
    groups = [{"params": [a], "radius": 0.01}, {"params": [b], "radius": 0.04}]
    optimizer = optim.O2NC(groups, length=1000, lr=1.0)
    for _ in range(3):
        optimizer.step(lambda: a.square().sum() + b.square().sum())
    for p, radius in ((a, 0.01), (b, 0.04)):
        assert optimizer.state[p]["increment"].norm() == pytest.approx(radius)


def test_another_learner_may_choose():
    def unconstrained(increments, grads, group):
        return [0.9 * (d - group["lr"] * g) for d, g in zip(increments, grads)]

    x = torch.nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer = optim.O2NC([x], lr=0.1, length=1000, learner=unconstrained)
    optimizer.step(lambda: x.square().sum())
    assert optimizer.state[x]["increment"].item() == pytest.approx(-0.36)
    before = x.detach().clone()
    optimizer._learner = lambda increments, grads, group: []
    with pytest.raises(ValueError, match="learner must return 1 increments, got 0"):
        optimizer.step(lambda: x.square().sum())
    assert torch.equal(x, before)
    with pytest.raises(TypeError, match="learner must be a function"):
        optim.O2NC([x], learner=3)


def test_a_learner_that_raises_for_one_group_leaves_all_as_they_were():
    a, b = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))

    def learner(increments, grads, group):
        if group["radius"] == 2.0 and group["steps"] == 3:
            raise RuntimeError("no more")
        return projected_descent(increments, grads, group)

    optimizer = optim.O2NC(
        [{"params": [a]}, {"params": [b], "radius": 2.0}], radius=0.1, learner=learner
    )
    for _ in range(3):
        optimizer.step(lambda: (a + b).square().sum())
    before = [a.detach().clone(), b.detach().clone(), optimizer.state[a]["increment"].clone()]
    with pytest.raises(RuntimeError, match="no more"):
        optimizer.step(lambda: (a + b).square().sum())
    for wanted, found in zip(before, (a, b, optimizer.state[a]["increment"])):
        assert torch.equal(wanted, found)


def test_the_learner_leaves_its_arguments_alone():
    d, g = torch.tensor([3.0, 4.0]), torch.tensor([1.0, 0.0])
    group = {"radius": 1.0, "lr": 0.5, "grad_bound": 1.0, "length": 4}
    (following,) = projected_descent([d], [g], group)
    torch.testing.assert_close(following, torch.tensor([2.5, 4.0]) / math.hypot(2.5, 4.0))
    assert d.tolist() == [3.0, 4.0]
    assert g.tolist() == [1.0, 0.0]


def test_increments_of_halves_are_wide():
    x = torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    optimizer = optim.O2NC([x], radius=0.05, length=10)
    for _ in range(12):
        optimizer.step(lambda: x.square().sum())
    assert {v.dtype for v in optimizer.state[x].values()} == {torch.float32}
    assert x.dtype == torch.bfloat16
    assert x.max() < 1.0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("radius", 0.0, r"radius must be in \(0, inf\), got 0.0"),
        ("length", 0, "length must be an integer >= 1, got 0"),
        ("lr", -1.0, r"lr must be in \[0, inf\), got -1.0"),
        ("grad_bound", 0.0, r"grad_bound must be in \(0, inf\), got 0.0"),
        ("seed", -1, "seed must be an integer >= 0, got -1"),
        ("output", "mean", "output must be 'random' or 'last', got 'mean'"),
    ],
)
def test_options_outside_their_range_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        optim.O2NC([torch.nn.Parameter(torch.ones(2))], **{name: value})


def test_finds_a_stationary_point_in_the_sense_of_goldstein():
    """The mean of the gradients around the output is small, though none of them is."""
    delta, length, eps = 0.2, 400, 0.25
    x = torch.nn.Parameter(torch.tensor([-1.0, 2.0], dtype=torch.float64))
    optimizer = optim.O2NC([x], radius=delta / length, length=length, grad_bound=2.0, output="last")
    points, slopes = [], []

    def closure():
        loss = loss_of(x)
        points.append(x.detach().clone())
        slopes.append(torch.autograd.grad(loss, [x], retain_graph=True)[0])
        return loss

    for _ in range(20 * length):
        optimizer.step(closure)
    optimizer.eval()
    last = torch.stack(points[-length:])
    assert (last - x.detach()).norm(dim=1).max() <= delta
    assert torch.stack(slopes[-length:]).mean(0).norm() < eps
    # Every gradient along the way is four times as large, as is every one along descent.
    assert torch.stack(slopes).norm(dim=1).min() > 4 * eps
    for lr in (1e-3, 1e-2):
        w = torch.nn.Parameter(torch.tensor([-1.0, 2.0], dtype=torch.float64))
        for _ in range(1500):
            (g,) = torch.autograd.grad(loss_of(w), [w])
            assert g.norm() > 4 * eps
            with torch.no_grad():
                w -= lr * g
