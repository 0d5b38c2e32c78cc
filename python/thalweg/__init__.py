"""Optimization for people who train, fit and search.

=========================  ==================================================================
`thalweg.optim`            optimizer steps for torch (extra: torch)
`thalweg.steps`            the same steps for numpy arrays
=========================  ==================================================================
"""

from thalweg._core import get_num_threads, set_num_threads

__all__ = ["get_num_threads", "set_num_threads"]
__version__ = "0.1.0"
