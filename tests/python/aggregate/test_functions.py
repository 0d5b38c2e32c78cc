"""gramian, conflict, orthogonal, GradNorm and the scalarisers."""

import matplotlib as mpl
import numpy as np
import pytest
import torch
from cases import jacobian

import thalweg.aggregate as ag
from thalweg.aggregate import scalarize

mpl.use("agg")


def test_gramian_accumulates_in_float64():
    # In float32 the small products would vanish beside the large one.
    rows = np.concatenate([[4096.0], np.full(100_000, 1e-3)]).astype(np.float32)[None]
    exact = 4096.0**2 + 100_000 * float(np.float32(1e-3)) ** 2
    assert ag.gramian(rows)[0, 0] == pytest.approx(exact, rel=1e-13)
    tensor = ag.gramian(torch.tensor(rows))
    assert tensor.dtype == torch.float64
    assert tensor.shape == (1, 1)
    parts = [rows[:, :7], rows[:, 7:]]
    np.testing.assert_allclose(ag.gramian(parts), ag.gramian(rows), rtol=1e-12)


@pytest.mark.parametrize("m", [1, 3, 8, 9, 33])
@pytest.mark.parametrize("d", [1, 15, 513, 5000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gramian_equals_the_product(m, d, dtype, rng):
    rows = rng.standard_normal((m, d)).astype(dtype)
    want = rows.astype(float) @ rows.astype(float).T
    got = ag.gramian(rows)
    np.testing.assert_allclose(got, want, atol=1e-13 * d)
    np.testing.assert_array_equal(got, got.T)


def test_conflict(tmp_path):
    rows = np.array([[1.0, 0.0], [-3.0, 4.0], [0.0, 0.0]])
    report = ag.conflict(rows)
    np.testing.assert_allclose(report.cosines, [[1, -0.6, 0], [-0.6, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(report.norms, [1, 5, 0])
    assert report.rate == pytest.approx(1 / 3)
    assert report.worst == (0, 1)
    assert "33% of pairs conflict" in str(report)
    assert "(0, 1) at cosine -0.600" in str(report)
    assert ag.conflict(rows[:1]).worst is None
    with pytest.raises(ValueError, match="NaN or infinity"):
        ag.conflict(rows * np.nan)
    history = ag.ConflictHistory(["a", "b", "c"])
    for seed in range(5):
        history.update(np.random.default_rng(seed).standard_normal((3, 9)))
    assert history.cosines.shape == (3, 5)
    ax = history.plot()
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert labels == ["a / b", "a / c", "b / c"]
    ax.figure.savefig(tmp_path / "conflict.png")
    with pytest.raises(ValueError, match="must be 3, got 2"):
        history.update(rows[:2])


def test_orthogonal(rng):
    forward, backward = rng.standard_normal((2, 30))
    out = ag.orthogonal(forward, backward, eta=0.7)
    assert (out - forward) @ forward == pytest.approx(0.0, abs=1e-12)
    along = forward @ backward / (forward @ forward)
    np.testing.assert_allclose(out, forward + 0.7 * (backward - along * forward))
    parts = ag.orthogonal(
        [torch.tensor(forward[:4].reshape(2, 2)), torch.tensor(forward[4:])],
        [torch.tensor(backward[:4].reshape(2, 2)), torch.tensor(backward[4:])],
        0.7,
    )
    assert parts[0].shape == (2, 2)
    np.testing.assert_allclose(torch.cat([p.ravel() for p in parts]).numpy(), out)
    tiny = ag.orthogonal(forward * 1e-9, backward)
    assert (tiny - forward * 1e-9) @ forward == pytest.approx(0.0, abs=1e-12)
    floored = ag.orthogonal(forward * 1e-9, backward, floor=1e-10)
    np.testing.assert_allclose(floored, backward, atol=1e-6)
    np.testing.assert_array_equal(ag.orthogonal(np.zeros(3), np.ones(3)), np.ones(3))
    assert np.isnan(ag.orthogonal(forward * np.nan, backward)).all()
    with pytest.raises(ValueError, match="does not match forward"):
        ag.orthogonal(forward, backward[:3])
    with pytest.raises(ValueError, match="eta must be"):
        ag.orthogonal(forward, backward, -1.0)


@pytest.mark.parametrize("parametrization", ["softmax", "direct"])
def test_gradnorm_descends_its_objective(parametrization):
    aggregator = ag.GradNorm(alpha=1.5, lr=1e-4, parametrization=parametrization)
    rows, losses = jacobian(), np.array([1.0, 2.0, 0.5, 3.0])
    np.testing.assert_allclose(aggregator(rows, losses), rows.sum(0))
    norms = np.linalg.norm(rows, axis=1)
    later = losses * [0.5, 0.9, 0.2, 1.0]
    rates = np.array([0.5, 0.9, 0.2, 1.0])
    weights = aggregator.current_weights
    target = (weights * norms).mean() * (rates / rates.mean()) ** 1.5
    aggregator(rows, later)
    moved = aggregator.current_weights
    assert moved.sum() == pytest.approx(4.0)
    # The paper's objective, its target held constant; "direct" renormalises after the step.
    assert np.abs(moved * norms - target).sum() < np.abs(weights * norms - target).sum()
    state = aggregator.state_dict()
    assert np.isnan(aggregator(rows * np.nan, later)).all()
    assert np.isnan(aggregator(rows, later * np.nan)).all()
    assert repr(aggregator.state_dict()) == repr(state)
    twin = ag.GradNorm(alpha=1.5, lr=1e-4, parametrization=parametrization)
    twin.load_state_dict(state)
    np.testing.assert_array_equal(twin(rows, later), aggregator(rows, later))


def test_gradnorm_refuses():
    with pytest.raises(ValueError, match="got None; call it with"):
        ag.GradNorm()(jacobian())
    assert ag.GradNorm()(np.eye(2), torch.ones(2, requires_grad=True)).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="must be 4 positive numbers"):
        ag.GradNorm()(jacobian(), [1.0, 2.0, -1.0, 1.0])
    aggregator = ag.GradNorm()
    aggregator(jacobian(), [1.0] * 4)
    with pytest.raises(ValueError, match="call reset"):
        aggregator(jacobian()[:2], [1.0] * 2)


def test_scalarisers_equal_their_formulas():
    losses = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64, requires_grad=True)
    values = losses.detach().numpy()
    uw, imtl = scalarize.UW(3), scalarize.IMTLL(3)
    with torch.no_grad():
        uw.log_variance.copy_(torch.tensor([0.1, -0.2, 0.3]))
        imtl.log_scale.copy_(torch.tensor([0.1, -0.2, 0.3]))
    s = np.array([0.1, -0.2, 0.3])
    assert uw(losses).item() == pytest.approx((np.exp(-s) * values + s).sum() / 2, rel=1e-6)
    assert imtl(losses).item() == pytest.approx((np.exp(s) * values - s).sum(), rel=1e-6)
    assert scalarize.GeometricMean()(losses).item() == pytest.approx(2.0)
    stch = scalarize.STCH(0.3, preference=[0.2, 0.3, 0.5], reference=[0.5, 0.5, 0.5])
    want = 0.3 * np.log(np.exp(np.array([0.2, 0.3, 0.5]) * (values - 0.5) / 0.3).sum())
    assert stch(losses).item() == pytest.approx(want)
    for scalar in (uw(losses), imtl(losses), scalarize.GeometricMean()(losses), stch(losses)):
        assert torch.autograd.grad(scalar, losses)[0].shape == (3,)
    assert [p.shape for p in uw.parameters() + imtl.parameters()] == [(3,), (3,)]
    with pytest.raises(ValueError, match=r"losses must be of shape \(3,\)"):
        uw(losses[:2])


def test_cosmos_and_pbi_equal_their_formulas():
    losses = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64, requires_grad=True)
    values, r = losses.detach().numpy(), np.array([0.2, 0.3, 0.5])
    cosmos = scalarize.COSMOS(r, 0.7)
    cosine = r @ values / np.linalg.norm(r) / np.linalg.norm(values)
    assert cosmos(losses).item() == pytest.approx(r @ values - 0.7 * cosine)
    assert torch.autograd.gradcheck(cosmos, losses)
    cosmos.preference = [1.0, 0.0, 0.0]
    assert cosmos(losses).item() == pytest.approx(1 - 0.7 / np.linalg.norm(values))
    zeros = torch.zeros(3, requires_grad=True)
    assert torch.autograd.grad(cosmos(zeros), zeros)[0].isfinite().all()
    pbi = scalarize.PBI(r, 3.0, reference=[0.5, 0.5, 0.5])
    w, gap = r / np.linalg.norm(r), values - 0.5
    along = gap @ w
    want = along + 3 * np.linalg.norm(gap - along * w)
    assert pbi(losses).item() == pytest.approx(want)
    assert torch.autograd.gradcheck(pbi, losses)
    ray = torch.tensor([2.0, 2.0], requires_grad=True)
    gradient = torch.autograd.grad(scalarize.PBI([1.0, 1.0])(ray), ray)[0]
    np.testing.assert_allclose(gradient, 0.5**0.5, rtol=1e-6)
    with pytest.raises(ValueError, match="preference must not be all zero"):
        scalarize.PBI([0.0, 0.0])(ray)
    with pytest.raises(ValueError, match=r"losses must be of shape \(2,\)"):
        scalarize.COSMOS([1.0, 1.0])(losses)
    with pytest.raises(ValueError, match="lam must be in"):
        scalarize.COSMOS([1.0], -1.0)
    peer = pytest.importorskip("torchjd.scalarization")
    ours = scalarize.COSMOS(r, 0.7)(losses).item()
    assert ours == pytest.approx(peer.COSMOS(0.7, torch.tensor(r))(losses).item())
    theirs = peer.PBI(3.0, torch.tensor(r), torch.full((3,), 0.5, dtype=torch.float64))
    assert pbi(losses).item() == pytest.approx(theirs(losses).item())


def test_dwa():
    dwa = scalarize.DWA(2.0)
    for epoch in ([1.0, 4.0], [0.5, 4.0]):
        dwa(torch.tensor(epoch))
        dwa.next_epoch()
    ratio = np.array([0.5, 1.0]) / 2.0
    want = 2 * np.exp(ratio) / np.exp(ratio).sum()
    np.testing.assert_allclose(dwa.weights(2), want)
    twin = scalarize.DWA()
    twin.load_state_dict(dwa.state_dict())
    assert float(twin(torch.tensor([1.0, 1.0]))) == pytest.approx(2.0)
    np.testing.assert_allclose(twin.weights(2), want)


def test_famo_gradient_is_that_of_its_definition():
    famo = scalarize.FAMO(3, lr=0.1, weight_decay=0.0)
    before = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    famo.load_state_dict(
        {"theta": [0.3, -0.1, 0.2], "first": [0] * 3, "second": [0] * 3, "step": 0}
    )
    z = torch.tensor(famo.weights)
    value = famo(before)
    c = (z / before.detach()).sum()
    assert value.item() == pytest.approx(float(z @ before.detach().log() / c))
    after = torch.tensor([0.5, 1.9, 3.1], dtype=torch.float64)
    theta = torch.tensor([0.3, -0.1, 0.2], dtype=torch.float64, requires_grad=True)
    drop = before.detach().log() - after.log()
    (torch.softmax(theta, 0) @ drop).backward()
    want = torch.optim.Adam([theta], lr=0.1)
    want.step()
    famo.update(after)
    np.testing.assert_allclose(famo.state_dict()["theta"], theta.detach().numpy(), atol=1e-6)
    with pytest.raises(ValueError, match="update must follow a call"):
        famo.update(after)
    famo(before)
    state = famo.state_dict()
    famo.update(after * float("nan"))
    assert repr(famo.state_dict()) == repr(state)
