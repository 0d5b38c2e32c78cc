"""`thalweg maxsat`: competition lines, signals, refusals."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from thalweg.cli import main
from thalweg.search.objectives import MaxSat


@pytest.fixture
def cnf(tmp_path):
    path = tmp_path / "random.cnf"
    MaxSat.random(200, 3.5, seed=1).write(path)
    return path


def values(lines):
    words = " ".join(line[2:] for line in lines if line.startswith("v ")).split()
    assert words[-1] == "0"
    return np.array([int(word) > 0 for word in words[:-1]])


def test_competition_lines(cnf, capsys):
    assert main(["maxsat", str(cnf), "--seconds", "20", "--seed", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    costs = [int(line[2:]) for line in lines if line.startswith("o ")]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == 0
    assert "s OPTIMUM FOUND" in lines
    assert MaxSat.read(cnf).evaluate(values(lines)) == 0


def test_bits_and_hard_clauses(tmp_path, capsys):
    path = tmp_path / "hard.wcnf"
    path.write_text("h 1 0\n2 -1 0\n3 2 0\n")
    assert main(["maxsat", str(path), "--seconds", "0.2", "--bits"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["s SATISFIABLE", "v 11"]
    assert "o 2" in lines
    path.write_text("h 1 0\nh -1 0\n")
    assert main(["maxsat", str(path), "--seconds", "0.2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "s UNKNOWN"
    assert not any(line.startswith(("o ", "v ")) for line in lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("polish", ["0", "1"])
def test_signals_end_it_with_the_best_so_far(tmp_path, number, polish):
    path = tmp_path / "big.cnf"
    problem = MaxSat.random(20_000, seed=2)
    problem.write(path)
    command = [sys.executable, "-m", "thalweg", "maxsat", str(path), "--seconds", "600"]
    with subprocess.Popen(
        [*command, "--polish", polish, "--steps", "1000000"], stdout=subprocess.PIPE, text=True
    ) as solver:
        lines = []
        for line in solver.stdout:
            lines.append(line.strip())
            if line.startswith("o "):
                break
        start = time.perf_counter()
        solver.send_signal(number)
        lines += [line.strip() for line in solver.stdout]
    assert solver.returncode == 0
    assert time.perf_counter() - start < 10.0
    assert "s SATISFIABLE" in lines
    costs = [int(line[2:]) for line in lines if line.startswith("o ")]
    assert problem.evaluate(values(lines)) == costs[-1]


def test_refusals_name_the_line(tmp_path, capsys):
    path = tmp_path / "bad.cnf"
    path.write_text("p cnf 2 1\n1 3 0\n")
    assert main(["maxsat", str(path)]) == 2
    assert "bad.cnf line 2 must be literals of variables 1 to 2, got `3`" in capsys.readouterr().err
    assert main(["maxsat", str(tmp_path / "none.cnf")]) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err
    broken = tmp_path / "broken.cnf.gz"
    broken.write_bytes(b"not gzip")
    assert main(["maxsat", str(broken)]) == 2
    assert "cannot be read" in capsys.readouterr().err
