"""Use the installed package with numpy alone: what anybody who types `pip install thalweg` gets."""

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path

LIMIT = 0.15  # seconds that `import thalweg` may take
TIMED = "import time; t = time.perf_counter(); import thalweg; print(time.perf_counter() - t)"


def main():
    for name in ("torch", "sklearn", "matplotlib", "click", "rich", "tqdm"):
        assert importlib.util.find_spec(name) is None, f"{name} is installed here"

    import thalweg
    import thalweg.steps

    assert "site-packages" in thalweg.__file__, thalweg.__file__
    thalweg.set_num_threads(2)
    assert thalweg.get_num_threads() == 2

    import numpy as np

    x = np.array([1.0, -2.0])
    thalweg.steps.Lion(lr=0.5).step([x], [np.array([3.0, -1.0])])
    assert x.tolist() == [0.5, -1.5], x

    missing = subprocess.run(
        [sys.executable, "-c", "import thalweg.gpu"], capture_output=True, text=True
    )
    assert missing.returncode == 1, "the wheel has thalweg.gpu, which only other builds should"
    assert "ImportError: thalweg.gpu is not part of this build" in missing.stderr, missing.stderr

    # The best of several: the machine's other work only ever adds.
    times = [
        float(subprocess.run([sys.executable, "-c", TIMED], capture_output=True, check=True).stdout)
        for _ in range(9)
    ]
    assert min(times) < LIMIT, f"import thalweg took {min(times):.3f} s, limit {LIMIT} s"

    command = Path(sysconfig.get_path("scripts"), "thalweg")
    answer = subprocess.run([command, "--help"], capture_output=True, text=True)
    assert answer.returncode == 2, answer
    assert "thalweg[" in answer.stderr, answer
    assert answer.stderr.count("\n") == 1, answer
    print(f"thalweg {thalweg.__version__} from {thalweg.__file__}; import {min(times):.3f} s")
    print(answer.stderr, end="")


if __name__ == "__main__":
    main()
