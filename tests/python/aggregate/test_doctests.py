"""The examples of the docstrings run, with numpy as np and the names of the package at hand."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import thalweg.aggregate as ag

MODULES = [info.name for info in pkgutil.walk_packages(ag.__path__, "thalweg.aggregate.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    names = {**vars(ag), **vars(module), "np": np}
    failed, tried = doctest.testmod(module, extraglobs=names)
    assert failed == 0
    assert tried > 0 or name.rsplit(".", 1)[1].startswith("_") or name.endswith("scalarize")
