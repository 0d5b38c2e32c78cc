import sys
from pathlib import Path

import numpy as np
import pytest
import thalweg.aggregate

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    doctest_namespace["np"] = np
    doctest_namespace.update(vars(thalweg.aggregate))


@pytest.fixture
def rng():
    return np.random.default_rng(0)
