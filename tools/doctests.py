"""Run the examples in the docstrings of the package; modules of a missing extra are left out."""

import importlib
import pkgutil
import sys

import pytest

import thalweg


def importable():
    """Names of the files of the package that import here."""
    for module in pkgutil.walk_packages(thalweg.__path__, "thalweg.", onerror=lambda name: None):
        if module.name.endswith("__main__"):
            continue
        try:
            yield importlib.import_module(module.name).__file__
        except ImportError as error:
            print(f"left out {module.name}: {error}")


if __name__ == "__main__":
    files = [file for file in importable() if file and file.endswith(".py")]
    status = pytest.main(["--doctest-modules", "-q", thalweg.__file__, *files])
    sys.exit(0 if status == pytest.ExitCode.NO_TESTS_COLLECTED else status)
