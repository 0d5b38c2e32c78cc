"""Unmix handwritten digits: independent strokes by fractional coordinate descent, certified."""

import numpy as np
from sklearn.datasets import load_digits

from thalweg.coordinate import fractional

X = load_digits().data
X = X - X.mean(axis=0)
# Whitened, reduced to 16 directions: every unit vector then has a signal of variance one.
U, S, Vt = np.linalg.svd(X, full_matrices=False)
A = np.sqrt(len(X)) * U[:, :16]
contrast = fractional.SquaredNorm(), fractional.SquaredL4(A)

rng = np.random.default_rng(0)
components: list[np.ndarray] = []
for k in range(4):
    x0 = rng.standard_normal(16)
    found = fractional.minimize(*contrast, x0, tol=1e-10)
    assert found.success, found.message
    x = found.x / np.linalg.norm(found.x)
    components.append(x)
    print(f"component {k}: kurtosis {((A @ x) ** 4).mean():.2f}; {found.message}")

best = max(components, key=lambda x: ((A @ x) ** 4).mean())
stroke = (Vt[:16].T @ (best * S[:16])).reshape(8, 8)
shades = np.array(list(" .:-=+*#%@"))
levels = (np.abs(stroke) / np.abs(stroke).max() * 9).round().astype(int)
print("\n".join("".join(row) for row in shades[levels]))
