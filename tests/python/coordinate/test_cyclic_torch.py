"""CyclicBCD and AlternatingCD, on parameters of torch."""

import copy
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from thalweg.coordinate import AlternatingCD, CyclicBCD, cyclic_bcd  # noqa: E402

X = torch.randn(80, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.sin(X[:, :1]) + 0.3 * X[:, 1:2]


def network():
    torch.manual_seed(1)
    parts = torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
    model = torch.nn.Sequential(*parts).double()
    return model, [{"params": list(model[0].parameters())}, {"params": model[2].parameters()}]


def closure_of(model):
    def closure(samples):
        rows = slice(None) if samples is None else samples
        return torch.nn.functional.mse_loss(model(X[rows]), Y[rows])

    return closure


def weights(model):
    return torch.cat([p.detach().ravel() for p in model.parameters()])


@pytest.mark.parametrize("method", ["vro", "pccd"])
def test_it_does_what_the_one_for_arrays_does(method):
    model, groups = network()
    shapes = [p.shape for p in model.parameters()]
    start = [p.detach().clone() for p in model.parameters()]

    def grad(blocks, j, samples):
        rows = slice(None) if samples is None else samples
        leaves = [block.clone().requires_grad_() for block in blocks]
        hidden = torch.tanh(X[rows] @ leaves[0].T + leaves[1])
        loss = torch.nn.functional.mse_loss(hidden @ leaves[2].T + leaves[3], Y[rows])
        return torch.autograd.grad(loss, leaves[j])[0]

    # One parameter a group, so that blocks are the same.
    groups = [{"params": [p]} for p in model.parameters()]
    optimizer = CyclicBCD(groups, lr=0.2, method=method, n_samples=80, seed=2)
    for _ in range(12):
        optimizer.step(closure_of(model))
    found = cyclic_bcd(grad, start, 5.0, method=method, n_samples=80, tol=0.0, max_iter=12, seed=2)
    assert [block.shape for block in found.blocks] == shapes
    for p, block in zip(model.parameters(), found.blocks, strict=True):
        np.testing.assert_allclose(p.detach(), block, atol=1e-12)
    assert optimizer.n_gradients == found.n_gradients


def test_it_trains_and_the_loss_of_all_samples_falls():
    model, groups = network()
    optimizer = CyclicBCD(groups, lr=0.2, method="pccd", n_samples=80)
    losses = [float(optimizer.step(closure_of(model))) for _ in range(60)]
    assert (np.diff(losses) <= 0).all()
    assert losses[-1] < 0.2 * losses[0]
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("way", ["state_dict", "deepcopy", "pickle"])
def test_it_resumes_exactly(way):
    def prepared():
        model, groups = network()
        return model, CyclicBCD(groups, lr=0.1, n_samples=80, seed=4, prox=shrink)

    whole, optimizer = prepared()
    for _ in range(10):
        optimizer.step(closure_of(whole))

    half, first = prepared()
    for _ in range(4):
        first.step(closure_of(half))
    if way == "state_dict":
        rest, second = prepared()
        rest.load_state_dict(half.state_dict())
        second.load_state_dict(copy.deepcopy(first.state_dict()))
    elif way == "deepcopy":
        rest, second = copy.deepcopy((half, first))
    else:
        rest, second = pickle.loads(pickle.dumps((half, first)))
    for _ in range(6):
        second.step(closure_of(rest))
    assert torch.equal(weights(whole), weights(rest))
    assert optimizer.n_gradients == second.n_gradients


def shrink(v, lr):
    return torch.nn.functional.softshrink(v, 0.01 * lr)


def test_frozen_unused_and_late_parameters():
    model, groups = network()
    groups[0]["params"][1].requires_grad_(False)
    frozen = groups[0]["params"][1].detach().clone()
    optimizer = CyclicBCD(groups, lr=0.1, n_samples=80, probability=0.01)
    closure = closure_of(model)
    optimizer.step(closure)
    unused = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer.add_param_group({"params": [unused]})
    groups[0]["params"][1].requires_grad_()
    for _ in range(3):
        optimizer.step(closure)
    assert torch.equal(unused, torch.ones(3, dtype=torch.float64))
    assert not torch.equal(groups[0]["params"][1], frozen)


def test_cyclic_refuses():
    model, groups = network()
    with pytest.raises(ValueError, match="lr must be in"):
        CyclicBCD(model.parameters(), lr=-1.0, n_samples=80)
    with pytest.raises(ValueError, match="n_samples must be given"):
        CyclicBCD(model.parameters())
    with pytest.raises(ValueError, match="prox must hold one entry"):
        CyclicBCD(groups, n_samples=80, prox=[shrink])
    optimizer = CyclicBCD(model.parameters(), n_samples=80)
    with pytest.raises(TypeError, match="closure must be a function"):
        optimizer.step()
    before = weights(model)
    with pytest.raises(ValueError, match="gradient of group 0 holds NaN"):
        optimizer.step(lambda samples: closure_of(model)(samples) * float("nan"))
    assert torch.equal(weights(model), before)
    other = CyclicBCD(model.parameters(), n_samples=80, seed=1)
    with pytest.raises(ValueError, match="must have the settings"):
        other.load_state_dict(optimizer.state_dict())


def two_groups(**more):
    w = torch.zeros(3, requires_grad=True)
    t = torch.tensor(0.5, requires_grad=True)
    makers = {
        "weights": lambda p: torch.optim.Adam(p, lr=0.1),
        "time": lambda p: torch.optim.SGD(p, lr=0.1),
    }
    schedule = AlternatingCD({"weights": [w], "time": [t]}, makers, **more)
    return w, t, schedule


def test_groups_move_in_turn_with_the_others_fixed():
    w, t, schedule = two_groups(period={"time": 3}, clamp={"time": (0.0, 0.6)})
    seen = []

    def closure():
        seen.append((w.detach().clone(), t.item()))
        return ((w - 1) ** 2).sum() + (t - 3) ** 2

    loss = schedule.step(closure)
    assert float(loss) == pytest.approx(3 + 6.25)
    # The second call sees the new weights and the old time; the time ends at its bound.
    assert (seen[1][0] > 0).all()
    assert seen[1][1] == 0.5
    assert t.item() == pytest.approx(0.6)
    schedule.step(closure)
    schedule.step(closure)
    assert len(seen) == 4
    schedule.step(closure)
    assert len(seen) == 6
    assert w.grad is None
    assert t.grad is None


def test_alternating_resumes_exactly():
    def loss(w, t):
        return lambda: ((w - t) ** 2).sum() + (t - 2) ** 2

    w, t, whole = two_groups(period={"time": 2})
    for _ in range(7):
        whole.step(loss(w, t))
    v, s, first = two_groups(period={"time": 2})
    for _ in range(3):
        first.step(loss(v, s))
    u, r, second = two_groups(period={"time": 2})
    with torch.no_grad():
        u.copy_(v)
        r.copy_(s)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for _ in range(4):
        second.step(loss(u, r))
    assert torch.equal(u, w)
    assert torch.equal(r, t)


def test_alternating_refuses():
    w = torch.zeros(3, requires_grad=True)

    def sgd(p):
        return torch.optim.SGD(p, lr=0.1)

    cases = [
        ({}, {}, {}, "at least|got none"),
        ({"a": []}, {"a": sgd}, {}, "must hold a parameter"),
        ({"a": [w], "b": [w]}, {"a": sgd, "b": sgd}, {}, "share no parameter"),
        ({"a": [w]}, {"b": sgd}, {}, "optimizers must be for"),
        ({"a": [w]}, {"a": sgd}, {"period": {"a": 0}}, "period"),
        ({"a": [w]}, {"a": sgd}, {"period": {"b": 1}}, "must name groups"),
        ({"a": [w]}, {"a": sgd}, {"clamp": {"a": (1.0, 0.0)}}, "must be a range"),
    ]
    for groups, makers, more, match in cases:
        with pytest.raises(ValueError, match=match):
            AlternatingCD(groups, makers, **more)
    with pytest.raises(TypeError, match="require grad"):
        AlternatingCD({"a": [w.detach()]}, {"a": sgd})
