"""`thalweg race` trains, ranks and writes; same seed, same numbers."""

from __future__ import annotations

import json

import pytest

from thalweg.race.lane import Lane

TORCH = ("--optimizers", "torch:AdamW,torch:SGD")


def race(thalweg, folder, *arguments):
    """Race and read back the record."""
    outcome = thalweg("race", *arguments, "--out", folder)
    assert outcome.code == 0, outcome.err
    return json.loads((folder / "race.json").read_text(encoding="utf-8")), outcome


def without_times(record):
    """Keep what must not differ between runs."""
    kept = ("optimizer", "lr", "test_accuracy", "train_loss", "epochs_to_target", "sweep")
    return [
        {key: entry[key] for key in kept}
        | {"curve": [{**point, "seconds": None} for point in entry["curve"]]}
        for entry in record["ranking"]
    ]


def test_default_race_lists_ten_rules_and_two_references(thalweg, tmp_path):
    record, outcome = race(thalweg, tmp_path, "--epochs", 1)
    references = [e["optimizer"] for e in record["ranking"] if e["reference"]]
    assert sorted(references) == ["torch:AdamW", "torch:SGD"]
    assert len(record["ranking"]) == 12
    assert all(entry["optimizer"] in outcome.out for entry in record["ranking"])
    assert "muon steps the hidden matrices, AdamW" in outcome.out
    losses = {e["optimizer"]: e["train_loss"] for e in record["ranking"]}
    assert losses["adamw"] == pytest.approx(losses["torch:AdamW"], rel=1e-3)
    assert losses["sgd"] == pytest.approx(losses["torch:SGD"], rel=1e-3)


def test_same_seed_same_numbers(thalweg, tmp_path):
    first, _ = race(thalweg, tmp_path, *TORCH, "--epochs", 1, "--seed", 5)
    again, _ = race(thalweg, tmp_path, *TORCH, "--epochs", 1, "--seed", 5)
    other, _ = race(thalweg, tmp_path, *TORCH, "--epochs", 1, "--seed", 6)
    assert without_times(first) == without_times(again)
    assert without_times(first) != without_times(other)


def test_company_does_not_matter(thalweg, tmp_path):
    alone, _ = race(thalweg, tmp_path, "--optimizers", "torch:SGD", "--epochs", 1)
    both, _ = race(thalweg, tmp_path, *TORCH, "--epochs", 1)
    in_company = [e for e in without_times(both) if e["optimizer"] == "torch:SGD"]
    assert without_times(alone) == in_company


def test_record(thalweg, tmp_path):
    record, _ = race(thalweg, tmp_path, *TORCH, "--epochs", 2, "--target", 0.4, "--threads", 1)
    head = {key: record[key] for key in ("schema", "task", "epochs", "seed", "target_loss")}
    assert head == {"schema": 1, "task": "digits", "epochs": 2, "seed": 0, "target_loss": 0.4}
    assert record["finished"] is True
    assert record["lr_sweep"] is False
    assert record["machine"]["threads"] == 1
    assert [entry["rank"] for entry in record["ranking"]] == [1, 2]
    accuracies = [entry["test_accuracy"] for entry in record["ranking"]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[1] > 0.5
    for entry in record["ranking"]:
        curve = entry["curve"]
        assert [point["epoch"] for point in curve] == [0.0, 1.0, 2.0]
        assert curve[0]["seconds"] == 0.0 < curve[1]["seconds"] < curve[2]["seconds"]
        assert curve[-1]["test_accuracy"] == entry["test_accuracy"]
        assert 0 < entry["epochs_to_target"] <= 2
        low, median, high = entry["step_ms_quartiles"]
        assert 0 < low <= median <= high
    state = {e["optimizer"]: e["state_bytes_per_parameter"] for e in record["ranking"]}
    assert state["torch:SGD"] == 4.0
    assert state["torch:AdamW"] == pytest.approx(8.0, abs=0.01)


def test_picture(thalweg, tmp_path):
    from matplotlib.image import imread

    race(thalweg, tmp_path, *TORCH, "--epochs", 1)
    pixels = imread(tmp_path / "race.png")
    assert pixels.shape[0] > 600
    assert pixels.shape[1] > 1200
    assert pixels.std() > 0.05


def test_diverged_comes_last(thalweg, tmp_path):
    entrants = "torch:SGD:lr=1e30,torch:AdamW"
    record, outcome = race(thalweg, tmp_path, "--optimizers", entrants, "--epochs", 1)
    last = record["ranking"][1]
    assert last["optimizer"] == "torch:SGD"
    assert last["diverged"] is True
    assert last["train_loss"] is None
    assert "diverged" in outcome.out


def test_nobody_wins_if_all_diverge(thalweg, tmp_path):
    entrants = "torch:SGD:lr=1e30"
    record, outcome = race(thalweg, tmp_path, "--optimizers", entrants, "--epochs", 2)
    assert len(record["ranking"][0]["curve"]) == 2
    assert "No winner: every optimizer diverged" in outcome.out


def test_settings_reach_the_optimizer(thalweg, tmp_path):
    entrants = "torch:AdamW:amsgrad=true:betas=(0.8,0.9),torch:AdamW:lr=0.03,torch:AdamW"
    record, _ = race(thalweg, tmp_path, "--optimizers", entrants, "--epochs", 1)
    by_label = {entry["optimizer"]: entry for entry in record["ranking"]}
    assert set(by_label) == {
        "torch:AdamW:amsgrad=True:betas=(0.8, 0.9)", "torch:AdamW:lr=0.03", "torch:AdamW",
    }  # fmt: skip
    assert by_label["torch:AdamW:lr=0.03"]["lr"] == 0.03
    settings = by_label["torch:AdamW:amsgrad=True:betas=(0.8, 0.9)"]["settings"]
    assert settings["amsgrad"] is True
    assert settings["betas"] == [0.8, 0.9]


def test_mnist_files(thalweg, tmp_path, mnist_folder):
    task = ("--task", "mnist", "--data", mnist_folder, "--threads", 1)
    record, _ = race(thalweg, tmp_path, *TORCH, *task, "--epochs", 20)
    assert (record["training_images"], record["test_images"]) == (96, 32)
    assert record["ranking"][0]["test_accuracy"] == 1.0


def test_sweep_takes_the_best_of_five(thalweg, tmp_path):
    entrants = "torch:SGD:lr=0.002:momentum=0.9"
    record, outcome = race(thalweg, tmp_path, "--optimizers", entrants, "--epochs", 1, "--lr-sweep")
    entry = record["ranking"][0]
    assert record["lr_sweep"] is True
    assert [trial["lr"] for trial in entry["sweep"]] == [0.0002, 0.0006, 0.002, 0.006, 0.02]
    assert entry["lr"] == min(entry["sweep"], key=lambda trial: trial["loss"])["lr"] == 0.02
    assert "best at the edge of its five rates" in outcome.out


@pytest.mark.parametrize("moment", [7, 8])
def test_interrupted_race_shows_what_it_has(thalweg, tmp_path, monkeypatch, moment):
    check, calls = Lane.check, []

    def interrupting(lane, epoch):
        calls.append(epoch)
        if len(calls) == moment:
            raise KeyboardInterrupt
        check(lane, epoch)

    monkeypatch.setattr(Lane, "check", interrupting)
    outcome = thalweg("race", *TORCH, "--epochs", 5, "--out", tmp_path)
    assert outcome.code == 130
    assert "interrupted after epoch 2" in outcome.out
    record = json.loads((tmp_path / "race.json").read_text(encoding="utf-8"))
    assert record["finished"] is False
    assert [len(entry["curve"]) for entry in record["ranking"]] == [3, 3]
    assert (tmp_path / "race.png").exists()


def test_interrupted_before_anything(thalweg, tmp_path, monkeypatch):
    def interrupting(lane, epoch):
        raise KeyboardInterrupt

    monkeypatch.setattr(Lane, "check", interrupting)
    for sweep in ([], ["--lr-sweep"]):
        outcome = thalweg("race", *TORCH, *sweep, "--epochs", 1, "--out", tmp_path)
        assert outcome.code == 130
        assert outcome.err == "thalweg: interrupted before there was anything to compare\n"


def test_help(thalweg):
    listed = thalweg()
    assert listed.code == 0
    assert "race" in listed.out
    assert "--lr-sweep" in thalweg("race", "--help").out
