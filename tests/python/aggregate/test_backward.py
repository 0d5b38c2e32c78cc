"""From losses to `.grad` in torch."""

import itertools
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from cases import CASES, jacobian
from torch import nn

import thalweg.aggregate as ag


def problem(dtype=torch.float64, m=3):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, m)).to(dtype)
    x, y = torch.randn(11, 5, dtype=dtype), torch.randn(11, m, dtype=dtype)
    return model, lambda: list(((model(x) - y) ** 2).mean(0))


def row_by_row(losses, params):
    rows = [
        torch.autograd.grad(loss, params, retain_graph=True, allow_unused=True) for loss in losses
    ]
    return [
        torch.stack([torch.zeros_like(p) if r[k] is None else r[k] for r in rows])
        for k, p in enumerate(params)
    ]


@pytest.mark.parametrize("chunk_size", [None, 1, 2, 5])
@pytest.mark.parametrize("memory", ["auto", "jacobian", "gramian"])
def test_equals_row_by_row(chunk_size, memory):
    model, losses = problem()
    params = list(model.parameters())
    want = ag.UPGrad()(row_by_row(losses(), params))
    ag.backward(losses(), params, ag.UPGrad(), chunk_size=chunk_size, memory=memory)
    for param, expected in zip(params, want, strict=True):
        torch.testing.assert_close(param.grad, expected)
    ag.backward(torch.stack(losses()), params, ag.UPGrad(), chunk_size=chunk_size, memory=memory)
    for param, expected in zip(params, want, strict=True):
        torch.testing.assert_close(param.grad, 2 * expected)  # accumulates, as backward does


def test_mean_equals_the_ordinary_backward():
    model, losses = problem()
    torch.stack(losses()).mean().backward()
    want = [p.grad.clone() for p in model.parameters()]
    for memory in ("jacobian", "gramian"):
        model.zero_grad()
        ag.backward(losses(), model.parameters(), ag.Mean(), memory=memory)
        for param, expected in zip(model.parameters(), want, strict=True):
            torch.testing.assert_close(param.grad, expected)


def test_frozen_and_unreached_parameters():
    model, losses = problem()
    model[0].bias.requires_grad_(False)
    stray = nn.Parameter(torch.ones(2, dtype=torch.float64))
    params = [*model.parameters(), stray]
    for memory in ("jacobian", "gramian"):
        model.zero_grad()
        ag.backward(losses(), params, ag.DualProj(), memory=memory)
        assert model[0].bias.grad is None
        assert stray.grad is None
        assert model[2].bias.grad is not None


def test_a_loss_that_misses_a_parameter_counts_as_zeros():
    a, b = (torch.tensor([2.0], requires_grad=True) for _ in range(2))
    ag.backward([(a**2).sum(), (a * b).sum()], [a, b], ag.Sum(), chunk_size=1)
    assert a.grad.tolist() == [6.0]
    assert b.grad.tolist() == [2.0]
    a.grad = b.grad = None
    ag.backward([(a**2).sum(), (b**3).sum()], [a, b], ag.Sum(), chunk_size=1)
    assert a.grad.tolist() == [4.0]
    assert b.grad.tolist() == [12.0]


@pytest.mark.parametrize("memory", ["jacobian", "gramian"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_loss_that_reaches_no_parameter_is_a_row_of_zeros(case, memory):
    if memory == "gramian" and not hasattr(case.make(), "weights"):
        pytest.skip("needs more than the Gramian")
    rows = torch.tensor(jacobian(d=6))
    rows[2] = 0.0
    stray = torch.ones(6, dtype=torch.float64, requires_grad=True)
    for strays in (stray.sum(), torch.ones((), dtype=torch.float64)):
        x = torch.zeros(6, dtype=torch.float64, requires_grad=True)
        losses = [strays if k == 2 else row @ x for k, row in enumerate(rows)]
        ag.backward(losses, [x], case.make(), memory=memory)
        want = case.make()(rows)
        assert x.grad is not None
        torch.testing.assert_close(x.grad, want, rtol=1e-9, atol=1e-9 * float(rows.abs().max()))
    assert stray.grad is None


@pytest.mark.parametrize("memory", ["auto", "jacobian", "gramian"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_losses_that_reach_nothing_at_all_are_refused(case, memory):
    if memory == "gramian" and not hasattr(case.make(), "weights"):
        pytest.skip("needs more than the Gramian")
    x, stray = (torch.ones(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    with pytest.raises(ValueError, match="losses must depend on params"):
        ag.backward([stray[0] * k for k in range(4)], [x], case.make(), memory=memory)
    assert x.grad is None


def test_a_parameter_that_was_computed_counts_as_reached():
    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    y = x * 2
    y.retain_grad()
    ag.backward([y[0], (y * y).sum()], [y], ag.Mean(), memory="gramian")
    assert y.grad.tolist() == [2.5, 2.0, 2.0]
    assert x.grad is None


def test_shared_parameters_count_once():
    layer = nn.Linear(3, 3).double()
    x = torch.randn(4, 3, dtype=torch.float64)
    losses = list(layer(layer(x)).square().mean(0))
    ag.backward(losses, [*layer.parameters(), *layer.parameters()], ag.Mean(), retain_graph=True)
    want = torch.autograd.grad(torch.stack(losses).mean(), list(layer.parameters()))
    for param, expected in zip(layer.parameters(), want, strict=True):
        torch.testing.assert_close(param.grad, expected)


def test_retain_graph():
    model, losses = problem()
    values = losses()
    ag.backward(values, model.parameters(), ag.Mean(), retain_graph=True)
    ag.backward(values, model.parameters(), ag.Mean(), memory="gramian")
    with pytest.raises(RuntimeError, match="second time"):
        ag.backward(values, model.parameters(), ag.Mean(), chunk_size=1)


def test_operators_without_a_batching_rule():
    class Odd(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return torch.tensor(g.numpy() * 2)  # numpy knows no vmap

    x = torch.ones(3, requires_grad=True)
    ag.backward(Odd.apply(x) * torch.arange(3.0), [x], ag.Sum())
    assert x.grad.tolist() == [0.0, 2.0, 4.0]


@pytest.mark.parametrize("memory", ["jacobian", "gramian"])
@pytest.mark.parametrize("half", [False, True])
def test_grad_scaler(memory, half):
    model, losses = problem(torch.float32)
    ag.backward(losses(), model.parameters(), ag.UPGrad())
    want = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    with torch.autocast("cpu", torch.float16, enabled=half):
        values = losses()
    ag.backward(values, model.parameters(), ag.UPGrad(), scaler=scaler, memory=memory)
    scaler.unscale_(optimizer)
    tolerance = {"rtol": 0.05, "atol": 5e-3} if half else {"rtol": 1e-4, "atol": 1e-6}
    for param, expected in zip(model.parameters(), want, strict=True):
        torch.testing.assert_close(param.grad, expected, **tolerance)
    before = [p.detach().clone() for p in model.parameters()]
    scaler.step(optimizer)
    scaler.update()
    assert any((p != b).any() for p, b in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("memory", ["jacobian", "gramian"])
def test_grad_scaler_skips_an_overflow(memory):
    model, losses = problem(torch.float32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    before = [p.detach().clone() for p in model.parameters()]
    aggregator = ag.PCD()
    values = [100 * loss for loss in losses()]
    ag.backward(values, model.parameters(), aggregator, scaler=scaler, memory=memory)
    assert all(p.grad.isnan().all() for p in model.parameters())
    scaler.step(optimizer)
    scaler.update()
    for param, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(param, old, rtol=0, atol=0)
    assert scaler.get_scale() == 2.0**126
    assert aggregator.state_dict()["step"] == 0


def test_gradnorm_gets_the_losses():
    model, losses = problem()
    aggregator = ag.GradNorm()
    ag.backward(losses(), model.parameters(), aggregator)
    assert aggregator.current_weights.sum() == pytest.approx(3.0)
    assert model[0].weight.grad is not None


def test_instance_wise_losses_never_hold_the_jacobian(monkeypatch):
    """The limits scaled down by 256: 64 losses, 19,000 parameters, a Jacobian of 4.9 MB."""
    from thalweg.aggregate import _autograd, _backward

    torch.manual_seed(0)
    sizes = [16, 64, 64, 64, 64, 64, 10]
    layers = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in itertools.pairwise(sizes)]
    model = nn.Sequential(*layers)
    monkeypatch.setattr(_backward, "_HELD", _backward._HELD >> 8)
    monkeypatch.setattr(_backward, "_BLOCK", _backward._BLOCK >> 8)
    assert 64 * sum(p.numel() for p in model.parameters()) * 4 > _backward._HELD
    held = []

    def watched(*args, **kwargs):
        found = _autograd.jacobians(*args, **kwargs)
        held.append(sum(j.numel() * j.element_size() for j in found if j is not None))
        return found

    monkeypatch.setattr(_backward, "jacobians", watched)
    x, y = torch.randn(64, 16), torch.randint(0, 10, (64,))
    losses = nn.functional.cross_entropy(model(x), y, reduction="none")
    ag.backward(losses, model.parameters(), ag.DualProj(), chunk_size=16)
    assert len(held) > 3
    assert max(held) <= 64 * 4 * 64 * 65
    got = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    losses = nn.functional.cross_entropy(model(x), y, reduction="none")
    ag.backward(losses, model.parameters(), ag.DualProj(), chunk_size=16, memory="jacobian")
    for param, expected in zip(model.parameters(), got, strict=True):
        torch.testing.assert_close(param.grad, expected, rtol=1e-3, atol=1e-6)


def test_a_batch_of_hundreds_of_losses_fits():
    """384 examples as losses of a network of 86,000 parameters, in a process of limited memory.

    Their Jacobian alone takes 132 MB; what the pass adds to the process stays below 48 MB.
    """
    code = """
import resource, torch
from torch import nn
import thalweg.aggregate as ag
from thalweg.aggregate import _backward

torch.set_num_threads(1)
torch.manual_seed(0)
_backward._HELD, _backward._BLOCK = 1 << 24, 1 << 23
layers = [m for _ in range(20) for m in (nn.Linear(65, 65), nn.Tanh())]
model = nn.Sequential(nn.Linear(32, 65), *layers, nn.Linear(65, 4))
count = sum(p.numel() for p in model.parameters())
assert count > 86_000

def step(rows, aggregator):
    x, y = torch.randn(rows, 32), torch.randint(0, 4, (rows,))
    losses = nn.functional.cross_entropy(model(x), y, reduction="none")
    ag.backward(losses, model.parameters(), aggregator, chunk_size=64)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

step(8, ag.DualProj())
before = peak()
step(384, ag.DualProj())
print(peak() - before, 4 * 384 * count)
assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    grown, jacobian = map(int, done.stdout.split())
    assert jacobian > 132e6
    assert grown < 48e6


@pytest.mark.parametrize("m", [200, 300])
def test_hundreds_of_losses_by_the_gramian_alone(m):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(40, 24), nn.Tanh(), nn.Linear(24, 1)).double()
    x, y = torch.randn(m, 40, dtype=torch.float64), torch.randn(m, dtype=torch.float64)

    def losses():
        return (model(x)[:, 0] - y) ** 2

    params = list(model.parameters())
    rows = np.concatenate([j.flatten(1).numpy() for j in row_by_row(losses(), params)], axis=1)
    for make in (ag.UPGrad, ag.DualProj, ag.MGDA):
        found = []
        for memory in ("jacobian", "gramian"):
            model.zero_grad()
            ag.backward(losses(), params, make(), memory=memory, chunk_size=64)
            found.append(np.concatenate([p.grad.ravel().numpy() for p in params]))
        size = np.linalg.norm(rows, axis=1).max()
        np.testing.assert_allclose(*found, atol=1e-8 * size)
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        assert (unit @ found[0]).min() >= -1e-9 * size


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", [ag.UPGrad, ag.DualProj, ag.MGDA])
def test_a_stationary_point_gives_exact_zeros_from_the_gramian_too(make, dtype):
    torch.manual_seed(3)
    # 14 gradients in 5 dimensions that span them positively, of lengths over six decades.
    half = torch.randn(7, 5, dtype=dtype) * torch.logspace(-3, 3, 7, dtype=dtype)[:, None]
    rows = torch.cat([half, -half * 2.0 ** torch.randint(-3, 4, (7, 1))])  # exactly opposite
    x = torch.zeros(5, dtype=dtype, requires_grad=True)
    for memory in ("jacobian", "gramian"):
        x.grad = None
        ag.backward(rows @ x, [x], make(), memory=memory)
        assert x.grad is not None
        assert not x.grad.any(), memory


@pytest.mark.parametrize("make", [ag.UPGrad, ag.DualProj, ag.MGDA])
def test_a_short_update_is_not_taken_for_zero(make):
    # Nearly opposite: the update is 1e-5 of what it is combined of.
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    rows = torch.tensor([[1.0, 1e-5], [-1.0, 1e-5]], dtype=torch.float64)
    found = []
    for memory in ("jacobian", "gramian"):
        x.grad = None
        ag.backward(rows @ x, [x], make(), memory=memory)
        assert x.grad is not None
        found.append(x.grad.numpy())
    assert found[1][1] > 9e-6
    assert abs(found[1][0]) < 1e-10
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("aggregator", [ag.Mean, ag.UPGrad, ag.ConFIG])
@pytest.mark.parametrize("several", [False, True])
def test_mtl_backward_equals_backward_on_the_trunk(aggregator, several):
    torch.manual_seed(0)
    trunk, heads = nn.Linear(6, 8).double(), [nn.Linear(8, 1).double() for _ in range(3)]
    x = torch.randn(9, 6, dtype=torch.float64)

    def forward():
        z = torch.tanh(trunk(x))
        features = [z[:, :4], z[:, 4:]] if several else z
        merged = torch.cat(features, 1) if several else z
        return features, [((head(merged) - k) ** 2).mean() for k, head in enumerate(heads)]

    features, losses = forward()
    rows = row_by_row(losses, list(trunk.parameters()))
    own = [
        torch.autograd.grad(loss, list(head.parameters()), retain_graph=True)
        for loss, head in zip(losses, heads, strict=True)
    ]
    ag.mtl_backward(
        losses, features, [h.parameters() for h in heads], trunk.parameters(), aggregator()
    )
    for param, want in zip(trunk.parameters(), aggregator()(rows), strict=True):
        torch.testing.assert_close(param.grad, want)
    for head, wanted in zip(heads, own, strict=True):
        for param, want in zip(head.parameters(), wanted, strict=True):
            torch.testing.assert_close(param.grad, want)


def test_mtl_backward_under_grad_scaler():
    torch.manual_seed(0)
    trunk, head = nn.Linear(3, 4), nn.Linear(4, 1)
    z = trunk(torch.randn(5, 3))
    losses = [head(z).square().mean(), z.square().mean()]
    args = (losses, z, [list(head.parameters()), []], list(trunk.parameters()), ag.DualProj())
    ag.mtl_backward(*args, retain_graph=True)
    want = [p.grad.clone() for p in [*trunk.parameters(), *head.parameters()]]
    trunk.zero_grad()
    head.zero_grad()
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    ag.mtl_backward(*args, scaler=scaler, retain_graph=True)
    for param, expected in zip([*trunk.parameters(), *head.parameters()], want, strict=True):
        torch.testing.assert_close(param.grad / 256.0, expected)


def test_bad_calls_are_refused_before_grad_is_written():
    model, losses = problem()
    params = list(model.parameters())
    values = losses()
    lone = torch.ones(2, dtype=torch.float64, requires_grad=True)
    cases = [
        (lambda: ag.backward([], params, ag.Mean()), "losses must be at least 1"),
        (
            lambda: ag.backward([model(torch.ones(2, 5).double())], params, ag.Mean()),
            r"losses\[0\] must",
        ),
        (lambda: ag.backward(torch.ones(3), params, ag.Mean()), "must be differentiable"),
        (lambda: ag.backward(values, [], ag.Mean()), "params must hold a tensor"),
        (
            lambda: ag.backward(values, [lone], ag.UPGrad(), memory="gramian"),
            "losses must depend on params",
        ),
        (lambda: ag.backward(values, [lone], ag.UPGrad()), "losses must depend on params"),
        (lambda: ag.backward(values, params, ag.Mean(), memory="low"), "memory must be one of"),
        (
            lambda: ag.backward(values, params, ag.TrimmedMean(1), memory="gramian"),
            "memory must be",
        ),
        (lambda: ag.backward(values, params, ag.Mean(), chunk_size=0), "chunk_size must be"),
        (lambda: ag.backward(values, params, ag.Mean(), sync="mean"), "without a process group"),
        (
            lambda: ag.backward(values, params, ag.UPGrad([1.0]), retain_graph=True),
            "preference must",
        ),
        (
            lambda: ag.mtl_backward(values, values[0], [[]], params, ag.Mean()),
            "tasks_params must be",
        ),
        (
            lambda: ag.mtl_backward(values, values[0], [params, [], []], params, ag.Mean()),
            "in common",
        ),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
    for other in (ag.Mean, "UPGrad"):
        with pytest.raises(TypeError, match="aggregator must be an Aggregator"):
            ag.backward(values, params, other)
    with pytest.raises(TypeError, match="params must be tensors"):
        ag.backward(values, [np.ones(3)], ag.Mean())
    assert all(p.grad is None for p in params)


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _rank(rank, port, results):
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(nn.Linear(4, 3).double())
    x = torch.arange(24, dtype=torch.float64).reshape(6, 4)[rank::2] / 10 - 1
    for memory in ("jacobian", "gramian", "jacobian"):  # DDP must accept the next forward
        model.zero_grad()
        losses = (model(x) - 1).square().mean(0)
        ag.backward(losses, model.parameters(), ag.UPGrad(), sync="mean", memory=memory)
        results[rank, memory] = [p.grad.tolist() for p in model.parameters()]
    # No rank leaves while another still talks to it, and nothing holds the group that goes.
    del model, losses
    dist.barrier()
    dist.destroy_process_group()


def test_ddp_ranks_agree():
    context = torch.multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        results, port = manager.dict(), _free_port()
        ranks = [context.Process(target=_rank, args=(r, port, results)) for r in range(2)]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(120)
            assert process.exitcode == 0
        found = dict(results)
    assert found[0, "jacobian"] == found[1, "jacobian"]
    assert found[0, "gramian"] == found[1, "gramian"]
    # The mean over ranks of the Jacobian is that of the whole batch.
    torch.manual_seed(0)
    model = nn.Linear(4, 3).double()
    x = torch.arange(24, dtype=torch.float64).reshape(6, 4) / 10 - 1
    ag.backward((model(x) - 1).square().mean(0), model.parameters(), ag.UPGrad())
    for got, param in zip(found[0, "jacobian"], model.parameters(), strict=True):
        np.testing.assert_allclose(got, param.grad.numpy(), atol=1e-12)
