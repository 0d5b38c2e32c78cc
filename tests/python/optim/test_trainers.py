"""Loops of others around a step, Lightning and Accelerate among them, and what they rely on."""

from __future__ import annotations

import copy
import inspect
import pickle
import warnings

import pytest
import torch
from optim.harness import CLASSES, build
from optim.rules import CASES
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from thalweg import _core, optim

MAKERS = {
    "AdamW": lambda p: optim.AdamW(p, lr=0.05),
    "Routed": lambda p: optim.Routed(p, lr=0.05),
    "fused": None,
}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1))


def batches(count=8):
    x = torch.randn(count, 4, 5, generator=torch.Generator().manual_seed(1))
    return list(x)


def loss(net, x):
    return net(x).square().mean() * 10.0


def trained(make, count=8, accumulate=1):
    """What plain torch code makes of it."""
    net = network()
    optimizer = make(list(net.named_parameters()))
    for k, x in enumerate(batches(count), 1):
        (loss(net, x) / accumulate).backward()
        if k % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
    return net


def assert_close(net, other):
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)


def make_optimizer(name, net):
    if name == "fused":
        return optim.fuse_backward(net, MAKERS["AdamW"])
    return MAKERS[name](list(net.named_parameters()))


def reference(name, **options):
    return trained(MAKERS["AdamW" if name == "fused" else name], **options)


@pytest.mark.parametrize("name", MAKERS)
def test_lightning(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lightning = pytest.importorskip("lightning")

        class Module(lightning.LightningModule):
            def __init__(self):
                super().__init__()
                self.net = network()

            def training_step(self, batch, _):
                return loss(self.net, batch[0])

            def configure_optimizers(self):
                optimizer = make_optimizer(name, self.net)
                scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
                return [optimizer], [scheduler]

        module = Module()
        loader = DataLoader(TensorDataset(torch.cat(batches())), batch_size=4)
        trainer = lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        trainer.fit(module, loader)
        trainer.save_checkpoint(tmp_path / "all.ckpt")
        saved = torch.load(tmp_path / "all.ckpt", weights_only=False)["optimizer_states"][0]
    assert trainer.global_step == 8
    assert_close(module.net, reference(name))
    fresh = make_optimizer(name, network())
    fresh.load_state_dict(saved)
    assert fresh.param_groups[0]["lr"] == pytest.approx(0.005)


@pytest.mark.parametrize("name", ["AdamW", "Routed"])
def test_accelerate(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        accelerate = pytest.importorskip("accelerate")
        accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=4)
        net = network()
        loader = DataLoader(TensorDataset(torch.cat(batches())), batch_size=4)
        net, optimizer, loader = accelerator.prepare(net, make_optimizer(name, net), loader)
        for (x,) in loader:
            with accelerator.accumulate(net):
                accelerator.backward(loss(net, x))
                optimizer.step()
                optimizer.zero_grad()
    assert_close(net, reference(name, accumulate=4))


@pytest.mark.parametrize("name", CLASSES.values())
def test_trainers_hand_over_groups_with_a_decay(name):
    """As the trainer of transformers does: every group names its decay, whatever the rule."""
    net = nn.Linear(3, 2)
    groups = [
        {"params": [net.weight], "weight_decay": 0.1, "name": "decay"},
        {"params": [net.weight.new_ones(2, 2).requires_grad_()], "weight_decay": 0.0},
    ]
    optimizer = getattr(optim, name)(groups, lr=1e-3)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert optimizer.param_groups[0]["name"] == "decay"
    net.weight.grad = torch.ones(2, 3)
    optimizer.step(lambda: 1.0)


@pytest.mark.parametrize("name", CLASSES.values())
def test_the_constructor_takes_its_own_defaults(name):
    """As ZeroRedundancyOptimizer calls it, on a list and with keywords."""
    cls = getattr(optim, name)
    signature = inspect.signature(cls)
    assert signature.parameters["lr"].default is not inspect.Parameter.empty
    assert next(iter(signature.parameters)) == "params"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_state_hangs_on_parameters_alone(case):
    p, q = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(2, 2))
    optimizer = build(case, [p, q])
    for t in (p, q):
        t.grad = torch.ones_like(t)
    optimizer.step()
    assert set(optimizer.state) <= {p, q}
    for state in optimizer.state.values():
        assert all(v is None or isinstance(v, torch.Tensor) for v in state.values())
    allowed = (type(None), bool, int, float, str, tuple, list, torch.Tensor)
    for group in optimizer.param_groups:
        assert all(isinstance(value, allowed) for value in group.values())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_first_step_with_a_rate_of_zero_only_makes_state(case):
    """As distributed checkpoints do it before they load."""
    params = [nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(3, 3))]
    if getattr(optim, CLASSES[case.rule]).eager_state:
        pytest.skip("has its state from the start, so that they step nothing")
    optimizer = build(case, params, lr=0.0, weight_decay=0.1)
    before = [p.detach().clone() for p in params]
    for p in params:
        p.grad = torch.zeros_like(p)
    optimizer.step(closure=None)
    assert all(torch.equal(p, b) for p, b in zip(params, before, strict=True))
    names = [name for name, *_ in _core.optim_states(case.rule, optimizer.param_groups[0])]
    for p in params:
        kept = optimizer.state.get(p, {})
        assert set(names) <= set(kept)
        assert all(v.isfinite().all() for v in kept.values() if v is not None)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_single_process_saves_by_name_and_loads(case):
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )

    net, twin = nn.Linear(5, 4, bias=False), nn.Linear(5, 4, bias=False)
    optimizer, fresh = build(case, net.parameters()), build(case, twin.parameters(), lr=9.0)
    net.weight.grad = torch.randn(4, 5)
    optimizer.step()
    for options in (StateDictOptions(), StateDictOptions(flatten_optimizer_state_dict=True)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            saved = get_optimizer_state_dict(net, optimizer, options=options)
            set_optimizer_state_dict(twin, fresh, copy.deepcopy(saved), options=options)
        assert fresh.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
        for key, value in optimizer.state.get(net.weight, {}).items():
            assert torch.equal(fresh.state[twin.weight][key], value)


def test_nothing_is_lost_in_a_pickle():
    net = network()
    optimizer = optim.AdamW(net.parameters(), on_nonfinite="skip")
    for copied in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        assert copied.on_nonfinite == "skip"
        assert copied._telemetry is None
        (group,) = copied.param_groups
        group["params"][0].grad = torch.ones_like(group["params"][0])
        copied.step()
        telemetry = optim.Telemetry(copied)
        copied.step()
        assert len(telemetry.history) == 1


def test_a_scaler_takes_no_closure_and_says_so():
    p = nn.Parameter(torch.ones(2))
    optimizer = optim.SGD([p], lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(p.sum()).backward()
    with pytest.raises(RuntimeError, match=r"[Cc]losure"):
        scaler.step(optimizer, closure=lambda: None)


@pytest.mark.parametrize("name", ["AdamW", "Routed"])
def test_a_scaler_in_a_loop(name):
    net, other = network(), network()
    optimizer, plain = make_optimizer(name, net), make_optimizer(name, other)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for k, x in enumerate(batches()):
        optimizer.zero_grad()
        plain.zero_grad()
        factor = torch.inf if k == 3 else 1.0
        scaler.scale(loss(net, x) * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        if k != 3:
            loss(other, x).backward()
            plain.step()
    assert scaler.get_scale() == 512.0
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CLASSES.values())
def test_flags_are_taken_or_refused(name):
    cls = getattr(optim, name)

    def make(**options):
        return cls([nn.Parameter(torch.ones(2, 2))], **options)

    for flags in ({"foreach": True}, {"fused": True}, {"foreach": False, "fused": False}):
        group = make(**flags).param_groups[0]
        assert all(group[key] is value for key, value in flags.items())
    with pytest.raises(RuntimeError, match="foreach and fused must not both be True"):
        make(foreach=True, fused=True)
    for flag in ("capturable", "differentiable"):
        assert make(**{flag: False}).param_groups[0][flag] is False
        with pytest.raises(NotImplementedError, match=f"{flag}=True is not supported"):
            make(**{flag: True})


@pytest.mark.parametrize(
    "make", [lambda p, lr: optim.AdamW(p, lr=lr), lambda p, lr: optim.Routed(p, lr=lr)]
)
def test_a_rate_that_is_a_tensor(make):
    nets = [network(), network()]
    rates = (0.05, torch.tensor(0.05))
    for net, lr in zip(nets, rates, strict=True):
        optimizer = make(list(net.named_parameters()), lr)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        for x in batches(4):
            optimizer.zero_grad()
            loss(net, x).backward()
            optimizer.step()
            scheduler.step()
    assert_close(*nets)
