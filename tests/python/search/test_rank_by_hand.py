"""The example in which a person ranks: what it makes of typing, and that it finds the colour."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import thalweg

EXAMPLE = Path(__file__).parents[3] / "examples" / "rank_by_hand.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("rank_by_hand", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(typed, *options):
    paths = {"PYTHONPATH": str(Path(thalweg.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, EXAMPLE, *options],
        input=typed, capture_output=True, text=True, timeout=60, env={**os.environ, **paths},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("text", "order"),
    [("3 1 2", [[2], [0], [1]]), ("3,1=2", [[2], [0, 1]]), (" 6 = 1 = 2 ", [[5, 0, 1]])],
)
def test_what_is_typed(example, text, order):
    assert example.parse(text, 6, 3) == order


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3 1", "3 of them are to be named, not 2"),
        ("1 2 3 4", "3 of them are to be named, not 4"),
        ("1 1 2", "a number appears twice"),
        ("0 1 2", "'0' is none of the numbers 1 to 6"),
        ("7 1 2", "'7' is none of the numbers 1 to 6"),
        ("red 1 2", "'red' is none"),
        ("1 -2 3", "'-2' is none"),
        ("1 = 2 3 =", "'' is none"),
        ("\N{SUPERSCRIPT TWO} 1 3", "is none of the numbers"),
    ],
)
def test_wrong_typing(example, text, message):
    with pytest.raises(ValueError, match=message):
        example.parse(text, 6, 3)


def test_a_made_up_person_finds_the_colour(example):
    distances = []
    for seed in range(5):
        search = example.find(example.ask_nobody, 24, seed, False, lambda line: None)
        distances.append(
            np.abs(np.subtract(example.rgb(search.x), example.rgb(example.WANTED))).max()
        )
    start = np.abs(np.subtract(example.rgb([0.5] * 3), example.rgb(example.WANTED))).max()
    assert np.median(distances) < 0.3 * start


def test_asks_again_and_ends_with_the_input():
    shown = run("1 2\n\n9 1 2\n3 1=2\n", "--ask")
    assert "3 of them are to be named, not 2" in shown
    assert "best first, such as" in shown
    assert "'9' is none of the numbers 1 to 6" in shown
    assert "round 2 of 24, line search" in shown
    assert "after 1 rankings of 6 colours" in shown


@pytest.mark.parametrize("typed", ["", "q\n"])
def test_ends_at_once(typed):
    assert "after 0 rankings of 0 colours" in run(typed, "--ask")


def test_without_a_terminal_nobody_is_asked():
    assert "was wanted" in run("")
