"""Objectives with known structure: a probe that moves a few coordinates costs what it changes.

===================  ========================================================================
`MaxSat`             weights of unsatisfied clauses; reads and writes DIMACS CNF and WCNF
===================  ========================================================================
"""

from thalweg.search.objectives._maxsat_state import MaxSatState
from thalweg.search.objectives.maxsat import MaxSat

__all__ = ["MaxSat", "MaxSatState"]
