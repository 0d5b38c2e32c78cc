"""Ratios (f(x) + h(x)) / g(x) by coordinate descent, each coordinate solved globally.

====================================  ========================================================
`minimize`                            FCD or PCD, with a certificate of stationarity
`LeastSquares Quadratic SquaredNorm`  numerators f; h is `l1` times the l1 norm, and `bounds`
`TopK L1 L2 SquaredL4 LInf Lowest`    denominators g
====================================  ========================================================

Any numerator goes with any denominator.
"""

from thalweg.coordinate.fractional._denominators import L1, L2, LInf, Lowest, SquaredL4, TopK
from thalweg.coordinate.fractional._minimize import minimize
from thalweg.coordinate.fractional._numerators import LeastSquares, Quadratic, SquaredNorm
from thalweg.coordinate.fractional._solution import RatioSolution

__all__ = [
    "L1",
    "L2",
    "LInf",
    "LeastSquares",
    "Lowest",
    "Quadratic",
    "RatioSolution",
    "SquaredL4",
    "SquaredNorm",
    "TopK",
    "minimize",
]
