"""What the documents show runs: Python blocks of README and docs, and every example."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import thalweg

ROOT = Path(__file__).parents[2]
MISSING = re.compile(
    r"No module named '(torch|scipy|sklearn|matplotlib|networkx|cmaes|click|rich|tqdm|gymnasium)"
    r"|thalweg\[|thalweg\.gpu is not part|no adapter was found"
)


def blocks():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        found = re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)
        for at, code in enumerate(found, 1):
            yield pytest.param(code, id=f"{path.relative_to(ROOT).as_posix()}-{at}")


def run(arguments, folder):
    """Run Python in an empty folder; skip, by name, what needs an extra that is not installed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={
            **os.environ,
            "MPLBACKEND": "Agg",
            "PYTHONPATH": str(Path(thalweg.__file__).parents[1]),
        },
    )
    last = done.stderr.strip().rpartition("\n")[2]
    if done.returncode and MISSING.search(last):
        pytest.skip(last)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", list(blocks()))
def test_block_runs(code, tmp_path):
    run(["-c", code], tmp_path)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").rglob("*.py")), ids=lambda path: path.name
)
def test_example_runs(path, tmp_path):
    run([path], tmp_path)
