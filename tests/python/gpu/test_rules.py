"""Every rule on a device, with every modifier, against the CPU."""

import numpy as np
import pytest
from gpu.adapter import gpu
from optim.formulas import LOSS
from optim.rules import CASES, ROWS, VARIANTS

from thalweg import _core, steps

CLASSES = {entry["name"]: entry["class"] for entry in _core.optim_rules()}
MODIFIED = {
    "everything": {
        "weight_decay": 0.1,
        "decay": "cautious",
        "mask": "cautious",
        "maximize": True,
        "clip_norm": 5.0,
        "clip_value": 0.1,
    },
    "coupled": {"weight_decay": 0.1, "decay": "coupled", "mask": "grams"},
    "decoupled": {"weight_decay": 0.1, "decay": "decoupled", "clip_norm": 1.0},
}
OPTIONS = {"plain": {}, **MODIFIED}
SHAPES = [(37, 11), (300,), (5, 2, 3), (1,), (0, 4)]
MATRICES = [(37, 11), (9, 40), (16, 16), (0, 4)]
# How far parameters after ten steps may be from those of the CPU, relative to the largest. On
# software Vulkan all but the last rows are equal bit for bit; other adapters may divide, take roots
# and contract products and sums within the limits of Vulkan.
TOLERANCE = {
    **dict.fromkeys(ROWS, 2e-6),
    # Products of matrices in another order, and their fifth powers.
    "muon": 1e-5,
    # Normal numbers in single precision, where the CPU rounds those of double precision.
    "sgld": 4e-6,
    "dalelangevin": 4e-6,
}
# The same with states in two bytes or one, where a number next to a border may be rounded to the
# other side: a step of an eighth of its size.
COARSE = {"bfloat16": 1e-3, "int8": 2e-2}


def shapes(rule):
    return MATRICES if rule == "muon" else SHAPES


def draws(case, count, seed=0):
    rng = np.random.default_rng(seed)
    sizes = shapes(case.rule)
    return [[rng.standard_normal(s).astype(np.float32) for s in sizes] for _ in range(count)]


def both(case, options, count=10):
    """Parameters and states after some steps: device, CPU."""
    params, *grads = draws(case, count + 1)
    device = gpu.Steps(case.rule, params, **{**case.hyper, **options})
    host = getattr(steps, CLASSES[case.rule])(**{**case.hyper, **options})
    copies = [p.copy() for p in params]
    for row in grads:
        device.step(row, loss=LOSS)
        host.step(copies, row, loss=LOSS)
    return device, host, copies, params, grads


def apart(found, expected):
    worst = 0.0
    for a, b in zip(found, expected, strict=True):
        if b.size:
            worst = max(worst, float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)))
    return worst


FILTERS = [c for c in VARIANTS if {"granularity", "total"} & c.options.keys()]
SUPPORTED = [c for c in [*CASES, *VARIANTS] if c not in FILTERS]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("case", SUPPORTED, ids=str)
def test_a_device_steps_as_the_cpu(case, options):
    device, host, expected, _, _ = both(case, options)
    assert apart(device.download(), expected) <= TOLERANCE[case.rule]
    state = device.state_dict()["state"]
    assert state.keys() == host.state.keys()
    for number, entry in host.state.items():
        assert state[number].keys() == entry.keys()
        for name, value in entry.items():
            assert state[number][name].shape == value.shape
            assert state[number][name].dtype == value.dtype
            assert apart([state[number][name]], [value]) <= 10 * TOLERANCE[case.rule]


@pytest.mark.parametrize("state_dtype", COARSE)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_small_states_are_those_of_the_cpu(case, state_dtype):
    options = {**MODIFIED["everything"], "state_dtype": state_dtype}
    device, host, expected, _, _ = both(case, options, count=5)
    assert apart(device.download(), expected) <= COARSE[state_dtype]
    state = device.state_dict()["state"]
    for number, entry in host.state.items():
        for name, value in entry.items():
            found = state[number][name]
            assert found.dtype == value.dtype
            assert found.shape == value.shape
            if value.dtype in (np.uint8, np.uint16):
                different = np.mean(found != value) if value.size else 0.0
                assert different <= 0.02, (name, different)


@pytest.mark.parametrize("values", [0.0, -3e-39, 1e-30, np.inf, np.nan])
@pytest.mark.parametrize("state_dtype", ["float32", *COARSE])
def test_unusual_gradients_as_the_cpu(values, state_dtype):
    x, g = np.ones(300, np.float32), np.linspace(-1, 1, 300, dtype=np.float32)
    g[7], g[260:] = values, values
    device = gpu.Steps("adamw", [x], state_dtype=state_dtype)
    host = steps.AdamW(state_dtype=state_dtype)
    for _ in range(3):
        device.step([g])
        host.step([x], [g])
    found, normal = device.download()[0], np.isfinite(x)
    assert (np.isfinite(found) == normal).all()
    np.testing.assert_allclose(found[normal], x[normal], rtol=1e-5, atol=1e-6)


def test_norms_keep_what_single_precision_loses():
    n = 1 << 18
    g = np.full(n, 1e-3, np.float32)
    g[0] = 1.0
    x = np.zeros(n, np.float32)
    device = gpu.Steps("sgd", [x], lr=1.0, clip_norm=1e-3)
    device.step([g])
    norm = np.sqrt((g.astype(np.float64) ** 2).sum())
    expected = -g.astype(np.float64) * (1e-3 / (norm + 1e-6))
    np.testing.assert_allclose(device.download()[0], expected, rtol=3e-7)


@pytest.mark.parametrize("case", FILTERS, ids=str)
def test_rules_that_measure_filters_are_refused(case):
    (params,) = draws(case, 1)
    with pytest.raises(
        NotImplementedError, match="with sums over the filters of a tensor, on a dev"
    ):
        gpu.Steps(case.rule, params, **case.hyper)


def test_signs_of_updates_are_refused():
    x = np.ones((2, 3), np.float32)
    with pytest.raises(
        NotImplementedError, match="update_sign on a device is not supported; step on"
    ):
        gpu.Steps("adamw", [x], update_sign=0.5)
    device = gpu.Steps("adamw", [x])
    with pytest.raises(NotImplementedError, match="update_sign on a device"):
        device.set(update_sign=0.5)
    assert device.groups[0].hyper["update_sign"] is None
