"""What holds for every rule whatever its formula."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optim.harness import build, feed, gradients, parameters, wide
from optim.rules import CASES, VARIANTS
from torch.nn import Parameter

import thalweg
from thalweg.optim import SGD

ELEMENTWISE = [c for c in [*CASES, *VARIANTS] if c.rule != "muon" and not c.noisy]
# Strict exponentiated gradient refuses the zeros that these tests draw.
ELEMENTWISE = [c for c in ELEMENTWISE if not c.options.get("strict")]
# Order of elements is order of summation.
PERMUTABLE = [c for c in ELEMENTWISE if not c.sums]
every_rule = pytest.mark.parametrize("case", CASES, ids=str)

finite = st.floats(-100, 100, width=32)
vectors = st.lists(st.tuples(finite, finite), min_size=1, max_size=40)
modifiers = st.fixed_dictionaries(
    {
        "weight_decay": st.sampled_from([0.0, 0.3]),
        "decay": st.sampled_from(["coupled", "decoupled", "cautious"]),
        "mask": st.sampled_from([None, "cautious", "grams"]),
        "maximize": st.booleans(),
        "clip_value": st.sampled_from([None, 0.5]),
    }
)


def run(case, values, grads, steps=3, **options):
    p = Parameter(torch.tensor(values, dtype=torch.float32))
    optimizer = build(case, [p], **options)
    for _ in range(steps):
        p.grad = torch.tensor(grads, dtype=torch.float32)
        optimizer.step()
    return p.detach()


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(PERMUTABLE), vectors, modifiers, st.randoms(use_true_random=False))
def test_permuting_elements_commutes_with_a_step(case, pairs, options, random):
    if case.rule == "gravity":
        case = replace(case, options={**case.options, "v0": "zeros"})
    order = list(range(len(pairs)))
    random.shuffle(order)
    xs, gs = zip(*pairs, strict=True)
    moved = run(case, [xs[i] for i in order], [gs[i] for i in order], **options)
    assert torch.equal(moved, run(case, xs, gs, **options)[order])


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(ELEMENTWISE), vectors, modifiers)
def test_maximize_is_a_step_on_the_negated_gradient(case, pairs, options):
    xs, gs = zip(*pairs, strict=True)
    up = run(case, xs, gs, **{**options, "maximize": True})
    down = run(case, xs, [-g for g in gs], **{**options, "maximize": False})
    assert torch.equal(up, down)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from([c for c in ELEMENTWISE if c.rule != "gravity"]), vectors, modifiers)
def test_a_rate_of_zero_moves_nothing(case, pairs, options):
    xs, gs = zip(*pairs, strict=True)
    assert torch.equal(run(case, xs, gs, **options, lr=0.0), torch.tensor(xs))


@pytest.mark.parametrize("mask", [None, "cautious", "grams"])
@every_rule
def test_zero_gradients_from_the_start_move_nothing(case, mask):
    (value,) = parameters(((6, 4),))
    p = Parameter(value.detach().clone())
    optimizer = build(case, [p], mask=mask, weight_decay=0.0)
    for _ in range(3):
        p.grad = torch.zeros_like(p)
        optimizer.step()
    assert torch.equal(p, value)
    assert all(torch.isfinite(v).all() for v in optimizer.state.get(p, {}).values())


@every_rule
def test_huge_and_tiny_gradients_stay_finite(case):
    for size in (1e-30, 1e15):
        p = Parameter(torch.ones(4, 3, dtype=torch.float64))
        optimizer = build(case, [p])
        for sign in (1, -1, 1):
            p.grad = sign * size * torch.arange(1, 13, dtype=torch.float64).reshape(4, 3)
            optimizer.step()
        assert torch.isfinite(p).all()


@pytest.mark.parametrize("limit", [0.5, 1e9])
def test_a_clipped_norm_is_what_torch_clips_to(limit):
    shapes = ((9, 7), (40,))
    grads = gradients(shapes, torch.float64, 1)
    ours, theirs = parameters(shapes), parameters(shapes)
    feed(SGD(ours, lr=1.0, clip_norm=limit), ours, grads)
    for p, g in zip(theirs, grads[0], strict=True):
        p.grad = g.clone()
    torch.nn.utils.clip_grad_norm_(theirs, limit)
    torch.optim.SGD(theirs, lr=1.0).step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)


# Does its job: (rate, steps) is the stated budget of each rule that needs one of its own.

QUADRATIC = {
    "sgd": (0.15, 200),
    "adam": (0.1, 300),
    "adamw": (0.1, 300),
    "lion": (0.02, 300),
    "diffgrad": (0.1, 400),
    "ademamix": (0.05, 600),
    "grams": (0.1, 300),
    "gravity": (1.0, 1000),
    "adamomentum": (0.02, 400),
    "muon": (0.05, 300),
    "adadelta": (10.0, 1000),
    "classp": (0.2, 2000),
}


def decayed(rate, k, steps):
    """Linear to zero, which a rule with steps of fixed size needs to settle."""
    return max(rate * (1 - k / steps), 1e-12)


# Those that cannot cross 0, and one that ascends on purpose, have tests of their own.
DESCENDING = [c for c in CASES if c.additive and c.rule != "curlsgd"]


@pytest.mark.parametrize("case", DESCENDING, ids=str)
def test_solves_a_quadratic(case):
    rate, steps = QUADRATIC.get(case.rule, (0.1, 300))
    goal = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3)
    scale = torch.linspace(1, 10, 12, dtype=torch.float64).reshape(4, 3)
    p = Parameter(torch.zeros(4, 3, dtype=torch.float64))
    optimizer = build(case, [p], weight_decay=0.0)

    def closure():
        optimizer.zero_grad()
        loss = 0.5 * (scale * (p - goal) ** 2).sum()
        loss.backward()
        return loss

    start = closure().item()
    for k in range(steps):
        optimizer.param_groups[0]["lr"] = decayed(rate, k, steps)
        optimizer.step(closure)
    assert closure().item() < 1e-3 * start


ROSENBROCK = {
    "sgd": (1e-3, 5000),
    "adam": (0.05, 1500),
    "adamw": (0.05, 1500),
    "lion": (0.01, 3000),
    "diffgrad": (0.1, 3000),
    "ademamix": (0.01, 3000),
    "grams": (0.02, 3000),
    "gravity": (0.3, 3000),
    "adamomentum": (0.01, 3000),
    "muon": (0.02, 3000),
    "radam": (0.02, 3000),
    "adagrad": (0.5, 3000),
    "adadelta": (10.0, 3000),
    "classp": (2.0, 5000),
    "randomscalingsgd": (1e-3, 5000),
    "triplemomentum": (0.01, 3000),
    "acceleratedsgd": (5e-4, 3000),
    "sgld": (1e-3, 5000),
}


# By design, AEGD spends its energy on the first, large gradients, and Adaptive Braking stops in a
# valley where gradients agree.
WANDERING = [c for c in DESCENDING if c.rule not in ("aegd", "adaptivebraking")]


@pytest.mark.parametrize("case", WANDERING, ids=str)
def test_descends_the_valley_of_rosenbrock(case):
    rate, steps = ROSENBROCK.get(case.rule, (0.1, 3000))
    # At the start the gradient is 215: Gravity hardly moves there, by design, and the first steps
    # of RAdam are as long as the gradient.
    unit = 20 if case.rule in ("gravity", "radam") else 1
    # From (-1.2, 1), where the loss is 24.2, along the bent valley to (1, 1).
    p = Parameter(torch.tensor([[-1.2, 1.0]], dtype=torch.float64))
    optimizer = build(case, [p], weight_decay=0.0)
    for k in range(steps):
        x, y = p.detach()[0].tolist()
        slope = 200 * (y - x * x)
        slopes = [[-2 * (1 - x) - 2 * x * slope, slope]]
        p.grad = torch.tensor(slopes, dtype=torch.float64) / unit
        optimizer.param_groups[0]["lr"] = decayed(rate, k, steps)
        optimizer.step()
    x, y = p.detach()[0].tolist()
    loss = (1 - x) ** 2 + 100 * (y - x * x) ** 2
    assert loss < 0.1, loss


# Processes and threads


def big(case, seed=0):
    shape = (520, 521)
    p = Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(seed)))
    p.grad = torch.ones(shape)
    return build(case, [p]), p


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_steps_and_does_not_hang():
    (case,) = (c for c in CASES if c.rule == "adam")
    before = thalweg.get_num_threads()
    thalweg.set_num_threads(4)
    try:
        optimizer, p = big(case)
        optimizer.step()
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                optimizer.step()
                os.write(write, p.detach().numpy().tobytes()[:64])
            finally:
                os._exit(0)
        deadline = time.monotonic() + 20
        while os.waitpid(child, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(child, 9)
                os.waitpid(child, 0)
                pytest.fail("the child hangs")
            time.sleep(0.005)
        optimizer.step()
        assert os.read(read, 64) == p.detach().numpy().tobytes()[:64]
    finally:
        thalweg.set_num_threads(before)


@pytest.mark.parametrize("case", [c for c in CASES if c.rule != "muon"], ids=str)
def test_steps_from_several_python_threads(case):
    expected = []
    for seed in range(4):
        optimizer, p = big(case, seed)
        optimizer.step()
        optimizer.step()
        expected.append(wide(p))
    jobs = [big(case, seed) for seed in range(4)]

    def work(optimizer):
        optimizer.step()
        optimizer.step()

    threads = [threading.Thread(target=work, args=(optimizer,)) for optimizer, _ in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert all(np.array_equal(wide(p), x) for (_, p), x in zip(jobs, expected, strict=True))
