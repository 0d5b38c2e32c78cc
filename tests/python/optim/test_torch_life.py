"""Life as a torch optimizer: groups, schedulers, hooks, checkpoints, unusual tensors."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from optim.harness import CLASSES, build, feed, gradients, parameters, wide
from optim.rules import CASES
from torch.nn import Parameter

from thalweg import _core, optim

SHAPES = ((9, 7), (4, 12))
every_rule = pytest.mark.parametrize("case", CASES, ids=str)
elementwise = pytest.mark.parametrize("case", [c for c in CASES if c.rule != "muon"], ids=str)


def bits(optimizer):
    """Return parameters and states, to compare exactly."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    return [
        (p.detach().clone(), {k: copy.deepcopy(v) for k, v in optimizer.state.get(p, {}).items()})
        for p in params
    ]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for (p, a), (q, b) in zip(ours, theirs, strict=True):
        assert torch.equal(p, q)
        assert list(a) == list(b)
        for key in a:
            assert a[key] is b[key] is None or torch.equal(a[key], b[key]), key
            assert a[key] is None or a[key].dtype == b[key].dtype, key


def begun(case, steps=3, dtype=torch.float32, **options):
    params = parameters(SHAPES, dtype)
    optimizer = build(case, params, **options)
    feed(optimizer, params, gradients(SHAPES, dtype, steps))
    return optimizer, params


# Groups, rates and schedulers


@pytest.mark.parametrize("case", [c for c in CASES if c.alone], ids=str)
def test_groups_have_their_own_options(case):
    finals = []
    for grouped in (True, False):
        params = parameters(SHAPES)
        if grouped:
            first = {"params": [params[0]], "lr": 0.5, "maximize": True}
            optimizers = [build(case, [first, {"params": [params[1]]}], weight_decay=0.1)]
        else:
            optimizers = [
                build(case, [params[0]], lr=0.5, maximize=True, weight_decay=0.1),
                build(case, [params[1]], weight_decay=0.1),
            ]
        for p, g in zip(params, gradients(SHAPES, torch.float64, 1)[0], strict=True):
            p.grad = g
        for optimizer in optimizers:
            optimizer.step()
        finals.append(params)
    assert all(torch.equal(a, b) for a, b in zip(*finals, strict=True))


def test_a_group_added_late_is_stepped():
    p, q = parameters(SHAPES)
    optimizer = optim.Adam([p])
    optimizer.add_param_group({"params": [q], "lr": 0.25})
    q.grad = torch.ones_like(q)
    before = q.detach().clone()
    optimizer.step()
    torch.testing.assert_close(q.detach(), before - 0.25)


@pytest.mark.parametrize("case", [c for c in CASES if not c.glides], ids=str)
def test_the_rate_is_read_at_every_step(case):
    params = parameters(SHAPES)
    optimizer = build(case, params)
    feed(optimizer, params, gradients(SHAPES, torch.float64, 2))
    before = [p.detach().clone() for p in params]
    optimizer.param_groups[0]["lr"] = 1e-12 if case.rule == "gravity" else 0.0
    feed(optimizer, params, gradients(SHAPES, torch.float64, 1))
    assert all(torch.allclose(p, b, rtol=0, atol=1e-9) for p, b in zip(params, before, strict=True))


@every_rule
def test_a_tensor_as_rate_is_a_number(case):
    finals = []
    for lr in (0.125, torch.tensor(0.125), torch.tensor([0.125])):
        params = parameters(SHAPES)
        feed(build(case, params, lr=lr), params, gradients(SHAPES, torch.float64, 2))
        finals.append(params)
    for other in finals[1:]:
        assert all(torch.equal(a, b) for a, b in zip(finals[0], other, strict=True))


SCHEDULERS = {
    "LambdaLR": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda k: 0.9**k),
    "OneCycleLR": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=8),
    "CosineAnnealingLR": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=5),
    "SequentialLR": lambda o: torch.optim.lr_scheduler.SequentialLR(
        o,
        [
            torch.optim.lr_scheduler.ConstantLR(o, 0.1, 2),
            torch.optim.lr_scheduler.ExponentialLR(o, 0.5),
        ],
        milestones=[2],
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize(
    ("rule", "options"), [("SGD", {"momentum": 0.9}), ("Adam", {}), ("AdamW", {})], ids=str
)
def test_schedulers_act_as_on_torch(rule, options, name):
    finals = []
    for module in (optim, torch.optim):
        params = parameters(SHAPES)
        optimizer = getattr(module, rule)(params, lr=0.05, **options)
        scheduler = SCHEDULERS[name](optimizer)
        for row in gradients(SHAPES, torch.float64, 6):
            feed(optimizer, params, [row])
            scheduler.step()
        finals.append([wide(p) for p in params] + [optimizer.param_groups[0]["lr"]])
    for a, b in zip(*finals, strict=True):
        assert a == pytest.approx(b, rel=1e-10, abs=1e-12)


def test_a_scheduler_keeps_a_rate_that_is_a_tensor():
    params = parameters(SHAPES)
    optimizer = optim.AdamW(params, lr=torch.tensor(0.1))
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    for _ in range(2):
        feed(optimizer, params, gradients(SHAPES, torch.float64, 1))
        scheduler.step()
    assert isinstance(optimizer.param_groups[0]["lr"], torch.Tensor)
    assert float(optimizer.param_groups[0]["lr"]) == pytest.approx(0.025)


# Closures and hooks


@every_rule
def test_a_closure_runs_with_gradients_and_returns_its_loss(case):
    p = Parameter(torch.ones(3, 2))
    optimizer = build(case, [p])

    def closure():
        assert torch.is_grad_enabled()
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert float(optimizer.step(closure)) == 6.0
    assert not torch.equal(p, torch.ones(3, 2))


def test_hooks_run_in_the_order_of_torch():
    from torch.optim.optimizer import (
        register_optimizer_step_post_hook,
        register_optimizer_step_pre_hook,
    )

    seen = []
    params = parameters(SHAPES)
    optimizer = optim.Lion(params)
    handles = [
        register_optimizer_step_pre_hook(lambda *_: seen.append("global pre")),
        register_optimizer_step_post_hook(lambda *_: seen.append("global post")),
        optimizer.register_step_pre_hook(lambda *_: seen.append("pre")),
        optimizer.register_step_post_hook(lambda *_: seen.append("post")),
    ]
    try:
        feed(optimizer, params, gradients(SHAPES, torch.float64, 1))
    finally:
        for handle in handles:
            handle.remove()
    assert seen == ["global pre", "pre", "post", "global post"]


def test_a_pre_hook_may_replace_the_closure():
    params = parameters(SHAPES)
    optimizer = optim.Lion(params)
    optimizer.register_step_pre_hook(lambda o, *_: ((o, lambda: 5.0), {}))
    assert optimizer.step() == 5.0


def test_hooks_of_the_state_dict_run():
    optimizer, _ = begun(CASES[1])
    seen = []
    optimizer.register_state_dict_pre_hook(lambda *_: seen.append("pre"))
    optimizer.register_state_dict_post_hook(lambda *_: seen.append("post"))
    optimizer.register_load_state_dict_pre_hook(lambda *_: seen.append("load pre"))
    optimizer.register_load_state_dict_post_hook(lambda *_: seen.append("load post"))
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == ["pre", "post", "load pre", "load post"]


# Checkpoints


def by_state_dict(optimizer, case):
    params = [Parameter(p.detach().clone()) for p in optimizer.param_groups[0]["params"]]
    fresh = build(case, params, lr=123.0)
    # Without the copy both would share their state, as torch's do.
    fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    return fresh, params


def by_torch_save(optimizer, case):
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    params = [Parameter(p.detach().clone()) for p in optimizer.param_groups[0]["params"]]
    fresh = build(case, params, lr=123.0)
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    return fresh, params


def by_pickle(optimizer, case):
    fresh = pickle.loads(pickle.dumps(optimizer))
    return fresh, fresh.param_groups[0]["params"]


def by_deepcopy(optimizer, case):
    fresh = copy.deepcopy(optimizer)
    return fresh, fresh.param_groups[0]["params"]


WAYS = (by_state_dict, by_torch_save, by_pickle, by_deepcopy)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)
@every_rule
def test_a_resumed_run_has_the_same_bits(case, way, dtype):
    grads = gradients(SHAPES, dtype, 6)
    original, params = begun(case, 0, dtype, weight_decay=0.1)
    feed(original, params, grads[:3])
    resumed, copies = way(original, case)
    at_rest = bits(resumed)
    assert_same(bits(original), at_rest)
    feed(original, params, grads[3:])
    assert_same(bits(resumed), at_rest)  # the copy shares no memory
    feed(resumed, copies, grads[3:])
    assert_same(bits(original), bits(resumed))


@every_rule
def test_a_checkpoint_from_before_the_first_step(case):
    original, params = begun(case, 0)
    resumed, copies = by_state_dict(original, case)
    grads = gradients(SHAPES, torch.float32, 2)
    feed(original, params, grads)
    feed(resumed, copies, grads)
    assert_same(bits(original), bits(resumed))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@every_rule
def test_state_of_low_precision_parameters_is_float32_and_stays(case, dtype):
    optimizer, _ = begun(case, dtype=dtype)
    resumed, _ = by_state_dict(optimizer, case)
    for p, state in resumed.state.items():
        buffers = [v for v in state.values() if v is not None and v.shape == p.shape]
        assert {v.dtype for v in buffers} <= {torch.float32}
    assert_same(bits(optimizer), bits(resumed))


SHARED = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("Muon", {}),
    ("Adamax", {}),
    ("NAdam", {"momentum_decay": 0.1}),
    ("NAdam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("RAdam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("Adadelta", {"rho": 0.8}),
    ("RMSprop", {"weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
]


@pytest.mark.parametrize("backwards", [False, True], ids=["from torch", "to torch"])
@pytest.mark.parametrize(("name", "options"), SHARED, ids=str)
def test_checkpoints_cross_to_and_from_torch(name, options, backwards):
    if not hasattr(torch.optim, name):
        pytest.skip(f"this torch has no {name}")
    ends = [getattr(torch.optim, name), getattr(optim, name)]
    first, second = reversed(ends) if backwards else ends
    grads = gradients(SHAPES, torch.float64, 8)
    params = parameters(SHAPES)
    optimizer = first(params, lr=1e-2, **options)
    feed(optimizer, params, grads[:4])
    copies = [Parameter(p.detach().clone()) for p in params]
    other = second(copies, lr=0.7)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert other.param_groups[0]["lr"] == 1e-2
    saved = optimizer.state_dict()["state"]
    for number, state in other.state_dict()["state"].items():
        kept = {k: v for k, v in saved[number].items() if v is not None}
        assert {k for k, v in state.items() if v is not None} == set(kept)
        # torch casts the scalar of NAdam to the parameter's type when it loads it.
        cast = {"mu_product"} if backwards else set()
        assert all(torch.equal(state[k], v) for k, v in kept.items())
        assert all(state[k].dtype == v.dtype for k, v in kept.items() if k not in cast)
    feed(optimizer, params, grads[4:])
    feed(other, copies, grads[4:])
    # torch's Muon iterates in bfloat16.
    tolerance = {"Muon": 1e-2, "NAdam": 1e-7}.get(name, 1e-12)
    for p, q in zip(params, copies, strict=True):
        torch.testing.assert_close(q, p, rtol=tolerance, atol=tolerance)


def test_a_checkpoint_of_torch_keeps_its_form_of_decay():
    params = parameters(SHAPES)
    theirs = torch.optim.Adam(params, weight_decay=0.5, decoupled_weight_decay=True)
    ours = optim.Adam([Parameter(p.detach().clone()) for p in params])
    ours.load_state_dict(theirs.state_dict())
    assert ours.param_groups[0]["decay"] == "decoupled"


def test_a_checkpoint_of_torch_brings_coupled_decay_for_adam_and_decoupled_for_adamw():
    for name, decay in (("Adam", "coupled"), ("AdamW", "decoupled")):
        theirs = getattr(torch.optim, name)(parameters(SHAPES), weight_decay=0.5)
        ours = getattr(optim, name)(parameters(SHAPES))
        ours.load_state_dict(theirs.state_dict())
        assert ours.param_groups[0]["decay"] == decay


def test_a_checkpoint_of_other_groups_is_refused():
    optimizer, _ = begun(CASES[1])
    before = bits(optimizer)
    other = optim.Adam(parameters(((9, 7),)))
    with pytest.raises(ValueError, match="parameter group"):
        optimizer.load_state_dict(other.state_dict())
    assert_same(bits(optimizer), before)


@every_rule
def test_counters_are_torchs(case):
    optimizer, params = begun(case)
    counts = next(e["counts"] for e in _core.optim_rules() if e["name"] == case.rule)
    for p in params:
        step = optimizer.state.get(p, {}).get("step")
        assert (step is not None) == counts
        if counts:
            assert step.shape == ()
            assert step.dtype == torch.float32
            assert float(step) == 3.0


def test_a_counter_belongs_to_its_parameter():
    p, q = parameters(((3,), (3,)))
    optimizer = optim.Adam([p, q], lr=1e-3)
    p.grad = torch.ones(3, dtype=torch.float64)
    optimizer.step()
    optimizer.step()
    before = q.detach().clone()
    q.grad = torch.ones(3, dtype=torch.float64)
    optimizer.step()
    assert [float(optimizer.state[r]["step"]) for r in (p, q)] == [3.0, 1.0]
    torch.testing.assert_close(q.detach(), before - 1e-3)


def test_names_of_parameters_are_kept():
    model = torch.nn.Linear(3, 2)
    optimizer = optim.AdamW(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    other = optim.AdamW(torch.nn.Linear(3, 2).named_parameters())
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["param_names"] == ["weight", "bias"]


# Gradients


@every_rule
def test_a_gradient_is_neither_written_nor_kept(case):
    params = parameters(SHAPES, torch.float32)
    optimizer = build(
        case, params, weight_decay=0.1, decay="coupled", maximize=True, clip_norm=0.1, mask="grams"
    )
    (row,) = gradients(SHAPES, torch.float32, 1)
    copies = [g.clone() for g in row]
    feed(optimizer, params, [row])
    for p, g, before in zip(params, row, copies, strict=True):
        assert p.grad is g
        assert torch.equal(g, before)
        g.fill_(7.0)
    after = bits(optimizer)
    assert_same(bits(optimizer), after)
    for p, state in zip(params, (optimizer.state.get(p, {}) for p in params), strict=True):
        held = {v.data_ptr() for v in state.values() if v is not None}
        assert p.grad.data_ptr() not in held


@every_rule
def test_no_gradient_means_no_change(case):
    optimizer, (p, q) = begun(case, weight_decay=0.5)
    before = bits(optimizer)
    q.grad = None
    optimizer.step()
    after = bits(optimizer)
    assert not torch.equal(after[0][0], before[0][0])
    assert_same(after[1:], before[1:])
    p.grad = None
    optimizer.step()
    assert_same(bits(optimizer), after)


@every_rule
def test_a_zero_gradient_still_decays_and_counts(case):
    optimizer, params = begun(case, weight_decay=0.5, decay="decoupled")
    before = bits(optimizer)
    for p in params:
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for (p, new), (q, old) in zip(bits(optimizer), before, strict=True):
        assert not torch.equal(p, q)
        assert all(float(new[k]) == float(old[k]) + 1 for k in new if k == "step")


def test_frozen_and_tied_parameters():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    model[1].weight = model[0].weight
    model[0].bias.requires_grad_(False)
    optimizer = optim.AdamW(model.parameters(), lr=0.1)
    assert len(optimizer.param_groups[0]["params"]) == 3
    frozen, tied = model[0].bias.detach().clone(), model[0].weight.detach().clone()
    model(torch.ones(2, 4)).square().sum().backward()
    optimizer.step()
    assert torch.equal(model[0].bias, frozen)
    torch.testing.assert_close((model[0].weight - tied).abs().max().item(), 0.1, rtol=0.05, atol=0)
    assert model[0].weight is model[1].weight


def test_a_parameter_given_twice_is_refused():
    p = Parameter(torch.ones(3))
    with pytest.raises(ValueError, match="more than one parameter group"):
        optim.SGD([{"params": [p]}, {"params": [p]}])
    with pytest.warns(UserWarning, match="duplicate"):
        optim.SGD([p, p])


def test_what_torch_refuses_as_parameters():
    p = Parameter(torch.ones(3))
    for params, error in (
        (p, TypeError),
        ([], ValueError),
        ([1.0], TypeError),
        ([p * 2], ValueError),
    ):
        with pytest.raises(error):
            optim.AdamW(params)


@pytest.mark.parametrize("force_plain", [False, True], ids=["core", "plain"])
@pytest.mark.parametrize("case", [c for c in CASES if c.rule != "adagrad"], ids=str)
def test_a_sparse_gradient_is_refused(case, force_plain, monkeypatch):
    if force_plain:
        monkeypatch.setattr(_core, "optim_step", lambda *_: None)
    p, q = Parameter(torch.ones(4, 3)), Parameter(torch.ones(4, 3))
    optimizer = build(case, [p, q])
    p.grad = torch.ones(4, 3)
    q.grad = torch.sparse_coo_tensor([[0, 2]], torch.ones(2, 3), (4, 3), check_invariants=True)
    before = bits(optimizer)
    with pytest.raises(NotImplementedError, match="takes no sparse gradient"):
        optimizer.step()
    assert_same(bits(optimizer), before)


# Unusual tensors


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
@elementwise
def test_complex_steps_real_and_imaginary_parts(case, dtype):
    real = torch.float32 if dtype == torch.complex64 else torch.float64
    values, grads = torch.randn(2, 5, 3, 2, dtype=real, generator=torch.manual_seed(0))
    options = {"weight_decay": 0.1, "mask": "grams"}
    z, x = Parameter(torch.view_as_complex(values.clone())), Parameter(values.clone())
    ours, theirs = build(case, [z], **options), build(case, [x], **options)
    for _ in range(3):
        z.grad, x.grad = torch.view_as_complex(grads), grads
        ours.step()
        theirs.step()
    assert torch.equal(torch.view_as_real(z.detach()), x.detach())
    for name, state in ours.state.get(z, {}).items():
        if state.shape == z.shape:
            assert state.dtype == dtype
            assert torch.equal(torch.view_as_real(state), theirs.state[x][name])


def test_muon_refuses_complex_and_other_shapes():
    for value in (torch.ones(2, 2, dtype=torch.complex64), torch.ones(3), torch.tensor(1.0)):
        p = Parameter(value.clone())
        optimizer = optim.Muon([p])
        p.grad = torch.ones_like(p)
        with pytest.raises(ValueError, match="must be a matrix"):
            optimizer.step()
        assert torch.equal(p, value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,)], ids=str)
@elementwise
def test_scalars_and_empty_tensors(case, shape, dtype):
    p, q = Parameter(torch.ones(shape, dtype=dtype)), Parameter(torch.ones(5, dtype=dtype))
    optimizer = build(case, [p, q], mask="cautious", clip_norm=1.0, weight_decay=0.1)
    for _ in range(2):
        p.grad, q.grad = torch.ones_like(p), torch.ones_like(q)
        optimizer.step()
    assert p.shape == shape
    assert torch.isfinite(p).all()
    assert torch.isfinite(q).all()
    if p.numel():
        torch.testing.assert_close(p.detach().reshape(-1)[0], q.detach()[0])


def test_an_empty_matrix():
    p = Parameter(torch.ones(0, 3))
    p.grad = torch.ones(0, 3)
    optim.Muon([p]).step()
    assert p.shape == (0, 3)


@elementwise
def test_an_expanded_gradient(case):
    finals = []
    for expand in (True, False):
        p = Parameter(torch.ones(4, 3))
        optimizer = build(case, [p])
        g = torch.tensor([[1.0, -2.0, 0.0]]).expand(4, 3)
        p.grad = g if expand else g.contiguous()
        optimizer.step()
        finals.append(p.detach())
    assert torch.equal(*finals)


def test_a_gradient_of_another_type():
    g = torch.tensor([1.0, -0.5, 3.0])
    finals = []
    for dtype in (torch.float32, torch.float64):
        p = Parameter(torch.ones(3, dtype=torch.float64))
        if not hasattr(p, "grad_dtype"):
            pytest.skip("this torch ties the type of a gradient to its parameter's")
        p.grad_dtype = None
        p.grad = g.to(dtype)
        optim.AdamW([p]).step()
        finals.append(p.detach())
    assert torch.equal(*finals)


def test_state_follows_the_memory_format():
    p = Parameter(torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last))
    optimizer = optim.Adam([p])
    p.grad = torch.ones(2, 3, 4, 5)
    optimizer.step()
    assert optimizer.state[p]["exp_avg"].is_contiguous(memory_format=torch.channels_last)


class Tagged(torch.Tensor):
    """A subclass, which the core leaves to plain torch."""


@every_rule
def test_subclasses_take_the_plain_path(case):
    value = torch.randn(6, 4, generator=torch.manual_seed(0), dtype=torch.float64)
    p, q = Parameter(value.clone().as_subclass(Tagged)), Parameter(value.clone())
    ours, theirs = build(case, [p]), build(case, [q])
    for k in range(3):
        p.grad, q.grad = (value * (k - 1)).as_subclass(Tagged), value * (k - 1)
        ours.step()
        theirs.step()
    assert isinstance(p, Tagged)
    torch.testing.assert_close(
        p.detach().as_subclass(torch.Tensor), q.detach(), rtol=1e-9, atol=1e-9
    )


# A prediction from gradients needs their values.
@pytest.mark.parametrize("case", [c for c in CASES if c.rule != "optimisticamsgrad"], ids=str)
def test_other_devices_take_the_plain_path(case):
    p = Parameter(torch.empty(6, 4, device="meta"))
    optimizer = build(case, [p])
    p.grad = torch.empty(6, 4, device="meta")
    optimizer.step()
    for name, state in optimizer.state.get(p, {}).items():
        assert name == "step" or state.shape != p.shape or state.device.type == "meta"


def test_a_gradient_on_another_device_is_refused_by_torch_or_us():
    p = Parameter(torch.ones(3))
    with pytest.raises(RuntimeError, match="device"):
        p.grad = torch.empty(3, device="meta")


def test_inference_tensors_are_stepped():
    with torch.inference_mode():
        p = torch.ones(3)
        p.grad = torch.ones(3)
        optimizer = optim.SGD([p], lr=0.5)
        optimizer.step()
        assert torch.equal(p, torch.full((3,), 0.5))


# Autograd


@every_rule
def test_the_version_of_a_parameter_rises(case):
    optimizer, params = begun(case)
    before = [p._version for p in params]
    optimizer.step()
    assert all(p._version > v for p, v in zip(params, before, strict=True))


def test_a_stale_saved_tensor_is_detected():
    p = Parameter(torch.ones(3))
    optimizer = optim.SGD([p], lr=0.5)
    loss = p.square().sum()
    p.grad = torch.ones(3)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_step_builds_no_graph():
    p = Parameter(torch.ones(3))
    optimizer = optim.AdamW([p])
    p.grad = torch.ones(3, requires_grad=True) * 2
    optimizer.step()
    assert p.is_leaf
    assert p.grad_fn is None
    assert not any(v.requires_grad for v in optimizer.state[p].values())


# GradScaler


@every_rule
def test_scaled_gradients_are_divided_first(case):
    finals = []
    for scale in (None, 1024.0):
        params = parameters(SHAPES, torch.float32)
        optimizer = build(case, params, clip_norm=1.0, clip_value=0.2, weight_decay=0.1)
        grads = gradients(SHAPES, torch.float32, 1)
        if scale is not None:
            optimizer.grad_scale = torch.tensor(scale)
            optimizer.found_inf = torch.tensor(0.0)
            grads = [[g * scale for g in row] for row in grads]
        feed(optimizer, params, grads)
        finals.append(params)
    for a, b in zip(*finals, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


@every_rule
def test_found_inf_leaves_everything_alone(case):
    optimizer, params = begun(case, weight_decay=0.1)
    before = bits(optimizer)
    optimizer.grad_scale, optimizer.found_inf = torch.tensor(2.0), torch.tensor(1.0)
    for p in params:
        p.grad = torch.full_like(p, torch.inf)
    optimizer.step()
    assert_same(bits(optimizer), before)


def test_grad_scaler_on_the_cpu():
    finals = []
    for module in (optim, torch.optim):
        (p,) = parameters(((5, 3),), torch.float32)
        optimizer = module.SGD([p], lr=0.1, momentum=0.9)
        scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
        for k in range(4):
            optimizer.zero_grad()
            loss = p.square().sum() * torch.inf if k == 2 else p.square().sum()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        assert not hasattr(optimizer, "found_inf")
        assert not hasattr(optimizer, "grad_scale")
        finals.append((wide(p), scaler.get_scale()))
    assert finals[0][1] == finals[1][1] == 128.0
    assert finals[0][0] == pytest.approx(finals[1][0], rel=1e-6)


def test_a_gradient_unscaled_by_hand_is_not_unscaled_again():
    p = Parameter(torch.ones(2))
    optimizer = optim.SGD([p], lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    torch.testing.assert_close(p.detach(), torch.full((2,), 0.9))


# Compatibility


@pytest.mark.parametrize("options", [{"fused": True}, {"foreach": True}, {"foreach": False}])
@pytest.mark.parametrize("name", CLASSES.values())
def test_torchs_flags_are_kept(name, options):
    optimizer = getattr(optim, name)(parameters(SHAPES), **options)
    ((key, value),) = options.items()
    assert optimizer.param_groups[0][key] is value


def test_steps_follow_the_default_type_for_counters():
    torch.set_default_dtype(torch.float64)
    try:
        optimizer, (p, _) = begun(CASES[1], 1)
        assert optimizer.state[p]["step"].dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_zero_grad_both_ways():
    p = Parameter(torch.ones(2))
    optimizer = optim.SGD([p])
    p.grad = torch.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert torch.equal(p.grad, torch.zeros(2))
    optimizer.zero_grad()
    assert p.grad is None
