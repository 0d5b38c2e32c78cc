"""UPGrad and DualProj: exact, without conflict, optimal."""

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import thalweg.aggregate as ag

BOTH = pytest.mark.parametrize(
    ("make", "oracle"), [(ag.UPGrad, oracles.upgrad), (ag.DualProj, oracles.dualproj)]
)


def adversarial(rng, kind):
    m, d = int(rng.integers(1, 13)), int(rng.choice([1, 2, 3, 5, 8, 20, 60]))
    rows = rng.standard_normal((m, d))
    if kind == "scales":
        rows *= 10.0 ** rng.uniform(-6, 6, (m, 1))
    elif kind == "duplicates":
        rows[rng.integers(0, m, m // 2 + 1)] = rows[0]
    elif kind == "zeros":
        rows[rng.integers(0, m, m // 3 + 1)] = 0.0
    elif kind == "deficient":
        rank = int(rng.integers(1, 4))
        rows = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, d))
    elif kind == "opposite":
        rows[m // 2 :] = -rows[: m - m // 2]
    return rows


KINDS = ["random", "scales", "duplicates", "zeros", "deficient", "opposite"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [ag.UPGrad, ag.DualProj])
def test_no_conflict_and_optimality(make, kind):
    # 1,670 for each of six kinds: 10,020 Jacobians for each aggregator.
    rng = np.random.default_rng(KINDS.index(kind))
    aggregator = make()
    for _ in range(1670):
        rows = adversarial(rng, kind)
        m = len(rows)
        norms = np.linalg.norm(rows, axis=1)
        unit = np.divide(rows, norms[:, None], out=np.zeros_like(rows), where=norms[:, None] > 0)
        out = aggregator(rows)
        assert (unit @ out).min() >= -1e-10 * np.linalg.norm(out)
        if make is ag.DualProj:
            # v = p + lam with lam >= 0, y = J J^T v >= 0, lam_j y_j = 0, in units of the rows.
            lam = (aggregator.weights(rows @ rows.T) - 1 / m) * norms
            size = np.abs(lam).sum() + norms.sum() / m + np.finfo(float).tiny
            y = unit @ (rows.mean(0) + lam @ unit)
            assert lam.min() >= -1e-10 * size
            assert y.min() >= -1e-10 * size
            assert np.abs(lam * y).max() <= 1e-10 * size**2


def near(rng):
    """Rows within 1e-1 to 1e-12 of a few lines, on both sides, over 12 decades of length."""
    m, d = int(rng.integers(2, 9)), int(rng.choice([2, 3, 5, 8, 20, 60]))
    base = rng.standard_normal((int(rng.integers(1, 4)), d))
    rows = rng.choice([-1.0, 1.0], (m, 1)) * base[rng.integers(0, len(base), m)]
    rows = rows + rng.standard_normal((m, d)) * 10.0 ** rng.uniform(-12, -1, (m, 1))
    return rows * 10.0 ** rng.uniform(-6, 6, (m, 1))


@pytest.mark.parametrize("make", [ag.UPGrad, ag.DualProj])
@pytest.mark.parametrize("form", ["matrix", "list", "tensor"])
def test_near_parallel_and_near_opposite_rows(make, form):
    # A Gramian cannot tell them apart: the rows themselves are needed.
    rng = np.random.default_rng(5)
    aggregator = make()
    for _ in range(2000 if form == "matrix" else 200):
        rows = near(rng)
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        if form == "list":
            out = np.concatenate(aggregator([rows[:, :1], rows[:, 1:]]))
        elif form == "tensor":
            out = aggregator(torch.tensor(rows)).numpy()
        else:
            out = aggregator(rows)
        assert (unit @ out).min() >= -1e-10 * np.linalg.norm(out)


@pytest.mark.parametrize("make", [ag.UPGrad, ag.DualProj])
def test_near_opposite_rows_by_hand(make):
    # g and its mirror image at an angle of 1e-5: what is left is their common component.
    for delta in (1e-3, 1e-5, 1e-7):
        rows = np.array([[1.0, delta], [-1.0, delta]])
        out = make()(rows)
        want = delta if make is ag.DualProj else 2 * delta / (1 + delta**2)
        np.testing.assert_allclose(out / delta, [0.0, want / delta], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_upgrad_parts_are_optimal(kind):
    """KKT to 1e-10 for each projection: preferences that are unit vectors pick one out."""
    # The same 10,020 Jacobians as above.
    rng = np.random.default_rng(KINDS.index(kind))
    for _ in range(1670):
        rows = adversarial(rng, kind)
        m = len(rows)
        norms = np.linalg.norm(rows, axis=1)
        unit = np.divide(rows, norms[:, None], out=np.zeros_like(rows), where=norms[:, None] > 0)
        total = np.zeros(rows.shape[1])
        for i, pick in enumerate(np.eye(m)):
            weights = ag.UPGrad(pick).weights(rows @ rows.T)
            lam = (weights - pick) * norms
            size = np.abs(lam).sum() + norms[i] + np.finfo(float).tiny
            y = unit @ (rows[i] + lam @ unit)
            assert lam.min() >= -1e-10 * size
            assert y.min() >= -1e-10 * size
            assert np.abs(lam * y).max() <= 1e-10 * size**2
            total += weights @ rows / m
        np.testing.assert_allclose(ag.UPGrad()(rows), total, atol=1e-9 * (norms.max() + 1e-300))


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_oracle(make, oracle, kind):
    rng = np.random.default_rng(7)
    for _ in range(60):
        rows = adversarial(rng, kind)
        want = oracle(rows)
        scale = np.linalg.norm(rows, axis=1).max() + 1e-300
        np.testing.assert_allclose(make()(rows), want, atol=1e-12 * scale)


@BOTH
def test_preferences(make, oracle, rng):
    rows = rng.standard_normal((5, 9)) - 0.5
    preference = [0.1, 2.0, 0.0, 1.0, -0.3]
    np.testing.assert_allclose(make(preference)(rows), oracle(rows, preference), atol=1e-13)


@BOTH
def test_many_losses(make, oracle, rng):
    rows = rng.standard_normal((64, 300))
    np.testing.assert_allclose(make()(rows), oracle(rows), atol=1e-12)


@BOTH
def test_scale_of_everything_does_not_matter(make, oracle, rng):
    rows = rng.standard_normal((4, 6)) - 0.7
    for factor in (1e-120, 1e-30, 1e30, 1e120):
        got = make()(rows * factor) / factor
        np.testing.assert_allclose(got, make()(rows), rtol=1e-10)


def test_upgrad_is_linear_under_scaling(rng):
    """A(diag(c) J) is linear in c > 0: the property that names the method."""
    rows = rng.standard_normal((5, 20)) - 0.3
    a, b = rng.uniform(0.1, 10, (2, 5, 1))
    both = ag.UPGrad()((a + b) * rows)
    parts = ag.UPGrad()(a * rows) + ag.UPGrad()(b * rows)
    np.testing.assert_allclose(both, parts, atol=1e-12 * np.abs(both).max())


@pytest.mark.parametrize("make", [ag.UPGrad, ag.DualProj, ag.MGDA])
def test_stationary_points_give_exact_zeros(make, rng):
    g = rng.standard_normal(7)
    assert not make()(np.stack([g, -g])).any()
    assert not make()(np.stack([g, -3.7 * g])).any()
    rows = rng.standard_normal((3, 2))
    rows = np.concatenate([rows, -rows.sum(0, keepdims=True), -rows])
    assert not make()(rows).any()


@pytest.mark.parametrize("make", [ag.UPGrad, ag.DualProj])
def test_one_loss(make):
    np.testing.assert_array_equal(make()(np.array([[3.0, -4.0]])), [3.0, -4.0])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(2, 9), st.integers(1, 12))
def test_projection_is_nearest(seed, m, d):
    """No point of the cone is nearer to the mean than DualProj's."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((m, d))
    out, mean = ag.DualProj()(rows), rows.mean(0)
    # Variational inequality at 0, at 2 out, and at a random point of the cone.
    for point in (np.zeros(d), 2 * out, oracles.project_cone(rows, rng.standard_normal(d))):
        assert (mean - out) @ (point - out) <= 1e-9


@BOTH
def test_compat_reproduces_torchjd(make, oracle, rng):
    peer = pytest.importorskip("torchjd.aggregation")
    pytest.importorskip("qpsolvers")
    theirs = {ag.UPGrad: peer.UPGrad, ag.DualProj: peer.DualProj}[make]()
    for kind in range(30):
        rows = rng.standard_normal((int(rng.integers(1, 8)), 30)) * 10.0 ** (kind % 5 - 3)
        want = theirs(torch.tensor(rows)).numpy()
        got = make(compat="torchjd")(rows)
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8 * np.abs(want).max())
