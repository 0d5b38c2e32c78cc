"""`thalweg race --task snn`: gradient-free contenders next to a surrogate gradient."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from thalweg.race.spiking.network import SurrogateNet, as_arrays  # noqa: E402

FAST = ("--task", "snn", "--optimizers", "polystep,openai_es:population=4,spsa:updates=2,surrogate")


def race(thalweg, folder, *arguments):
    outcome = thalweg("race", *arguments, "--out", folder)
    assert outcome.code == 0, outcome.err
    return json.loads((folder / "race.json").read_text(encoding="utf-8")), outcome


def losses(record):
    return {e["optimizer"]: [p["test_loss"] for p in e["curve"]] for e in record["ranking"]}


def test_all_start_alike_and_polystep_learns(thalweg, tmp_path):
    record, outcome = race(thalweg, tmp_path, *FAST, "--epochs", 8)
    found = {e["optimizer"]: e for e in record["ranking"]}
    assert set(found) == {"polystep", "openai_es:population=4", "spsa:updates=2", "surrogate"}
    assert len({round(e["curve"][0]["test_loss"], 12) for e in record["ranking"]}) == 1
    assert [e["optimizer"] for e in record["ranking"] if e["reference"]] == ["surrogate"]
    assert found["polystep"]["test_accuracy"] > 0.85
    assert found["surrogate"]["test_accuracy"] > 0.85
    assert found["openai_es:population=4"]["settings"]["population"] == 4
    assert record["parameters"] == 64 * 128 + 128 + 128 * 10 + 10
    assert "polystep: probes every unit" in outcome.out
    assert (tmp_path / "race.png").stat().st_size > 10_000


def test_same_seed_same_numbers(thalweg, tmp_path):
    first, _ = race(thalweg, tmp_path, *FAST, "--epochs", 1, "--seed", 3)
    again, _ = race(thalweg, tmp_path, *FAST, "--epochs", 1, "--seed", 3)
    other, _ = race(thalweg, tmp_path, *FAST, "--epochs", 1, "--seed", 4)
    assert losses(first) == losses(again)
    assert losses(first) != losses(other)


def test_idx_files_take_the_place_of_the_digits(thalweg, tmp_path, mnist_folder):
    record, _ = race(
        thalweg, tmp_path, "--task", "snn", "--data", mnist_folder, "--optimizers",
        "polystep,surrogate", "--epochs", 2,
    )  # fmt: skip
    assert record["training_images"] == 96


def test_both_forms_of_the_network_agree():
    torch.manual_seed(0)
    net = SurrogateNet(12, 9)
    arrays = as_arrays(net.state_dict())
    X = torch.randn(300, 12)
    with torch.no_grad():
        counts = net(X).numpy()
    # a current within rounding of a threshold may fall on either side
    assert (counts == arrays.decision_function(X.numpy())).mean() > 0.999


def test_surrogate_has_a_gradient_everywhere():
    net = SurrogateNet(4, 3)
    net(torch.randn(8, 4)).sum().backward()
    assert all(np.abs(p.grad.numpy()).sum() > 0 for p in net.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--optimizers", "adamw"),
            "unknown contender 'adamw' of --task snn; choose from polystep",
        ),
        (("--optimizers", ","), "--optimizers is empty"),
        (("--optimizers", "spsa,spsa"), "has spsa twice"),
        (("--optimizers", "spsa:lr=1"), "settings: updates, a, c, alpha, gamma"),
        (("--optimizers", "spsa:a=0"), "a must be a positive number"),
        (("--optimizers", "spsa:updates=0"), "updates must be at least 1"),
        (("--optimizers", "openai_es:population=3"), "population must be even"),
        (("--optimizers", "surrogate:slope=0"), "slope must be positive"),
        (("--optimizers", "polystep:momentum=2"), "momentum must be in"),
        (("--lr-sweep",), "--lr-sweep has no use with --task snn"),
    ],
)
def test_refusals(thalweg, tmp_path, arguments, message):
    outcome = thalweg("race", "--task", "snn", "--out", tmp_path, *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert not (tmp_path / "race.json").exists()
