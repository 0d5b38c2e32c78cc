"""`import thalweg` needs numpy alone, is quick, and says how many threads there are."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import thalweg


def run(code, **environment):
    """Standard output of `code` in a new interpreter."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, **environment},
    )
    return done.stdout.strip()


def test_import_loads_no_optional_dependency():
    code = """
        import sys, thalweg
        optional = {"torch", "scipy", "sklearn", "matplotlib", "click", "rich", "tqdm"}
        print(sorted(optional & set(sys.modules)))
    """
    assert run(code) == "[]"


def test_import_takes_under_150_ms():
    code = """
        import time
        start = time.perf_counter()
        import thalweg
        print(time.perf_counter() - start)
    """
    # The best of several: the machine's other work only ever adds.
    assert min(float(run(code)) for _ in range(7)) < 0.15


@pytest.mark.parametrize("n", [1, 2, 7])
def test_thread_count_is_what_was_set(n):
    before = thalweg.get_num_threads()
    try:
        thalweg.set_num_threads(n)
        assert thalweg.get_num_threads() == n
    finally:
        thalweg.set_num_threads(0)
    assert thalweg.get_num_threads() == before


def test_thread_count_follows_the_environment():
    code = "import thalweg; print(thalweg.get_num_threads())"
    assert run(code, THALWEG_NUM_THREADS="3") == "3"


def test_thread_count_must_be_a_number():
    before = thalweg.get_num_threads()
    with pytest.raises(TypeError):
        thalweg.set_num_threads("two")
    assert thalweg.get_num_threads() == before


@pytest.mark.parametrize("name", ["pyproject.toml", "Cargo.toml"])
def test_version_is_the_same_everywhere(name):
    text = (Path(__file__).parents[2] / name).read_text(encoding="utf-8")
    assert re.search(r'^version = "(.+)"$', text, re.M)[1] == thalweg.__version__
