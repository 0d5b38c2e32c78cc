"""Every aggregator against its float64 reference, or the certificate of its problem."""

import numpy as np
import oracles
import pytest
import torch
from cases import jacobian

import thalweg.aggregate as ag
from thalweg import _core


def matrices(count=40, low=1, high=8):
    rng = np.random.default_rng(11)
    out = []
    for k in range(count):
        m = int(rng.integers(low, high))
        rows = rng.standard_normal((m, int(rng.integers(m + 2, 20))))
        if k % 3 == 1:
            rows *= 10.0 ** rng.uniform(-2, 2, (m, 1))
        if k % 3 == 2:
            rows[1:] -= rng.uniform(0, 1.5, (m - 1, 1)) * rows[0]
        out.append(rows)
    return out


def close(got, want, tolerance=1e-9):
    np.testing.assert_allclose(got, want, atol=tolerance * max(np.abs(want).max(), 1e-300))


@pytest.mark.parametrize("rows", matrices())
def test_config_imtlg_and_alignedmtl(rows):
    close(ag.ConFIG()(rows), oracles.config(rows))
    preference = np.linspace(1, 2, len(rows))
    close(ag.ConFIG(preference)(rows), oracles.config(rows, preference))
    # The oracle inverts the Gramian itself, which costs it digits.
    close(ag.IMTLG()(rows), oracles.imtlg(rows), 1e-7)
    close(ag.IMTLG(compat="torchjd")(rows), oracles.imtlg(rows), 1e-6)
    for mode in ("min", "median", "rmse"):
        close(ag.AlignedMTL(scale_mode=mode)(rows), oracles.alignedmtl(rows, mode), 1e-7)


def test_config_with_zero_rows_and_deficient_rank(rng):
    rows = jacobian()
    rows[2] = 0.0
    close(ag.ConFIG()(rows), oracles.config(rows))
    rows = rng.standard_normal((6, 2)) @ rng.standard_normal((2, 10))
    close(ag.ConFIG()(rows), oracles.config(rows), 1e-7)
    assert not ag.ConFIG()(np.array([[1.0, 2.0], [-2.0, -4.0]])).any()


@pytest.mark.parametrize("length", ["min", "max", "harmonic", "arithmetic", "geometric", 1])
def test_config_lengths(length):
    rows = jacobian()
    norms = np.linalg.norm(rows, axis=1)
    common = {
        "min": norms.min(),
        "max": norms.max(),
        "harmonic": 4 / (1 / norms).sum(),
        "arithmetic": norms.mean(),
        "geometric": norms.prod() ** 0.25,
        1: norms[1],
    }[length]
    direction = oracles.config(rows)
    direction /= np.linalg.norm(direction)
    want = (rows @ direction / norms).sum() * common * direction
    close(ag.ConFIG(length=length)(rows), want)


@pytest.mark.parametrize("rows", matrices(15))
def test_pcgrad_and_gradvac(rows, rng):
    m = len(rows)
    orders = np.array([rng.permutation(m) for _ in range(m)])
    close(ag.PCGrad(orders=orders)(rows), oracles.pcgrad(rows, orders))
    aggregator, targets = ag.GradVac(orders=orders), np.zeros((m, m))
    for _ in range(3):
        step = rng.standard_normal(rows.shape)
        want, targets = oracles.gradvac(step, orders, targets, 0.5, 1e-8)
        close(aggregator(step), want)


def test_drawn_orders_are_permutations_and_differ_between_calls():
    first, second = (np.reshape(_core.aggregate_orders(3, step, 6), (6, 6)) for step in (0, 1))
    assert (np.sort(first, axis=1) == np.arange(6)).all()
    assert (first != second).any()
    assert (first[0] != first[1]).any()


@pytest.mark.parametrize("rows", matrices(15, low=3))
@pytest.mark.parametrize("squared", [True, False])
def test_krum_and_trimmed_mean(rows, squared):
    m = len(rows)
    for f in range(m - 2):
        for k in (1, 2):
            got = ag.Krum(f, k, squared=squared)(rows)
            close(got, oracles.krum(rows, f, k, squared))
    for b in range((m - 1) // 2 + 1):
        close(ag.TrimmedMean(b)(rows), oracles.trimmed_mean(rows, b))


def test_krum_sees_near_duplicates(rng):
    g = rng.standard_normal(50)
    rows = np.stack([g, g + 1e-9, g + 3e-9, g + 9e-9, -g])
    np.testing.assert_array_equal(ag.Krum(1)(rows), oracles.krum(rows, 1, 1, True))


@pytest.mark.parametrize("rows", matrices(8))
def test_graddrop(rows, rng):
    leak = rng.uniform(0, 1, len(rows))
    aggregator = ag.GradDrop(leak, seed=5)
    for step in range(2):
        draws = _core.aggregate_draws(5, step, 0, rows.shape[1])
        close(aggregator(rows), oracles.graddrop(rows, leak, draws))


def test_graddrop_keeps_signs_as_often_as_they_weigh():
    rows = np.repeat([[3.0], [-1.0]], 40_000, axis=1)
    kept = ag.GradDrop(seed=0)(rows)
    assert set(np.unique(kept)) == {-1.0, 3.0}
    assert abs((kept == 3.0).mean() - 0.75) < 0.01


@pytest.mark.parametrize("gamma", [0.2, 0.9])
@pytest.mark.parametrize("switch", ["mean", "any"])
def test_samgs(gamma, switch):
    steps = [jacobian(seed) for seed in range(6)]
    aggregator = ag.SAMGS(gamma, switch=switch)
    for step, want in zip(steps, oracles.samgs(steps, gamma, switch=switch), strict=True):
        close(aggregator(step), want)
    assert ag.SAMGS(gamma)(steps[0][:1]).shape == (40,)


@pytest.mark.parametrize("m", [1, 2, 3, 5])
def test_mconfig(m, rng):
    gradients = rng.standard_normal((4 * m, 12))
    losses = [k % m for k in range(4 * m)]
    aggregator = ag.MConFIG(m)
    for g, loss, want in zip(gradients, losses, oracles.mconfig(gradients, losses, m), strict=True):
        close(aggregator.step(g, loss), want, 1e-7)
    with pytest.raises(ValueError, match="index must be in"):
        aggregator.step(gradients[0], m)


@pytest.mark.parametrize("staged", [True, False])
@pytest.mark.parametrize("m", [1, 2, 3, 5])
def test_gcond(m, staged, rng):
    steps = [rng.standard_normal((m, 30)) for _ in range(6)]
    steps = [step - 0.6 * step.sum(0) for step in steps]
    aggregator = ag.GCond(resolution="staged" if staged else "smooth")
    for step, want in zip(steps, oracles.gcond(steps, staged=staged), strict=True):
        close(aggregator(step), want)


def test_as_many_losses_as_dimensions(rng):
    rows = rng.standard_normal((3, 3))
    for aggregator in (ag.GCond(lambdas=[1.0, 2.0, 3.0]), ag.MConFIG(3), ag.SAMGS()):
        assert aggregator(rows).shape == (3,)
    weighted = ag.GCond(lambdas=[1.0, 2.0, 3.0])(rows)
    close(weighted, ag.GCond()(rows * [[1.0], [2.0], [3.0]]))


def test_gcond_accumulates_micro_batches(rng):
    batches = rng.standard_normal((4, 2, 9))
    whole, parts, single = ag.GCond(), ag.GCond(4), ag.GCond(4, stochastic=True, n_losses=2)
    want = whole(batches.mean(0))
    outs = [parts.accumulate(batch) for batch in batches]
    assert outs[:3] == [None] * 3
    close(outs[3], want)
    expected = ag.GCond()(np.stack([batches[[0, 2], 0].mean(0), batches[[1, 3], 1].mean(0)]))
    outs = [single.accumulate_loss(batch[single.next_loss]) for batch in batches]
    assert outs[:3] == [None] * 3
    close(outs[3], expected)
    with pytest.raises(ValueError, match="stochastic must be False"):
        single.accumulate(batches[0])
    with pytest.raises(ValueError, match="stochastic must be True"):
        parts.accumulate_loss(batches[0, 0])


@pytest.mark.parametrize("rows", matrices())
def test_mgda_is_the_shortest_in_the_hull(rows):
    weights = ag.MGDA().weights(rows @ rows.T)
    x = weights @ rows
    assert weights.min() >= 0
    assert abs(weights.sum() - 1) < 1e-12
    # g_i . x >= |x|^2 for all i: x is the nearest point of the hull to the origin.
    slack = (rows @ x - x @ x) / (np.linalg.norm(rows, axis=1) * np.linalg.norm(x))
    assert slack.min() >= -1e-11
    loose = ag.MGDA(solver="frank_wolfe").weights(rows @ rows.T)
    assert loose.min() >= -1e-12
    assert np.linalg.norm(loose @ rows) >= np.linalg.norm(x) * (1 - 1e-9)


@pytest.mark.parametrize("rows", matrices())
@pytest.mark.parametrize("c", [0.1, 0.5, 0.9, 1.5])
def test_cagrad_closes_the_duality_gap(rows, c):
    m = len(rows)
    mean = rows.mean(0)
    radius = c * np.linalg.norm(mean)
    out = ag.CAGrad(c)(rows)
    # Feasible, and min_i g_i . x equals min_w g_w . g0 + radius |g_w| at the w it comes from.
    assert abs(np.linalg.norm(out - mean) / radius - 1) < 1e-9
    lam = ag.CAGrad(c).weights(rows @ rows.T) - 1 / m
    assert lam.min() >= -1e-12
    worst = lam / lam.sum() @ rows
    dual = worst @ mean + radius * np.linalg.norm(worst)
    size = np.linalg.norm(worst) * np.linalg.norm(out)
    assert abs((rows @ out).min() - dual) <= 1e-7 * size


def test_cagrad_special_cases():
    rows = jacobian()
    np.testing.assert_allclose(ag.CAGrad(0.0)(rows), rows.mean(0))
    plain = ag.CAGrad(0.4)(rows)
    np.testing.assert_allclose(ag.CAGrad(0.4, rescale="1+c^2")(rows), plain / 1.16)
    np.testing.assert_allclose(ag.CAGrad(0.4, rescale="1+c")(rows), plain / 1.4)
    np.testing.assert_allclose(ag.CAGrad(0.4)(rows * 1e-9), plain * 1e-9, rtol=1e-9)
    padded = np.vstack([rows, np.zeros(40)])
    np.testing.assert_allclose(ag.CAGrad(0.4)(padded), plain)
    np.testing.assert_allclose(ag.CAGrad(0.4, count_zero_rows=True)(padded), 0.8 * plain)
    assert not ag.CAGrad(0.4)(np.array([[1.0, 2.0], [-1.0, -2.0]])).any()


def test_cagrad_compat_reproduces_torchjd(rng):
    peer = pytest.importorskip("torchjd.aggregation")
    pytest.importorskip("clarabel")
    pytest.importorskip("cvxpy")
    cut = 0
    for k in range(40):
        m = int(rng.integers(1, 7))
        rows = rng.standard_normal((m, 20))
        if k % 4 == 1:
            rows *= 10.0 ** rng.uniform(-2, 2, (m, 1))  # its cut on the worst combination
        if k % 4 == 2:
            rows[0] = 0.0
        if k % 4 == 3:
            rows *= 1e-3 if k % 8 == 3 else 1e-2  # its cut on the trace
        c = [0.1, 0.5, 1.5][k % 3]
        want = peer.CAGrad(c)(torch.tensor(rows)).numpy()
        got = ag.CAGrad(c, compat="torchjd")(rows)
        cut += not want.any()
        # Its solver stops early where the lengths are spread.
        np.testing.assert_allclose(got, want, atol=2e-3 * np.abs(want).max(), err_msg=str(k))
    assert 5 < cut < 35


@pytest.mark.parametrize("rows", matrices())
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 5.0])
def test_fairgrad_solves_its_equation(rows, alpha):
    gramian = rows @ rows.T
    weights = ag.FairGrad(alpha).weights(gramian)
    assert (weights > 0).all()
    np.testing.assert_allclose(gramian @ weights * weights ** (1 / alpha), 1.0, rtol=1e-9)


def test_fairgrad_and_nashmtl_limits():
    rows = jacobian()
    np.testing.assert_allclose(ag.FairGrad(0.0)(rows), rows.mean(0))
    assert not ag.FairGrad()(np.array([[1.0, 2.0], [-1.0, -2.0]])).any()
    free = ag.NashMTL(max_norm=0.0)
    np.testing.assert_allclose(free(rows), ag.FairGrad(1.0)(rows))
    assert np.linalg.norm(ag.NashMTL(max_norm=0.5)(rows)) == pytest.approx(0.5)
    lazy = ag.NashMTL(max_norm=0.0, update_weights_every=2)
    first = lazy.weights(rows @ rows.T)
    np.testing.assert_array_equal(lazy.weights(np.eye(4)), first)
    np.testing.assert_allclose(lazy.weights(np.eye(4)), 1.0)


@pytest.mark.parametrize("rows", matrices(20, low=2))
@pytest.mark.parametrize("tau", [0.0, 0.02, 0.5])
def test_pcd_is_optimal(rows, tau):
    m = len(rows)
    aggregator = ag.PCD(tau, eps=0.0)
    out = aggregator(rows)
    norms = np.linalg.norm(rows, axis=1)
    unit = rows / norms[:, None]  # the first call normalises exactly
    assert np.linalg.norm(out) == pytest.approx(norms[0])
    weights = ag.PCD(tau, eps=0.0).weights(rows @ rows.T) * norms
    d = weights / weights[0] @ unit
    slack = unit[1:] @ d - tau
    multipliers = weights[1:] / weights[0]
    assert multipliers.min(initial=0.0) >= 0
    assert slack.min(initial=1.0) >= -1e-9
    assert m == 1 or np.abs(multipliers * slack).max() <= 1e-9 * (1 + multipliers.max())


def test_pcd_against_torchjd_over_steps():
    peer = pytest.importorskip("torchjd.aggregation").PCD()
    aggregator = ag.PCD()
    for seed in range(5):
        rows = jacobian(seed)
        close(aggregator(rows), peer(torch.tensor(rows)).numpy(), 1e-7)
    contradicting = np.array([[1.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_allclose(ag.PCD(0.5)(contradicting), [1.0, 1.0])


def simplex(x):
    """Nearest point of the simplex by bisection on the shift."""
    low, high = x.min() - 1, x.max()
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.maximum(x - middle, 0).sum() > 1 else (low, middle)
    return np.maximum(x - low, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_modo(dtype, rng):
    aggregator, lam = ag.MoDo(0.05, 0.2), np.full(4, 0.25)
    for _ in range(5):
        first, second = rng.standard_normal((2, 4, 30)).astype(dtype)
        lam = simplex(lam - 0.05 * (first.astype(float) @ second.T.astype(float) @ lam + 0.2 * lam))
        got = aggregator(first, second)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, lam @ (first + second) / 2, atol=1e-5)
    assert lam.min() == 0.0  # the projection acted


def test_sdmgrad(rng):
    p = np.array([0.7, 0.2, 0.1])
    aggregator, w = ag.SDMGrad(preference=p), np.full(3, 1 / 3)
    for _ in range(3):
        first, second, third = rng.standard_normal((3, 3, 12))
        a = first @ second.T
        a = a / (np.sqrt(np.maximum(np.diag(a), 0)).mean() ** 2 + 1e-8)
        v = None
        for _ in range(20):
            gradient = a @ (w + 0.3 * p)
            v = gradient if v is None else 0.5 * v + gradient
            w = simplex(w - 10 * v)
        close(aggregator(first, second, third), (w + 0.3 * p) / 1.3 @ third)


@pytest.mark.parametrize("name", ["MoDo", "SDMGrad"])
def test_two_batches(name, rng):
    make = getattr(ag, name)
    first, second = rng.standard_normal((2, 3, 8))
    parts = make()([first[:, :3], first[:, 3:]], [second[:, :3], second[:, 3:]])
    close(np.concatenate(parts), make()(first, second))
    aggregator, twin = make(), make()
    tensors = aggregator(torch.tensor(first), torch.tensor(second))
    np.testing.assert_array_equal(tensors.numpy(), twin(first, second))
    np.testing.assert_allclose(make().weights(first @ second.T).sum(), 1.0)
    state = aggregator.state_dict()
    bad = first.copy()
    bad[0, 0] = np.nan
    assert np.isnan(aggregator(bad, second)).all()
    assert np.isnan(aggregator(first, second, bad)).all()
    assert repr(aggregator.state_dict()) == repr(state)
    twin.reset()
    twin.load_state_dict(state)
    np.testing.assert_array_equal(aggregator(second, first), twin(second, first))
    half = make()(torch.tensor(first).bfloat16(), torch.tensor(second).bfloat16())
    assert half.dtype == torch.bfloat16
    for call, message in [
        (lambda: aggregator(first), "second must be the Jacobian on another batch"),
        (lambda: aggregator(first, second[:, :5]), "must be of one shape and dtype"),
        (lambda: aggregator(first[:2], second[:2]), "call reset"),
        (lambda: aggregator.weights(first), r"product must be of shape \(m, m\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("warmup", [0, 2])
def test_excessmtl(warmup, rng):
    aggregator, s, w, first = ag.ExcessMTL(0.3, warmup=warmup), 0.0, np.full(4, 0.25), None
    collected = []
    for step in range(5):
        rows = rng.standard_normal((4, 25)) * [[1.0], [2.0], [0.5], [1.0]]
        s = s + rows**2
        e = (rows**2 / np.sqrt(s + 1e-7)).sum(1)
        if step < warmup:
            collected.append(e)
        else:
            if first is None and warmup:
                first = np.mean(collected, axis=0)
            if first is None:
                first = e
            else:
                e = e / (first + 1e-7)
            w = w * np.exp(0.3 * e)
            w /= w.sum()
        close(aggregator(rows), w @ rows)


def test_crmogm(rng):
    inner, aggregator, lam = ag.MGDA(), ag.CRMOGM(ag.MGDA(), 0.7), None
    for _ in range(4):
        rows = rng.standard_normal((3, 10))
        new = inner.weights(rows @ rows.T)
        lam = new if lam is None else 0.7 * lam + 0.3 * new
        close(aggregator(rows), lam @ rows)
    with pytest.raises(TypeError, match="must be one with weights"):
        ag.CRMOGM(ag.TrimmedMean(1))
    with pytest.raises(ValueError, match="call reset"):
        aggregator(rows[:2])
    aggregator.alpha = 2.0
    with pytest.raises(ValueError, match=r"alpha must be in \[0, 1\]"):
        aggregator(rows)


@pytest.mark.parametrize("name", ["MoDo", "SDMGrad", "ExcessMTL", "CRMOGM"])
def test_smoothing_weightings_agree_with_torchjd(name, rng):
    peer = pytest.importorskip("torchjd.aggregation")
    first, second = rng.standard_normal((2, 4, 30))
    if name in ("MoDo", "SDMGrad"):
        theirs, ours = getattr(peer, name + "Weighting")(), getattr(ag, name)()
        for product in (first @ second.T, second @ first.T):
            close(ours.weights(product), theirs(torch.tensor(product)).numpy(), 1e-7)
        return
    smoothed = "CRMOGMWeighting"
    theirs = (
        peer.ExcessMTL()
        if name == "ExcessMTL"
        else peer.GramianWeightedAggregator(getattr(peer, smoothed)(peer.UPGradWeighting()))
    )
    ours = ag.ExcessMTL() if name == "ExcessMTL" else ag.CRMOGM(ag.UPGrad(compat="torchjd"))
    for rows in (first, second, first):
        close(ours(rows), theirs(torch.tensor(rows)).numpy(), 1e-6)


@pytest.mark.parametrize(
    "name", ["MGDA", "IMTLG", "AlignedMTL", "ConFIG", "GradVac", "TrimmedMean", "Krum"]
)
def test_agrees_with_torchjd(name):
    peer = pytest.importorskip("torchjd.aggregation")
    rows = jacobian(d=60)[:2] if name == "GradVac" else jacobian(d=60)
    theirs, ours = {
        "MGDA": lambda: (peer.MGDA(), ag.MGDA(solver="frank_wolfe")),
        "IMTLG": lambda: (peer.IMTLG(), ag.IMTLG()),
        "AlignedMTL": lambda: (peer.AlignedMTL(), ag.AlignedMTL()),
        "ConFIG": lambda: (peer.ConFIG(), ag.ConFIG()),
        "GradVac": lambda: (peer.GradVac(), ag.GradVac()),
        "TrimmedMean": lambda: (peer.TrimmedMean(1), ag.TrimmedMean(1)),
        "Krum": lambda: (peer.Krum(1), ag.Krum(1, squared=False)),
    }[name]()
    close(ours(rows), theirs(torch.tensor(rows)).numpy(), 1e-7)
