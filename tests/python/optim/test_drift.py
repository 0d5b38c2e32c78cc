"""Modified losses: Euler steps that follow the flow one order more closely, and what that does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch.nn import Parameter

from thalweg import optim

RATES = (0.4, 1.0, 0.7)


def loss_of(z):
    """Not quadratic, and coupled."""
    return (z[0] * z[1]).sin() + 0.5 * (z[1] - z[2] ** 2) ** 2 + 0.3 * z[0] ** 4 + z.exp().sum() / 5


def gradient(f, z):
    z = z.detach().requires_grad_()
    return torch.autograd.grad(f(z), z)[0]


def flow(velocity, start, time):
    """The end of a flow, by an integrator of scipy."""
    return solve_ivp(
        lambda _, z: velocity(torch.tensor(z)).numpy(), (0, time), start, rtol=1e-12, atol=1e-13
    ).y[:, -1]


def order(errors, steps):
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


STEPS = np.array([0.04, 0.02, 0.01, 0.005])
START = torch.tensor([0.7, -0.4, 0.9], dtype=torch.float64)


@pytest.mark.parametrize(("strength", "expected"), [(1.0, 3), (0.0, 2), (0.5, 2), (-1.0, 2)])
@pytest.mark.parametrize("equal", [True, False])
def test_one_step_follows_the_flow_one_order_further(strength, expected, equal):
    rates = torch.tensor([1.0] * 3 if equal else RATES, dtype=torch.float64)
    errors = []
    for h in STEPS:
        params = [Parameter(x.clone()) for x in START]
        groups = [{"params": [p], "lr": h * float(r)} for p, r in zip(params, rates, strict=True)]
        optimizer = optim.SGD(groups)
        closure = optim.drift_regularized(
            lambda params=params: loss_of(torch.stack(params)),
            params if equal else optimizer.param_groups,
            h if equal else None,
            strength=strength,
        )
        closure().backward()
        optimizer.step()
        there = flow(lambda z: -rates * gradient(loss_of, z), START, h)
        errors.append(np.linalg.norm(torch.stack(params).detach().numpy() - there))
    assert order(errors, STEPS) == pytest.approx(expected, abs=0.15)


def test_without_strength_the_step_is_the_plain_one():
    w = Parameter(START.clone())
    optim.drift_regularized(lambda: loss_of(w), [w], 0.1, strength=0.0)().backward()
    assert torch.equal(w.grad, gradient(loss_of, START))


def test_the_step_on_a_quadratic_is_exact():
    # x - h (a x - (h / 2) a^2 x), three terms of exp(-a h).
    a, h = torch.tensor([0.3, 2.0, 5.0], dtype=torch.float64), 0.1
    w = Parameter(START.clone())
    optimizer = optim.SGD([w], lr=h)
    optim.drift_regularized(lambda: (a * w * w).sum() / 2, [w], h)().backward()
    optimizer.step()
    torch.testing.assert_close(w.detach(), START * (1 - a * h + (a * h) ** 2 / 2))


def game(x, y):
    """Losses of two players, neither common nor opposed, whose rates differ below."""
    first = (x * y).sum() + (0.5 * x).sin().sum() + 0.2 * (x[0] * y[1] ** 2)
    second = -(x * y).sum() + 0.3 * (y**4).sum() + (x[1] * y[0]).cos()
    return first, second


X0 = torch.tensor([0.6, -0.3], dtype=torch.float64)
Y0 = torch.tensor([0.2, 0.8], dtype=torch.float64)
A, B = 0.7, 1.6


def game_velocity(z):
    x, y = z[:2].clone().requires_grad_(), z[2:].clone().requires_grad_()
    first, second = game(x, y)
    return torch.cat(
        [-A * torch.autograd.grad(first, x, retain_graph=True)[0],
         -B * torch.autograd.grad(second, y)[0]]
    )  # fmt: skip


def play(h, updates, steps=1, **options):
    x, y = Parameter(X0.clone()), Parameter(Y0.clone())
    players = optim.SGD([x], lr=A * h), optim.SGD([y], lr=B * h)
    closures = optim.drift_regularized_game(
        (lambda: game(x, y)[0], lambda: game(x, y)[1]),
        [player.param_groups for player in players],
        updates=updates,
        **options,
    )
    for _ in range(steps):
        if updates == "simultaneous":
            for closure in closures:
                closure()
            for player in players:
                player.step()
        else:
            for player, closure in zip(players, closures, strict=True):
                player.step(closure)
    return torch.cat([x, y]).detach().numpy()


@pytest.mark.parametrize("updates", ["simultaneous", "alternating"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"own": 1.0, "interaction": 1.0}, 3),
        ({"own": (1, 1), "interaction": (1.0, 1.0)}, 3),
        ({"own": 0.0, "interaction": 1.0}, 2),
        ({"own": 1.0, "interaction": 0.0}, 2),
        ({"own": 1.0, "interaction": -1.0}, 2),
        ({"own": 0.0, "interaction": 0.0}, 2),
    ],
)
def test_games_follow_their_flow_one_order_further(updates, options, expected):
    start = torch.cat([X0, Y0]).numpy()
    errors = [
        np.linalg.norm(play(h, updates, **options) - flow(game_velocity, start, h)) for h in STEPS
    ]
    assert order(errors, STEPS) == pytest.approx(expected, abs=0.2)


def test_without_strengths_the_game_is_the_plain_one():
    h = 0.1
    z = torch.cat([X0, Y0])
    torch.testing.assert_close(
        torch.tensor(play(h, "simultaneous", own=0.0, interaction=0.0)),
        z + h * game_velocity(z),
        rtol=1e-14,
        atol=0,
    )


def radius_after(interaction, steps=400, h=0.1):
    """Distance from the equilibrium of x * y, where players start at distance 1."""
    x, y = Parameter(torch.tensor(1.0)), Parameter(torch.tensor(0.0))
    players = optim.SGD([x], lr=h), optim.SGD([y], lr=h)
    closures = optim.drift_regularized_game(
        (lambda: x * y, lambda: -x * y), ([x], [y]), (h, h), interaction=interaction
    )
    for _ in range(steps):
        for closure in closures:
            closure()
        for player in players:
            player.step()
    return math.hypot(x.item(), y.item())


def test_cancelled_interaction_keeps_players_from_diverging():
    # (1 + h^2)^(steps / 2) plainly; (1 + h^4 / 4)^(steps / 2) when the drift is cancelled; and
    # twice the term contracts, by (1 - h^2 + h^4)^(steps / 2) or so.
    assert radius_after(0.0) == pytest.approx(1.01**200, rel=1e-3)
    assert radius_after(1.0) == pytest.approx((1 + 1e-4 / 4) ** 200, rel=1e-3)
    assert radius_after(2.0) < 0.2


def test_cancelled_drift_removes_the_implicit_regularization():
    # Minima of (w1 w2 - 1)^2 / 2: descent at a large rate ends where |w| is smaller than where the
    # flow ends, which keeps w1^2 - w2^2.
    def end(strength, lr=0.05):
        w = Parameter(torch.tensor([2.0, -0.6], dtype=torch.float64))
        optimizer = optim.SGD([w], lr=lr)
        closure = optim.drift_regularized(
            lambda: (w[0] * w[1] - 1) ** 2 / 2, optimizer.param_groups, strength=strength
        )
        for _ in range(400):
            optimizer.zero_grad()
            closure().backward()
            optimizer.step()
        a, b = w.detach()
        return float(a * a - b * b)

    kept = 2.0**2 - 0.6**2
    plain, cancelled = abs(end(0.0) - kept), abs(end(1.0) - kept)
    assert plain > 3 * cancelled
    # Twice the implicit regularizer moves twice as far.
    assert abs(end(-1.0) - kept) == pytest.approx(2 * plain, rel=0.35)


def test_rates_are_read_anew():
    w = Parameter(torch.tensor([2.0]))
    optimizer = optim.SGD([w], lr=0.0)
    closure = optim.drift_regularized(lambda: w.square().sum() / 2, optimizer.param_groups)
    assert float(closure().detach()) == 2.0
    optimizer.param_groups[0]["lr"] = 0.5
    assert float(closure().detach()) == 2.0 - 0.5 / 4 * 4.0


def test_parameters_without_part_and_frozen_ones():
    w, idle = Parameter(torch.ones(2)), Parameter(torch.ones(1))
    frozen = Parameter(torch.ones(1), requires_grad=False)
    closure = optim.drift_regularized(lambda: (w**4).sum() * frozen.sum(), [w, idle, frozen], 0.1)
    closure().backward()
    assert frozen.grad is None
    assert w.grad is not None
    torch.testing.assert_close(w.grad, torch.full((2,), 4.0 - 0.1 / 4 * 96.0))


@pytest.mark.parametrize(
    ("closure", "error", "match"),
    [
        (lambda w: w.square(), ValueError, "loss of one element"),
        (lambda w: w.sum() * math.nan, ValueError, "finite loss"),
        (lambda w: None, TypeError, "must return the loss"),
        (lambda w: w.sum().detach(), ValueError, "with a graph"),
        (lambda w: 1 / 0, ZeroDivisionError, "division"),
    ],
)
def test_closures_that_do_not_fit(closure, error, match):
    w = Parameter(torch.ones(2))
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9)
    modified = optim.drift_regularized(lambda: closure(w), optimizer.param_groups)
    with pytest.raises(error, match=match):
        optimizer.step(modified)
    assert torch.equal(w.detach(), torch.ones(2))
    assert not optimizer.state


def test_refusals():
    w = Parameter(torch.ones(2))
    with pytest.raises(TypeError, match="lr must be a number"):
        optim.drift_regularized(lambda: w.sum(), [w])
    with pytest.raises(TypeError, match="lr must be None"):
        optim.drift_regularized(lambda: w.sum(), optim.SGD([w]).param_groups, 0.1)
    with pytest.raises(ValueError, match="lr must be >= 0"):
        optim.drift_regularized(lambda: w.sum(), [w], -0.1)
    with pytest.raises(ValueError, match="strength must be finite"):
        optim.drift_regularized(lambda: w.sum(), [w], 0.1, strength=math.nan)
    with pytest.raises(ValueError, match="params must hold a parameter"):
        optim.drift_regularized(lambda: w.sum(), [], 0.1)
    both = (lambda: w.sum(), lambda: w.sum())
    with pytest.raises(ValueError, match="closures must hold two"):
        optim.drift_regularized_game(both[:1], ([w], [w]), (0.1, 0.1))
    with pytest.raises(ValueError, match="updates must be"):
        optim.drift_regularized_game(both, ([w], [w]), (0.1, 0.1), updates="both")
    with pytest.raises(ValueError, match="own must be a number or two"):
        optim.drift_regularized_game(both, ([w], [w]), (0.1, 0.1), own=(1.0,))
    with pytest.raises(ValueError, match=r"interaction\[1\] must be finite"):
        optim.drift_regularized_game(both, ([w], [w]), (0.1, 0.1), interaction=(1.0, math.inf))
    with pytest.raises(TypeError, match=r"lrs\[1\] must be a number"):
        optim.drift_regularized_game(both, ([w], [w]), (0.1, None))
