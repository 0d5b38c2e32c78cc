"""Data shared by the tests, and the folder of the oracle on the path."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def data():
    """Correlated features with a large mean, a sparse signal."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 25)) @ (np.eye(25) + 0.3 * rng.standard_normal((25, 25))) + 2
    w = np.zeros(25)
    w[:5] = [3, -2, 1.5, 1, -1]
    return np.asfortranarray(X), X @ w + rng.standard_normal(60)
