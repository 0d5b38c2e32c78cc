"""Steps inside the backward pass."""

from __future__ import annotations

import copy
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import thalweg
from thalweg import optim


def network(tied=False):
    torch.manual_seed(0)
    layers = [nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2)]
    if tied:
        layers[2].weight = layers[0].weight
    return nn.Sequential(*layers)


def loss(net, seed):
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(seed))
    return net(x).square().sum()


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


FACTORIES = {
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "Lion": lambda p: optim.Lion(p, weight_decay=0.1, mask="cautious", clip_value=0.5),
    "Gravity": lambda p: optim.Gravity(p),
    "routed": lambda p: optim.Routed(p, lr=0.01),
    "groups": lambda p: optim.SGD([{"params": p[:2], "lr": 0.1}, {"params": p[2:]}], momentum=0.9),
}


@pytest.mark.parametrize("tied", [False, True], ids=["apart", "tied"])
@pytest.mark.parametrize("name", FACTORIES)
def test_it_is_the_ordinary_loop_bit_for_bit(name, tied):
    net, twin = network(tied), network(tied)
    fused = optim.fuse_backward(net, FACTORIES[name])
    named = [(n, p) for n, p in twin.named_parameters()]
    ordinary = FACTORIES[name](named)
    for seed in range(4):
        loss(net, seed).backward()
        assert all(p.grad is None for p in net.parameters())
        ordinary.zero_grad()
        loss(twin, seed).backward()
        ordinary.step()
        assert same(net, twin)
    ours, theirs = fused.state_dict(), ordinary.state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    for number, state in theirs["state"].items():
        assert all(torch.equal(ours["state"][number][k], v) for k, v in state.items())


def test_the_loop_around_it_may_stay():
    net, twin = network(), network()
    fused = optim.fuse_backward(net, lambda p: optim.AdamW(p, lr=0.01))
    other = optim.AdamW(twin.parameters(), lr=0.01)
    for model, optimizer in ((net, fused), (twin, other)):
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        for seed in range(3):
            optimizer.zero_grad()

            def closure(model=model, seed=seed):
                total = loss(model, seed)
                total.backward()
                return total

            assert float(optimizer.step(closure).detach()) > 0.0
            scheduler.step()
    assert same(net, twin)


def test_one_gradient_at_a_time():
    net = network()
    alive = []

    def count(_):
        alive.append(sum(p.grad is not None for p in net.parameters()))

    handles = [p.register_post_accumulate_grad_hook(count) for p in net.parameters()]
    optim.fuse_backward(net, lambda p: optim.AdamW(p))
    loss(net, 0).backward()
    assert len(alive) == 6
    assert max(alive) == 1
    for handle in handles:
        handle.remove()


def test_hooks_come_off():
    net = network()
    fused = optim.fuse_backward(net, lambda p: optim.SGD(p, lr=0.1))
    optim.unfuse_backward(fused)
    before = copy.deepcopy(net)
    loss(net, 0).backward()
    assert same(net, before)
    assert all(p.grad is not None for p in net.parameters())
    fused.step()
    assert not same(net, before)
    optim.unfuse_backward(fused)


def test_a_checkpoint_goes_between_both_loops():
    net = network()
    fused = optim.fuse_backward(net, lambda p: optim.AdamW(p, lr=0.01))
    loss(net, 0).backward()
    twin = copy.deepcopy(net)
    ordinary = optim.AdamW(twin.named_parameters(), lr=0.7)
    ordinary.load_state_dict(copy.deepcopy(fused.state_dict()))
    back = copy.deepcopy(net)
    again = optim.fuse_backward(back, lambda p: optim.AdamW(p, lr=0.7))
    again.load_state_dict(copy.deepcopy(ordinary.state_dict()))
    loss(net, 1).backward()
    loss(twin, 1).backward()
    ordinary.step()
    loss(back, 1).backward()
    assert same(net, twin)
    assert same(net, back)


def test_frozen_parameters_stay_and_unused_ones_wait():
    net = network()
    net[0].weight.requires_grad_(False)
    before = copy.deepcopy(net)
    optim.fuse_backward(net, lambda p: optim.AdamW(p, weight_decay=0.5))
    net[4](torch.ones(1, 6)).sum().backward()
    assert torch.equal(net[0].weight, before[0].weight)
    assert torch.equal(net[2].weight, before[2].weight)
    assert not torch.equal(net[4].weight, before[4].weight)


def test_tied_parameters_below_a_checkpoint_step_once():
    net, twin = network(tied=True), network(tied=True)
    fused = optim.fuse_backward(net, lambda p: optim.SGD(p, lr=0.1))
    x = torch.ones(3, 6)
    hidden = checkpoint(net[:2], x, use_reentrant=False)
    net[4](checkpoint(net[2:4], hidden, use_reentrant=False)).square().sum().backward()
    ordinary = optim.SGD(twin.parameters(), lr=0.1)
    twin(x).square().sum().backward()
    ordinary.step()
    assert same(net, twin)
    assert len(fused.param_groups[0]["params"]) == 5


def test_a_second_pass_through_the_graph_is_refused_by_torch():
    net = network()
    optim.fuse_backward(net, lambda p: optim.SGD(p))
    total = loss(net, 0)
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def test_telemetry_gathers_one_pass_to_one_step():
    net = network()
    fused = optim.fuse_backward(net, lambda p: optim.SGD(p, lr=0.1))
    telemetry = optim.Telemetry(fused)
    for seed in range(3):
        loss(net, seed).backward()
    assert [len(row) for row in telemetry.history] == [6, 6, 6]
    assert set(telemetry.last) == {name for name, _ in net.named_parameters()}


@pytest.mark.parametrize(
    ("factory", "error", "message"),
    [
        (lambda p: torch.optim.SGD(p), TypeError, "factory must return an optimizer of thalweg"),
        (lambda p: optim.SGD(p, clip_norm=1.0), ValueError, "clip_norm must be None"),
        (
            lambda p: optim.SGD(p, on_nonfinite="skip"),
            ValueError,
            "on_nonfinite must be 'propagate'",
        ),
    ],
)
def test_it_says_what_is_wrong(factory, error, message):
    net = network()
    with pytest.raises(error, match=message):
        optim.fuse_backward(net, factory)
    assert not any(p._post_accumulate_grad_hooks for p in net.parameters())


def test_an_option_that_needs_all_gradients_is_refused_later_too():
    net = network()
    fused = optim.fuse_backward(net, lambda p: optim.SGD(p))
    before = copy.deepcopy(net)
    fused.param_groups[0]["clip_norm"] = 1.0
    with pytest.raises(ValueError, match="clip_norm must be None"):
        loss(net, 0).backward()
    assert same(net, before)


def test_a_thousand_parameters_are_cheap():
    """Nothing in a hook looks at all parameters: the time of a step is that of its tensor."""
    import time

    seconds = []
    for count in (100, 2000):
        net = nn.ParameterList([torch.ones(3) for _ in range(count)])
        optim.fuse_backward(net, lambda p: optim.AdamW(p))
        torch.stack(list(net)).sum().backward()
        best = float("inf")
        for _ in range(3):
            gc.collect()
            total = torch.stack(list(net)).sum()
            start = time.perf_counter()
            total.backward()
            best = min(best, time.perf_counter() - start)
        seconds.append(best / count)
    assert seconds[1] < 6 * seconds[0]


@pytest.mark.skipif(sys.platform == "win32", reason="does not tell the peak of memory")
def test_the_peak_of_memory_falls_by_the_gradients():
    """In processes of their own, by what the system counts: 64 MiB of parameters."""
    script = Path(__file__).parents[3] / "benches" / "fused_backward.py"
    done = subprocess.run(
        [sys.executable, str(script), "--width", "1024", "--layers", "16", "--json"],
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(thalweg.__file__).parents[1])},
    )
    record = json.loads(done.stdout)
    # Parameters and two states; all gradients only in the ordinary loop.
    assert record["fused"] < record["ordinary"] - 0.7 * record["parameters"]
