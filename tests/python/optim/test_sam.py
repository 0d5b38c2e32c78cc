"""SAM and gradient regularization: formulas, and what surrounds them in a training loop."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from thalweg import _core, optim
from thalweg.optim.closures import away


def network(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).to(dtype)


def batch(k, dtype=torch.float32):
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(k)).to(dtype)


def look_at(net, k):
    dtype = next(net.parameters()).dtype
    return lambda: (net(batch(k, dtype)) - 1.0).square().mean()


def bits(net):
    return [p.detach().clone() for p in net.parameters()]


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


WRAPPERS = {
    "SAM": lambda base, **kw: optim.SAM(base, rho=0.1, **kw),
    "ASAM": lambda base, **kw: optim.SAM(base, rho=0.5, adaptive=True, **kw),
    "forward": lambda base, **kw: optim.GradientRegularization(base, gamma=0.2, eps=0.1, **kw),
    "backward": lambda base, **kw: optim.GradientRegularization(
        base, gamma=0.2, eps=0.1, difference="backward", **kw
    ),
}
every_wrapper = pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)


# Formulas


def quadratic(seed, n=7):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, n))
    return a @ a.T / n, rng.normal(size=n), rng.normal(size=n)


@given(st.integers(0, 10**6), st.floats(0.0, 2.0), st.booleans())
def test_sam_follows_its_formula(seed, rho, adaptive):
    h, b, x = quadratic(seed)
    w = nn.Parameter(torch.from_numpy(x.copy()))
    matrix, vector = torch.from_numpy(h), torch.from_numpy(b)
    base = optim.SGD([w], lr=0.1, momentum=0.5)
    optimizer = optim.SAM(base, rho=rho, adaptive=adaptive)
    velocity = np.zeros_like(x)
    for _ in range(3):
        optimizer.step(lambda: w @ matrix @ w / 2 - vector @ w)
        g = h @ x - b
        scale = np.abs(x) if adaptive else np.ones_like(x)
        near = x + rho * scale**2 * g / np.linalg.norm(scale * g)
        velocity = 0.5 * velocity + h @ near - b
        x = x - 0.1 * velocity
        np.testing.assert_allclose(w.detach().numpy(), x, rtol=1e-10, atol=1e-12)


@given(
    st.integers(0, 10**6), st.floats(0.0, 1.0), st.floats(1e-3, 2.0), st.sampled_from([1.0, -1.0])
)
def test_differences_are_exact_on_quadratics(seed, gamma, eps, sign):
    h, b, x = quadratic(seed)
    w = nn.Parameter(torch.from_numpy(x.copy()))
    matrix, vector = torch.from_numpy(h), torch.from_numpy(b)
    difference = "forward" if sign > 0 else "backward"
    optimizer = optim.GradientRegularization(
        optim.SGD([w], lr=0.1), gamma, eps, difference=difference
    )
    optimizer.step(lambda: w @ matrix @ w / 2 - vector @ w)
    g = h @ x - b
    expected = g + gamma * h @ g
    np.testing.assert_allclose(w.grad.numpy(), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(w.detach().numpy(), x - 0.1 * expected, rtol=1e-9, atol=1e-9)


def test_small_differences_approach_the_second_derivative():
    net = network(torch.float64)
    params = list(net.parameters())
    loss = look_at(net, 0)()
    g = torch.autograd.grad(loss, params, create_graph=True)
    penalized = loss + 0.3 / 2 * sum(part.square().sum() for part in g)
    expected = torch.autograd.grad(penalized, params)
    for difference in ("forward", "backward"):
        base = torch.optim.SGD(params, lr=0.0)
        optim.GradientRegularization(base, 0.3, 1e-6, difference).step(look_at(net, 0))
        for p, e in zip(params, expected, strict=True):
            torch.testing.assert_close(p.grad, e, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("base", [optim.AdamW, torch.optim.AdamW, optim.Lion, torch.optim.SGD])
def test_no_distance_is_the_base_bit_for_bit(base):
    net, twin = network(), network()
    optimizer, ordinary = optim.SAM(base(net.parameters(), lr=0.01), 0.0), None
    ordinary = base(twin.parameters(), lr=0.01)
    for k in range(4):
        loss = optimizer.step(look_at(net, k))
        ordinary.zero_grad()
        expected = look_at(twin, k)()
        expected.backward()
        ordinary.step()
        assert torch.equal(loss, expected.detach())
    assert same(net.parameters(), twin.parameters())


def test_it_agrees_with_a_peer():
    peer = pytest.importorskip("pytorch_optimizer")
    net, twin = network(), network()
    ours = optim.SAM(optim.AdamW(net.parameters(), lr=0.01), rho=0.1)
    theirs = peer.SAM(twin.parameters(), torch.optim.AdamW, rho=0.1, lr=0.01)
    for k in range(10):
        ours.step(look_at(net, k))

        def closure(k=k):
            loss = look_at(twin, k)()
            loss.backward()
            return loss

        closure()
        theirs.step(closure)
        theirs.zero_grad()
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-5)


# What the papers claim


@pytest.mark.parametrize(
    "wrap",
    [
        lambda base: optim.SAM(base, rho=0.3),
        lambda base: optim.GradientRegularization(base, gamma=0.2, eps=0.05),
    ],
    ids=["SAM", "regularization"],
)
def test_flat_minima_are_found_along_a_valley(wrap):
    def end(of):
        w = nn.Parameter(torch.tensor([4.0, 0.1], dtype=torch.float64))
        optimizer = of(optim.SGD([w], lr=0.02))
        torch.manual_seed(0)
        for _ in range(4000):
            noise = 0.3 * torch.randn((), dtype=torch.float64)
            optimizer.step(lambda shift=noise - 1.0: (w[0] * w[1] + shift).square() / 2)
        # The trace of the Hessian on the valley w0 w1 = 1, where it is at least 2.
        return float(w.detach().square().sum())

    plain = end(lambda base: optim.SAM(base, rho=0.0))
    assert end(wrap) < 4.0 < 8.0 < plain


# Closures


def failing(net, k, call, fault):
    """A closure whose call number `call` goes wrong."""
    calls = 0

    def closure():
        nonlocal calls
        calls += 1
        loss = look_at(net, k)()
        return fault(loss) if calls == call else loss

    return closure


def raising(loss):
    raise KeyboardInterrupt


FAULTS = {
    "vector": (lambda loss: loss.expand(3), ValueError, "one element"),
    "nan": (lambda loss: loss * float("nan"), ValueError, "finite loss"),
    "infinite": (lambda loss: loss / 0.0, ValueError, "finite loss"),
    "nothing": (lambda loss: None, TypeError, "must return the loss, got NoneType"),
    "text": (lambda loss: "0.5", TypeError, "must return the loss, got str"),
    "constant": (lambda loss: loss.detach(), ValueError, "depends on the parameters"),
    "raise": (raising, KeyboardInterrupt, None),
}


@every_wrapper
@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_closure_leaves_everything_as_it_was(wrap, call, fault):
    broken, error, words = FAULTS[fault]
    net = network()
    optimizer = wrap(optim.AdamW(net.parameters(), lr=0.01))
    optimizer.step(look_at(net, 0))
    before, state = bits(net), copy.deepcopy(optimizer.state_dict())
    places = [p.data_ptr() for p in net.parameters()]
    with pytest.raises(error, match=words):
        optimizer.step(failing(net, 1, call, broken))
    assert same(bits(net), before)
    assert [p.data_ptr() for p in net.parameters()] == places
    after = optimizer.state_dict()
    assert after["param_groups"] == state["param_groups"]
    for key, held in state["state"].items():
        assert all(torch.equal(held[name], after["state"][key][name]) for name in held)
    twin = network()
    undisturbed = wrap(optim.AdamW(twin.parameters(), lr=0.01))
    for k in range(2):
        undisturbed.step(look_at(twin, k))
    optimizer.step(look_at(net, 1))
    assert same(bits(net), bits(twin))


def test_no_closure_says_so():
    optimizer = optim.SAM(optim.SGD([nn.Parameter(torch.ones(2))]))
    with pytest.raises(TypeError, match="closure must be a function"):
        optimizer.step(None)


@every_wrapper
def test_closures_may_call_backward_and_accumulate(wrap):
    net, twin = network(torch.float64), network(torch.float64)
    whole = wrap(optim.AdamW(net.parameters(), lr=0.01))
    parts = wrap(optim.AdamW(twin.parameters(), lr=0.01))

    def accumulate(k):
        total = 0.0
        for rows in batch(k, torch.float64).split(2):
            loss = (twin(rows) - 1.0).square().mean() / 4
            loss.backward()
            total += float(loss.detach())
        return total

    for k in range(4):
        a = whole.step(look_at(net, k))
        b = parts.step(lambda k=k: accumulate(k))
        torch.testing.assert_close(a, b.double(), rtol=1e-6, atol=1e-9)
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12)


# Training loops


@every_wrapper
def test_a_scaled_loss_takes_the_same_steps(wrap):
    net, twin = network(torch.float64), network(torch.float64)
    plain = wrap(optim.AdamW(net.parameters(), lr=0.01))
    scaled = wrap(optim.AdamW(twin.parameters(), lr=0.01))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def closure(k):
        loss = look_at(twin, k)()
        scaler.scale(loss).backward()
        return loss

    for k in range(4):
        plain.step(look_at(net, k))
        scaled.step(lambda k=k: closure(k), scaler=scaler)
        scaler.update()
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12)


@every_wrapper
@pytest.mark.parametrize("call", [1, 2])
def test_an_overflow_under_a_scaler_skips_the_step(wrap, call):
    net = network()
    optimizer = wrap(optim.AdamW(net.parameters(), lr=0.01))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    calls = 0

    def closure():
        nonlocal calls
        calls += 1
        loss = look_at(net, 0)()
        scaler.scale(loss).backward()
        if calls == call:
            next(net.parameters()).grad[0, 0] = float("inf")
        return loss

    before = bits(net)
    optimizer.step(closure, scaler=scaler)
    scaler.update()
    assert same(bits(net), before)
    assert scaler.get_scale() == 512.0
    optimizer.step(closure, scaler=scaler)
    assert not same(bits(net), before)


def test_gradients_that_are_not_finite_go_to_the_policy_of_the_base():
    for policy, moved in (("skip", False), ("propagate", True)):
        w = nn.Parameter(torch.tensor([0.0, 1.0]))
        optimizer = optim.SAM(optim.SGD([w], lr=0.1, on_nonfinite=policy))
        # The derivative of the root is infinite at zero.
        optimizer.step(lambda w=w: w.sqrt().sum())
        assert (not torch.equal(w.detach(), torch.tensor([0.0, 1.0]))) is moved


@every_wrapper
def test_a_run_resumes_exactly(wrap):
    def fresh(net):
        named = list(net.parameters())
        groups = [{"params": named[:2], "lr": 0.02}, {"params": named[2:]}]
        optimizer = wrap(optim.AdamW(groups, lr=0.01))
        return optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)

    net = network()
    optimizer, scheduler = fresh(net)
    for k in range(3):
        optimizer.step(look_at(net, k))
        scheduler.step()
    file = io.BytesIO()
    saved = (net.state_dict(), optimizer.state_dict(), scheduler.state_dict())
    torch.save(saved, file)
    for k in range(3, 6):
        optimizer.step(look_at(net, k))
        scheduler.step()

    file.seek(0)
    saved = torch.load(file)
    twin = network()
    twin.load_state_dict(saved[0])
    resumed, schedule = fresh(twin)
    resumed.load_state_dict(saved[1])
    schedule.load_state_dict(saved[2])
    for k in range(3, 6):
        resumed.step(look_at(twin, k))
        schedule.step()
    assert same(bits(net), bits(twin))
    assert resumed.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"] == 0.0025


@every_wrapper
def test_copies_and_pickles_go_on_alike(wrap):
    net = network()
    optimizer = wrap(optim.AdamW(net.parameters(), lr=0.01), model=net)
    optimizer.step(look_at(net, 0))
    twins = [
        copy.deepcopy((net, optimizer)),
        pickle.loads(pickle.dumps((net, optimizer))),
    ]
    optimizer.step(look_at(net, 1))
    for twin, other in twins:
        assert other.model is twin
        other.step(look_at(twin, 1))
        assert same(bits(net), bits(twin))


def test_groups_have_their_own_distance():
    a, b = (nn.Parameter(torch.tensor([3.0], dtype=torch.float64)) for _ in range(2))
    base = optim.SGD([{"params": [a], "rho": 0.5}, {"params": [b]}], lr=1.0)
    optimizer = optim.SAM(base, rho=0.0)
    c = nn.Parameter(torch.tensor([4.0], dtype=torch.float64))
    optimizer.add_param_group({"params": [c], "rho": 0.1})
    optimizer.step(lambda: (a.square() + b.square() + c.square()).sum() / 2)
    length = 34.0**0.5
    expected = [-0.5 * 3.0 / length, 0.0, -0.1 * 4.0 / length]
    np.testing.assert_allclose([float(p.detach()) for p in (a, b, c)], expected, atol=1e-12)


@every_wrapper
def test_running_statistics_see_each_batch_once(wrap):
    def normalized():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))

    net, twin = normalized(), normalized()
    optimizer = wrap(optim.SGD(net.parameters(), lr=0.1), model=net)
    look_at(twin, 0)()
    optimizer.step(look_at(net, 0))
    for mine, theirs in zip(net.buffers(), twin.buffers(), strict=True):
        assert torch.equal(mine, theirs)


@every_wrapper
def test_layouts_types_and_gaps(wrap):
    torch.manual_seed(0)
    image = nn.Parameter(torch.randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last))
    strided = nn.Parameter(torch.randn(6, 8)[:, ::2])
    half = nn.Parameter(torch.randn(5).bfloat16())
    single, empty = nn.Parameter(torch.randn(())), nn.Parameter(torch.empty(0))
    unused, frozen = nn.Parameter(torch.randn(2)), nn.Parameter(torch.randn(2), False)
    params = [image, strided, half, single, empty, unused, frozen]
    dense = [nn.Parameter(p.detach().double().clone(), p.requires_grad) for p in params]

    def loss(ps):
        terms = [(p.double() - 0.5).square().sum() + p.double().sin().sum() for p in ps[:5]]
        return sum(terms)

    ours = wrap(optim.SGD([p for p in params if p.requires_grad], lr=0.1))
    check = wrap(optim.SGD([p for p in dense if p.requires_grad], lr=0.1))
    for _ in range(2):
        ours.step(lambda: loss(params))
        check.step(lambda: loss(dense))
    for p, q in zip(params, dense, strict=True):
        tolerance = 3e-2 if p.dtype == torch.bfloat16 else 1e-4
        torch.testing.assert_close(p.double(), q, rtol=tolerance, atol=tolerance)
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert unused.grad is None


def test_sparse_gradients_are_refused():
    table = nn.Embedding(5, 2, sparse=True)
    optimizer = optim.SAM(optim.SGD(table.parameters(), lr=0.1))
    before = table.weight.detach().clone()
    with pytest.raises(TypeError, match="must be dense"):
        optimizer.step(lambda: table(torch.tensor([1])).sum())
    assert torch.equal(table.weight, before)


def test_wrong_hyperparameters():
    w = nn.Parameter(torch.ones(2))
    base = optim.SGD([w])
    for rho in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="rho must be >= 0"):
            optim.SAM(base, rho)
    with pytest.raises(ValueError, match="gamma must be >= 0"):
        optim.GradientRegularization(base, gamma=-1.0)
    with pytest.raises(ValueError, match="eps must be > 0"):
        optim.GradientRegularization(base, eps=0.0)
    with pytest.raises(ValueError, match="difference must be"):
        optim.GradientRegularization(base, difference="central")
    with pytest.raises(TypeError, match="base must be an optimizer"):
        optim.SAM([nn.Parameter(torch.ones(2))])
    for closures in (torch.optim.LBFGS([nn.Parameter(torch.ones(2))]), optim.SAM(optim.SGD([w]))):
        with pytest.raises(TypeError, match="must step from the gradients at hand"):
            optim.SAM(closures)
    # Refused wrappers leave no trace in the groups.
    assert not {"rho", "gamma"} & set(base.param_groups[0])
    optimizer = optim.SAM(base)
    with pytest.raises(ValueError, match="rho must be >= 0"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "rho": -1.0})
    assert len(base.param_groups) == 1


# The kernel


@given(
    st.integers(0, 300), st.floats(-2, 2), st.booleans(), st.sampled_from(["float32", "float64"])
)
def test_the_point_uphill_is_that_of_torch(n, factor, adaptive, dtype):
    generator = torch.Generator().manual_seed(n)
    dtype = getattr(torch, dtype)
    params = [torch.randn(n, generator=generator, dtype=dtype) for _ in range(3)]
    gradients = [torch.randn(n, generator=generator, dtype=dtype) for _ in range(3)]
    values = [torch.full_like(p, float("nan")) for p in params]
    assert _core.optim_ascend(values, params, gradients, factor, adaptive)
    for v, p, g in zip(values, params, gradients, strict=True):
        step = factor * g * (p * p) if adaptive else factor * g
        torch.testing.assert_close(v, p + step, rtol=1e-6, atol=1e-6)


def test_memory_that_overlaps_is_left_alone():
    a = torch.ones(4)
    assert not _core.optim_ascend([a], [a], [torch.ones(4)], 1.0, False)
    assert not _core.optim_ascend([a], [torch.ones(4)], [a], 1.0, False)
    assert not _core.optim_ascend([torch.ones(3)], [a], [torch.ones(4)], 1.0, False)
    assert not _core.optim_ascend([torch.ones(2, 2).T], [torch.ones(2, 3)], [a], 1.0, False)
    assert torch.equal(a, torch.ones(4))


def test_away_comes_back_from_inside_another():
    w = nn.Parameter(torch.zeros(2))
    place = w.data_ptr()
    with away([w], [torch.ones(2)]):
        with pytest.raises(KeyError), away([w], [torch.full((2,), 2.0)]):
            raise KeyError
        assert torch.equal(w.detach(), torch.ones(2))
    assert w.data_ptr() == place
    assert torch.equal(w.detach(), torch.zeros(2))
