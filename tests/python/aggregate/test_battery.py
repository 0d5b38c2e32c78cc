"""What holds for every aggregator."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from cases import CASES, jacobian

import thalweg
import thalweg.aggregate as ag

every = pytest.mark.parametrize("case", CASES, ids=str)


def test_every_aggregator_has_a_case():
    names = {
        name
        for name in ag.__all__
        if isinstance(getattr(ag, name), type)
        and issubclass(getattr(ag, name), ag.Aggregator)
        # GradNorm wants losses, MoDo and SDMGrad two Jacobians: they have their own tests.
        and name not in ("Aggregator", "GradNorm", "MoDo", "SDMGrad")
    }
    assert names == {case.name for case in CASES}


def test_import_needs_no_torch():
    code = "import sys, thalweg.aggregate; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_output_is_in_kind(case, dtype):
    rows = jacobian(dtype=dtype)
    want = case.make()(rows)
    assert want.dtype == dtype
    assert want.shape == (40,)
    assert np.isfinite(want).all()
    tensor = torch.tensor(rows)
    got = case.make()(tensor)
    assert got.dtype == tensor.dtype
    assert not got.requires_grad
    np.testing.assert_array_equal(got.numpy(), want)


@every
def test_input_is_left_alone(case):
    rows = jacobian()
    before = rows.copy()
    rows.flags.writeable = False
    case.make()(rows)
    np.testing.assert_array_equal(rows, before)


@every
def test_a_list_equals_its_concatenation(case):
    rows = jacobian(d=37)
    parts = [rows[:, :5].reshape(4, 5, 1), rows[:, 5:5].reshape(4, 0), rows[:, 5:37]]
    out = case.make()(parts)
    assert [part.shape for part in out] == [(5, 1), (0,), (32,)]
    got = np.concatenate([part.ravel() for part in out])
    want = case.make()(rows)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9 * np.abs(want).max())


@every
def test_reference_on_other_devices_agrees(case, monkeypatch):
    from thalweg.aggregate import _rows

    rows = jacobian(dtype=np.float32)
    want = case.make()(rows)
    monkeypatch.setattr(_rows, "_block", lambda part: _rows.Reference(part.reshape(4, -1)))
    got = case.make()(torch.tensor(rows)).numpy()
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-6 * np.abs(want).max())


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_comes_back_as_it_went(case, dtype):
    rows = torch.tensor(jacobian(dtype=np.float32)).to(dtype) * 0.1
    out = case.make()(rows)
    assert out.dtype == dtype
    want = case.make()(rows.double())
    if case.name != "SAMGS":  # its unit is a squared gradient over 1e-3: beyond half precision
        assert float((out - want).norm()) <= 0.02 * float(want.norm())


@every
def test_bits_do_not_depend_on_threads_or_layout(case):
    rows = jacobian(d=50_000, dtype=np.float32)
    thalweg.set_num_threads(1)
    want = case.make()(rows)
    for threads in (2, 7):
        thalweg.set_num_threads(threads)
        np.testing.assert_array_equal(case.make()(rows), want)
    thalweg.set_num_threads(0)
    np.testing.assert_array_equal(case.make()(np.asfortranarray(rows)), want)
    wide = np.zeros((8, 60_000), np.float32)
    wide[::2, :50_000] = rows
    np.testing.assert_array_equal(case.make()(wide[::2, :50_000]), want)
    np.testing.assert_array_equal(case.make()(rows[:, ::-1].copy()[:, ::-1]), want)


@every
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_gives_nan_and_leaves_state(case, bad):
    aggregator = case.make()
    aggregator(jacobian(seed=1))
    state = copy.deepcopy(aggregator.state_dict())
    rows = jacobian(seed=2)
    rows[2, 3] = bad
    assert np.isnan(aggregator(rows)).all()
    assert repr(aggregator.state_dict()) == repr(state)
    twin = case.make()
    twin(jacobian(seed=1))
    np.testing.assert_array_equal(aggregator(jacobian(seed=3)), twin(jacobian(seed=3)))


@every
def test_state_resumes_bit_for_bit(case):
    aggregator = case.make()
    for seed in (1, 2):
        aggregator(jacobian(seed=seed))
    twins = [case.make(), copy.deepcopy(aggregator), pickle.loads(pickle.dumps(aggregator))]
    twins[0].load_state_dict(pickle.loads(pickle.dumps(aggregator.state_dict())))
    want = [aggregator(jacobian(seed=seed)) for seed in (3, 4)]
    for twin in twins:
        for seed, expected in zip((3, 4), want, strict=True):
            np.testing.assert_array_equal(twin(jacobian(seed=seed)), expected)


@every
def test_reset_starts_again(case):
    aggregator = case.make()
    first = aggregator(jacobian(seed=1))
    aggregator(jacobian(seed=2))
    aggregator.reset()
    np.testing.assert_array_equal(aggregator(jacobian(seed=1)), first)


@every
def test_foreign_state_is_refused(case):
    with pytest.raises(ValueError, match="state must be of keys"):
        case.make().load_state_dict({"other": 1})


@every
def test_permuting_the_rows(case):
    if not case.equivariant:
        pytest.skip("depends on the order of the rows by design")
    rows = jacobian()
    order = [2, 0, 3, 1]
    want = case.make()(rows)
    np.testing.assert_allclose(case.make()(rows[order]), want, atol=1e-9 * np.abs(want).max())


@every
def test_rotating_the_coordinates(case):
    if not case.gramian_only:
        pytest.skip("works coordinate by coordinate")
    rows = jacobian()
    q = np.linalg.qr(np.random.default_rng(5).standard_normal((40, 40)))[0]
    want = case.make()(rows) @ q
    np.testing.assert_allclose(case.make()(rows @ q), want, atol=1e-9 * np.abs(want).max())


@every
def test_weights_serve_where_only_the_gramian_is_at_hand(case):
    aggregator, rows = case.make(), jacobian()
    if not case.gramian_only:
        assert not hasattr(aggregator, "weights")
        return
    want = case.make()(rows)
    np.testing.assert_allclose(aggregator.weights(ag.gramian(rows)) @ rows, want, rtol=1e-10)
    tensor = case.make().weights(torch.tensor(ag.gramian(rows)))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_allclose(tensor.numpy() @ rows, want, rtol=1e-10)
    assert np.isnan(case.make().weights(np.full((4, 4), np.nan))).all()
    with pytest.raises(ValueError, match="gramian must be of shape"):
        aggregator.weights(rows)


@every
def test_zero_rows_and_zero_jacobians(case):
    rows = jacobian()
    rows[1] = 0.0
    assert np.isfinite(case.make()(rows)).all()
    np.testing.assert_array_equal(case.make()(np.zeros((4, 6))), np.zeros(6))
    assert case.make()(np.zeros((4, 0))).shape == (0,)


@every
def test_no_rows(case):
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        case.make()(np.zeros((0, 5)))


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (np.zeros(5), ValueError, r"of shape \(m, d\), got shape \(5,\)"),
        (np.zeros((2, 3), int), TypeError, "must be float32 or float64, got int64"),
        (torch.zeros(2, 3, dtype=torch.int64), TypeError, "must be floating point"),
        (torch.eye(3).to_sparse(), TypeError, "must be dense"),
        ("rows", TypeError, "must be a numpy array, a torch tensor"),
        ([], ValueError, "got an empty list"),
        ([np.zeros((2, 3)), np.zeros((3, 3))], ValueError, r"jacobian\[1\] of shape \(3, 3\) does"),
        ([np.zeros((2, 3)), torch.zeros(2, 3)], TypeError, "arrays or tensors, not both"),
    ],
)
def test_bad_jacobians_are_refused(bad, error, message):
    with pytest.raises(error, match=message):
        ag.UPGrad()(bad)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ag.UPGrad([1.0, np.nan]), "preference must be a vector of finite"),
        (lambda: ag.UPGrad(compat="peer"), "compat must be one of 'torchjd'"),
        (lambda: ag.DualProj(reg_eps=-1.0), r"reg_eps must be in \[0"),
        (lambda: ag.MGDA(solver="simplex"), "solver must be one of 'exact'"),
        (lambda: ag.MGDA(max_iters=0), "max_iters must be an integer >= 1"),
        (lambda: ag.CAGrad(-0.1), r"c must be in \[0"),
        (lambda: ag.CAGrad(rescale="2"), "rescale must be one of"),
        (lambda: ag.FairGrad(float("nan")), "alpha must be in"),
        (lambda: ag.NashMTL(update_weights_every=0), "update_weights_every must be"),
        (lambda: ag.AlignedMTL(scale_mode="max"), "scale_mode must be one of"),
        (lambda: ag.PCD(2.0), r"tau must be in \[0, 1\]"),
        (lambda: ag.PCD([0.5, 2.0]), r"tau must be in \[0, 1\]"),
        (lambda: ag.PCD(beta=1.0), r"beta must be in \[0, 1\)"),
        (lambda: ag.ConFIG(length="median"), "length must be one of"),
        (lambda: ag.MConFIG(0), "n_losses must be an integer >= 1"),
        (lambda: ag.MConFIG(2, (1.0, 0.9)), r"betas\[0\] must be in \[0, 1\)"),
        (lambda: ag.SAMGS(1.5), r"gamma must be in \[0, 1\]"),
        (lambda: ag.SAMGS(switch="all"), "switch must be one of"),
        (lambda: ag.GCond(4, stochastic=True, n_losses=3), "accumulation must be a multiple"),
        (lambda: ag.GCond(thresholds=(0.0, -0.5, -0.8)), "thresholds must be rising"),
        (lambda: ag.GradDrop([0.5, 1.5]), r"leak must be in \[0, 1\]"),
        (lambda: ag.TrimmedMean(-1), "trim_number must be an integer >= 0"),
        (lambda: ag.Krum(0, 0), "n_selected must be an integer >= 1"),
        (lambda: ag.PCGrad(seed=-1), "seed must be None, an integer"),
        (lambda: ag.PCGrad(orders=[[0, -1]]), "orders must be a matrix"),
        (lambda: ag.GradNorm(alpha=-1), "alpha must be in"),
        (lambda: ag.CAGrad(compat="peer"), "compat must be one of 'torchjd'"),
        (lambda: ag.ExcessMTL(-1.0), r"step_size must be in \[0"),
        (lambda: ag.ExcessMTL(warmup=-1), "warmup must be an integer >= 0"),
        (lambda: ag.MoDo(gamma=-1.0), r"gamma must be in \[0"),
        (lambda: ag.SDMGrad(momentum=1.0), r"momentum must be in \[0, 1\)"),
        (lambda: ag.CRMOGM(ag.MGDA(), 1.5), r"alpha must be in \[0, 1\]"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "m", "message"),
    [
        (lambda: ag.UPGrad([0.5, 0.5]), 3, "preference must be of length 3"),
        (lambda: ag.DualProj([0.5, 0.5]), 3, "preference must be of length 3"),
        (lambda: ag.ConFIG([0.5, 0.5]), 3, "preference must be of length 3"),
        (lambda: ag.ConFIG(length=3), 3, "length must be the index of one of the 3 rows"),
        (lambda: ag.Constant([1.0]), 3, "weights must be of length 3"),
        (lambda: ag.GradDrop([1.0]), 3, "leak must be of length 3"),
        (lambda: ag.TrimmedMean(2), 4, "must be at least 5, got 4"),
        (lambda: ag.Krum(2), 4, "must be at least 5, got 4"),
        (lambda: ag.PCD([0.1]), 3, "tau must be a number or 2 values"),
        (lambda: ag.PCGrad(orders=[[0, 1], [1, 0]]), 3, "orders must be 3 permutations"),
        (lambda: ag.MConFIG(2), 3, "must be n_losses = 2"),
    ],
)
def test_wrong_numbers_of_losses_are_refused(make, m, message):
    with pytest.raises(ValueError, match=message):
        make()(np.ones((m, 4)))


@pytest.mark.parametrize("make", [ag.GradVac, ag.PCD, ag.SAMGS, ag.GCond, ag.ExcessMTL])
def test_a_change_of_the_number_of_losses_asks_for_reset(make):
    aggregator = make()
    aggregator(np.eye(3, 5))
    with pytest.raises(ValueError, match="call reset"):
        aggregator(np.eye(4, 5))
    aggregator.reset()
    assert aggregator(np.eye(4, 5)).shape == (5,)
