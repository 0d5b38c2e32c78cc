"""IDX, the file format of MNIST: two zero bytes, type, rank, sizes, elements, big-endian."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalweg._errors import InputError

_ELEMENT = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"


def find(folder: Path, name: str) -> Path:
    """Find `name` in `folder`, gzipped or not, with the dot that some copies have for the dash.

    Raises
    ------
    InputError
        If there is none.
    """
    dotted = name.replace("-idx", ".idx")
    for candidate in (name, f"{name}.gz", dotted, f"{dotted}.gz"):
        if (folder / candidate).is_file():
            return folder / candidate
    raise InputError(f"no {name} or {name}.gz in {folder}; pass the folder of the IDX files")


def read(path: Path) -> NDArray[np.generic]:
    """Read one IDX file.

    Parameters
    ----------
    path : Path
        File, gzipped or not (told by its first bytes, not by its name).

    Returns
    -------
    ndarray
        In the shape and element type that the file states, read-only.

    Raises
    ------
    InputError
        If the file cannot be read, is not IDX, or is cut short.
    """
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {path} ({error}); download it again") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _ELEMENT:
        raise InputError(f"{path} is not an IDX file; download it again")
    element, rank = np.dtype(_ELEMENT[content[2]]), content[3]
    start = 4 + 4 * rank
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    stated, held = math.prod(shape) * element.itemsize, len(content) - start
    if held != stated:
        raise InputError(
            f"{path} states {stated} bytes of elements and holds {max(held, 0)}; download it again"
        )
    return np.frombuffer(content, element, offset=start).reshape(shape)
