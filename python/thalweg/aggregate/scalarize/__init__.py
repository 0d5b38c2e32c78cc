"""Loss-level baselines: many losses into one scalar, without a Jacobian.

Each is called with the losses, a tensor of shape (m,) or a sequence of scalars, and returns a
scalar to differentiate. torch is needed.
"""

from thalweg.aggregate.scalarize.cosmos import COSMOS
from thalweg.aggregate.scalarize.dwa import DWA
from thalweg.aggregate.scalarize.famo import FAMO
from thalweg.aggregate.scalarize.geometric_mean import GeometricMean
from thalweg.aggregate.scalarize.imtl_l import IMTLL
from thalweg.aggregate.scalarize.pbi import PBI
from thalweg.aggregate.scalarize.stch import STCH
from thalweg.aggregate.scalarize.uw import UW

__all__ = ["COSMOS", "DWA", "FAMO", "IMTLL", "PBI", "STCH", "UW", "GeometricMean"]
