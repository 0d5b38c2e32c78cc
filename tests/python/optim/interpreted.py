"""Runs kernels in Triton's interpreter; `test_triton` reads the answers.

The interpreter must be asked for before Triton is loaded, hence a process of its own.

Kernels and core must agree in every bit, but where sums over a tensor enter: tiles of a kernel are
not chunks of the core. There the sums, in float64, differ by their order, and uniforms by at most a
rounding of singles, which `SUMS` steps may double.
"""

from __future__ import annotations

import copy
import json
import sys
import traceback
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from optim.harness import DTYPES, build, distance, feed, gradients, parameters, wide
from optim.rules import CASES, VARIANTS, Case
from torch.nn import Parameter

from thalweg import _core, optim
from thalweg.optim import kernels, plain

SHAPES = ((7,), (33, 17))
SUMS = ("gravity", "adaptivebraking", "optimisticamsgrad", "normalizedgd", "aegd")
TOLERANCE = 1e-6
# Plain torch orders its operations otherwise; as the core is held against it.
PLAIN = 1e-5

# Every modifier, every way to store.
LOW = [
    ("bfloat16", {"state_dtype": "int8", "rounding": "stochastic", "weight_decay": 0.1,
                  "decay": "coupled", "mask": "cautious"}),
    ("float16", {"state_dtype": "bfloat16", "rounding": "kahan", "weight_decay": 0.1,
                 "decay": "cautious", "mask": "grams", "clip_value": 0.5, "maximize": True}),
    ("float16", {"rounding": "stochastic", "mask": "cautious", "mask_scale": "count_plus_one"}),
    ("bfloat16", {"rounding": "kahan", "weight_decay": 0.1, "decay": "decoupled",
                  "clip_norm": 1.0}),
    ("float32", {"state_dtype": "int8", "weight_decay": 0.1, "decay": "cautious"}),
]  # fmt: skip
RUNS = [(case, "float32", {}) for case in (*CASES, *VARIANTS)]
# A matrix rule is plain torch's; its remainders are not to be compared.
POINTS = [case for case in CASES if case.rule != "muon"]
RUNS += [(case, *LOW[number % len(LOW)]) for number, case in enumerate(POINTS)]
RUNS += [(Case("adamw", lr=1e-2), dtype, options) for dtype, options in LOW]


@contextmanager
def engine(name):
    """Let steps run in the core, in plain torch, or in kernels, as they do from the start."""
    native = _core.optim_step
    kernels.INTERPRETED = name == "kernels"
    kernels.MODE = "interpret" if name == "kernels" else "off"
    if name == "plain":
        _core.optim_step = lambda *_: None
    try:
        yield
    finally:
        _core.optim_step = native
        kernels.INTERPRETED, kernels.MODE = True, "interpret"


@contextmanager
def left_to_torch():
    """Yield the list of parameters that no kernel takes."""
    found, step_one = [], plain._step_one

    def watched(optimizer, row, call):
        found.append(row.p)
        return step_one(optimizer, row, call)

    plain._step_one = watched
    try:
        yield found
    finally:
        plain._step_one = step_one


def outcome(optimizer, params):
    """Return everything that a step leaves, in float64."""

    def real(tensor):
        tensor = tensor.detach()
        return wide(torch.view_as_real(tensor) if tensor.is_complex() else tensor)

    out = {(n, "param"): real(p) for n, p in enumerate(params)}
    for n, p in enumerate(params):
        for key, value in optimizer.state[p].items():
            out[n, key] = real(value)
    return out


def agree(ours, theirs, tolerance=0.0):
    assert ours.keys() == theirs.keys()
    for key, expected in theirs.items():
        # NaN marks what must be NaN on both sides.
        assert np.array_equal(np.isnan(ours[key]), np.isnan(expected)), key
        found = distance(np.nan_to_num(ours[key]), np.nan_to_num(expected))
        assert found <= tolerance, (key, found)


def run_case(case, dtype, options):
    results, covered = {}, {}
    shapes = case.shapes[:2] if case.rule == "muon" else SHAPES
    for name in ("kernels", "core", *["plain"] * (not options)):
        params = parameters(shapes, DTYPES[dtype])
        optimizer = build(case, params, **options)
        with engine(name), left_to_torch() as rest:
            feed(optimizer, params, gradients(shapes, DTYPES[dtype], 2))
        covered[name] = not rest
        results[name] = outcome(optimizer, params)
    filters = case.options.get("granularity") == "filter" or "total" in case.options
    assert covered["kernels"] == (case.rule != "muon" and not filters)
    # What kernels do not take is plain torch's.
    summed = TOLERANCE if case.rule in SUMS else 0.0
    agree(results["kernels"], results["core"], summed if covered["kernels"] else PLAIN)
    if not options:
        assert not covered["plain"]
        # What rounding left out of an average is rounding itself.
        ours, theirs = (
            {key: value for key, value in results[name].items() if key[1] != "average_error"}
            for name in ("kernels", "plain")
        )
        agree(ours, theirs, PLAIN)


def tensors_of_every_kind():
    """Several tiles, none, one element; unaligned, in other orders of memory, with gaps."""

    def make():
        draw = torch.Generator().manual_seed(3)
        values = lambda *shape: torch.randn(*shape, generator=draw)  # noqa: E731
        return [
            Parameter(values(300, 7).bfloat16()),
            Parameter(values(2048)),
            Parameter(values(0, 3).half()),
            Parameter(values(())),
            Parameter(values(1101)[1:]),
            Parameter(values(2, 3, 4, 5).to(memory_format=torch.channels_last)),
            Parameter(values(5, 3).t()),
            Parameter(values(6, 8).double()),
            Parameter(values(6, 8)[:, ::2]),
            Parameter(torch.randn(4, 2, generator=draw, dtype=torch.complex64)),
        ]

    results = {}
    for name in ("kernels", "core"):
        params = make()
        optimizer = optim.AdamW(params, lr=0.1, clip_norm=3.0)
        draw = torch.Generator().manual_seed(4)
        with engine(name), left_to_torch() as rest:
            for step in range(3):
                for n, p in enumerate(params):
                    grad = torch.randn(p.shape, generator=draw, dtype=torch.float64).to(p.dtype)
                    # One joins late, so that numbers of steps differ in a launch.
                    p.grad = None if n == 1 and step == 0 else torch.empty_like(p).copy_(grad)
                optimizer.step()
        if name == "kernels":
            assert {id(p) for p in rest} == {id(p) for p in params[7:]}
        results[name] = outcome(optimizer, params)
    # Plain torch steps the last three, which also sums the norm.
    agree(results["kernels"], results["core"], 1e-6)


def gradient_scaler():
    params = parameters(SHAPES, torch.float32)
    twins = copy.deepcopy(params)
    ours, theirs = optim.AdamW(params, lr=0.1), optim.AdamW(twins, lr=0.1)
    for found, scale in ((0.0, 4.0), (1.0, 4.0), (0.0, 2.0)):
        for optimizer in (ours, theirs):
            optimizer.grad_scale, optimizer.found_inf = torch.tensor(scale), torch.tensor(found)
        row = gradients(SHAPES, torch.float32, 1, seed=int(scale))
        before = outcome(ours, params)
        feed(ours, params, row)
        with engine("core"):
            feed(theirs, twins, row)
        if found:
            agree(outcome(ours, params), before)
    agree(outcome(ours, params), outcome(theirs, twins))
    assert {int(ours.state[p]["step"]) for p in params} == {2}


def state_dict_round_trip():
    options = {"lr": 0.1, "state_dtype": "int8", "rounding": "stochastic"}
    rows = gradients(SHAPES, torch.bfloat16, 4)
    params = parameters(SHAPES, torch.bfloat16)
    optimizer = optim.AdamW(params, **options)
    feed(optimizer, params, rows[:2])
    twins = copy.deepcopy(params)
    other = optim.AdamW(twins, **options)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    feed(optimizer, params, rows[2:])
    # A resumed run may go on in the core.
    with engine("core"):
        feed(other, twins, rows[2:])
    agree(outcome(optimizer, params), outcome(other, twins))


def new_rates_compile_nothing():
    from thalweg.optim.kernels import launch, source

    params = parameters(SHAPES, torch.float32)
    optimizer = optim.NAdam(params, lr=0.1, weight_decay=0.1)
    grads = gradients(SHAPES, torch.float32, 1)
    feed(optimizer, params, grads)
    texts, tables = source.compiled.cache_info().misses, len(launch.tables_of(optimizer)._known)
    for rate in (0.2, 0.3):
        optimizer.param_groups[0]["lr"] = rate
        feed(optimizer, params, grads)
    assert source.compiled.cache_info().misses == texts
    assert len(launch.tables_of(optimizer)._known) == tables == 1
    # Tables are let go of when gradients keep moving.
    kept = [[g.clone() for g in grads[0]] for _ in range(12)]
    feed(optimizer, params, kept)
    assert len(launch.tables_of(optimizer)._known) == launch.KEPT


def bad_gradients_change_nothing():
    for policy in ("skip", "raise"):
        params = parameters(SHAPES, torch.float32)
        optimizer = optim.AdamW(params, lr=0.1, on_nonfinite=policy)
        before = outcome(optimizer, params)
        rows = gradients(SHAPES, torch.float32, 1)
        rows[0][1][3, 4] = torch.inf
        match = pytest.raises(ValueError, match="holds NaN or infinity")
        with nullcontext() if policy == "skip" else match:
            feed(optimizer, params, rows)
        agree(outcome(optimizer, params), before)


def refused_steps_change_nothing():
    """Where only the rule knows that a step cannot be taken: here, from what it measures."""
    params = [Parameter(torch.tensor([1.0, 0.0]))]
    optimizer = optim.ExponentiatedGradient(params, lr=0.1, base="adamw", strict=True)
    params[0].grad = torch.ones(2)
    for _ in range(2):
        with pytest.raises(ValueError, match="strict"):
            optimizer.step()
    assert params[0].tolist() == [1.0, 0.0]
    assert not optimizer.state[params[0]]
    with torch.no_grad():
        params[0].fill_(1.0)
    optimizer.step()
    assert int(optimizer.state[params[0]]["step"]) == 1


def not_a_number_passes_through():
    for rule in ("adamw", "lion", "gravity", "normalizedgd", "exponentiatedgradient"):
        case = Case(rule, lr=0.1)
        results = {}
        for name in ("kernels", "core"):
            params = parameters(((9,),), torch.float32)
            optimizer = build(case, params, clip_value=1.0)
            row = gradients(((9,),), torch.float32, 1)
            row[0][0][2], row[0][0][5] = torch.nan, -torch.inf
            with engine(name):
                feed(optimizer, params, row)
            results[name] = outcome(optimizer, params)
        agree(results["kernels"], results["core"])


def what_looks_at_all_is_looked_at_together():
    results = {}
    for name in ("kernels", "core"):
        for double in (False, True):
            params = parameters(SHAPES, torch.float32)
            if double:
                params[1] = Parameter(params[1].detach().double())
            optimizer = optim.NormalizedGD([{"params": p} for p in params], lr=0.1)
            rows = [[g.to(p.dtype) for g, p in zip(row, params, strict=True)]
                    for row in gradients(SHAPES, torch.float32, 2)]  # fmt: skip
            with engine(name), left_to_torch() as rest:
                feed(optimizer, params, rows)
            if name == "kernels":
                assert len(rest) == 4 * double
            results[name, double] = outcome(optimizer, params)
    for double in (False, True):
        agree(results["kernels", double], results["core", double], 1e-6)


def rules_are_routed():
    """Muon's matrices in plain torch, the rest by kernels, clipped together."""
    results = {}
    for name in ("kernels", "core"):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(9, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        optimizer = optim.Routed(model)
        for group in optimizer.param_groups:
            group["clip_norm"] = 0.5
        with engine(name), left_to_torch() as rest:
            for _ in range(3):
                optimizer.zero_grad()
                model(torch.ones(4, 9)).square().sum().backward()
                optimizer.step()
        if name == "kernels":
            assert {p.dim() for p in rest} == {2}
        results[name] = outcome(optimizer, list(model.parameters()))
    agree(results["kernels"], results["core"], 1e-5)


def closures_hooks_and_versions():
    p = Parameter(torch.ones(5))
    optimizer = optim.AEGD([p], lr=0.1)
    seen = []
    optimizer.register_step_post_hook(lambda *_: seen.append(p._version))
    square = p.square()
    version = p._version

    def closure():
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 5.0
    assert seen == [p._version]
    assert p._version > version
    # What autograd keeps has changed under it.
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.sum().backward()
    assert float(p.detach().square().sum()) < 5.0


def telemetry_is_recorded():
    model = torch.nn.Linear(3, 2)
    optimizer = optim.AdamW(model.named_parameters(), lr=0.1)
    telemetry = optim.Telemetry(optimizer)
    model(torch.ones(1, 3)).sum().backward()
    with left_to_torch() as rest:
        optimizer.step()
    assert len(rest) == 2
    assert telemetry.last["weight"].update_norm > 0.0


SCENARIOS = [
    tensors_of_every_kind,
    gradient_scaler,
    state_dict_round_trip,
    new_rates_compile_nothing,
    bad_gradients_change_nothing,
    refused_steps_change_nothing,
    not_a_number_passes_through,
    what_looks_at_all_is_looked_at_together,
    rules_are_routed,
    closures_hooks_and_versions,
    telemetry_is_recorded,
]
TESTS = {f"{case}-{dtype}-{number}": (run_case, case, dtype, options)
         for number, (case, dtype, options) in enumerate(RUNS)}  # fmt: skip
TESTS |= {scenario.__name__: (scenario,) for scenario in SCENARIOS}


def main(out):
    torch.set_num_threads(1)
    # Numpy computes both sides of a choice, and warns of the one that is not taken.
    np.seterr(all="ignore")
    results = {}
    for name, (test, *arguments) in TESTS.items():
        try:
            test(*arguments)
            results[name] = "ok"
        # pytest's own failures derive from it.
        except BaseException:
            results[name] = traceback.format_exc()
    Path(out).write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
