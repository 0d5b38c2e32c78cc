"""The examples of the docstrings run, with numpy as np and the names of the package at hand."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import thalweg.project as pr

MODULES = [info.name for info in pkgutil.walk_packages(pr.__path__, "thalweg.project.")]
TORCH = ("dual_ascent", "invariant_field", "least_squares_layer")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    if name.endswith(TORCH):
        pytest.importorskip("torch")
    module = importlib.import_module(name)
    failed, tried = doctest.testmod(module, extraglobs={"np": np})
    assert failed == 0
    assert tried > 0 or name.rsplit(".", 1)[1].startswith("_") or name.endswith("prox")


def test_every_function_has_an_example():
    for name in pr.__all__:
        value = getattr(pr, name)
        if callable(value) and not isinstance(value, type):
            assert ">>>" in value.__doc__, name
