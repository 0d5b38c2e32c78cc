"""Optimization for people who train, fit and search.

=========================  ==================================================================
`thalweg.optim`            optimizer steps for torch (extra: torch)
`thalweg.steps`            the same steps for numpy arrays
`thalweg.aggregate`        many gradients into one update
`thalweg.project`          points onto sets; proximal maps, transport
`thalweg.coordinate`       sparse linear models by coordinate descent (extra: sklearn)
`thalweg.search`           gradient-free search; objectives with known structure
`thalweg.gpu`              steps on graphics cards of any maker (in builds from source)
=========================  ==================================================================
"""

from thalweg._core import get_num_threads, set_num_threads

__all__ = ["get_num_threads", "set_num_threads"]
__version__ = "0.1.0"
