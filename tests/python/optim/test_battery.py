"""Every rule of the registry, with every modifier and type, against its float64 oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from optim.harness import (
    CLASSES,
    DTYPES,
    build,
    distance,
    feed,
    gradients,
    oracle,
    parameters,
    states,
    wide,
)
from optim.rules import CASES, ROWS, VARIANTS

from thalweg import _core
from thalweg.optim import Gravity

STEPS = 50
# float32: 50 roundings of 6e-8. bfloat16 and float16: parameters are rounded as the oracle's are,
# so what is left is one unit in the last place where two roundings fall apart.
TOLERANCES = {"float32": 1e-5, "bfloat16": 1e-2, "float16": 1e-2}
DECAYS = ("coupled", "decoupled", "cautious")
MASKS = (None, "cautious", "grams")
MODIFIERS = [
    {"maximize": True},
    {"clip_norm": 1.0},
    {"clip_value": 0.5},
    {"mask": "cautious", "mask_scale": "count_plus_one", "maximize": True},
    {"clip_norm": 5.0, "clip_value": 0.1, "maximize": True, "decay": "coupled", "mask": "grams"},
    {"clip_norm": 5.0, "clip_value": 0.1, "maximize": True, "decay": "cautious",
     "mask": "cautious", "weight_decay": 0.1},
]  # fmt: skip


def check(case, dtype="float64", steps=STEPS, **options):
    params = parameters(case.shapes, DTYPES[dtype])
    grads = gradients(case.shapes, DTYPES[dtype], steps)
    optimizer = build(case, params, **options)
    xs, ss = oracle(case, optimizer, params, grads)
    feed(optimizer, params, grads)
    tolerance = TOLERANCES.get(dtype, case.exact)
    for p, x, got, expected in zip(params, xs, states(optimizer, params), ss, strict=True):
        assert p.dtype == DTYPES[dtype]
        assert distance(wide(p), x) <= tolerance
        assert sorted(got) == sorted(expected)
        # State is float32 under low-precision parameters, and rounds as such.
        for name in expected:
            assert distance(got[name], expected[name]) <= min(tolerance, 1e-4), name


def test_every_rule_has_a_row():
    assert set(ROWS) == set(CLASSES)
    assert len(ROWS) == len(CASES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_rule_decay_mask_and_dtype(case, decay, mask, dtype):
    check(case, dtype, decay=decay, mask=mask, weight_decay=0.1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", VARIANTS, ids=str)
def test_option(case, dtype):
    check(case, dtype)


@pytest.mark.parametrize("modifiers", MODIFIERS, ids=lambda m: "-".join(m))
@pytest.mark.parametrize("case", CASES, ids=str)
def test_modifier(case, modifiers):
    check(case, **modifiers)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_defaults_are_those_of_the_registry(case):
    rule = next(entry for entry in _core.optim_rules() if entry["name"] == case.rule)
    group = build(case, parameters(case.shapes)).defaults
    assert group["decay"] == rule["decay"]
    assert group["weight_decay"] == rule["weight_decay"]
    for key, index, _, default in rule["fields"]:
        if key not in case.hyper:
            assert (group[key] if index is None else group[key][index]) == default, key


def test_first_velocity_of_gravity_is_normal_with_deviation_alpha_over_lr():
    p = torch.nn.Parameter(torch.zeros(100_000, dtype=torch.float64))
    q = torch.nn.Parameter(torch.zeros(100_000, dtype=torch.float64))
    optimizer = Gravity([p, q], lr=0.1, alpha=0.02, seed=1)
    first, second = (wide(optimizer.state[r]["velocity"]) for r in (p, q))
    assert abs(first.std() / 0.2 - 1) < 0.02
    assert abs(first.mean()) < 0.01
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02


@pytest.mark.parametrize(
    "modifiers",
    [{}, *({"decay": d, "mask": m, "weight_decay": 0.1} for d in DECAYS for m in MASKS)],
    ids=lambda m: "-".join(map(str, m.values())) or "default",
)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_plain_path_agrees(case, modifiers, monkeypatch):
    agree_with_plain(case, modifiers, "float64", monkeypatch)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("modifiers", MODIFIERS, ids=lambda m: "-".join(m))
@pytest.mark.parametrize("case", CASES, ids=str)
def test_plain_path_agrees_on_modifiers(case, modifiers, dtype, monkeypatch):
    agree_with_plain(case, modifiers, dtype, monkeypatch)


@pytest.mark.parametrize("case", VARIANTS, ids=str)
def test_plain_path_agrees_on_options(case, monkeypatch):
    agree_with_plain(case, {}, "float64", monkeypatch)


def agree_with_plain(case, modifiers, dtype, monkeypatch):
    results = []
    for force in (False, True):
        params = parameters(case.shapes, DTYPES[dtype])
        optimizer = build(case, params, **modifiers)
        if force:
            monkeypatch.setattr(_core, "optim_step", lambda *_: None)
        feed(optimizer, params, gradients(case.shapes, DTYPES[dtype], 8))
        results.append([wide(p) for p in params] + [
            s[name] for s in states(optimizer, params) for name in sorted(s)
        ])  # fmt: skip
    tolerance = TOLERANCES.get(dtype, case.exact)
    for a, b in zip(*results, strict=True):
        assert distance(a, b) <= tolerance
