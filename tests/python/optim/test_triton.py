"""Kernels printed from the rules: run by the interpreter, compiled for absent GPUs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from optim import interpreted

from thalweg import _core
from thalweg.optim import kernels
from thalweg.optim.optimizer import defaults_of

HERE = Path(__file__).parent


def child(*command, **environment):
    # As pytest finds the tests.
    path = os.pathsep.join(filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def answers(tmp_path_factory):
    pytest.importorskip("triton")
    out = tmp_path_factory.mktemp("triton") / "answers.json"
    modes = {"TRITON_INTERPRET": "1", "THALWEG_TRITON": "interpret"}
    done = child("-m", "optim.interpreted", str(out), **modes)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


@pytest.mark.parametrize("name", interpreted.TESTS)
def test_in_the_interpreter(name, answers):
    assert answers[name] == "ok", answers[name]


def printed(rule, stage="update", **options):
    """Return the kernel of a rule as a launch has it, for parameters in bfloat16."""
    from thalweg.optim.kernels import source

    group = {**defaults_of(rule), **options}
    body, outputs, inputs, uniforms, special, *_ = _core.optim_formula(
        rule, group, stage, 3, 3, [], True, [1.0], None, 1.0, None
    )
    formula = source.Formula(body, *map(tuple, (outputs, inputs, uniforms, special)))
    states = len(_core.optim_states(rule, group))
    random = group["state_dtype"] != "float32"
    kind = {"int8": "uint8"}.get(group["state_dtype"], group["state_dtype"])
    kinds = ("bfloat16", "bfloat16", *[kind] * states)
    return source.text(source.Layout(kinds, group["rounding"], random), formula, stage)


EVERYTHING = {"weight_decay": 0.1, "mask": "cautious", "state_dtype": "int8"}


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(
    ("rule", "stage", "options"),
    [
        ("adamw", "update", {"state_dtype": "bfloat16"}),
        ("adamw", "update", {**EVERYTHING, "rounding": "stochastic"}),
        ("adamw", "agree", EVERYTHING),
        ("exponentiatedgradient", "update", {"rounding": "kahan"}),
        ("gravity", "measure", {}),
    ],
    ids=["bfloat16", "everything", "agree", "exponential", "measure"],
)
def test_compiles_for_cuda_without_a_gpu(rule, stage, options, capability, tmp_path, monkeypatch):
    # Before, constants had another name.
    pytest.importorskip("triton", minversion="3.3")
    from triton import compile
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from thalweg.optim.kernels import launch, source

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = source.compiled(printed(rule, stage, **options))
    out = {"measure": "*fp64"}.get(stage, "*i64")
    signature = {"table": "*i64", "tiles": "*i32", "uniforms": "*fp32", "keys": "*i32", "out": out}
    signature |= dict.fromkeys(("BLOCK", "ALIGNED", "STRIDE"), "constexpr")
    constants = {(5,): source.TILE, (6,): True, (7,): 0}
    program = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    ptx = compile(program, target=GPUTarget("cuda", capability, 32), options=launch.OPTIONS)
    text = ptx.asm["ptx"]
    # Sixteen bytes at a time, as many as there are to read; nothing approximate or contracted.
    assert text.count("ld.global.v4") >= (stage == "update")
    assert not re.findall(r"\b(?:fma|div\.full|sqrt\.approx|ex2|lg2)\b", text)


def test_import_loads_no_triton():
    code = """
import sys, torch
before = set(sys.modules)
import thalweg.optim
print(sorted(m for m in set(sys.modules) - before if m.split('.')[0] == 'triton'))
"""
    assert child("-c", code).stdout.strip() == "[]"


def test_the_switch_takes_three_values():
    done = child("-c", "import thalweg.optim", THALWEG_TRITON="on")
    assert "THALWEG_TRITON must be one of auto, off, interpret, got 'on'" in done.stderr


def test_without_triton_nothing_is_said(monkeypatch):
    monkeypatch.setattr(kernels, "find_spec", lambda _: None)
    kernels.ready.cache_clear()
    assert not kernels.ready(torch.device("cpu"))
    kernels.ready.cache_clear()


def test_a_triton_that_cannot_compile_is_said_once():
    pytest.importorskip("triton")
    kernels.ready.cache_clear()
    with pytest.warns(RuntimeWarning, match="steps run in plain torch"):
        assert not kernels.ready(torch.device("cpu"))
    assert not kernels.ready(torch.device("cpu"))
    kernels.ready.cache_clear()


def test_the_formula_depends_on_the_step_through_uniforms():
    def formula(t, lr):
        group = {**defaults_of("adamw"), "lr": lr}
        return _core.optim_formula("adamw", group, "update", t, t, [], True, [], None, 1.0, None)

    first, second = formula(1, 1e-3), formula(9, 0.5)
    assert first[:5] == second[:5]
    assert first[5] != second[5]


def test_stages_have_names():
    with pytest.raises(ValueError, match='stage must be "update", "agree" or "measure"'):
        _core.optim_formula("sgd", defaults_of("sgd"), "x", 1, 1, [], True, [], None, 1.0, None)
