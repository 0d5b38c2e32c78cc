"""`update_sign`: columns whose updates go the other way, with any rule."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
import torch
from optim.harness import (
    build,
    distance,
    feed,
    gradients,
    parameters,
    states,
    wide,
)
from optim.rules import CASES, VARIANTS
from torch.nn import Parameter

from thalweg import optim, steps

F64 = torch.float64
COMPOSED = [case for case in CASES if case.rule != "curlsgd"]
NOISY = [case for case in VARIANTS if case.noisy]


def run(case, count=4, dtype=F64, **options):
    params = parameters(case.shapes, dtype)
    optimizer = build(case, params, **options)
    feed(optimizer, params, gradients(case.shapes, dtype, count))
    return [p.detach().clone() for p in params], optimizer


@pytest.mark.parametrize("case", COMPOSED + NOISY, ids=str)
def test_no_flipped_column_is_the_rule_bit_for_bit(case):
    for options in ({}, {"mask": "cautious", "weight_decay": 0.1, "decay": "decoupled"}):
        plain, _ = run(case, **options)
        signed, optimizer = run(case, update_sign=0.0, **options)
        assert all(torch.equal(p, q) for p, q in zip(plain, signed, strict=True))
        assert all((s["update_sign"] == 1).all() for s in optimizer.state.values())


@pytest.mark.parametrize("case", COMPOSED + NOISY, ids=str)
@pytest.mark.parametrize("mask", [None, "cautious", "grams"])
def test_follows_the_oracle(case, mask):
    options = {"update_sign": 0.4, "mask": mask, "weight_decay": 0.1, "decay": "cautious"}
    params, grads = parameters(case.shapes), gradients(case.shapes, F64, 5)
    optimizer = build(case, params, **options)
    # The oracle knows no choice of columns: it starts from that of a step of its own.
    first = parameters(case.shapes)
    twin = build(case, first, **options)
    feed(twin, first, grads[:1])
    signs = [twin.state[p]["update_sign"].double().numpy() for p in first]
    for s, p in zip(signs, first, strict=True):
        assert s.shape == tuple(p.shape)
        if s.ndim > 1:
            rows = np.moveaxis(s, 1, 0).reshape(s.shape[1], -1)
            assert (rows == rows[:, :1]).all()
            assert (rows[:, 0] == -1).sum() == round(0.4 * s.shape[1])
        else:
            assert (s == 1).all()
    h = dict(optimizer.param_groups[0])
    xs, ss = oracle_with(case, params, grads, signs, h)
    feed(optimizer, params, grads)
    for p, x in zip(params, xs, strict=True):
        assert distance(wide(p), x) <= case.exact
    for got, expected in zip(states(optimizer, params), ss, strict=True):
        assert set(expected) <= set(got)


def oracle_with(case, params, grads, signs, h):
    from optim import oracles

    xs = [wide(p) for p in params]
    ss = [{"update_sign": s} for s in signs]
    if case.rule == "gravity":
        ss = [{**s, "velocity": np.zeros_like(x)} for s, x in zip(ss, xs, strict=True)]
    for t, row in enumerate(grads, 1):
        oracles.step(case.rule, xs, [wide(g) for g in row], ss, t, h)
    return xs, ss


def test_all_columns_ascend_and_vectors_do_not():
    shapes = ((5, 4), (6,))
    finals = []
    for options in ({"update_sign": 1.0}, {"maximize": True}, {}):
        params = parameters(shapes)
        feed(optim.SGD(params, lr=0.1, momentum=0.9, **options), params, gradients(shapes, F64, 5))
        finals.append([p.detach() for p in params])
    flipped, up, down = finals
    assert torch.equal(flipped[0], up[0])
    assert torch.equal(flipped[1], down[1])


def test_sgd_with_signs_is_curl_descent():
    shapes = ((5, 40), (3, 20, 2, 2), (6,))
    finals = []
    for make in (
        lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9, update_sign=0.3, update_sign_seed=5),
        lambda ps: optim.CurlSGD(ps, lr=0.1, momentum=0.9, fraction=0.3, seed=5),
    ):
        params = parameters(shapes)
        feed(make(params), params, gradients(shapes, F64, 5))
        finals.append([p.detach() for p in params])
    assert all(torch.equal(p, q) for p, q in zip(*finals, strict=True))


@pytest.mark.parametrize("state_dtype", ["float32", "bfloat16", "int8"])
def test_signs_are_saved_exactly_in_every_precision(state_dtype):
    shape = ((9, 300),)
    options = {"update_sign": 0.5, "update_sign_seed": 2, "state_dtype": state_dtype}
    params = parameters(shape, torch.float32)
    optimizer = optim.Adam(params, lr=0.1, **options)
    grads = gradients(shape, torch.float32, 4)
    feed(optimizer, params, grads[:2])
    state = optimizer.state[params[0]]
    signs = optim.dequantize(state["update_sign"], state.get("update_sign_scale"))
    assert set(signs.flatten().tolist()) == {-1.0, 1.0}
    copies = [Parameter(p.detach().clone()) for p in params]
    # Another seed: the columns are those of the checkpoint.
    other = optim.Adam(copies, lr=0.1, **{**options, "update_sign_seed": 7})
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each, mine in ((optimizer, params), (other, copies)):
        feed(each, mine, grads[2:])
    assert torch.equal(params[0], copies[0])


@pytest.mark.parametrize("case", [c for c in CASES if c.rule in ("adamw", "muon", "sgld")], ids=str)
def test_plain_torch_and_numpy_agree(case, monkeypatch):
    native, _ = run(case, update_sign=0.4)
    if case.rule != "muon":
        arrays = [p.detach().numpy().copy() for p in parameters(case.shapes)]
        kind = {"adamw": steps.AdamW, "sgld": steps.SGLD}[case.rule]
        rule = kind(**case.hyper, update_sign=0.4)
        for row in gradients(case.shapes, F64, 4):
            rule.step(arrays, [g.numpy() for g in row])
        for p, a in zip(native, arrays, strict=True):
            np.testing.assert_allclose(a, p.numpy(), rtol=1e-12, atol=1e-14)
    monkeypatch.setattr("thalweg._core.optim_step", lambda *_: None)
    plain, _ = run(case, update_sign=0.4)
    for p, q in zip(native, plain, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", {"update_sign": 1.5}, "update_sign must be None or in [0, 1], got 1.5"),
        ("SGD", {"update_sign": "all"}, 'update_sign must be None or in [0, 1], got "all"'),
        ("SGD", {"update_sign_seed": -1}, "update_sign_seed must be an integer in [0, 2**53)"),
        ("CurlSGD", {"update_sign": 0.5}, "update_sign must be None for CurlSGD, got 0.5"),
    ],
    ids=str,
)
def test_bad_signs_are_refused(name, options, message):
    for kind in (lambda: getattr(optim, name)(parameters(((2, 2),)), **options),
                 lambda: getattr(steps, name)(**options)):  # fmt: skip
        with pytest.raises(ValueError, match=re.escape(message)):
            kind()
