"""MeZO against a replay of its noise in plain integers, its promises about memory and rounding."""

import copy
import io
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search import draws

import thalweg

torch = pytest.importorskip("torch")

from thalweg.search import MeZO  # noqa: E402

SIXTEEN = [torch.bfloat16, torch.float16]
TYPES = [torch.float32, torch.float64, *SIXTEEN]


def noise(seed, step, number, count):
    """Of tensor `number` in `step`."""
    pairs = [draws.normal(seed, step * 2**24 + number, k) for k in range((count + 1) // 2)]
    return np.ravel(pairs)[:count]


def model(dtype=torch.float64):
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))
    return net.to(dtype)


X = torch.randn(16, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def loss_of(net):
    return lambda: (net(X.to(next(net.parameters()).dtype))[:, 0] - X[:, 0]).square().mean()


def closure_at(arrays):
    """The same loss in numpy."""
    w, b, v, c = arrays
    x = X.numpy()
    return ((np.tanh(x @ w.T + b) @ v[0] + c[0] - x[:, 0]) ** 2).mean()


def test_equals_a_replay_in_groups():
    net = model()
    optimizer = MeZO(
        [
            {"params": net[0].parameters(), "lr": 0.02, "weight_decay": 0.1},
            {"params": net[2].parameters(), "eps": 0.01},
        ],
        lr=0.05, eps=0.003, seed=7,
    )  # fmt: skip
    arrays = [p.detach().numpy().copy() for p in net.parameters()]
    options = [(0.02, 0.003, 0.1)] * 2 + [(0.05, 0.01, 0.0)] * 2
    for step in range(12):
        z = [noise(7, step, k, a.size).reshape(a.shape) for k, a in enumerate(arrays)]
        looks = []
        for sign in (1, -1):
            moved = [a + sign * eps * n for a, n, (_, eps, _) in zip(arrays, z, options)]
            looks.append(closure_at(moved))
        slope = looks[0] - looks[1]
        arrays = [
            (1 - lr * decay) * a - lr * slope / (2 * eps) * n
            for a, n, (lr, eps, decay) in zip(arrays, z, options)
        ]
        assert optimizer.step(loss_of(net)) == pytest.approx(np.mean(looks), rel=1e-12)
        assert optimizer.projected_gradient == pytest.approx(slope / 0.006, rel=1e-9)
        for p, a in zip(net.parameters(), arrays):
            np.testing.assert_allclose(p.detach().numpy(), a, rtol=1e-9, atol=1e-12)


def test_the_step_is_along_the_gradient_on_average():
    net = model()
    loss_of(net)().backward()
    gradient = torch.cat([p.grad.ravel() for p in net.parameters()])
    start = copy.deepcopy(net.state_dict())
    optimizer = MeZO(net.parameters(), lr=1.0, eps=1e-5, seed=0)
    total = torch.zeros_like(gradient)
    for _ in range(4000):
        optimizer.step(loss_of(net))
        total -= torch.cat([p.detach().ravel() for p in net.parameters()])
        net.load_state_dict(start)
    mean = total / 4000 + torch.cat([v.ravel() for v in start.values()])
    # The variance of an entry is |g|^2 + g_i^2.
    deviation = (gradient.norm() ** 2 + gradient**2).sqrt() / 4000**0.5
    assert ((mean - gradient).abs() < 4.5 * deviation).all()


@pytest.mark.parametrize("dtype", TYPES)
def test_same_bits_for_any_number_of_threads_and_when_resumed(dtype):
    ends, before = [], thalweg.get_num_threads()
    try:
        for threads in (1, 2, 7):
            thalweg.set_num_threads(threads)
            x = torch.linspace(-1, 1, 300_001).to(dtype).requires_grad_()
            optimizer = MeZO([x], lr=1e-3, rounding="stochastic", seed=5)
            for k in range(4):
                if k == 2:
                    buffer = io.BytesIO()
                    torch.save([x, optimizer.state_dict()], buffer)
                    buffer.seek(0)
                    x, state = torch.load(buffer)
                    optimizer = MeZO([x], rounding="stochastic", seed=1)
                    optimizer.load_state_dict(state)
                optimizer.step(lambda x=x: x.double().square().sum().sqrt())
            ends.append(x)
    finally:
        thalweg.set_num_threads(before)
    assert all(torch.equal(end, ends[0]) for end in ends)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("fails_at", [1, 2])
def test_parameters_come_back_when_the_closure_raises(dtype, fails_at):
    x = (1.0 + 0.9 * torch.rand(10_000)).to(dtype).requires_grad_()
    start, calls = x.detach().clone(), []
    optimizer = MeZO([x], lr=1.0, eps=1e-3 if dtype.itemsize > 2 else 0.03, seed=0)

    def closure():
        calls.append(x.detach().clone())
        if len(calls) % 2 == fails_at % 2 and len(calls) >= fails_at:
            raise KeyboardInterrupt
        return x.double().sum()

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert len(calls) == fails_at
    assert not torch.equal(calls[-1], start)
    # Where the sum stays below 2 the bits are those of before.
    inside = torch.stack([*calls, start]).double()
    inside = ((inside >= 1) & (inside < 2)).all(dim=0)
    assert inside.double().mean() > 0.9
    # Ties apart: digits of the noise that reach below half a unit make them rare.
    ties = {torch.float32: 0.0, torch.float64: 2e-3}.get(dtype, 5e-4)
    assert (x[inside] != start[inside]).double().mean() <= ties
    ulp = torch.finfo(dtype).eps
    assert (x - start).abs().max() <= ulp
    assert optimizer.param_groups[0]["step"] == 0


def test_the_drift_is_what_the_notes_say():
    x = torch.randn(20_000) * 0.02
    x.requires_grad_()
    start = x.detach().clone()
    optimizer = MeZO([x], lr=0.0, eps=1e-3, seed=0)
    reach = x.detach().abs() + 1e-3 * 5
    for _ in range(100):
        optimizer.step(lambda: 1.0)
    drift = (x.detach() - start).abs()
    assert (drift <= 2 * 100 * 2.0**-24 * reach).all()
    # Most never reach a larger power of two.
    assert (drift == 0).double().mean() > 0.2
    assert drift.max() < 2e-7


@pytest.mark.parametrize("dtype", SIXTEEN)
def test_small_steps_survive_stochastic_rounding(dtype):
    ends = {}
    for rounding in ("nearest", "stochastic"):
        x = torch.full((100_000,), 1.5, dtype=dtype, requires_grad=True)
        optimizer = MeZO([x], lr=0.01, eps=0.02, weight_decay=0.01, rounding=rounding, seed=0)
        for _ in range(10):
            optimizer.step(lambda: 0.0)
        ends[rounding] = x.detach().double().mean().item()
    # A sixth of a unit in the last place, or less, at each step.
    assert abs(ends["nearest"] - 1.5) < 1e-5
    assert ends["stochastic"] == pytest.approx(1.5 * (1 - 1e-4) ** 10, abs=1e-4)


def test_no_memory_of_the_size_of_a_parameter():
    script = """
import resource, torch
from thalweg.search import MeZO
x = torch.full((20_000_000,), 0.5, requires_grad=True)
y = torch.full((1000,), 0.5, requires_grad=True)
optimizer = MeZO([y], seed=0)
optimizer.step(lambda: y.detach()[:10].sum())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
optimizer = MeZO([x], rounding="stochastic", weight_decay=0.1, seed=0)
optimizer.step(lambda: x.detach()[:10].sum())
try:
    optimizer.step(lambda: 1 / 0)
except ZeroDivisionError:
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    if sys.platform != "linux":
        pytest.skip("peak memory is in kilobytes on Linux")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": thalweg.__path__[0] + "/.."},
    )  # fmt: skip
    # The parameter is 78,125 kilobytes.
    assert int(done.stdout) < 15_000


def test_dropout_is_the_same_in_both_looks():
    seen = []
    x = torch.ones(50, requires_grad=True)

    def closure():
        seen.append(torch.rand(3))
        return torch.nn.functional.dropout(torch.ones(100)).sum() + 0.0 * x.sum()

    optimizer = MeZO([x], lr=1.0, seed=0)
    for _ in range(2):
        optimizer.step(closure)
        assert optimizer.projected_gradient == 0.0
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_loss_leaves_the_step_out(bad):
    x = torch.full((100,), 1.5, requires_grad=True)
    optimizer = MeZO([x], lr=1.0, weight_decay=0.1, seed=0)
    losses = iter([1.0, bad, bad, 1.0, 1.0, 2.0])
    for k in range(3):
        optimizer.step(lambda: next(losses))
        assert bool((x == 1.5).all()) == (k < 2)
    assert optimizer.nonfinite == 2
    assert optimizer.param_groups[0]["step"] == 3


@given(
    shapes=st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=4),
    dtype=st.sampled_from(TYPES),
)
@settings(max_examples=30, deadline=None)
def test_any_shapes(shapes, dtype):
    torch.manual_seed(0)
    tensors = [torch.randn(shape).to(dtype).requires_grad_() for shape in shapes]
    before = [t.detach().clone() for t in tensors]
    versions = [t._version for t in tensors]
    optimizer = MeZO(tensors, lr=0.1, seed=0)
    optimizer.step(lambda: sum(t.double().sum() for t in tensors))
    for t, b, version in zip(tensors, before, versions):
        assert t.isfinite().all()
        assert t.numel() == 0 or t._version > version
        assert t.numel() == 0 or dtype in SIXTEEN or not torch.equal(t, b)


def test_layouts_frozen_parameters_and_views():
    torch.manual_seed(0)
    image = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last).requires_grad_()
    strided = torch.randn(6, 8)[:, ::2].requires_grad_()
    frozen = torch.ones(3)
    before = strided.detach().clone()
    optimizer = MeZO([image, frozen, strided], lr=0.0, seed=0)
    seen = []
    optimizer.step(lambda: seen.append([image.detach().clone(), strided.detach().clone()]) or 0.0)
    z = noise(0, 0, 0, 120)
    # Elements count in the order of memory.
    moved = seen[0][0].permute(0, 2, 3, 1).reshape(-1)
    still = image.detach().permute(0, 2, 3, 1).reshape(-1)
    np.testing.assert_allclose((moved - still).numpy(), 1e-3 * z, atol=1e-6)
    assert ((seen[0][1] - before).abs() > 0).double().mean() > 0.9
    torch.testing.assert_close(seen[0][1] + seen[1][1], 2 * before)
    torch.testing.assert_close(strided.detach(), before)
    assert (frozen == 1).all()


def test_plain_noise_is_drawn_again_and_normal():
    wide = torch.zeros(2, 40_000)
    x = wide.t()[:, 1].requires_grad_()
    y = torch.zeros(3, 2, 20_000).transpose(0, 2)[::2].requires_grad_()
    optimizer = MeZO([y, x], lr=0.0, eps=1.0, seed=0)
    seen = []
    for _ in range(2):
        optimizer.step(lambda: seen.append(y.detach().clone()) or 0.0)
    torch.testing.assert_close(seen[0], -seen[1])
    assert abs(seen[0].mean()) < 0.02
    assert seen[0].std() == pytest.approx(1.0, abs=0.02)
    assert not torch.equal(seen[0], seen[2])
    assert (y.detach().abs() < 1e-6).all()


def test_lives_in_torch():
    net = model(torch.float32)
    optimizer = MeZO(net.named_parameters(), lr=0.05, seed=0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=100, gamma=0.5)
    first = optimizer.step(loss_of(net))
    for _ in range(300):
        last = optimizer.step(loss_of(net))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler.step()
    assert last < 0.2 * first
    assert all(p.grad is None for p in net.parameters())
    extra = torch.ones(2, requires_grad=True)
    optimizer.add_param_group({"params": [("extra", extra)], "lr": 0.1})
    assert optimizer.param_groups[1]["step"] == optimizer.param_groups[0]["step"] == 301
    other = copy.deepcopy(optimizer)
    assert other.rounding == "nearest"
    assert other.param_groups[0]["seed"] == optimizer.param_groups[0]["seed"]


@pytest.mark.parametrize(
    ("chosen", "error", "message"),
    [
        ({"lr": -1.0}, ValueError, "lr must be a finite number 0 <= lr"),
        ({"lr": float("nan")}, ValueError, "lr must be a finite number"),
        ({"eps": 0.0}, ValueError, "eps must be a finite number 0 < eps"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay must be a finite number"),
        ({"rounding": "up"}, ValueError, "rounding must be one of"),
        ({"seed": -1}, ValueError, "seed must be in"),
        ({"seed": 1.0}, TypeError, "seed must be None, an int"),
        (
            {"params": [torch.ones(3, dtype=torch.long)]},
            TypeError,
            "params must be dense, of float32",
        ),
        ({"params": [torch.ones(3, dtype=torch.cfloat)]}, TypeError, "params must be dense"),
        ({"params": [torch.ones(3).to_sparse()]}, TypeError, "params must be dense"),
        (
            {"params": [torch.ones(6, dtype=torch.bfloat16)[::2]], "rounding": "stochastic"},
            NotImplementedError,
            "rounding='stochastic' of tensors that do not lie dense",
        ),
    ],
)
def test_refusals(chosen, error, message):
    with pytest.raises(error, match=message):
        MeZO(**{"params": [torch.ones(3)], **chosen})


def test_refusals_of_a_step():
    x = torch.full((3,), 1.5, requires_grad=True)
    optimizer = MeZO([x], seed=0)
    for closure, error, message in (
        (None, TypeError, "closure must be callable"),
        (lambda: None, TypeError, "closure must return a loss"),
        (lambda: x, TypeError, "closure must return one real number"),
        (lambda: (x * x).sum().backward(), TypeError, "without calling backward"),
    ):
        with pytest.raises(error, match=message):
            optimizer.step(closure)
        assert (x == 1.5).all()
    optimizer.param_groups[0]["lr"] = -1.0
    with pytest.raises(ValueError, match="lr must be"):
        optimizer.step(lambda: 1.0)
    shared = torch.ones(4, requires_grad=True)
    views = [shared.detach()[:3].requires_grad_(), shared.detach()[1:].requires_grad_()]
    with pytest.raises(ValueError, match="params must not share memory"):
        MeZO(views, seed=0).step(lambda: 1.0)
    assert (shared == 1).all()
