"""Compute shaders on graphics cards, and on processors that pretend to be one."""

from thalweg.gpu.gramian import gramian
from thalweg.gpu.maxsat import MaxSat
from thalweg.gpu.network import Network
from thalweg.gpu.simplex import simplex

__all__ = ["MaxSat", "Network", "gramian", "simplex"]
