"""Whatever is wrong is said in one line that says how to mend it, with exit code 2."""

from __future__ import annotations

import gzip
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from thalweg.cli import main

TORCH = ("--optimizers", "torch:AdamW", "--epochs", "1")

CASES = {
    "close name": (["--optimizers", "adamww"], r"unknown optimizer 'adamww'; did you mean .*adamw"),
    "close torch name": (["--optimizers", "torch:AdmW"], "did you mean torch:AdamW"),
    "far name": (["--optimizers", "qqqqq"], "unknown optimizer 'qqqqq'; choose from .*torch:AdamW"),
    "closure": (["--optimizers", "torch:LBFGS"], "cannot race: it needs a closure; leave it out"),
    "empty list": (["--optimizers", ","], "--optimizers is empty; name at least one"),
    "twice": (["--optimizers", "torch:SGD,torch:sgd"], "has torch:SGD twice with equal settings"),
    "no value": (["--optimizers", "torch:SGD:lr"], "'lr' is not a setting; write key=value"),
    "no such setting": (["--optimizers", "torch:SGD:speed=1"], "torch:SGD.*speed"),
    "bad value": (["--optimizers", "torch:SGD:lr=-1"], "torch:SGD:lr=-1: .*; settings: lr, mom"),
    "bad type": (["--optimizers", "torch:SGD:lr=fast"], "torch:SGD:lr=fast: .*; settings: lr,"),
    "unknown option": (["--epoch", "3"], "No such option.*--epoch.*See thalweg race --help"),
    "no epochs": (["--epochs", "0"], "'--epochs': 0 is not in the range"),
    "epochs word": (["--epochs", "many"], "'--epochs': 'many' is not a valid integer"),
    "negative seed": (["--seed", "-1"], "'--seed': -1 is not in the range"),
    "no target": (["--target", "0"], "'--target': 0.* is not in the range"),
    "no threads": (["--threads", "0"], "'--threads': 0 is not in the range"),
    "unknown task": (["--task", "cifar"], "'--task': 'cifar' is not one of 'digits', 'mnist'"),
    "data for digits": ([*TORCH, "--data", "."], "--data has no use with --task digits; remove it"),
    "no data": ([*TORCH, "--task", "mnist"], "--task mnist needs --data DIR"),
    "extra argument": (["fast"], "unexpected extra argument"),
}  # fmt: skip


def refused(outcome, pattern: str) -> None:
    """Check for one line on stderr, nothing on stdout, exit code 2."""
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("thalweg: ")
    assert outcome.err.count("\n") == 1, outcome.err
    assert re.search(pattern, outcome.err), outcome.err


@pytest.mark.parametrize("name", CASES)
def test_bad_option(name, thalweg, tmp_path):
    arguments, pattern = CASES[name]
    refused(thalweg("race", *arguments, "--out", tmp_path / "new"), pattern)
    assert not (tmp_path / "new").exists()


def test_unknown_command(thalweg):
    refused(thalweg("rase"), "unknown command 'rase'; did you mean race")
    refused(thalweg("zzz"), "unknown command 'zzz'; known: .*race")


def test_out_is_a_file(thalweg, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    refused(thalweg("race", *TORCH, "--out", blocked), "cannot write in --out .*another folder")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_out_is_read_only(thalweg, tmp_path):
    tmp_path.chmod(0o500)
    refused(thalweg("race", *TORCH, "--out", tmp_path), "cannot write in --out .*another folder")


def _missing_file(folder: Path, encode) -> None:
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()


def _not_idx(folder: Path, encode) -> None:
    (folder / "train-images-idx3-ubyte").write_bytes(b"<html>not found</html>")


def _cut_short(folder: Path, encode) -> None:
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-5])


def _header_alone(folder: Path, encode) -> None:
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:6])


def _broken_gzip(folder: Path, encode) -> None:
    path = folder / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-12])


def _labels_too_few(folder: Path, encode) -> None:
    labels = gzip.compress(encode(np.zeros(7)))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(labels)


def _labels_too_large(folder: Path, encode) -> None:
    labels = gzip.compress(encode(np.full(96, 11)))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(labels)


def _flat_images(folder: Path, encode) -> None:
    (folder / "train-images-idx3-ubyte").write_bytes(encode(np.zeros((96, 64))))


def _other_size(folder: Path, encode) -> None:
    (folder / "t10k-images-idx3-ubyte").write_bytes(encode(np.zeros((32, 9, 9))))


DAMAGE = {
    _missing_file: "no t10k-labels-idx1-ubyte or .*gz in .*; pass the folder",
    _not_idx: "train-images-idx3-ubyte is not an IDX file; download it again",
    _cut_short: "states 6144 bytes of elements and holds 6139; download it again",
    _header_alone: "bytes of elements and holds 0; download it again",
    _broken_gzip: "cannot read .*train-labels.*; download it again",
    _labels_too_few: "hold 96 images and 7 labels; pass one label an image",
    _labels_too_large: "hold labels up to 11; pass classes 0 to 9",
    _flat_images: r"hold images of shape \(96, 64\); pass n square images",
    _other_size: "differ in size: .*take both from one data set",
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__.strip("_"))
def test_unreadable_data(damage, thalweg, mnist_folder, encode, tmp_path):
    damage(mnist_folder, encode)
    arguments = ("race", *TORCH, "--task", "mnist", "--data", mnist_folder, "--out", tmp_path / "o")
    refused(thalweg(*arguments), DAMAGE[damage])


def test_no_data_folder(thalweg, tmp_path):
    refused(
        thalweg("race", *TORCH, "--task", "mnist", "--data", tmp_path / "gone"), "pass the folder"
    )


@pytest.mark.parametrize("module", ["torch", "matplotlib", "sklearn"])
def test_missing_extra(module, thalweg, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr("thalweg.cli.race.find_spec", lambda m: None if m == module else real(m))
    shown = "scikit-learn" if module == "sklearn" else module
    refused(thalweg("race", *TORCH), rf'needs {shown}; install with pip install "thalweg\[demo\]"')


def test_without_the_cli_extra(capsys, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] in ("click", "rich")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "click", None)
    assert main(["race"]) == 2
    assert capsys.readouterr().err == (
        'thalweg: click is not installed; install it with pip install "thalweg[cli]"\n'
    )


def test_no_traceback_from_a_process(tmp_path):
    command = [sys.executable, "-m", "thalweg", "race", "--optimizers", "torch:Adamm"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("thalweg: unknown optimizer 'torch:Adamm'")
    assert len(done.stderr.splitlines()) == 1
