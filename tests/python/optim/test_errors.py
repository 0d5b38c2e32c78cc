"""What is refused, in which words; and that a refused step changes nothing."""

from __future__ import annotations

import contextlib
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optim.harness import CLASSES, build, feed, gradients, parameters
from optim.rules import CASES, JOINT
from torch.nn import Parameter

from thalweg import _core, optim

every_rule = pytest.mark.parametrize("case", CASES, ids=str)
SHAPES = ((9, 7), (4, 12))


def snapshot(optimizer):
    """Return everything a step may change, as bytes."""

    def raw(t):
        t = t.detach()
        t = torch.view_as_real(t) if t.is_complex() else t
        return t.dtype, t.stride(), t.double().contiguous().numpy().tobytes()

    params = [p for group in optimizer.param_groups for p in group["params"]]
    states = [optimizer.state.get(p, {}) for p in params]
    return [raw(p) for p in params], [
        {k: raw(v) if isinstance(v, torch.Tensor) else repr(v) for k, v in s.items()}
        for s in states
    ]


def refused(optimizer, error, match):
    """A step raises, and leaves parameters, states and versions alone."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    before, versions = snapshot(optimizer), [p._version for p in params]
    count = len(optimizer.state)
    with pytest.raises(error, match=match):
        optimizer.step()
    assert snapshot(optimizer) == before
    assert [p._version for p in params] == versions
    assert len(optimizer.state) == count


# Hyperparameters

SCALARS = [
    ("lr", -1.0, "lr must be a finite number >= 0, got -1.0; a usual value is"),
    ("lr", float("nan"), "lr must be a finite number >= 0, got NaN; a usual value is"),
    ("lr", float("inf"), "lr must be a finite number >= 0, got inf; a usual value is"),
    ("betas", (0.9, 1.0), "betas[1] must be in [0, 1), got 1.0; a usual value is 0.999"),
    ("betas", (-0.1, 0.9), "betas[0] must be in [0, 1), got -0.1; a usual value is 0.9"),
    ("eps", -1e-9, "eps must be a finite number >= 0, got -1e-9; a usual value is 1e-8"),
    ("amsgrad", 1.0, "amsgrad must be True or False, got 1.0; a usual value is False"),
    ("weight_decay", -0.1, "weight_decay must be a finite number >= 0, got -0.1; a usual value"),
    ("decay", "l2", 'decay must be "coupled" or "decoupled" or "cautious", got "l2"; a usual'),
    ("mask", "lucky", '"cautious" or "grams", got "lucky"; a usual value is'),
    ("mask_scale", "sum", 'mask_scale must be "mean" or "count_plus_one", got "sum"; a usual'),
    ("maximize", "yes", 'maximize must be True or False, got "yes"; a usual value is False'),
    ("clip_norm", 0.0, "clip_norm must be None or a finite number > 0, got 0.0; a usual"),
    ("clip_value", -1.0, "clip_value must be None or a finite number > 0, got -1.0; a usual"),
    ("state_dtype", "int4", r'state_dtype must be "float32" or "bfloat16" or "int8", got "int4"; '),
    ("rounding", "up", r'rounding must be "nearest" or "stochastic" or "kahan", got "up"; a usual'),
]


@pytest.mark.parametrize(("key", "value", "message"), SCALARS, ids=lambda v: str(v)[:12])
def test_range(key, value, message):
    """At construction, in a new group, and in a group changed by hand."""
    params = parameters(SHAPES)
    with pytest.raises(ValueError, match=re.escape(message)):
        optim.Adam(params, **{key: value})
    optimizer = optim.Adam(params)
    with pytest.raises(ValueError, match=re.escape(message)):
        optimizer.add_param_group({"params": parameters(((2,),)), key: value})
    assert len(optimizer.param_groups) == 1
    for p, g in zip(params, gradients(SHAPES, torch.float64, 1)[0], strict=True):
        p.grad = g
    optimizer.param_groups[0][key] = value
    refused(optimizer, ValueError, re.escape(message))


SPECIFIC = [
    ("SGD", {"momentum": -0.5}, "momentum must be a finite number >= 0, got -0.5; a usual"),
    ("SGD", {"dampening": -1.0}, "dampening must be a finite number >= 0, got -1.0; a usual"),
    (
        "SGD",
        {"nesterov": True},
        "nesterov must be False unless momentum > 0 and dampening = 0, got",
    ),
    ("AdEMAMix", {"alpha": -1.0}, "alpha must be a finite number >= 0, got -1.0; a usual"),
    ("AdEMAMix", {"betas": (0.9, 0.9, 1.5)}, "betas[2] must be in [0, 1), got 1.5; a usual"),
    ("AdEMAMix", {"beta3_warmup": 0}, "beta3_warmup must be None or an integer >= 1, got 0.0; a"),
    ("AdEMAMix", {"alpha_warmup": 1.5}, "alpha_warmup must be None or an integer >= 1, got 1.5; a"),
    ("Grams", {"eps_mode": "late"}, 'eps_mode must be "torch" or "early", got "late"; a usual'),
    ("Grams", {"correct_bias": "no"}, 'correct_bias must be True or False, got "no"; a usual'),
    ("Gravity", {"lr": 0.0}, "lr must be a finite number > 0, got 0.0; a usual value is 0.1"),
    ("Gravity", {"alpha": -1.0}, "alpha must be a finite number >= 0, got -1.0; a usual"),
    ("Gravity", {"beta": 1.0}, "beta must be in [0, 1), got 1.0; a usual value is 0.9"),
    ("Gravity", {"v0": "ones"}, 'v0 must be "normal" or "zeros", got "ones"; a usual value'),
    ("Gravity", {"seed": 1.5}, "seed must be an integer in [0, 2**53), got 1.5; a usual"),
    ("AdaMomentum", {"eps": 0.0}, "eps must be a finite number > 0, got 0.0; a usual value is"),
    ("AdaBelief", {"eps": 0.0}, "eps must be a finite number > 0, got 0.0; a usual value is 1e-16"),
    ("Muon", {"ns_steps": 0}, "ns_steps must be an integer >= 1, got 0.0; a usual value is 5.0"),
    ("Muon", {"momentum": 1.0}, "momentum must be in [0, 1), got 1.0; a usual value is 0.95"),
    ("Muon", {"adjust_lr_fn": "x"}, 'adjust_lr_fn must be None or "original" or "match_rms_adamw"'),
    ("Muon", {"eps": 0.0}, "eps must be a finite number > 0, got 0.0; a usual value is 1e-7"),
]


@pytest.mark.parametrize(("name", "options", "message"), SPECIFIC, ids=str)
def test_range_of_a_rule(name, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(optim, name)(parameters(SHAPES), **options)


def test_kinds():
    params = parameters(SHAPES)
    with pytest.raises(ValueError, match=re.escape('lr must be a finite number >= 0, got "fast"')):
        optim.Adam(params, lr="fast")
    with pytest.raises(ValueError, match=re.escape("lr must be a finite number >= 0, got None")):
        optim.Adam(params, lr=None)
    with pytest.raises(TypeError, match=re.escape("lr must be a plain value, got [0.1]")):
        optim.Adam(params, lr=[0.1])
    with pytest.raises(TypeError, match=re.escape("betas must be a tuple of at least 2 numbers")):
        optim.Adam(params, betas=(0.9,))
    with pytest.raises(TypeError, match=re.escape("betas must be a tuple of at least 1 numbers")):
        optim.Adam(params, betas=0.9)
    with pytest.raises(
        ValueError, match=re.escape("lr must be a number or a tensor of one element")
    ):
        optim.Adam(params, lr=torch.ones(2))


@pytest.mark.parametrize("name", CLASSES.values())
def test_unknown_arguments(name):
    with pytest.raises(TypeError, match=f"{name} takes no argument 'nesterow'; it takes "):
        getattr(optim, name)(parameters(SHAPES), nesterow=True)


@pytest.mark.parametrize("flag", ["capturable", "differentiable"])
def test_unsupported_flags(flag):
    with pytest.raises(NotImplementedError, match=f"{flag}=True is not supported; leave it False"):
        optim.Adam(parameters(SHAPES), **{flag: True})


def test_exclusive_flags():
    with pytest.raises(RuntimeError, match="foreach and fused must not both be True"):
        optim.Adam(parameters(SHAPES), foreach=True, fused=True)


def test_policy_for_nan():
    message = 'on_nonfinite must be "propagate" or "skip" or "raise", got "ignore"; the default'
    with pytest.raises(ValueError, match=re.escape(message)):
        optim.Adam(parameters(SHAPES), on_nonfinite="ignore")
    optimizer = optim.Adam(parameters(SHAPES))
    optimizer.on_nonfinite = "ignore"
    refused(optimizer, ValueError, re.escape(message))


# Tensors


def good_then(case, bad_param, bad_grad, **options):
    """An optimizer whose first parameter could be stepped."""
    good = Parameter(torch.ones(3, 2))
    good.grad = torch.ones(3, 2)
    optimizer = build(case, [good, bad_param], **options)
    bad_param.grad = bad_grad
    return optimizer


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool], ids=str)
@every_rule
def test_type_of_a_parameter(case, dtype):
    p = Parameter(torch.ones(3, 2, dtype=dtype), requires_grad=False)
    message = "each parameter must be float32, float64, bfloat16, float16, complex64 or complex128"
    if case.rule == "gravity":
        pytest.skip("has a state of its own at construction")
    refused(good_then(case, p, torch.ones(3, 2, dtype=dtype)), TypeError, message)


@every_rule
def test_a_parameter_that_overlaps_itself(case):
    p = Parameter(torch.ones(3, 1).expand(3, 2))
    optimizer = good_then(case, p, torch.ones(3, 2))
    refused(optimizer, ValueError, "overlaps itself; pass a copy, such as p.clone")


@every_rule
def test_parameters_that_overlap_each_other(case):
    memory = torch.ones(10)
    p, q = Parameter(memory[:6].view(3, 2)), Parameter(memory[4:].view(3, 2))
    optimizer = build(case, [p, q])
    p.grad, q.grad = torch.ones(3, 2), torch.ones(3, 2)
    refused(optimizer, ValueError, "parameter 0 shares memory with parameter 1; give each its own")


@every_rule
def test_a_gradient_that_overlaps_a_parameter(case):
    p = Parameter(torch.ones(3, 2))
    optimizer = build(case, [p])
    p.grad = p.detach()
    message = "the gradient of parameter 0 shares memory with parameter 0; give each its own"
    refused(optimizer, ValueError, message)


def test_a_strided_gradient_that_overlaps_its_parameter():
    p = Parameter(torch.arange(9.0).reshape(3, 3))
    optimizer = optim.SGD([p], lr=0.5)
    p.grad = p.detach().T
    expected = p.detach() - 0.5 * p.detach().T
    # It is read through a copy, so that memory which is written is no longer read.
    optimizer.step()
    assert torch.equal(p, expected)


def test_strided_parameters_that_overlap_each_other():
    memory = torch.arange(20.0)
    p, q = Parameter(memory[::2]), Parameter(memory[4::2])
    optimizer = optim.SGD([p, q], lr=0.5)
    p.grad, q.grad = torch.ones(10), torch.ones(8)
    refused(optimizer, ValueError, "shares memory")


@every_rule
def test_a_state_of_the_wrong_shape(case):
    p = Parameter(torch.ones(3, 2))
    optimizer = build(case, [p])
    p.grad = torch.ones(3, 2)
    optimizer.step()
    name = next((k for k in optimizer.state.get(p, {}) if k != "step"), None)
    if name is None:
        pytest.skip("keeps no state")
    optimizer.state[p][name] = torch.zeros(2, 3)
    message = r"state of shape \(2, 3\) does not match its parameter of shape \(3, 2\); load"
    refused(optimizer, ValueError, message)


@pytest.mark.parametrize("key", ["capturable", "differentiable"])
def test_flags_set_by_hand(key):
    optimizer = optim.Adam(parameters(SHAPES))
    with pytest.raises(NotImplementedError, match=f"{key}=True is not supported; leave it False"):
        optimizer.add_param_group({"params": parameters(((2,),)), key: True})


def test_a_counter_of_the_wrong_kind():
    p = Parameter(torch.ones(3))
    optimizer = optim.Adam([p])
    p.grad = torch.ones(3)
    optimizer.step()
    optimizer.state[p]["step"] = torch.zeros(2)
    refused(optimizer, TypeError, 'state "step" must be a float32 or float64 scalar on the CPU')


@every_rule
def test_nonfinite_gradients_raise_where_asked(case):
    for bad in (torch.nan, torch.inf, -torch.inf):
        params = parameters(SHAPES)
        optimizer = build(case, params, on_nonfinite="raise", clip_norm=1.0)
        feed(optimizer, params, gradients(SHAPES, torch.float64, 1))
        params[1].grad[1, 1] = bad
        message = (
            "grad of parameter 1 holds NaN or infinity; lower the learning rate, clip, or pass"
        )
        refused(optimizer, ValueError, message)


@every_rule
def test_nonfinite_gradients_are_skipped_where_asked(case):
    params = parameters(SHAPES)
    optimizer = build(case, params, on_nonfinite="skip")
    for p, g in zip(params, gradients(SHAPES, torch.float64, 1)[0], strict=True):
        p.grad = g
    params[1].grad[1, 1] = torch.nan
    before, count = snapshot(optimizer), len(optimizer.state)
    optimizer.step()
    assert snapshot(optimizer) == before
    assert len(optimizer.state) == count


@pytest.mark.parametrize("case", [c for c in CASES if c.rule != JOINT], ids=str)
def test_nonfinite_gradients_propagate_by_default(case):
    params = parameters(SHAPES)
    optimizer = build(case, params)
    feed(optimizer, params, gradients(SHAPES, torch.float64, 1))
    params[1].grad[1, 1] = torch.nan
    optimizer.step()
    assert torch.isfinite(params[0]).all()
    # The sign of NaN is 0, as torch has it, so that Lion shows it in its state alone.
    state = optimizer.state.get(params[1], {}).values()
    assert any(torch.isnan(t).any() for t in (params[1], *state))


@pytest.mark.parametrize("force_plain", [False, True], ids=["core", "plain"])
def test_muon_says_what_it_wants(force_plain, monkeypatch):
    if force_plain:
        monkeypatch.setattr(_core, "optim_step", lambda *_: None)
    p, q = Parameter(torch.ones(3, 2)), Parameter(torch.ones(3))
    optimizer = optim.Muon([p, q])
    p.grad, q.grad = torch.ones(3, 2), torch.ones(3)
    refused(optimizer, ValueError, r"each parameter of Muon must be a matrix, .* got one of")


@pytest.mark.parametrize("force_plain", [False, True], ids=["core", "plain"])
@every_rule
def test_a_bad_group_leaves_the_good_one_alone(case, force_plain, monkeypatch):
    if force_plain:
        monkeypatch.setattr(_core, "optim_step", lambda *_: None)
    params = parameters(SHAPES)
    optimizer = build(case, [{"params": [p]} for p in params])
    for p, g in zip(params, gradients(SHAPES, torch.float64, 1)[0], strict=True):
        p.grad = g
    optimizer.param_groups[1]["lr"] = -1.0
    refused(optimizer, ValueError, "lr must be a finite number")


def test_the_core_has_words_for_wrong_arguments():
    with pytest.raises(KeyError, match='no rule is named "sdg"'):
        _core.optim_check("sdg", {}, "propagate")
    with pytest.raises(TypeError):
        _core.optim_check(None, {}, "propagate")
    with pytest.raises(TypeError):
        _core.optim_step([("sgd", {}, [], None)], {}, None, "1", "propagate", 1)


# Nothing panics

strange = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.text(max_size=8),
    st.binary(max_size=3),
    st.just(object()),
    st.just(1j),
    st.just(torch.tensor(0.5)),
    st.just(torch.ones(2)),
    st.just(torch.tensor(float("nan"))),
    st.lists(st.floats(), max_size=4),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.sampled_from(["coupled", "cautious", "grams", "zeros", "early", 1e300, 5e-324, 10**400]),
)
FIELDS = {field[0] for entry in _core.optim_rules() for field in entry["fields"]}
KEYS = sorted(FIELDS | {key for key, _, _ in SCALARS})
REFUSALS = (ValueError, TypeError, NotImplementedError)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(CASES), st.dictionaries(st.sampled_from(KEYS), strange, max_size=3))
def test_any_hyperparameter_is_taken_or_refused(case, chosen):
    p = Parameter(torch.ones(3, 2))
    p.grad = torch.full((3, 2), 0.5)
    optimizer = build(case, [p])
    known = {k: v for k, v in chosen.items() if k in optimizer.defaults}
    # An orthogonalization of 1e300 steps is what was asked for, and takes as long.
    known.pop("ns_steps", None)
    optimizer.param_groups[0].update(known)
    before = snapshot(optimizer)
    try:
        optimizer.step()
    except REFUSALS:
        assert snapshot(optimizer) == before
    with contextlib.suppress(*REFUSALS):
        build(case, [p], **known)
