"""Optional dependencies: imported on use, and named with their extra when missing."""

from __future__ import annotations

import importlib
from typing import Any

_EXTRA = {
    "torch": "torch",
    "sklearn": "sklearn",
    "scipy": "sklearn",
    "matplotlib": "plot",
    "matplotlib.pyplot": "plot",
    "networkx": "graph",
    "click": "cli",
    "rich": "cli",
    "tqdm": "cli",
}


def require(module: str) -> Any:
    """Import `module`, or say which extra brings it.

    Raises
    ------
    ImportError
        If it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        extra = _EXTRA[module]
        raise ImportError(
            f'{module} is not installed; install it with pip install "thalweg[{extra}]"',
            name=module,
        ) from error
