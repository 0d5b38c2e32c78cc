"""Every rule on a device, with every modifier, against its float64 oracle and the CPU."""

import numpy as np
import pytest
from gpu.adapter import gpu
from optim import oracles
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
"""How far parameters after ten steps may be from the float64 oracle, relative to the largest."""
TOLERANCE = dict.fromkeys(ROWS, 3e-6)


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


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("case", [*CASES, *VARIANTS], ids=str)
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
