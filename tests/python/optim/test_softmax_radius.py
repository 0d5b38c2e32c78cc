"""SoftmaxRadius: radii against complex zeros, caps against the base, and life in torch."""

from __future__ import annotations

import cmath
import copy
import math
import pickle
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thalweg import optim
from thalweg.optim.logit_slopes import Batch, cut, radii

F64 = torch.float64
X = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 3


def network(seed=0, classes=3, dtype=torch.float32):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, classes)).to(dtype)


def backward(model, x=X, y=Y):
    model.zero_grad()
    output = model(x)
    loss = nn.functional.cross_entropy(output, y)
    loss.backward()
    return loss


def values(model):
    return [p.detach().clone() for p in model.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def flat(tensors):
    return torch.cat([t.flatten().double() for t in tensors])


# Radii


def zero(z, a, start):
    """A zero of sum_k exp(z_k + t a_k) that Newton's method finds from `start`; None if none."""
    t = start
    for _ in range(100):
        if abs(t) > 1e2:
            return None
        terms = [cmath.exp(zk + t * ak) for zk, ak in zip(z, a, strict=True)]
        slope = sum(ak * term for ak, term in zip(a, terms, strict=True))
        value = sum(terms)
        if abs(value) < 1e-11 * sum(map(abs, terms)):
            return t
        if slope == 0:
            return None
        t -= value / slope
    return None


def nearest_zero(z, a):
    """Distance of the nearest complex zero, over many starts."""
    spread = max(a) - min(a)
    top = 8 * math.pi / spread
    starts = [
        complex(u, v) for u in np.linspace(-top, top, 25) for v in np.linspace(0.05 * top, top, 15)
    ]
    return min(abs(t) for t in (zero(z, a, s) for s in starts) if t is not None)


@settings(deadline=None, max_examples=30)
@given(st.floats(-3, 3), st.floats(0.1, 4), st.booleans())
def test_two_classes_are_exact(gap, slope, turned):
    z, a = [gap, 0.0], [slope, 0.0]
    found = float(radii(torch.tensor(z, dtype=F64), torch.tensor(a[::-1] if turned else a)))
    assert found == pytest.approx(abs(complex(gap, math.pi)) / slope, rel=1e-6)
    assert found == pytest.approx(nearest_zero(z, a), rel=1e-6)


@pytest.mark.parametrize("classes", [3, 4, 6])
def test_many_classes_are_a_lower_bound(classes):
    rng = np.random.default_rng(classes)
    ratios = []
    for _ in range(6):
        z, a = rng.normal(size=(2, classes))
        bound = float(radii(torch.tensor(z), torch.tensor(a)))
        assert bound == pytest.approx(math.pi / (a.max() - a.min()))
        ratios.append(nearest_zero(z, a) / bound)
    assert min(ratios) >= 1 - 1e-9
    # The bound is of the right size.
    assert min(ratios) < 4


def test_the_bound_is_attained():
    # Extreme logits alike and the others negligible: two terms cancel.
    z, a = [0.0, 0.0, -40.0], [1.0, -1.0, 0.3]
    assert float(radii(torch.tensor(z), torch.tensor(a))) == pytest.approx(
        nearest_zero(z, a), rel=1e-6
    )


def test_the_taylor_series_converges_inside_and_not_outside():
    # Derivatives of log(1 + exp(z + t a)) by a contour around the origin, no formula of ours.
    z, a = 0.7, 1.3
    radius = float(radii(torch.tensor([z, 0.0], dtype=F64), torch.tensor([a, 0.0], dtype=F64)))
    n, rho = 512, 0.9 * radius
    t = rho * np.exp(2j * np.pi * np.arange(n) / n)
    c = np.fft.fft(np.log(1 + np.exp(z + t * a))) / n / rho ** np.arange(n)
    sizes = np.abs(c[40:80]) ** (1 / np.arange(40, 80))
    assert 1 / sizes.max() == pytest.approx(radius, rel=0.1)


def test_slopes_that_are_all_the_same_are_safe():
    assert math.isinf(radii(torch.zeros(4, 3), torch.full((4, 3), 2.0)).min())


def expected_radius(model, before, after, x, dim=-1):
    """From slopes by central differences in float64."""
    start, step = flat(before), flat(after) - flat(before)
    along = step / step.norm()
    deep = copy.deepcopy(model).double()

    def logits(point):
        nn.utils.vector_to_parameters(point, deep.parameters())
        with torch.no_grad():
            return deep(x.double()).movedim(dim, -1)

    slopes = (logits(start + 1e-5 * along) - logits(start - 1e-5 * along)) / 2e-5
    if slopes.shape[-1] == 2:
        z = logits(start)
        each = (
            torch.hypot(z[..., 0] - z[..., 1], torch.tensor(math.pi))
            / (slopes[..., 0] - slopes[..., 1]).abs()
        )
    else:
        each = math.pi / (slopes.amax(-1) - slopes.amin(-1))
    return float(each.min()), float(step.norm())


BASES = {
    "thalweg AdamW": lambda p, lr: optim.AdamW(p, lr=lr),
    "thalweg SGD": lambda p, lr: optim.SGD(p, lr=lr, momentum=0.9),
    "thalweg Lion": lambda p, lr: optim.Lion(p, lr=lr, weight_decay=0.1),
    "thalweg Routed": lambda p, lr: optim.Routed(p, lr=lr),
    "torch SGD": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9, nesterov=True),
    "torch AdamW": lambda p, lr: torch.optim.AdamW(p, lr=lr),
    "torch Adagrad": lambda p, lr: torch.optim.Adagrad(p, lr=lr),
}


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("method", ["jvp", "difference"])
@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_capped_steps_are_a_part_of_the_proposed(base, method, classes):
    y = Y % classes
    model = network(classes=classes, dtype=F64)
    x = X.double()
    twin = copy.deepcopy(model)
    plain = base(list(twin.parameters()), 50.0)
    optimizer = optim.SoftmaxRadius(base(list(model.parameters()), 50.0), model, method=method)
    backward(model, x, y)
    backward(twin, x, y)
    before = values(model)
    optimizer.step()
    plain.step()
    radius, length = expected_radius(model, before, values(twin), x)
    last = optimizer.last
    assert last.length == pytest.approx(length, rel=1e-9)
    assert last.radius == pytest.approx(radius, rel=1e-5)
    assert last.r == pytest.approx(length / radius, rel=1e-5)
    assert last.scale < 1
    assert last.scale * last.r == pytest.approx(1.0)
    moved, proposed = flat(values(model)) - flat(before), flat(values(twin)) - flat(before)
    torch.testing.assert_close(moved, last.scale * proposed, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_steps_that_are_not_capped_have_the_bits_of_the_base(base):
    model = network()
    twin = copy.deepcopy(model)
    plain = base(list(twin.parameters()), 1e-3)
    optimizer = optim.SoftmaxRadius(base(list(model.parameters()), 1e-3), model)
    for _ in range(5):
        backward(model)
        backward(twin)
        optimizer.step()
        plain.step()
        assert optimizer.last.scale == 1.0
        assert same(values(model), values(twin))
    assert str(plain.state_dict()) == str(optimizer.state_dict())


@settings(deadline=None, max_examples=25)
@given(st.floats(1e-4, 1e4), st.sampled_from([0.5, 1.0, 2.0]), st.integers(0, 100))
def test_no_step_is_longer_than_the_fraction(lr, fraction, seed):
    model = network(seed)
    optimizer = optim.SoftmaxRadius(optim.Adam(model.parameters(), lr=lr), model, fraction)
    for _ in range(3):
        backward(model)
        before = values(model)
        optimizer.step()
        last = optimizer.last
        assert last.scale * last.r <= fraction * (1 + 1e-9)
        moved = float((flat(values(model)) - flat(before)).norm())
        assert moved == pytest.approx(last.scale * last.length, rel=1e-3)


def test_the_state_of_the_base_advances_in_full():
    model = network()
    twin = copy.deepcopy(model)
    plain = torch.optim.Adam(twin.parameters(), lr=1e4)
    optimizer = optim.SoftmaxRadius(torch.optim.Adam(model.parameters(), lr=1e4), model)
    backward(model)
    backward(twin)
    optimizer.step()
    plain.step()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        for key, value in plain.state[q].items():
            assert torch.equal(optimizer.state[p][key], value)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.ScheduleFreeAdamW(p, lr=30.0),
        lambda p: optim.TripleMomentum(p, lr=30.0),
        lambda p: optim.AcceleratedSGD(p, lr=30.0),
    ],
    ids=["ScheduleFreeAdamW", "TripleMomentum", "AcceleratedSGD"],
)
def test_states_that_are_points_move_along(make):
    model = network(dtype=F64)
    optimizer = optim.SoftmaxRadius(make(model.parameters()), model)
    x = X.double()
    for _ in range(3):
        backward(model, x)
        twin, plain = copy.deepcopy((model, optimizer.base))
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            q.grad = p.grad.clone()
        pairs = []
        for net, stepped in ((twin, plain), (model, optimizer)):
            base = getattr(stepped, "base", stepped)
            base.eval()
            start = values(net)
            base.train()
            stepped.step()
            base.eval()
            pairs.append(flat(values(net)) - flat(start))
            base.train()
        proposed, moved = pairs
        assert optimizer.last.scale < 1
        # The other point, too, went the same part of its way.
        torch.testing.assert_close(moved, optimizer.last.scale * proposed, rtol=1e-6, atol=1e-9)


def test_schedule_free_ignores_the_rate():
    ends = []
    for lr in (1e-4, 10.0):
        model = network(dtype=F64)
        optimizer = optim.SoftmaxRadius(
            optim.SGD(model.parameters(), lr=lr), model, 0.3, schedule_free=True
        )
        for _ in range(4):
            backward(model, X.double())
            optimizer.step()
            assert optimizer.last.scale * optimizer.last.r == pytest.approx(0.3)
        ends.append(flat(values(model)))
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-9)


def test_quantile_leaves_outliers_aside():
    x = X.clone()
    x[3] *= 1000
    found = []
    for quantile in (0.0, 0.5):
        model = nn.Linear(6, 3)
        with torch.no_grad():
            for p in model.parameters():
                p.zero_()
        optimizer = optim.SoftmaxRadius(
            optim.SGD(model.parameters(), lr=1.0), model, quantile=quantile
        )
        backward(model, x)
        optimizer.step()
        found.append(optimizer.last.radius)
    assert found[1] > 50 * found[0]


@pytest.mark.parametrize("ours", [True, False])
def test_decay_beside_the_step(ours):
    make = optim.AdamW if ours else torch.optim.AdamW
    model = network(dtype=F64)
    twin = copy.deepcopy(model)
    optimizer = optim.SoftmaxRadius(
        make(model.parameters(), lr=5.0, weight_decay=0.1), model, include_decay=False
    )
    bare = optim.SoftmaxRadius(make(twin.parameters(), lr=5.0, weight_decay=0.0), twin)
    backward(model, X.double())
    backward(twin, X.double())
    before = values(model)
    optimizer.step()
    bare.step()
    assert optimizer.last == bare.last
    assert optimizer.last.scale < 1
    for old, p, q in zip(before, model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p.detach(), q.detach() - 0.5 * old)
    assert optimizer.param_groups[0]["weight_decay"] == 0.1


# Models


class Output:
    def __init__(self, logits):
        self.logits = logits


class Wrapped(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.inner, self.kind = network(), kind

    def forward(self, x, scale=1.0):
        z = self.inner(x) * scale
        return {"object": Output(z), "dict": {"logits": z}, "tuple": (z, None), "plain": z}[
            self.kind
        ]


@pytest.mark.parametrize("kind", ["object", "dict", "tuple"])
def test_logits_are_found_in_outputs(kind):
    radii_found = []
    for k in ("plain", kind):
        model = Wrapped(k)
        optimizer = optim.SoftmaxRadius(optim.SGD(model.parameters(), lr=9.0), model)
        output = model(x=X, scale=2.0)
        z = output if k == "plain" else optimizer._recorder.logits(output, (), {})
        nn.functional.cross_entropy(z, Y).backward()
        optimizer.step()
        radii_found.append(optimizer.last.radius)
    assert radii_found[0] == radii_found[1]


class Language(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(9, 8), nn.Linear(8, 9)

    def forward(self, ids, labels=None):
        return Output(self.head(self.embed(ids)))


def test_ignored_positions_do_not_count():
    ids = torch.randint(9, (5, 7), generator=torch.Generator().manual_seed(1))
    # Token 8 has logits that change much.
    ids[:, 2:], ids[:, :2] = 8, ids[:, :2].clamp(max=7)
    labels = ids.clone()
    labels[:, 2:] = -100

    def kept(output, args, kwargs):
        return output.logits[kwargs["labels"] != -100]

    found = {}
    for name, logits, rows in (
        ("all", None, ids),
        ("kept", kept, ids),
        ("short", None, ids[:, :2]),
    ):
        model = Language()
        with torch.no_grad():
            model.embed.weight[8] *= 50
        optimizer = optim.SoftmaxRadius(optim.SGD(model.parameters(), lr=1.0), model, logits=logits)
        z = model(ids, labels=labels).logits
        nn.functional.cross_entropy(z.flatten(0, 1), labels.flatten()).backward()
        # The whole batch in "kept" and its first columns alone come to the same.
        optimizer.step(inputs=None if name != "short" else rows)
        found[name] = optimizer.last.radius
    assert found["kept"] == pytest.approx(found["short"], rel=1e-6)
    assert found["all"] != pytest.approx(found["short"], rel=1e-3)


def test_classes_along_another_axis():
    torch.manual_seed(0)
    model = nn.Conv2d(2, 4, 3)
    x, y = torch.randn(3, 2, 8, 8), torch.randint(4, (3, 6, 6))
    optimizer = optim.SoftmaxRadius(optim.SGD(model.parameters(), lr=50.0), model, dim=1)
    backward(model, x, y)
    before = values(model)
    optimizer.step()
    after = [
        old + (new - old) / optimizer.last.scale
        for old, new in zip(before, values(model), strict=True)
    ]
    radius, _ = expected_radius(model, before, after, x, dim=1)
    assert optimizer.last.radius == pytest.approx(radius, rel=1e-3)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(6, 8)
        self.norm, self.drop = nn.BatchNorm1d(8), nn.Dropout(0.5)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        h = self.drop(self.norm(self.embed(x))).unsqueeze(1).repeat(1, 3, 1)
        # Functional, and fused on most devices.
        h = h + nn.functional.scaled_dot_product_attention(h, h, h)
        return self.head(nn.functional.dropout(self.block(h).mean(1), 0.1, self.training))


@pytest.mark.parametrize("method", ["jvp", "difference"])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_measuring_leaves_no_trace(method, mode):
    torch.manual_seed(0)
    model = Attention()
    getattr(model, mode)()
    model.embed.eval()
    optimizer = optim.SoftmaxRadius(
        optim.SGD(model.parameters(), lr=1e-4), model, method=method, samples=7
    )
    for _ in range(2):
        backward(model)
        buffers = [b.clone() for b in model.buffers()]
        modes = [m.training for m in model.modules()]
        seed = torch.get_rng_state()
        calls = optimizer._recorder.batch
        optimizer.step()
        assert math.isfinite(optimizer.last.r)
        assert same(buffers, model.buffers())
        assert modes == [m.training for m in model.modules()]
        assert torch.equal(seed, torch.get_rng_state())
        assert optimizer._recorder.batch is calls


def test_batch_norm_is_measured_as_it_trains():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).double()
    optimizer = optim.SoftmaxRadius(optim.SGD(model.parameters(), lr=20.0), model)
    backward(model, X.double())
    before = values(model)
    optimizer.step()
    scale = optimizer.last.scale
    after = [o + (n - o) / scale for o, n in zip(before, values(model), strict=True)]
    radius, _ = expected_radius(model, before, after, X)
    assert optimizer.last.radius == pytest.approx(radius, rel=1e-5)


def test_tied_and_frozen_parameters_and_missing_gradients():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6))
    model[1].weight = model[0].weight
    model[2].requires_grad_(False)
    model.spare = nn.Linear(6, 6)
    model.forward = lambda x: model[3](model[2](model[1](model[0](x))))
    frozen = [p.clone() for p in (*model[2].parameters(), *model.spare.parameters())]
    optimizer = optim.SoftmaxRadius(optim.AdamW(model.parameters(), lr=1.0), model)
    backward(model)
    optimizer.step()
    assert 0 < optimizer.last.scale < 1
    assert same(frozen, [*model[2].parameters(), *model.spare.parameters()])


def test_a_batch_is_cut_evenly():
    x, mask = torch.arange(10), torch.ones(4, 4)
    batch = cut(Batch((x, mask), {"y": x, "flag": 3}), 4)
    assert batch.args[0].tolist() == [0, 3, 6, 9]
    assert batch.kwargs["y"].tolist() == [0, 3, 6, 9]
    assert batch.args[1].shape == (4, 4)
    assert cut(Batch((x,), {}), None).args[0] is x
    assert len(cut(Batch((x,), {}), 1).args[0]) == 1


# Life in torch


def test_groups_schedulers_and_state_dict():
    model = network()
    base = optim.AdamW(
        [{"params": model[0].parameters(), "lr": 1.0}, {"params": model[2].parameters()}], lr=2.0
    )
    optimizer = optim.SoftmaxRadius(base, model)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    backward(model)
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in base.param_groups] == [0.5, 1.0]
    # One direction over all groups.
    radius = optimizer.last
    assert radius.scale * radius.r == pytest.approx(1.0)
    resumed = network(1)
    resumed.load_state_dict(model.state_dict())
    other = optim.SoftmaxRadius(optim.AdamW(resumed.parameters()), resumed)
    other.base = optim.AdamW(
        [{"params": resumed[0].parameters()}, {"params": resumed[2].parameters()}]
    )
    other.load_state_dict(optimizer.state_dict())
    for _ in range(3):
        backward(model)
        backward(resumed)
        optimizer.step()
        other.step()
        assert same(values(model), values(resumed))
        assert other.last == optimizer.last


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_go_on_alike_and_apart(copier):
    model = network()
    optimizer = optim.SoftmaxRadius(optim.AdamW(model.parameters(), lr=3.0), model, 0.7)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 / (1 + k))
    backward(model)
    optimizer.step()
    scheduler.step()
    twin, other = copier((model, optimizer))
    assert other.last == optimizer.last
    assert other.fraction == 0.7
    assert other._recorder.batch is None
    for _ in range(3):
        backward(model)
        backward(twin)
        optimizer.step()
        other.step()
        assert same(values(model), values(twin))
    assert len(twin._forward_pre_hooks) == 1
    other.remove()
    assert not twin._forward_pre_hooks
    assert len(model._forward_pre_hooks) == 1
    # A copy of the model alone takes neither batch nor optimizer along.
    assert next(iter(copy.deepcopy(model)._forward_pre_hooks.values())).__self__.batch is None


def test_grad_scaler():
    model, twin = network(), network()
    plain = torch.optim.SGD(twin.parameters(), lr=1e-2)
    optimizer = optim.SoftmaxRadius(optim.SGD(model.parameters(), lr=1e-2), model)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for k in range(4):
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(model(X), Y)
        scaler.scale(loss).backward()
        before = values(model)
        if k == 2:
            model[0].weight.grad[0, 0] = math.inf
        scaler.step(optimizer)
        scaler.update()
        assert same(before, values(model)) == (k == 2)
    assert len(optimizer.history) == 3
    backward(twin)
    plain.step()
    assert optimizer.history[0].length == pytest.approx(
        float((flat(values(twin)) - flat(values(network()))).norm()), rel=0.02
    )


def test_closures_and_accumulation():
    model, twin = network(), network()
    optimizer = optim.SoftmaxRadius(torch.optim.SGD(model.parameters(), lr=0.1), model)
    other = optim.SoftmaxRadius(torch.optim.SGD(twin.parameters(), lr=0.1), twin)
    calls = []

    def closure():
        calls.append(1)
        return nn.functional.cross_entropy(model(X), Y)

    loss = optimizer.step(closure)
    expected = backward(twin)
    other.step()
    assert len(calls) == 1
    assert float(loss) == float(expected.detach())
    assert same(values(model), values(twin))
    for part in (slice(0, 6), slice(6, 12)):
        nn.functional.cross_entropy(twin(X[part]), Y[part]).backward()
    other.step()
    assert len(other.history) == 2


def test_wrappers_of_wrappers_get_their_closure():
    model = network()
    inner = optim.SoftmaxRadius(optim.AdamW(model.parameters(), lr=1.0), model)
    outer = optim.SoftmaxRadius(inner, model, 0.5)
    before = values(model)
    outer.step(lambda: nn.functional.cross_entropy(model(X), Y))
    # The inner one leaves one radius, the outer one half of it.
    assert outer.last.r == pytest.approx(1.0, rel=1e-3)
    assert outer.last.scale == pytest.approx(0.5, rel=1e-3)
    assert not same(before, values(model))


def test_over_sharpness_aware_steps():
    model, twin = network(), network()
    optimizer = optim.SoftmaxRadius(optim.SAM(optim.AdamW(model.parameters(), lr=5.0)), model)
    plain = optim.SAM(optim.AdamW(twin.parameters(), lr=5.0))
    before = values(model)
    optimizer.step(lambda: nn.functional.cross_entropy(model(X), Y))
    plain.step(lambda: nn.functional.cross_entropy(twin(X), Y))
    assert optimizer.last.scale < 1
    moved, proposed = flat(values(model)) - flat(before), flat(values(twin)) - flat(before)
    torch.testing.assert_close(moved, optimizer.last.scale * proposed, rtol=1e-3, atol=1e-6)
    # An error in the closure, at any of its calls, leaves all as it was.
    calls = []

    def failing():
        calls.append(1)
        if len(calls) == 2:
            raise KeyError("second")
        return nn.functional.cross_entropy(model(X), Y)

    unharmed(optimizer, model, lambda: optimizer.step(failing), KeyError, "second")


def test_explicit_inputs():
    found = []
    for inputs in (None, (X,), X, {"input": X}):
        model = network()
        optimizer = optim.SoftmaxRadius(optim.SGD(model.parameters(), lr=1.0), model)
        backward(model)
        if inputs is not None:
            optimizer.remove()
        optimizer.step(inputs=inputs)
        found.append(optimizer.last)
    assert len(set(found)) == 1


def test_validation_passes_are_not_remembered():
    model = network()
    optimizer = optim.SoftmaxRadius(optim.SGD(model.parameters(), lr=1.0), model)
    backward(model)
    with torch.no_grad():
        model(torch.zeros(3, 6))
    assert optimizer._recorder.batch.args[0].shape == X.shape


def test_history_and_picture():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    model = network()
    optimizer = optim.SoftmaxRadius(optim.SGD(model.parameters(), lr=1.0), model, keep=2)
    with pytest.raises(ValueError, match="history must hold a step"):
        optimizer.plot()
    assert optimizer.last is None
    for _ in range(3):
        backward(model)
        optimizer.step()
    assert len(optimizer.history) == 2
    figure = optimizer.plot()
    assert len(figure.axes) == 2
    matplotlib.pyplot.close(figure)


def test_a_step_of_no_length():
    model = network()
    optimizer = optim.SoftmaxRadius(optim.SGD(model.parameters(), lr=0.0), model)
    backward(model)
    before = values(model)
    optimizer.step()
    assert same(before, values(model))
    assert optimizer.last == (0.0, math.inf, 0.0, 1.0)


# Refusals


def unharmed(optimizer, model, action, error, match):
    before, state = values(model), copy.deepcopy(optimizer.state_dict())
    with pytest.raises(error, match=match):
        action()
    assert same(before, values(model))
    assert str(optimizer.state_dict()) == str(state)


def prepared(lr=0.1, steps=0, **options):
    model = network()
    optimizer = optim.SoftmaxRadius(optim.AdamW(model.parameters(), lr=lr), model, **options)
    for _ in range(steps):
        backward(model)
        optimizer.step()
    return model, optimizer


def test_no_forward_pass():
    model, optimizer = prepared()
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    unharmed(optimizer, model, optimizer.step, RuntimeError, "got no forward pass")


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize(
    ("logits", "error", "match"),
    [
        (lambda z, args, kwargs: z[:, :1], ValueError, "two classes or more, got shape"),
        (lambda z, args, kwargs: z.argmax(-1), TypeError, "tensor of floats, got torch.int64"),
        (lambda z, args, kwargs: z[:0], ValueError, "must hold a sample"),
        (lambda z, args, kwargs: z[0, 0], ValueError, "must have an axis -1 of classes"),
        (lambda z, args, kwargs: None, TypeError, "tensor of floats, got NoneType"),
        (lambda z, args, kwargs: kwargs["labels"], KeyError, "labels"),
        (lambda z, args, kwargs: z / 0, ValueError, "logits must be finite"),
    ],
)
def test_logits_that_do_not_fit(logits, error, match, steps):
    model, optimizer = prepared(steps=steps)
    optimizer._recorder.logits = logits
    backward(model)
    unharmed(optimizer, model, optimizer.step, error, match)


@pytest.mark.parametrize("steps", [0, 1])
def test_inputs_of_a_wrong_shape(steps):
    model, optimizer = prepared(steps=steps)
    backward(model)
    step = lambda: optimizer.step(inputs=torch.ones(3, 5))  # noqa: E731
    unharmed(optimizer, model, step, RuntimeError, "shapes cannot be multiplied")


def test_an_output_without_logits():
    model = Wrapped("object")
    optimizer = optim.SoftmaxRadius(optim.SGD(model.parameters(), lr=1.0), model)
    model.register_forward_hook(lambda m, a, o: {"scores": o.logits}, prepend=True)
    nn.functional.cross_entropy(model(X)["scores"], Y).backward()
    unharmed(optimizer, model, optimizer.step, TypeError, "must hold logits, got dict")


@pytest.mark.parametrize("where", ["gradients", "logits"])
def test_what_is_not_finite(where):
    for policy in ("raise", "skip"):
        model, optimizer = prepared(steps=1, on_nonfinite=policy)
        if where == "gradients":
            backward(model)
            model[0].bias.grad[0] = math.nan
        else:
            backward(model, X * math.inf)
        if policy == "raise":
            unharmed(optimizer, model, optimizer.step, ValueError, f"{where} must be finite")
        else:
            before, state = values(model), str(optimizer.state_dict())
            optimizer.step()
            assert same(before, values(model))
            assert str(optimizer.state_dict()) == state
            assert math.isnan(optimizer.last.r)
            assert optimizer.last.scale == 0.0


def test_a_step_that_is_not_finite_is_not_taken():
    model, optimizer = prepared(lr=1e39)
    backward(model)
    before = values(model)
    with pytest.warns(RuntimeWarning, match="parameters stay"):
        optimizer.step()
    assert same(before, values(model))
    assert optimizer.last.scale == 0.0


@pytest.mark.parametrize(
    ("closure", "error", "match"),
    [
        (lambda: torch.ones(3), ValueError, "loss of one element"),
        (lambda: torch.tensor(math.nan), ValueError, "finite loss"),
        (lambda: None, TypeError, "must return the loss"),
        (lambda: 1 / 0, ZeroDivisionError, "division"),
    ],
)
def test_closures_that_do_not_fit(closure, error, match):
    model, optimizer = prepared(steps=1)
    unharmed(optimizer, model, lambda: optimizer.step(closure), error, match)


class Forwardless(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


def test_operations_without_forward_mode():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, x):
            return Forwardless.apply(self.inner(x))

    model = Net()
    optimizer = optim.SoftmaxRadius(optim.AdamW(model.parameters(), lr=0.1), model)
    backward(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unharmed(optimizer, model, optimizer.step, NotImplementedError, 'method="difference"')
    optimizer.method = "difference"
    optimizer.step()
    assert math.isfinite(optimizer.last.r)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"fraction": 0.0}, "fraction must be > 0"),
        ({"eps": math.inf}, "eps must be > 0"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"keep": 0}, "keep must be at least 1"),
        ({"quantile": 1.5}, r"quantile must be in \[0, 1\]"),
        ({"method": "exact"}, "method must be one of jvp, difference"),
        ({"on_nonfinite": "propagate"}, "on_nonfinite must be one of raise, skip"),
    ],
)
def test_options(options, match):
    model = network()
    with pytest.raises(ValueError, match=match):
        optim.SoftmaxRadius(optim.SGD(model.parameters()), model, **options)
    assert not model._forward_hooks


def test_bases_and_models_that_do_not_fit():
    model = network()
    with pytest.raises(TypeError, match="base must be an optimizer"):
        optim.SoftmaxRadius(model.parameters(), model)
    with pytest.raises(TypeError, match="got LBFGS"):
        optim.SoftmaxRadius(torch.optim.LBFGS(model.parameters()), model)
    with pytest.raises(TypeError, match="model must be a Module"):
        optim.SoftmaxRadius(optim.SGD(model.parameters()), model.forward)
    with pytest.raises(ValueError, match="model must hold every parameter"):
        optim.SoftmaxRadius(optim.SGD(model.parameters()), network())
    base = optim.ScheduleFreeAdamW(model.parameters(), state_dtype="int8")
    with pytest.raises(NotImplementedError, match="state_dtype of schedulefreeadamw"):
        optim.SoftmaxRadius(base, model)
    base = optim.AdamW(model.parameters(), decay="cautious", weight_decay=0.1)
    with pytest.raises(ValueError, match="include_decay must be True for cautious"):
        optim.SoftmaxRadius(base, model, include_decay=False)
    optimizer = optim.SoftmaxRadius(optim.SGD(model[0].parameters()), model)
    with pytest.raises(ValueError, match="model must hold every parameter"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))]})
    assert len(optimizer.param_groups) == 1
    optimizer.add_param_group({"params": model[2].parameters()})
    assert len(optimizer.param_groups) == 2


# What the paper claims


def test_a_spike_of_the_rate_does_no_harm():
    load_digits = pytest.importorskip("sklearn.datasets").load_digits
    digits = load_digits()
    x, y = torch.tensor(digits.data, dtype=torch.float32) / 8 - 1, torch.tensor(digits.target)
    x, y, x_test, y_test = x[:1400], y[:1400], x[1400:], y[1400:]
    ends = {}
    for arm in ("plain", "clipped", "controlled"):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        optimizer = base = optim.AdamW(model.parameters(), lr=3e-3)
        if arm == "controlled":
            optimizer = optim.SoftmaxRadius(base, model)
        for step, rows in enumerate(torch.randint(len(x), (250, 64))):
            base.param_groups[0]["lr"] = 3e-3 * (1000 if step == 150 else 1)
            backward(model, x[rows], y[rows])
            if arm == "clipped":
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        ends[arm] = float((model(x_test).argmax(1) == y_test).double().mean())
    assert ends["controlled"] > 0.85
    assert max(ends["plain"], ends["clipped"]) < 0.7
    assert optimizer.history[150].r > 10
    assert optimizer.history[-1].r < 1
