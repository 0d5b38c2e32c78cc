"""torch.compile: the step is one operator of the graph."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from thalweg import _core, optim

MAKERS = {
    "AdamW": lambda p: optim.AdamW(p, lr=0.1),
    "Lion": lambda p: optim.Lion(p, weight_decay=0.1, mask="cautious", clip_norm=1.0),
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "Gravity": lambda p: optim.Gravity(p),
    "Routed": lambda p: optim.Routed(p, lr=0.1),
    "groups": lambda p: optim.Adam([{"params": p[:1], "lr": 0.5}, {"params": p[1:]}]),
}


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    with warnings.catch_warnings():
        # torch's own deprecations, of the versions around it.
        warnings.simplefilter("ignore")
        yield
    torch._dynamo.reset()


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_step_is_one_graph_in_strict_mode(name, backend):
    net, twin = network(), network()
    ours, plain = MAKERS[name](list(net.parameters())), MAKERS[name](list(twin.parameters()))
    counter = CompileCounterWithBackend(backend)
    step = torch.compile(ours.step, backend=counter, fullgraph=True)
    for k in range(4):
        for p, q in zip(net.parameters(), twin.parameters(), strict=True):
            p.grad = torch.full_like(p, 0.5 + k)
            q.grad = torch.full_like(q, 0.5 + k)
        # A new rate, as a scheduler sets it, compiles nothing.
        for group in (*ours.param_groups, *plain.param_groups):
            group["lr"] *= 0.9
        step()
        plain.step()
    assert same(net, twin)
    assert counter.frame_count == 1


@pytest.mark.skipif(
    not hasattr(torch._dynamo.config, "trace_autograd_ops"), reason="this torch traces no autograd"
)
@pytest.mark.parametrize("name", MAKERS)
def test_a_whole_training_step_is_one_graph_in_strict_mode(name):
    net, twin = network(), network()
    ours, plain = MAKERS[name](list(net.parameters())), MAKERS[name](list(twin.parameters()))
    x = torch.randn(5, 4)
    counter = CompileCounterWithBackend("aot_eager")

    def train(model, optimizer):
        loss = model(x).square().sum()
        params = list(model.parameters())
        for p, g in zip(params, torch.autograd.grad(loss, params), strict=True):
            p.grad = g
        optimizer.step()
        # torch's zero_grad breaks the graph.
        for p in params:
            p.grad = None
        return loss.detach()

    compiled = torch.compile(train, backend=counter, fullgraph=True)
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        for _ in range(3):
            torch.testing.assert_close(compiled(net, ours), train(twin, plain))
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q)
    assert counter.frame_count == 1


def test_the_core_takes_the_step(monkeypatch):
    calls = []
    native = _core.optim_step
    monkeypatch.setattr(_core, "optim_step", lambda *a: calls.append(1) or native(*a))
    net = network()
    optimizer = optim.AdamW(net.parameters())
    step = torch.compile(optimizer.step, backend="aot_eager", fullgraph=True)
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    step()
    assert calls == [1]


def test_state_is_where_it_always_is_and_a_checkpoint_needs_no_new_graph():
    net, twin = network(), network()
    ours, plain = optim.AdamW(net.parameters()), optim.AdamW(twin.parameters())
    counter = CompileCounterWithBackend("aot_eager")
    step = torch.compile(ours.step, backend=counter, fullgraph=True)

    def both():
        for p, q in zip(net.parameters(), twin.parameters(), strict=True):
            p.grad, q.grad = torch.ones_like(p), torch.ones_like(q)
        step()
        plain.step()

    both()
    ours.load_state_dict(copy.deepcopy(plain.state_dict()))
    both()
    assert same(net, twin)
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        assert all(torch.equal(ours.state[p][k], v) for k, v in plain.state[q].items())
    assert counter.frame_count <= 2


def test_a_closure_telemetry_and_a_scaler():
    net = network()
    optimizer = optim.SGD(net.parameters(), lr=0.5)
    telemetry = optim.Telemetry(optimizer)
    step = torch.compile(optimizer.step, backend="eager", fullgraph=True)
    before = copy.deepcopy(net)
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    step()
    assert len(telemetry.last) == 4
    assert telemetry.last["0.0"].cosine == pytest.approx(1.0)
    for p, q in zip(net.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(p, q - 0.5)
    optimizer.grad_scale, optimizer.found_inf = torch.tensor(2.0), torch.tensor(1.0)
    at = copy.deepcopy(net)
    torch.compile(optimizer.step, backend="eager", fullgraph=True)()
    assert same(net, at)


def test_an_error_of_the_step_is_an_error_of_the_graph():
    net = network()
    optimizer = optim.SGD(net.parameters(), on_nonfinite="raise")
    step = torch.compile(optimizer.step, backend="eager", fullgraph=True)
    before = copy.deepcopy(net)
    for p in net.parameters():
        p.grad = torch.full_like(p, torch.nan)
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        step()
    assert same(net, before)


def test_other_tensors_are_stepped_in_plain_torch():
    p = nn.Parameter(torch.empty(3, 4, device="meta"))
    optimizer = optim.SGD([p], lr=0.5)
    p.grad = torch.empty(3, 4, device="meta")
    torch.compile(optimizer.step, backend="eager")()
