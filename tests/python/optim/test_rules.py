"""What single rules promise beyond their formula."""

from __future__ import annotations

import copy
import itertools
import math
import re

import numpy as np
import pytest
import torch
from optim.harness import feed, gradients, parameters, wide
from torch.nn import Parameter

from thalweg import _core, optim, steps

F64 = torch.float64


def quadratic(optimizer, p, scale, goal, count):
    """Step down 0.5 * sum(scale * (p - goal)**2); return its values."""
    losses = []
    for _ in range(count):

        def closure():
            optimizer.zero_grad()
            loss = 0.5 * (scale * (p - goal) ** 2).sum()
            loss.backward()
            losses.append(loss.item())
            return loss

        optimizer.step(closure)
    return losses


# Schedule-Free AdamW, and whatever else has two points


TWO_POINTS = [
    ("ScheduleFreeAdamW", {"lr": 0.05, "weight_decay": 0.1, "warmup_steps": 3}),
    ("RandomScalingSGD", {"lr": 0.05, "average": True}),
    ("TripleMomentum", {"L": 10.0, "mu": 1.0}),
    ("TripleMomentum", {"L": 10.0, "mu": 1.0, "method": "nesterov"}),
    ("AcceleratedSGD", {"lr": 0.05}),
    ("SGLD", {"lr": 0.01, "average": True, "burn_in": 2}),
]
two_points = pytest.mark.parametrize(("name", "options"), TWO_POINTS, ids=str)


def run(name, options, count=5, shapes=((4, 3), (5,))):
    params = parameters(shapes)
    optimizer = getattr(optim, name)(params, **options)
    feed(optimizer, params, gradients(shapes, F64, count))
    return optimizer, params


@two_points
def test_eval_and_train_go_there_and_back(name, options):
    optimizer, params = run(name, options)
    before = [p.detach().clone() for p in params]
    optimizer.train()
    assert all(torch.equal(p, b) for p, b in zip(params, before, strict=True))
    optimizer.eval()
    after = [p.detach().clone() for p in params]
    optimizer.eval()
    assert all(torch.equal(p, b) for p, b in zip(params, after, strict=True))
    assert not any(torch.equal(p, b) for p, b in zip(params, before, strict=True))
    message = f"train_mode must be True for a step of {name}, got False; call optimizer.train()"
    with pytest.raises(ValueError, match=re.escape(message)):
        optimizer.step()
    optimizer.train()
    for p, b in zip(params, before, strict=True):
        torch.testing.assert_close(p.detach(), b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["train", "eval"])
@two_points
def test_a_checkpoint_may_be_taken_in_either_mode(name, options, mode):
    optimizer, params = run(name, options)
    getattr(optimizer, mode)()
    copies = [Parameter(p.detach().clone()) for p in params]
    other = getattr(optim, name)(copies, **options)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each in (optimizer, other):
        each.eval()
    assert all(torch.equal(p, q) for p, q in zip(params, copies, strict=True))
    for each, mine in ((optimizer, params), (other, copies)):
        each.train()
        feed(each, mine, gradients(((4, 3), (5,)), F64, 2, seed=9))
    assert all(torch.equal(p, q) for p, q in zip(params, copies, strict=True))


@two_points
def test_numpy_goes_the_same_way(name, options):
    optimizer, params = run(name, options)
    arrays = [p.detach().numpy().copy() for p in parameters(((4, 3), (5,)))]
    rule = getattr(steps, name)(**options)
    for row in gradients(((4, 3), (5,)), F64, 5):
        rule.step(arrays, [g.numpy() for g in row])
    optimizer.eval()
    rule.eval(arrays)
    for p, a in zip(params, arrays, strict=True):
        np.testing.assert_allclose(a, wide(p), rtol=1e-12, atol=1e-14)
    with pytest.raises(ValueError, match=re.escape(f"of {name}, got False; call train(params)")):
        rule.step(arrays, [None, None])
    rule.train(arrays)
    rule.step(arrays, [None, None])


def test_one_point_has_no_modes():
    optimizer, params = run("Adam", {})
    before = [p.detach().clone() for p in params]
    optimizer.eval()
    feed(optimizer, params, gradients(((4, 3), (5,)), F64, 1))
    assert not torch.equal(params[0], before[0])


def test_schedule_free_evaluates_at_the_weighted_mean_of_its_iterates():
    p = Parameter(torch.ones(3, dtype=F64))
    optimizer = optim.ScheduleFreeAdamW([p], lr=0.1, betas=(0.8, 0.9))
    zs = []
    for k in range(20):
        p.grad = (p.detach() * (k % 3 + 1)).clone()
        optimizer.step()
        zs.append(optimizer.state[p]["z"].clone())
    optimizer.eval()
    torch.testing.assert_close(p.detach(), torch.stack(zs).mean(0), rtol=1e-12, atol=1e-12)


# Adaptive Braking


def delayed(rho, lr, delay=32, momentum=0.9, count=600):
    """Minimize a quadratic with gradients that are `delay` steps old."""
    scale = torch.linspace(0.05, 1.0, 20, dtype=F64)
    p = Parameter(torch.from_numpy(np.random.default_rng(0).standard_normal(20)))
    optimizer = optim.AdaptiveBraking([p], lr=lr, momentum=momentum, rho=rho)
    past = [p.detach().clone()] * (delay + 1)
    for _ in range(count):
        p.grad = scale * past.pop(0)
        optimizer.step()
        past.append(p.detach().clone())
    return float(0.5 * (scale * p.detach() ** 2).sum())


def test_braking_survives_delays_that_momentum_does_not():
    # Momentum alone diverges from lr = 0.006 on; braking still converges at five times that.
    assert delayed(rho=0.0, lr=0.03) > 1e6
    assert delayed(rho=2.0, lr=0.03) < 1e-3
    assert delayed(rho=0.0, lr=0.003) < 1e-3


def test_no_brake_is_momentum():
    finals = []
    for make in (
        lambda ps: optim.AdaptiveBraking(ps, lr=0.1, rho=0.0),
        lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9),
    ):
        params = parameters(((4, 3),))
        feed(make(params), params, gradients(((4, 3),), F64, 5))
        finals.append(wide(params[0]))
    np.testing.assert_allclose(*finals, rtol=1e-14, atol=1e-14)


# Tuned momentum


def zigzag(p):
    """Gradient of a 25-smooth, 1-strongly convex function on which the heavy ball cycles."""
    x = p.detach()
    return torch.where(x < 1, 25 * x, torch.where(x < 2, x + 24, 25 * x - 24))


def errors(method, start=3.3, count=60, grad=zigzag):
    p = Parameter(torch.tensor([start], dtype=F64))
    optimizer = optim.TripleMomentum([p], L=25.0, mu=1.0, method=method)
    out = []
    for _ in range(count):
        p.grad = grad(p).clone()
        optimizer.step()
        optimizer.eval()
        out.append(abs(p.item()))
        optimizer.train()
    return out


def test_the_heavy_ball_cycles_where_the_others_converge():
    # Lessard, Recht, Packard 2016.
    tail = sorted(errors("heavy_ball", count=300)[-3:])
    assert tail == pytest.approx([0.64653, 1.80245, 2.11592], abs=1e-4)
    assert errors("nesterov", count=300)[-1] < 1e-6
    assert errors("triple", count=300)[-1] < 1e-6


@pytest.mark.parametrize("curvature", [1.0, 2.0, 7.0, 25.0])
def test_triple_momentum_has_its_rate(curvature):
    out = errors("triple", grad=lambda p: curvature * p.detach(), count=80)
    # Its error shrinks by 1 - 1/sqrt(25) = 0.8 a step, up to a polynomial.
    assert (out[-1] / out[29]) ** (1 / 50) < 0.8 + 0.03


def test_nesterov_without_strong_convexity_is_fista():
    p = Parameter(torch.tensor([3.0, -2.0], dtype=F64))
    optimizer = optim.TripleMomentum([p], L=2.0, mu=0.0, method="nesterov")
    x = y = p.detach().numpy().copy()
    w, scale = 1.0, np.array([2.0, 0.01])
    for _ in range(30):
        np.testing.assert_allclose(p.detach().numpy(), y, rtol=1e-12)
        p.grad = torch.from_numpy(scale) * p.detach()
        optimizer.step()
        new, after = y - scale * y / 2.0, (1 + math.sqrt(1 + 4 * w * w)) / 2
        x, y, w = new, new + (w - 1) / after * (new - x), after


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mu": 2.0, "L": 1.0}, 'mu must be above 0 (with "nesterov" at least 0) and at most L,'),
        ({"mu": 0.0}, 'mu must be above 0 (with "nesterov" at least 0) and at most L, got mu=0.0'),
        ({"method": "newton"}, 'method must be "triple" or "heavy_ball" or "nesterov", got "new'),
    ],
    ids=str,
)
def test_tuning_needs_bounds_of_the_curvature(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        optim.TripleMomentum(parameters(((2,),)), **options)


def test_accelerated_sgd_is_nesterov_when_every_gradient_is_full():
    finals = []
    for make in (
        lambda ps: optim.AcceleratedSGD(ps, lr=0.04, mu=1.0),
        lambda ps: optim.TripleMomentum(ps, L=25.0, mu=1.0, method="nesterov"),
    ):
        params = parameters(((4, 3),))
        feed(make(params), params, gradients(((4, 3),), F64, 8))
        finals.append(wide(params[0]))
    np.testing.assert_allclose(*finals, rtol=1e-12, atol=1e-12)


def test_accelerated_sgd_converges_linearly_under_interpolation():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((30, 40))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b = a @ rng.standard_normal(40)
    p = Parameter(torch.zeros(40, dtype=F64))
    optimizer = optim.AcceleratedSGD([p], lr=0.1, mu=0.03)
    norms = []
    for _ in range(4):
        for _ in range(1500):
            row = torch.from_numpy(a[i := rng.integers(30)])
            p.grad = row * (row @ p.detach() - b[i])
            optimizer.step()
        norms.append(np.linalg.norm(a @ p.detach().numpy() - b))
    assert norms[-1] < 1e-4 * np.linalg.norm(b)
    assert all(after < before / 3 for before, after in itertools.pairwise(norms))


# Energies


def test_the_energy_of_aegd_sinks_at_any_rate_and_starts_anew_when_asked():
    for lr in (0.1, 10.0):
        p = Parameter(torch.linspace(-1, 1, 7, dtype=F64))
        optimizer = optim.AEGD([p], lr=lr)
        energies = []
        for _ in range(30):
            quadratic(optimizer, p, torch.linspace(1, 50, 7, dtype=F64), 0.5, 1)
            energies.append(optimizer.state[p]["energy"].clone())
        assert all((b <= a).all() and (b > 0).all() for a, b in itertools.pairwise(energies))
        optimizer.reset_energy()
        # At the minimum, where the loss is 0, nothing dissipates.
        quadratic(optimizer, p, 1.0, p.detach().clone(), 1)
        assert (optimizer.state[p]["energy"] == 1.0).all()


@pytest.mark.parametrize("kind", ["identity", "entropy", "log_barrier"])
def test_preconditioned_energy_of_aegd_is_dissipated_exactly(kind):
    p = Parameter(torch.linspace(0.5, 2.0, 7, dtype=F64))
    optimizer = optim.AEGD([p], lr=0.02, preconditioner=kind, conserve_sum=True)
    power = {"identity": 0, "entropy": -1, "log_barrier": -2}[kind]
    before, total = None, p.detach().sum().item()
    for _ in range(20):
        old = p.detach().clone()
        loss = quadratic(optimizer, p, torch.linspace(1, 3, 7, dtype=F64), 1.5, 1)[0]
        r = optimizer.state[p]["energy"].item()
        before = math.sqrt(loss + 1.0) if before is None else before
        moved = float((old**power * (p.detach() - old) ** 2).sum())
        assert r**2 == pytest.approx(before**2 - (r - before) ** 2 - moved / 0.02, rel=1e-12)
        assert p.detach().sum().item() == pytest.approx(total, rel=1e-13)
        before = r


@pytest.mark.parametrize("force_plain", [False, True], ids=["core", "plain"])
def test_aegd_says_what_it_wants(force_plain, monkeypatch):
    if force_plain:
        monkeypatch.setattr("thalweg._core.optim_step", lambda *_: None)
    p = Parameter(torch.ones(2))
    p.grad = torch.ones(2)
    optimizer = optim.AEGD([p])
    with pytest.raises(
        ValueError, match=r"loss must be a number above -1\.0 \(-c\), got none; pass"
    ):
        optimizer.step()
    with pytest.raises(
        ValueError, match=r"loss must be a number above -1\.0 \(-c\), got -1\.5; pa"
    ):
        optimizer.step(lambda: -1.5)
    assert torch.equal(p, torch.ones(2))
    assert optimizer.state[p]["step"] == 0
    assert (optimizer.state[p]["energy"] == -1).all()
    with pytest.raises(ValueError, match="conserve_sum must be False without preconditioner, got"):
        optim.AEGD([p], conserve_sum=True)


def test_the_energy_of_aegd_sinks_with_momentum_too():
    for lr in (0.05, 5.0):
        p = Parameter(torch.linspace(-1, 1, 7, dtype=F64))
        optimizer = optim.AEGD([p], lr=lr, momentum=0.9)
        energies, velocity = [], torch.zeros(7, dtype=F64)
        for _ in range(40):
            old = p.detach().clone()
            loss = quadratic(optimizer, p, torch.linspace(1, 5, 7, dtype=F64), 0.5, 1)[0]
            d = torch.linspace(1, 5, 7, dtype=F64) * (old - 0.5) / (2 * math.sqrt(loss + 1.0))
            velocity = 0.9 * velocity + d
            energies.append(optimizer.state[p]["energy"].clone())
            torch.testing.assert_close(optimizer.state[p]["momentum_buffer"], velocity)
            torch.testing.assert_close(old - p.detach(), 2 * lr * energies[-1] * velocity)
        assert all((b <= a).all() and (b > 0).all() for a, b in itertools.pairwise(energies))
        optimizer.reset_energy()
        assert (optimizer.state[p]["energy"] == -1).all()
    message = "momentum must be 0 with a preconditioner, got 0.9; leave one of them out"
    with pytest.raises(ValueError, match=re.escape(message)):
        optim.AEGD([p], momentum=0.9, preconditioner="identity")
    with pytest.raises(ValueError, match=re.escape("momentum must be in [0, 1), got 1.0")):
        optim.AEGD([p], momentum=1.0)


# Signs


@pytest.mark.parametrize(
    "options",
    [{}, {"base": "adamw"}, {"geometry": "frozen"}, {"momentum": 0.9, "decay": "decoupled"}],
    ids=str,
)
@pytest.mark.parametrize("mask", [None, "cautious", "grams"])
def test_exponentiated_gradients_keep_signs(options, mask):
    params = parameters(((9, 7),))
    signs = params[0].detach().sign()
    optimizer = optim.ExponentiatedGradient(params, lr=5.0, mask=mask, weight_decay=0.1, **options)
    feed(optimizer, params, gradients(((9, 7),), F64, 20))
    assert torch.equal(params[0].detach().sign(), signs)


@pytest.mark.parametrize("force_plain", [False, True], ids=["core", "plain"])
def test_a_weight_of_zero_stays_or_is_refused(force_plain, monkeypatch):
    if force_plain:
        monkeypatch.setattr("thalweg._core.optim_step", lambda *_: None)
    p = Parameter(torch.tensor([0.0, 1.0, -0.0]))
    p.grad = torch.ones(3)
    optim.ExponentiatedGradient([p]).step()
    assert p.tolist() == [0.0, pytest.approx(math.exp(-0.01)), 0.0]
    message = "weights must be different from 0 with strict=True, got 2 that are; start them at"
    with pytest.raises(ValueError, match=re.escape(message)):
        optim.ExponentiatedGradient([p], strict=True).step()


def test_the_exponent_is_clipped():
    p = Parameter(torch.tensor([1.0, -1.0]))
    p.grad = torch.tensor([1e30, 1e30])
    optim.ExponentiatedGradient([p], lr=1.0, max_log_step=2.0).step()
    assert p.tolist() == pytest.approx([math.exp(-2), -math.exp(2)], rel=1e-6)


def test_exponentiated_gradients_solve_a_problem_with_positive_solution():
    p = Parameter(torch.ones(6, dtype=F64))
    goal = torch.linspace(0.1, 3.0, 6, dtype=F64)
    losses = quadratic(optim.ExponentiatedGradient([p], lr=0.2), p, 1.0, goal, 300)
    assert losses[-1] < 1e-6 * losses[0]


def test_dale_langevin_samples_a_log_normal():
    # With mu = 0 and the score of a log-normal(0, 1), x s = -1 - ln x, ln x follows the process
    # d ln x = (-ln x + 1/2) dt + dW: mean 1/2, variance 1/2.
    p = Parameter(torch.ones(20_000, dtype=F64))
    optimizer = optim.DaleLangevin([p], lr=0.05, mu=0.0, seed=1)
    for _ in range(200):
        p.grad = (1 + p.detach().log()) / p.detach()
        optimizer.step()
    logs = p.detach().log()
    assert logs.mean().item() == pytest.approx(0.5, abs=0.02)
    # The discrete process has variance lr / (1 - (1 - lr)^2).
    assert logs.var().item() == pytest.approx(0.05 / (1 - 0.95**2), rel=0.03)


# Noise


def philox(seed, stream, blocks):
    """Four words for each block (Salmon et al. 2011), in Python integers."""
    out = []
    for block in blocks:
        c = [block % 2**32, block >> 32, stream % 2**32, stream >> 32]
        k = [seed % 2**32, seed >> 32]
        for _ in range(10):
            a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
            c = [(b >> 32) ^ c[1] ^ k[0], b % 2**32, (a >> 32) ^ c[3] ^ k[1], a % 2**32]
            k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
        out.append(c)
    return np.array(out, dtype=np.float64)


def test_noise_is_that_of_its_formula():
    n, seed, stream = 300, 2**33 + 5, (3 << 40) + 7
    draws = np.empty(n)
    _core.optim_noise(draws, seed, stream)
    i = np.arange(n)
    words = philox(seed, stream, [int(k) for k in 16 * (i // 64) + i % 16])
    part = i % 64 // 16
    u = (words[i, part // 2] + 0.5) / 2**32
    turns = np.floor(words[i, 2 + part // 2] / 256) / 2**24
    wave = np.where(part % 2 == 0, np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns))
    np.testing.assert_allclose(draws, np.sqrt(-2 * np.log(u)) * wave, rtol=0, atol=2e-6)
    # A step draws the same numbers in either type, parameter 0 in step 1.
    _core.optim_noise(draws, 9, 1)
    for dtype in (torch.float32, F64):
        p = Parameter(torch.zeros(n, dtype=dtype))
        p.grad = torch.zeros(n, dtype=dtype)
        optim.SGLD([p], lr=0.5, temperature=1.0, seed=9).step()
        np.testing.assert_allclose(wide(p), draws, rtol=1e-7 if dtype == torch.float32 else 1e-15)


@pytest.mark.parametrize("lr", [0.01, 0.5])
def test_sgld_has_the_stationary_variance(lr):
    a, temperature = 2.0, 0.7
    p = Parameter(torch.zeros(20_000, dtype=F64))
    optimizer = optim.SGLD([p], lr=lr, temperature=temperature, seed=3)
    for _ in range(int(6 / (lr * a)) + 10):
        p.grad = a * p.detach()
        optimizer.step()
    expected = temperature / a / (1 - lr * a / 2)
    assert p.detach().var().item() == pytest.approx(expected, rel=0.03)
    assert p.detach().mean().item() == pytest.approx(0.0, abs=0.02)


def test_noise_depends_on_seed_step_parameter_and_element():
    def once(seed, skip=0):
        params = [Parameter(torch.zeros(40)), Parameter(torch.zeros(40))]
        optimizer = optim.SGLD(params, lr=0.5, seed=seed)
        for _ in range(1 + skip):
            for p in params:
                p.grad = torch.zeros(40)
                p.data.zero_()
            optimizer.step()
        return [p.detach().clone() for p in params]

    first, again, other, later = once(1), once(1), once(2), once(1, skip=1)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    for different in (first[1], other[0], later[0]):
        assert abs(np.corrcoef(first[0], different)[0, 1]) < 0.5
        assert not torch.equal(first[0], different)
    assert first[0].unique().numel() == 40


def test_the_mean_of_sgld_is_exact_over_a_long_run():
    p = Parameter(torch.full((3,), 1e4))
    optimizer = optim.SGLD([p], lr=1e-3, average=True, burn_in=5, thinning=2, seed=2)
    kept = []
    for k in range(4005):
        if k >= 5 and (k - 5) % 2 == 0:
            kept.append(p.detach().double().clone())
        p.grad = torch.zeros(3)
        optimizer.step()
    optimizer.eval()
    torch.testing.assert_close(p.detach().double(), torch.stack(kept).mean(0), rtol=2e-7, atol=0)


def test_random_scales_are_exponential_and_shared():
    p, q = Parameter(torch.zeros(1, dtype=F64)), Parameter(torch.zeros(2, dtype=F64))
    optimizer = optim.RandomScalingSGD([p, q], lr=1.0, momentum=0.0, seed=4)
    scales = []
    for k in range(4000):
        before, old = p.item(), q.detach().clone()
        p.grad = torch.ones(1, dtype=F64)
        # A parameter that joins late shares the scales too.
        q.grad = torch.ones(2, dtype=F64) if k >= 100 else None
        optimizer.step()
        scales.append(before - p.item())
        if k >= 100:
            torch.testing.assert_close(old - q.detach(), torch.full((2,), scales[-1], dtype=F64))
    assert np.mean(scales) == pytest.approx(1.0, abs=0.06)
    assert np.mean(np.square(scales)) == pytest.approx(2.0, abs=0.25)
    assert min(scales) > 0


# Norms, signs of whole neurons, predictions, gates


@pytest.mark.parametrize("force_plain", [False, True], ids=["core", "plain"])
def test_a_normalized_step_is_as_long_as_the_rate(force_plain, monkeypatch):
    if force_plain:
        monkeypatch.setattr("thalweg._core.optim_step", lambda *_: None)
    shapes = ((4, 3), (5,))
    params = parameters(shapes)
    before = [p.detach().clone() for p in params]
    optimizer = optim.NormalizedGD([{"params": [p]} for p in params], lr=0.3)
    feed(optimizer, params, gradients(shapes, F64, 1))
    after = [p.detach() for p in params]
    moved = sum(float((p - b).square().sum()) for p, b in zip(after, before, strict=True))
    assert math.sqrt(moved) == pytest.approx(0.3, rel=1e-12)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_curl_descent_is_descent_or_ascent_at_its_ends(fraction):
    finals = []
    for make in (
        lambda ps: optim.CurlSGD(ps, lr=0.1, momentum=0.9, fraction=fraction),
        lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9, maximize=fraction == 1.0),
    ):
        params = parameters(((4, 3),), torch.float32)
        feed(make(params), params, gradients(((4, 3),), torch.float32, 5))
        finals.append(params[0].detach())
    assert torch.equal(*finals)


def test_curl_descent_flips_a_share_of_columns_and_no_bias():
    w, conv, b = (Parameter(torch.zeros(shape)) for shape in ((5, 40), (3, 20, 2, 2), (9,)))
    optimizer = optim.CurlSGD([w, conv, b], lr=1.0, fraction=0.25, seed=1)
    for p in (w, conv, b):
        p.grad = torch.ones_like(p)
    optimizer.step()
    for p, count in ((w, 10), (conv, 5)):
        columns = p.detach().transpose(0, 1).flatten(1)
        assert ((columns == 1).all(1) | (columns == -1).all(1)).all()
        assert int((columns[:, 0] == 1).sum()) == count
    assert (b == -1).all()


def test_without_a_guess_optimism_is_amsgrad_without_correction():
    params = parameters(((4, 3),))
    x, grads = wide(params[0]), gradients(((4, 3),), F64, 20)
    optimizer = optim.OptimisticAMSGrad(params, lr=0.1, guess="none", betas=(0.9, 0.99))
    feed(optimizer, params, grads)
    m = v = top = np.zeros_like(x)
    for (g,) in grads:
        g = g.numpy()
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        top = np.maximum(top, v)
        x = x - 0.1 * m / (np.sqrt(top) + 1e-8)
    np.testing.assert_allclose(wide(params[0]), x, rtol=1e-12)


def test_a_guess_finds_the_limit_of_linearly_converging_gradients():
    # g_t = a + two geometric sequences: three differences determine the limit a.
    p = Parameter(torch.zeros(6, dtype=F64))
    rng = np.random.default_rng(0)
    limit, first, second = (torch.from_numpy(rng.standard_normal(6)) for _ in range(3))
    optimizer = optim.OptimisticAMSGrad([p], history=4, lam=1e-14)
    for t in range(6):
        p.grad = limit + first * 0.5**t - second * (-0.3) ** t
        optimizer.step()
    state = optimizer.state[p]
    guess = sum(float(c) * state[f"grad_{k}"] for k, c in enumerate(state["guess"]))
    torch.testing.assert_close(guess, limit, rtol=1e-4, atol=1e-4)


def test_classp_without_a_gate_is_adagrad_with_epsilon_in_the_root():
    params = parameters(((4, 3),))
    x, grads, total = wide(params[0]), gradients(((4, 3),), F64, 10), 0.0
    feed(optim.CLASSP(params, lr=0.1, power=2.0, threshold=0.0, eps=1e-3), params, grads)
    for (g,) in grads:
        total = total + g.numpy() ** 2
        x = x - 0.1 * g.numpy() / np.sqrt(1e-3 + total)
    np.testing.assert_allclose(wide(params[0]), x, rtol=1e-12)


def test_classp_moves_single_weights_and_the_release_whole_tensors():
    for gate, expected in (("element", [0.0, -1.0]), ("tensor", [-0.1, -1.0])):
        p = Parameter(torch.zeros(2))
        p.grad = torch.tensor([0.1, 1.0])
        optim.CLASSP([p], lr=1.0, apply_scaling=False, gate=gate).step()
        assert p.tolist() == pytest.approx(expected)


# Shared with torch


# torch's own optimizer warns.
@pytest.mark.filterwarnings("ignore:Sparse invariant")
@pytest.mark.parametrize("force_plain", [False, True], ids=["core", "plain"])
def test_adagrad_takes_sparse_gradients_as_torch_does(force_plain, monkeypatch):
    if force_plain:
        monkeypatch.setattr("thalweg._core.optim_step", lambda *_: None)
    finals = []
    for module in (optim, torch.optim):
        (p,) = parameters(((6, 3),))
        optimizer = module.Adagrad([p], lr=0.1)
        for rows in ([0, 2, 2], [5, 2, 1]):
            values = torch.arange(9, dtype=F64).reshape(3, 3)
            p.grad = torch.sparse_coo_tensor([rows], values, (6, 3), check_invariants=True)
            optimizer.step()
        finals.append(wide(p))
    np.testing.assert_allclose(*finals, rtol=1e-12)
    optimizer = optim.Adagrad([p], weight_decay=0.1)
    with pytest.raises(
        RuntimeError, match="weight_decay must be 0 for a sparse gradient in Adagrad"
    ):
        optimizer.step()


def test_adagrad_has_its_state_from_the_start():
    ours, theirs = (
        module.Adagrad(parameters(((2, 3),)), initial_accumulator_value=0.5)
        for module in (optim, torch.optim)
    )
    a, b = (next(iter(o.state_dict()["state"].values())) for o in (ours, theirs))
    assert sorted(a) == sorted(b)
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("name", ["NAdam", "RAdam"])
def test_the_switch_of_torch_and_the_form_of_decay_agree(name):
    make = getattr(optim, name)
    (p,) = parameters(((2,),))
    assert make([p], decoupled_weight_decay=True).defaults["decay"] == "decoupled"
    assert make([p], decay="decoupled").defaults["decoupled_weight_decay"] is True
    assert make([p]).defaults["decay"] == "coupled"
    with pytest.raises(
        ValueError, match="decoupled_weight_decay must be False with decay='cautious'"
    ):
        make([p], decoupled_weight_decay=True, decay="cautious")


def test_a_centered_variance_below_zero_is_zero():
    # In float32 the variance of equal gradients comes out negative, and torch makes NaN of it.
    p = Parameter(torch.zeros(1000))
    optimizer = optim.RMSprop([p], centered=True)
    value = torch.linspace(0.1, 10, 1000)
    for _ in range(2000):
        p.grad = value
        optimizer.step()
    assert torch.isfinite(p).all()
