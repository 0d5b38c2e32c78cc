"""Checkpoints: matched by name, and refused with nothing loaded where they do not fit."""

from __future__ import annotations

import copy

import pytest
import torch
from optim.harness import CLASSES, build, feed, gradients, parameters
from optim.rules import CASES
from torch import nn
from torch.nn import Parameter

from thalweg import optim

SHAPES = ((9, 7), (4, 12))


def saved(case, named=False, **options):
    params = parameters(SHAPES)
    given = list(zip("ab", params, strict=True)) if named else params
    optimizer = build(case, given, **options)
    feed(optimizer, params, gradients(SHAPES, torch.float64, 2))
    return optimizer


def snapshot(optimizer):
    params = [p for group in optimizer.param_groups for p in group["params"]]
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    states = [copy.deepcopy(dict(optimizer.state.get(p, {}))) for p in params]
    return copy.deepcopy(groups), states


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def refused(optimizer, state_dict, message):
    """Loading raises, and loads nothing."""
    before, given = snapshot(optimizer), copy.deepcopy(state_dict)
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state_dict)
    assert equal(before, snapshot(optimizer))
    assert equal(given, state_dict)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_checkpoint_of_another_rule(case):
    ours = CLASSES[case.rule]
    for other in CASES:
        if other.rule != case.rule:
            refused(
                saved(case),
                saved(other).state_dict(),
                f"checkpoint must be one of {ours}, got one of {CLASSES[other.rule]}",
            )


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("Adam", "Lion"), ("Adagrad", "Adam"), ("RMSprop", "AdamW"), ("Adam", "SGD")],
)
def test_the_checkpoint_of_another_rule_of_torchs(theirs, ours):
    params = parameters(SHAPES)
    optimizer = getattr(torch.optim, theirs)(params)
    feed(optimizer, params, gradients(SHAPES, torch.float64, 2))
    fresh = getattr(optim, ours)(parameters(SHAPES))
    feed(fresh, fresh.param_groups[0]["params"], gradients(SHAPES, torch.float64, 1))
    refused(fresh, optimizer.state_dict(), f"state of {ours} must hold .* got ")


def test_a_checkpoint_that_lacks_a_state():
    state_dict = saved(CASES[1]).state_dict()
    state_dict = copy.deepcopy(state_dict)
    del state_dict["state"][1]["exp_avg_sq"]
    refused(saved(CASES[1]), state_dict, "got no 'exp_avg_sq' in the state of parameter 1")


@pytest.mark.parametrize("case", [c for c in CASES if c.keeps], ids=str)
def test_the_checkpoint_of_other_shapes(case):
    params = parameters(((9, 7), (12, 4)))
    other = build(case, params)
    feed(other, params, gradients(((9, 7), (12, 4)), torch.float64, 1))
    refused(
        saved(case),
        other.state_dict(),
        r"of shape \(12, 4\) does not match its parameter 1 of shape \(4, 12\)",
    )


def test_the_checkpoint_of_a_later_version():
    state_dict = copy.deepcopy(saved(CASES[1]).state_dict())
    assert state_dict["param_groups"][0]["version"] == 1
    state_dict["param_groups"][0]["version"] = 2
    refused(saved(CASES[1]), state_dict, "version of a checkpoint must be at most 1, got 2")


def test_the_checkpoint_of_hyperparameters_out_of_range():
    state_dict = copy.deepcopy(saved(CASES[1]).state_dict())
    state_dict["param_groups"][0]["betas"] = (0.9, 1.5)
    refused(saved(CASES[1]), state_dict, "betas")


def test_one_bad_group_of_several():
    def make():
        p, q = parameters(SHAPES)
        return optim.Routed([("a", p), ("b", q)], {"a": optim.Adam, "b": optim.Lion})

    other = make()
    feed(other, [g["params"][0] for g in other.param_groups], gradients(SHAPES, torch.float64, 1))
    state_dict = copy.deepcopy(other.state_dict())
    state_dict["param_groups"][1]["rule"] = "sgd"
    refused(make(), state_dict, "checkpoint must be one of Lion, got one of SGD")


def test_a_checkpoint_from_before_rules_were_noted():
    state_dict = copy.deepcopy(saved(CASES[1]).state_dict())
    for group in state_dict["param_groups"]:
        del group["rule"], group["version"]
    fresh = optim.Adam(parameters(SHAPES))
    fresh.load_state_dict(state_dict)
    assert fresh.param_groups[0]["rule"] == "adam"


# By name


class Net(nn.Module):
    def __init__(self, order):
        super().__init__()
        torch.manual_seed(0)
        made = {"a": nn.Linear(3, 4), "b": nn.Linear(4, 4), "c": nn.Linear(4, 2)}
        for name in order:
            self.add_module(name, made[name])

    def forward(self, x):
        return self.c(self.b(self.a(x)).tanh())


def train(net, optimizer, steps, first=0):
    for k in range(first, first + steps):
        optimizer.zero_grad()
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(k))
        net(x).square().sum().backward()
        optimizer.step()


def assert_same(one, two):
    other = dict(two.named_parameters())
    assert all(torch.equal(p, other[name]) for name, p in one.named_parameters())


@pytest.mark.parametrize(
    "make",
    [lambda named: optim.AdamW(named, lr=0.1), lambda named: optim.Routed(named, lr=0.1)],
    ids=["AdamW", "Routed"],
)
def test_state_goes_to_the_parameter_of_the_same_name(make):
    one, two = Net("abc"), Net("cba")
    first = make(list(one.named_parameters()))
    train(one, first, 3)
    two.load_state_dict(one.state_dict())
    second = make(list(two.named_parameters()))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.param_groups[0]["param_names"][0].startswith("c")
    train(one, first, 2, first=3)
    train(two, second, 2, first=3)
    assert_same(one, two)


def test_other_groups_take_their_options_along():
    one, two = Net("abc"), Net("abc")
    named = list(one.named_parameters())
    first = optim.AdamW([{"params": named[:2]}, {"params": named[2:]}], lr=0.1)
    train(one, first, 2)
    two.load_state_dict(one.state_dict())
    second = optim.AdamW(two.named_parameters(), lr=0.7)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.param_groups[0]["lr"] == 0.1
    train(one, first, 1, first=2)
    train(two, second, 1, first=2)
    assert_same(one, two)


def test_groups_of_several_options_do_not_merge():
    named = list(Net("abc").named_parameters())
    first = optim.AdamW([{"params": named[:2], "lr": 0.5}, {"params": named[2:]}], lr=0.1)
    second = optim.AdamW(Net("abc").named_parameters())
    refused(second, first.state_dict(), "parameters of one group must have one set of options")


def test_names_that_differ():
    other = nn.ModuleDict({"a": nn.Linear(3, 4), "d": nn.Linear(4, 4)})
    first = optim.AdamW(other.named_parameters())
    second = optim.AdamW(Net("abc").named_parameters())
    refused(second, first.state_dict(), "got none for 'b.bias' and one for 'd.bias'")


def test_without_names_on_one_side_the_order_counts():
    params = parameters(SHAPES)
    first = optim.Adam(list(zip("ab", params, strict=True)), lr=0.1)
    feed(first, params, gradients(SHAPES, torch.float64, 2))
    second = optim.Adam([Parameter(p.detach().clone()) for p in params])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for p, q in zip(params, second.param_groups[0]["params"], strict=True):
        assert torch.equal(first.state[p]["exp_avg"], second.state[q]["exp_avg"])


def test_a_pre_hook_has_the_last_word_before_the_checks():
    first = saved(CASES[1])
    second = saved(CASES[1])
    state_dict = copy.deepcopy(first.state_dict())
    state_dict["wrapped"] = state_dict.pop("param_groups")

    def unwrap(_, given):
        given["param_groups"] = given.pop("wrapped")

    second.register_load_state_dict_pre_hook(unwrap)
    second.load_state_dict(state_dict)
    assert equal(snapshot(first), snapshot(second))
