"""Small tensors on one thread: tests of threads ask for theirs."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)
