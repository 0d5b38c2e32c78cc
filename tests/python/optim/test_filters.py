"""Rules that look at filters, slices along the first axis."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from optim.harness import feed, gradients, parameters
from torch.nn import Parameter

import thalweg
from thalweg import optim, steps

F64 = torch.float64
SHAPES = ((4, 3, 5, 5), (6, 33), (7,))
KINDS = [
    ("AdaptiveBraking", {"granularity": "filter"}, {"granularity": "tensor"}),
    ("EGPM", {"total": 2.0}, {"total": 2.0}),
]
every_kind = pytest.mark.parametrize(("name", "whole", "alone"), KINDS, ids=lambda k: str(k)[:12])


@every_kind
def test_filters_are_tensors_of_their_own(name, whole, alone):
    params, grads = parameters(SHAPES), gradients(SHAPES, F64, 6)
    rows = [Parameter(row.detach().clone().flatten()) for p in params[:2] for row in p]
    rows.append(Parameter(params[2].detach().clone()))
    optimizer = getattr(optim, name)(params, **whole)
    feed(optimizer, params, grads)
    parts = [[g.flatten() for q in row[:2] for g in q] + [row[2]] for row in grads]
    feed(getattr(optim, name)(rows, **alone), rows, parts)
    got = [row.flatten() for p in params[:2] for row in p.detach()] + [params[2].detach()]
    assert all(torch.equal(p, q) for p, q in zip(got, rows, strict=True))


@every_kind
@pytest.mark.parametrize("state_dtype", ["float32", "bfloat16", "int8"])
def test_plain_torch_takes_the_same_steps(name, whole, alone, state_dtype, monkeypatch):
    runs = []
    for native in (True, False):
        if not native:
            monkeypatch.setattr("thalweg._core.optim_step", lambda *_: None)
        params = parameters(SHAPES, torch.float32)
        optimizer = getattr(optim, name)(
            params, state_dtype=state_dtype, mask="cautious", clip_norm=1.0, **whole
        )
        feed(optimizer, params, gradients(SHAPES, torch.float32, 5))
        runs.append([p.detach() for p in params])
    # A number that lies between two of a code may go either way.
    tolerance = 1e-5 if state_dtype == "float32" else 0.02
    for p, q in zip(*runs, strict=True):
        torch.testing.assert_close(p, q, rtol=tolerance, atol=tolerance)


@every_kind
def test_filters_follow_the_indices_not_the_memory(name, whole, alone):
    finals = []
    for layout in (torch.contiguous_format, torch.channels_last):
        p = Parameter(parameters(SHAPES[:1])[0].detach().to(memory_format=layout))
        optimizer = getattr(optim, name)([p], **whole)
        feed(optimizer, [p], gradients(SHAPES[:1], F64, 4))
        finals.append(p.detach())
    assert torch.equal(*finals)
    p = Parameter(parameters(((6, 33),))[0].detach().T)
    feed(getattr(optim, name)([p], **whole), [p], gradients(((33, 6),), F64, 2))
    q = Parameter(parameters(((6, 33),))[0].detach().T.contiguous())
    feed(getattr(optim, name)([q], **whole), [q], gradients(((33, 6),), F64, 2))
    assert torch.equal(p, q)


@every_kind
def test_filters_do_not_depend_on_threads(name, whole, alone):
    before, finals = thalweg.get_num_threads(), []
    try:
        for threads in (1, 2):
            thalweg.set_num_threads(threads)
            shapes = ((3, 100_000), (900, 300), (0, 4), (4, 0))
            params = parameters(shapes, torch.float32)
            optimizer = getattr(optim, name)(params, **whole)
            feed(optimizer, params, gradients(shapes, torch.float32, 2))
            finals.append([p.detach() for p in params])
    finally:
        thalweg.set_num_threads(before)
    assert all(torch.equal(p, q) for p, q in zip(*finals, strict=True))


@every_kind
def test_numpy_has_filters_too(name, whole, alone):
    params = parameters(SHAPES)
    arrays = [p.detach().numpy().copy() for p in params]
    rule = getattr(steps, name)(**whole)
    optimizer = getattr(optim, name)(params, lr=rule.hyper["lr"], **whole)
    grads = gradients(SHAPES, F64, 4)
    feed(optimizer, params, grads)
    for row in grads:
        rule.step(arrays, [g.numpy() for g in row])
    for p, a in zip(params, arrays, strict=True):
        np.testing.assert_array_equal(a, p.detach().numpy())
    narrow = getattr(steps, name)(state_dtype="int8", **whole)
    x = np.ones((3, 5), np.float32)
    with pytest.raises(NotImplementedError, match="filters that are no multiple of 256 long"):
        narrow.step([x], [x])
    assert (x == 1).all()
    x = np.ones((3, 256), np.float32)
    narrow.step([x], [x + 1])
    assert (x != 1).all()


def test_every_filter_brakes_by_itself():
    p = Parameter(torch.zeros(2, 2, dtype=F64))
    optimizer = optim.AdaptiveBraking([p], lr=1.0, momentum=0.5, granularity="filter")
    p.grad = torch.eye(2, dtype=F64)
    optimizer.step()
    # The first filter goes on, the second turns back: cos = 1 and -1.
    p.grad = torch.tensor([[1.0, 0.0], [0.0, -1.0]], dtype=F64)
    optimizer.step()
    velocity = optimizer.state[p]["momentum_buffer"]
    assert velocity.tolist() == [[0.5, 0.0], [0.0, 0.5 - 2.0]]


def test_granularity_is_checked():
    message = 'granularity must be "tensor" or "filter", got "channel"; a usual value is "tensor"'
    with pytest.raises(ValueError, match=message):
        optim.AdaptiveBraking([Parameter(torch.ones(2))], granularity="channel")
