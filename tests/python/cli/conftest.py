"""Shared by the tests of the command line: a race that lasts a moment."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from thalweg.cli import main

torch = pytest.importorskip("torch")
for module in ("click", "rich", "matplotlib", "sklearn"):
    pytest.importorskip(module)


@dataclass(frozen=True)
class Outcome:
    """What a run of the command left."""

    code: int
    out: str
    err: str


@pytest.fixture
def thalweg(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command line in this process."""

    def run(*arguments: object) -> Outcome:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


def idx_bytes(array: np.ndarray) -> bytes:
    """Encode uint8 elements as IDX."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + sizes + array.astype(np.uint8).tobytes()


@pytest.fixture
def encode() -> Callable[[np.ndarray], bytes]:
    """Encode an array as IDX."""
    return idx_bytes


@pytest.fixture
def mnist_folder(tmp_path: Path) -> Path:
    """Four small IDX files, two of them gzipped: bright squares whose place tells the class."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part, count in (("train", 96), ("t10k", 32)):
        labels = np.arange(count) % 10
        images = np.zeros((count, 8, 8), np.uint8)
        images[np.arange(count), labels // 4 * 2, labels % 4 * 2] = 255
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        packed = gzip.compress(idx_bytes(labels))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(packed)
    return folder
