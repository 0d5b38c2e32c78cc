"""`gpu`, for tests of shaders: always there in CI, elsewhere they are skipped without it."""

import os

import pytest


def _find():
    try:
        from thalweg import gpu
    except ImportError as error:
        return None, str(error)
    return gpu, None if gpu.adapters() else "no adapter: install mesa-vulkan-drivers"


gpu, missing = _find()
if missing is not None:
    if os.environ.get("CI") == "true":
        raise RuntimeError(f"CI runs shaders on software Vulkan at least; {missing}")
    pytest.skip(missing, allow_module_level=True)
