"""Several rules in one optimizer."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from thalweg import _core, optim


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.conv = nn.Conv1d(8, 6, 3)
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 4)

    def forward(self, ids):
        x = self.conv(self.embed(ids).mT).mean(-1)
        return self.head(self.norm(x))


def model(seed=0):
    torch.manual_seed(seed)
    return Small()


def gradients(net, seed=1):
    generator = torch.Generator().manual_seed(seed)
    for p in net.parameters():
        p.grad = torch.randn(p.shape, generator=generator)


def rules(optimizer):
    return {
        name: group["rule"] for group in optimizer.param_groups for name in group["param_names"]
    }


def test_matrices_go_to_muon_and_the_rest_to_adamw():
    chosen = rules(optim.Routed(model()))
    assert {name for name, rule in chosen.items() if rule == "muon"} == {
        "conv.weight",
        "head.weight",
    }
    assert set(chosen.values()) == {"muon", "adamw"}
    assert set(chosen) == {name for name, _ in model().named_parameters()}


def test_the_first_key_that_matches_counts():
    route = {
        "head.*": lambda p: optim.AdamW(p, lr=0.5),
        "embedding": lambda p: optim.SGD(p, lr=0.25),
        lambda name, p: name.endswith("bias") and p.numel() == 6: optim.Lion,
        "matrix": optim.Muon,
        "vector": optim.Adam,
    }
    assert rules(optim.Routed(model(), route)) == {
        "head.weight": "adamw",
        "head.bias": "adamw",
        "embed.weight": "sgd",
        "conv.bias": "lion",
        "norm.bias": "lion",
        "conv.weight": "muon",
        "norm.weight": "adam",
    }


@pytest.mark.parametrize("force_plain", [False, True], ids=["core", "plain"])
def test_a_step_is_that_of_separate_optimizers(force_plain, monkeypatch):
    if force_plain:
        monkeypatch.setattr(_core, "optim_step", lambda *_: None)
    one, two = model(), model()
    routed = optim.Routed(one, lr=0.01, weight_decay=0.1)
    named = dict(two.named_parameters())
    matrices = [named.pop(name) for name in ("conv.weight", "head.weight")]
    apart = [
        optim.Muon(matrices, lr=0.01, weight_decay=0.1),
        optim.AdamW(named.values(), lr=0.01, weight_decay=0.1),
    ]
    for seed in range(3):
        gradients(one, seed)
        gradients(two, seed)
        routed.step()
        for optimizer in apart:
            optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))


def test_the_norm_is_that_of_all_rules_together():
    one, two = model(), model()
    clipped, free = optim.Routed(one, clip_norm=0.5), optim.Routed(two)
    gradients(one)
    gradients(two)
    clipped.step()
    torch.nn.utils.clip_grad_norm_(two.parameters(), 0.5)
    free.step()
    for p, q in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)


def test_groups_have_their_own_rates_and_schedulers_move_them():
    routed = optim.Routed(
        model(),
        {"matrix": lambda p: optim.Muon(p, lr=0.02), "rest": lambda p: optim.AdamW(p, lr=3e-4)},
    )
    assert [group["lr"] for group in routed.param_groups] == [0.02, 3e-4]
    scheduler = torch.optim.lr_scheduler.LambdaLR(routed, [lambda _: 0.5, lambda _: 0.1])
    assert scheduler.get_last_lr() == pytest.approx([0.01, 3e-5])


def ways(routed, net):
    twin = copy.deepcopy(net)
    fresh = optim.Routed(twin, lr=123.0)
    fresh.load_state_dict(copy.deepcopy(routed.state_dict()))
    yield fresh, twin
    pickled = pickle.loads(pickle.dumps((net, routed)))
    yield pickled[1], pickled[0]
    copied = copy.deepcopy((net, routed))
    yield copied[1], copied[0]


def test_one_state_dict_resumes_with_the_same_bits():
    net = model()
    routed = optim.Routed(net, lr=0.01)
    gradients(net, 1)
    routed.step()
    others = list(ways(routed, net))
    for optimizer, twin in [(routed, net), *others]:
        gradients(twin, 2)
        optimizer.step()
    for _, twin in others:
        assert all(
            torch.equal(p, q) for p, q in zip(net.parameters(), twin.parameters(), strict=True)
        )


def test_a_late_group_is_routed_too():
    net = model()
    routed = optim.Routed(net)
    extra = nn.Linear(3, 2)
    named = [(f"extra.{name}", p) for name, p in extra.named_parameters()]
    routed.add_param_group({"params": named, "lr": 0.5})
    assert [(g["rule"], g["lr"]) for g in routed.param_groups[2:]] == [
        ("muon", 0.5),
        ("adamw", 0.5),
    ]
    late = nn.Parameter(torch.ones(2, 2))
    routed.add_param_group({"params": [("late", late)], "rule": "sgd", "lr": 0.25})
    late.grad = torch.ones(2, 2)
    routed.step()
    assert torch.equal(late.detach(), torch.full((2, 2), 0.75))


def test_parameters_without_names():
    routed = optim.Routed(list(model().parameters()))
    assert [group["rule"] for group in routed.param_groups] == ["muon", "adamw"]
    assert "param_names" not in routed.param_groups[0]


def test_velocities_that_start_at_random_exist_at_once():
    net = model()
    routed = optim.Routed(net, {"matrix": optim.Gravity, "rest": optim.SGD})
    assert "velocity" in routed.state[net.head.weight]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda m: optim.Routed(m, {"matrix": optim.Muon}),
            ValueError,
            "got none for embed.weight",
        ),
        (lambda m: optim.Routed(m, {"hed.*": optim.SGD, "rest": optim.SGD}), ValueError, "hed"),
        (lambda m: optim.Routed(m, {"rest": optim.SGD, "head.*": optim.SGD}), ValueError, "put it"),
        (lambda m: optim.Routed(m, {1: optim.SGD}), TypeError, "route must map"),
        (lambda m: optim.Routed(m, {"rest": "sgd"}), TypeError, "route must map"),
        (
            lambda m: optim.Routed(m, {"rest": torch.optim.SGD}),
            TypeError,
            "must make an optimizer of thalweg.optim, got SGD",
        ),
        (lambda m: optim.Routed([], {"rest": optim.SGD}), ValueError, "got none"),
        (
            lambda m: optim.Routed(m.parameters(), {"head.*": optim.SGD, "rest": optim.SGD}),
            ValueError,
            "params must have names",
        ),
        (
            lambda m: optim.Routed(
                m, {"matrix": lambda p: optim.Muon(p, on_nonfinite="skip"), "rest": optim.SGD}
            ),
            ValueError,
            "on_nonfinite must be one policy",
        ),
        (lambda m: optim.Routed(m, momentum=0.5), TypeError, "momentum"),
        (lambda m: optim.Routed(m, lr=-1.0), ValueError, "lr must be"),
    ],
)
def test_routed_says_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make(model())


def test_a_rule_is_no_option_of_the_others():
    p = nn.Parameter(torch.ones(2))
    with pytest.raises(TypeError, match="no argument 'rule'"):
        optim.AdamW([p], rule="lion")
    with pytest.raises(ValueError, match="rule of a group must be 'adamw', got 'lion'"):
        optim.AdamW([{"params": [p], "rule": "lion"}])


@pytest.mark.parametrize("shape", [(4, 3, 5), (6, 4, 3, 3), (2, 3, 1, 2, 2)], ids=str)
@pytest.mark.parametrize("layout", ["rows", "channels_last"])
def test_muon_takes_more_axes_as_columns(shape, layout):
    value = torch.randn(shape, generator=torch.manual_seed(0))
    grad = torch.randn(shape, generator=torch.manual_seed(1))
    p, flat = nn.Parameter(value.clone()), nn.Parameter(value.flatten(1).clone())
    if layout == "channels_last":
        if len(shape) != 4:
            pytest.skip("for kernels of two dimensions")
        p = nn.Parameter(value.to(memory_format=torch.channels_last))
    ours, theirs = optim.Muon([p], lr=0.1), optim.Muon([flat], lr=0.1)
    for _ in range(2):
        p.grad, flat.grad = grad.clone(), grad.flatten(1).clone()
        ours.step()
        theirs.step()
    torch.testing.assert_close(p.detach().flatten(1), flat.detach(), rtol=1e-5, atol=1e-6)
