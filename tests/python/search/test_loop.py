"""The loop over batches of tensors."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from thalweg.search import PolyStepOptimizer, train  # noqa: E402

X = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] * X[:, 1] > 0).long()
LOSS = torch.nn.functional.cross_entropy


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))


@pytest.mark.parametrize(("most", "sizes"), [(None, {20, 10}), (6, {6})])
def test_batches_cover_the_samples_or_a_part_of_each(most, sizes):
    seen = []

    def loss(out, y):
        seen.append(len(y))
        return LOSS(out, y)

    model = net()
    out = train(
        model, X, Y, loss, epochs=2, batch_size=20, cost_batch_size=most, subspace="full", seed=0
    )
    assert set(seen) == sizes
    assert len(out.costs) == 2 * 3
    assert out.evaluations == 6 * out.optimizer.search.population
    assert out.nonfinite == 0


def test_trains_repeats_and_goes_on():
    runs = [train(net(), X, Y, LOSS, epochs=60, subspace="full", seed=1) for _ in range(2)]
    assert runs[0].costs == runs[1].costs
    assert runs[0].costs[-1] < 0.8 * runs[0].costs[0]
    model = runs[0].optimizer.model
    more = train(model, X, Y, LOSS, epochs=2, optimizer=runs[0].optimizer, seed=1)
    assert more.costs[0] < runs[0].costs[0]
    assert more.optimizer is runs[0].optimizer


def test_stops_when_told_or_interrupted():
    model = net()
    seen = []
    out = train(model, X, Y, LOSS, epochs=9, callback=lambda t: seen.append(t) or len(seen) == 3)
    assert len(out.costs) == 3
    assert not out.interrupted
    assert seen[0] is out
    before = [p.detach().clone() for p in model.parameters()]

    def loss(out, y):
        raise KeyboardInterrupt

    out = train(model, X, Y, loss, epochs=9)
    assert out.interrupted
    assert out.costs == []
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


def test_refuses_settings():
    model = net()
    for options, match in (
        ({"epochs": 0}, "epochs must be >= 1"),
        ({"cost_batch_size": 0}, "cost_batch_size must be >= 1"),
        ({"optimizer": PolyStepOptimizer(model), "rank": 2}, "settings must be left out"),
        ({"optimizer": PolyStepOptimizer(net())}, "optimizer must be one of this model"),
    ):
        with pytest.raises(ValueError, match=match):
            train(model, X, Y, LOSS, **options)
    with pytest.raises(ValueError, match="X and y must be of one length"):
        train(model, X, Y[:-1], LOSS)
