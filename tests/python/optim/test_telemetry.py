"""What each step did, read from the pass that did it."""

from __future__ import annotations

import math

import pytest
import torch
from optim.harness import build, feed, gradients, parameters
from optim.rules import CASES
from torch.nn import Parameter

from thalweg import _core, optim

SHAPES = ((33, 17), (40, 30), (5, 4))
OPTIONS = {
    "plain": {},
    "decay": {"weight_decay": 0.3, "decay": "decoupled"},
    "everything": {
        "weight_decay": 0.1,
        "decay": "coupled",
        "mask": "cautious",
        "clip_norm": 1.0,
        "maximize": True,
    },
}


def expected(before, params, grads):
    out = []
    for x, p, g in zip(before, params, grads, strict=True):
        change, g = (p.detach().double() - x).flatten(), g.double().flatten()
        norms = [float(v.norm()) for v in (g, change, p.detach().double())]
        both = norms[0] * norms[1]
        out.append([*norms, -float(g @ change) / both if both else 0.0])
    return out


@pytest.mark.parametrize("force_plain", [False, True], ids=["core", "plain"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_readings_are_what_happened(case, options, force_plain, monkeypatch):
    if force_plain:
        monkeypatch.setattr(_core, "optim_step", lambda *_: None)
    params = parameters(SHAPES)
    optimizer = build(case, params, **options)
    telemetry = optim.Telemetry(optimizer)
    for row in gradients(SHAPES, torch.float64, 3):
        before = [p.detach().clone() for p in params]
        feed(optimizer, params, [row])
        for reading, values in zip(
            telemetry.last.values(), expected(before, params, row), strict=True
        ):
            assert list(reading) == pytest.approx(values, rel=1e-9, abs=1e-12)
    assert len(telemetry.history) == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_bits_are_those_without_it(case, dtype):
    finals = []
    for observed in (False, True):
        params = parameters(SHAPES, dtype)
        optimizer = build(case, params, weight_decay=0.1)
        if observed:
            optim.Telemetry(optimizer)
        feed(optimizer, params, gradients(SHAPES, dtype, 3))
        kept = [v for p in params for v in optimizer.state.get(p, {}).values() if v is not None]
        finals.append([*(p.detach() for p in params), *kept])
    assert all(torch.equal(a, b) for a, b in zip(*finals, strict=True))


def test_names_numbers_and_groups():
    p, q, r = parameters(((3,), (4,), (5,)))
    telemetry = optim.Telemetry(optim.SGD([{"params": [p, q]}, {"params": [r]}], lr=0.1))
    for t in (p, q, r):
        t.grad = torch.ones_like(t)
    telemetry._optimizer.step()
    assert list(telemetry.last) == ["0.0", "0.1", "1.0"]
    named = optim.Telemetry(optim.SGD([("a", p), ("b", q)], lr=0.1))
    named._optimizer.step()
    assert list(named.last) == ["a", "b"]


def test_a_group_reads_as_one_vector():
    p, q = parameters(((3,), (4,)))
    optimizer = optim.Adam([p, q], lr=0.1)
    telemetry = optim.Telemetry(optimizer, per="group")
    before = torch.cat([p.detach(), q.detach()]).clone()
    p.grad, q.grad = torch.tensor([1.0, 2.0, -3.0]).double(), torch.ones(4).double()
    optimizer.step()
    whole = torch.cat([p.detach(), q.detach()])
    (values,) = expected([before], [whole], [torch.cat([p.grad, q.grad])])
    assert list(telemetry.last) == ["0"]
    assert list(telemetry.last["0"]) == pytest.approx(values, rel=1e-12)


def test_gradients_are_read_unscaled():
    (p,) = parameters(((4,),), torch.float32)
    optimizer = optim.SGD([p], lr=0.5)
    telemetry = optim.Telemetry(optimizer)
    optimizer.grad_scale, optimizer.found_inf = torch.tensor(8.0), torch.tensor(0.0)
    p.grad = torch.full((4,), 8.0)
    optimizer.step()
    assert telemetry.last["0.0"].grad_norm == 2.0
    assert telemetry.last["0.0"].cosine == pytest.approx(1.0)


def test_no_gradient_no_reading_and_a_skipped_step_none():
    p, q = parameters(((3,), (3,)))
    optimizer = optim.SGD([p, q], lr=0.1, on_nonfinite="skip")
    telemetry = optim.Telemetry(optimizer)
    assert telemetry.last == {}
    q.grad = torch.ones_like(q)
    optimizer.step()
    assert list(telemetry.last) == ["0.1"]
    q.grad = torch.full_like(q, math.nan)
    optimizer.step()
    assert len(telemetry.history) == 1


def test_a_step_that_goes_nowhere_has_no_angle():
    p = Parameter(torch.zeros(3))
    optimizer = optim.SGD([p], lr=0.1)
    telemetry = optim.Telemetry(optimizer)
    p.grad = torch.zeros(3)
    optimizer.step()
    assert telemetry.last["0.0"] == (0.0, 0.0, 0.0, 0.0)


def test_it_keeps_what_it_is_told_and_stops():
    p = Parameter(torch.zeros(3))
    optimizer = optim.SGD([p], lr=0.1)
    telemetry = optim.Telemetry(optimizer, keep=2)
    p.grad = torch.ones(3)
    for _ in range(5):
        optimizer.step()
    assert len(telemetry.history) == 2
    telemetry.remove()
    before = telemetry.last
    optimizer.step()
    assert telemetry.last == before


def test_it_says_what_is_wrong():
    p = Parameter(torch.zeros(3))
    optimizer = optim.SGD([p])
    with pytest.raises(TypeError, match=r"optimizer must be one of thalweg\.optim, got SGD"):
        optim.Telemetry(torch.optim.SGD([p]))
    with pytest.raises(ValueError, match='per must be "tensor" or "group", got'):
        optim.Telemetry(optimizer, per="layer")
    with pytest.raises(ValueError, match="keep must be at least 1, got 0"):
        optim.Telemetry(optimizer, keep=0)
    with pytest.raises(ValueError, match="history must hold a step"):
        optim.Telemetry(optimizer).plot()


def test_the_history_is_drawn():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    p, q = parameters(((3, 3), (4,)))
    optimizer = optim.Adam([("weight", p), ("bias", q)])
    telemetry = optim.Telemetry(optimizer)
    feed(optimizer, [p, q], gradients(((3, 3), (4,)), torch.float64, 5))
    figure = telemetry.plot()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["grad norm", "update norm", "param norm", "cosine"]
    for axes, field in zip(figure.axes, optim.Reading._fields, strict=True):
        assert [line.get_label() for line in axes.lines] == ["weight", "bias"]
        drawn = list(axes.lines[1].get_ydata())
        assert drawn == [getattr(row["bias"], field) for row in telemetry.history]
    assert len(telemetry.plot(["bias"]).axes[0].lines) == 1
    pyplot.close("all")
