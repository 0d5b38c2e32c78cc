"""Cauchy-Schwarz regularisers: smooth penalties that are zero on discrete and structured sets.

Each learns the scale of its set by itself: `binary` is zero on {-a, a}^n for every a. Functions
take `x` of shape (..., n) and return one value for each leading index; `value_and_gradient` gives
both of any of them, from one pass. On torch tensors the values are differentiable.

References
----------
Taner, Wang, Studer 2025, "Cauchy-Schwarz regularizers", ICLR, arXiv:2503.01639.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from thalweg import _core
from thalweg._extras import require
from thalweg.project._engine import Floats, checked, integer, is_tensor, number, once, values

_EMPTY: Floats = np.empty(0)


def value_and_gradient(
    name: str, x: Any, scalars: tuple[float, ...] = (), matrix: Any = None
) -> tuple[Any, Any]:
    """Value of a regulariser and its gradient, in one pass.

    Parameters
    ----------
    name : str
        A function of this module.
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64; matrices flattened row after row.
    scalars : tuple of float
        Columns for "orthogonal" and "multi_bit"; p, q and r for "hoelder".
    matrix : array_like of shape (n, n), optional
        C of "eigenvector".

    Returns
    -------
    value : ndarray or Tensor, shape (...)
        Values, >= 0.
    gradient : ndarray or Tensor, shape (..., n)
        Gradients.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or the name is unknown.

    Examples
    --------
    >>> value, gradient = value_and_gradient("binary", [2.0, -1.0])
    >>> float(value), gradient.tolist()
    (9.0, [24.0, 12.0])
    """
    x = checked(x)
    if x.ndim < 1:
        raise ValueError("x must be of shape (..., n), got a number; give a vector")
    tensor = is_tensor(x)
    array = x.detach().cpu().double().numpy() if tensor else np.asarray(x)
    rows = np.ascontiguousarray(array, dtype=np.float64).reshape(-1, max(array.shape[-1], 1))
    if not np.isfinite(rows).all():
        raise ValueError("x holds NaN or infinity; replace such entries before the call")
    extra = _EMPTY if matrix is None else values(matrix, "C").reshape(-1)
    slopes = np.empty_like(rows)
    found = np.array(_core.project_cauchy_schwarz(name, scalars, extra, rows, slopes))
    value, slope = found.reshape(array.shape[:-1]), slopes.reshape(array.shape)
    if tensor:
        torch = require("torch")
        return torch.as_tensor(value).to(x), torch.as_tensor(slope).to(x)
    return value.astype(x.dtype)[()], slope.astype(x.dtype)


def _value(name: str, x: Any, scalars: tuple[float, ...] = (), matrix: Any = None) -> Any:
    x = checked(x)
    if is_tensor(x):
        return _function().apply(x, name, scalars, matrix)
    return value_and_gradient(name, x, scalars, matrix)[0]


@cache
def _function() -> Any:
    torch = require("torch")

    class Regularizer(torch.autograd.Function):  # type: ignore[misc, name-defined, unused-ignore]
        """Value, with the gradient of the same pass."""

        @staticmethod
        def forward(ctx: Any, x: Any, name: str, scalars: Any, matrix: Any) -> Any:
            value, slope = value_and_gradient(name, x, scalars, matrix)
            ctx.save_for_backward(slope, x)
            return value

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            slope, x = ctx.saved_tensors
            return once(slope * v.detach().unsqueeze(-1), x, v), None, None, None

    return Regularizer


def binary(x: Any) -> Any:
    """N S4 - S2^2: zero on {-a, a}^n. S_k is the sum of x^k.

    >>> float(binary([0.5, -0.5, 0.5]))
    0.0
    """
    return _value("binary", x)


def one_sided(x: Any) -> Any:
    """S2 S4 - S3^2: zero on {0, a}^n.

    >>> float(one_sided([0.5, 0.0, 0.5]))
    0.0
    """
    return _value("one_sided", x)


def ternary(x: Any) -> Any:
    """S2 S6 - S4^2: zero on {-a, 0, a}^n.

    >>> float(ternary([0.5, 0.0, -0.5]))
    0.0
    """
    return _value("ternary", x)


def sparse(x: Any) -> Any:
    """The one-sided regulariser, under the name of its use: {0, a}^n promotes zeros.

    >>> float(sparse([0.5, 0.0, 0.5]))
    0.0
    """
    return _value("one_sided", x)


def eigenvector(x: Any, C: Any) -> Any:
    """|C x|^2 |x|^2 - (x.C x)^2: zero on the eigenvectors of C, of shape (n, n).

    >>> float(eigenvector([1.0, 0.0], [[2.0, 0.0], [0.0, 3.0]]))
    0.0
    """
    return _value("eigenvector", x, (), C)


def orthogonal(X: Any) -> Any:
    """K |X^T X|^2 - |X|^4 in Frobenius norms: zero iff X^T X = a I.

    X has the shape (..., n, K): its K columns are then orthogonal and of equal length.

    >>> float(orthogonal([[0.0, 2.0], [-2.0, 0.0]]))
    0.0
    """
    X = _matrices(X)
    return _value("orthogonal", X.reshape(*X.shape[:-2], -1), (float(X.shape[-1]),))


def multi_bit(Y: Any) -> Any:
    """Zero iff bit b of every row is -2^b a or 2^b a, for Y of shape (..., n, B).

    The value of a row is the sum of its bits: quantisation with 2^B levels.

    >>> float(multi_bit([[1.0, -2.0], [-1.0, 2.0]]))
    0.0
    """
    Y = _matrices(Y)
    return _value("multi_bit", Y.reshape(*Y.shape[:-2], -1), (float(Y.shape[-1]),))


def binary_root(x: Any) -> Any:
    """sqrt(n S4) - S2: zero set of `binary`, of degree 2.

    >>> float(binary_root([0.5, -0.5]))
    0.0
    """
    return _value("binary_root", x)


def binary_scale_invariant(x: Any) -> Any:
    """sqrt(n S4) / S2 - 1: zero set of `binary`, blind to the length of x.

    >>> float(binary_scale_invariant([0.5, -0.5]))
    0.0
    """
    return _value("binary_scale_invariant", x)


def binary_l2_l1(x: Any) -> Any:
    """N S2 - (sum |x|)^2: zero set of `binary`, of degree 2, with a kink at 0.

    >>> float(binary_l2_l1([0.5, -0.5]))
    0.0
    """
    return _value("binary_l2_l1", x)


def binary_bounded(x: Any) -> Any:
    """N sum h^2 - (sum h)^2 with h = 1 / (1 + x^2): zero set of `binary`, bounded.

    >>> float(binary_bounded([0.5, -0.5]))
    0.0
    """
    return _value("binary_bounded", x)


def binary_exponential(x: Any) -> Any:
    """N sum h^2 - (sum h)^2 with h = exp(-x^2): zero set of `binary`, bounded.

    >>> float(binary_exponential([0.5, -0.5]))
    0.0
    """
    return _value("binary_exponential", x)


def hoelder(x: Any, p: float = 4.0, q: float = 2.0, r: float = 2.0) -> Any:
    """n^(r/q - r/p) |x|_p^r - |x|_q^r with 1 <= q < p and r > 0: zero set of `binary`.

    >>> abs(float(hoelder([0.5, -0.5]))) < 1e-15
    True
    """
    p, q, r = number(p, "p"), number(q, "q"), number(r, "r")
    if not (1 <= q < p < np.inf and 0 < r < np.inf):
        raise ValueError(
            f"p, q and r must satisfy 1 <= q < p and r > 0, got {p}, {q} and {r}; try 4, 2 and 2"
        )
    return _value("hoelder", x, (p, q, r))


def auxiliary(x: Any, b: Any) -> Any:
    """Sum of (x^2 - b)^2 with the scale b a variable too; its minimum over b is binary / n.

    For numpy arrays the value; for tensors autograd differentiates it in x and b.

    >>> float(auxiliary(np.array([0.5, -0.5]), 0.25))
    0.0
    """
    x = checked(x)
    b = b[..., None] if np.ndim(b) else b
    return ((x * x - b) ** 2).sum(-1)


def quantize(x: Any, kind: str = "binary", axis: int = -1) -> Any:
    """Nearest point of {-a, a}^n ("binary") or {-a, 0, a}^n ("ternary"), the scale a chosen too.

    Use it after training with the regulariser. Binary: a = mean |x|; ternary: the k largest entries
    are kept, with k where (sum of them)^2 / k is largest.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Weights.
    kind : {"binary", "ternary"}, default "binary"
        Which set.
    axis : int, default -1
        Axis along which one scale is shared.

    Returns
    -------
    ndarray or Tensor, shape (..., n)
        Quantised weights.

    Raises
    ------
    ValueError
        If `kind` is unknown.

    Examples
    --------
    >>> quantize([2.0, -1.0, 0.1], "ternary").tolist()
    [1.5, -1.5, 0.0]
    """
    if kind not in ("binary", "ternary"):
        raise ValueError(f"kind must be 'binary' or 'ternary', got {kind!r}; choose one of these")
    x = checked(x)
    if is_tensor(x):
        done = quantize(x.detach().cpu().double().numpy(), kind, axis)
        return require("torch").as_tensor(done).to(x)
    w = np.moveaxis(x, axis, -1)
    size = np.abs(w)
    sign = np.where(w < 0, -1.0, 1.0)
    if kind == "binary":
        done = sign * size.mean(-1, keepdims=True)
    else:
        falling = -np.sort(-size, -1)
        total = np.cumsum(falling, -1)
        k = np.argmax(total**2 / np.arange(1, w.shape[-1] + 1), -1)[..., None]
        scale = np.take_along_axis(total, k, -1) / (k + 1)
        order = np.argsort(np.argsort(-size, -1, kind="stable"), -1)
        done = np.where(order <= k, sign * scale, 0.0)
    return np.moveaxis(done, -1, axis).astype(x.dtype)


def _matrices(X: Any) -> Any:
    X = checked(X, "X")
    integer(X.ndim, "the number of dimensions of X", 2)
    return X
