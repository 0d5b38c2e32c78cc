"""Learning rules without backpropagation, as small trainers of torch modules (extra: torch).

========================  ====================================================================
`DirectFeedback`          any module; hidden layers learn from random projections of the error
`EquilibriumPropagation`  a network that settles; it learns from how nudges move its states
`NoProp`                  blocks that each learn alone to denoise the label
`SequentialBoosting`      residual blocks trained one after another, each by its own head
========================  ====================================================================

All four are used alike: ``backward(inputs, targets)`` adds to `.grad` of ``parameters()`` and
returns the loss, any optimizer steps, ``predict(inputs)`` scores the classes, ``state_dict()``
holds weights and seeds. They are torch modules: ``to(device)`` and ``train()`` mean what they do
there.
"""

from __future__ import annotations

from thalweg._extras import require

require("torch")

from thalweg.search.learning.direct_feedback import DirectFeedback  # noqa: E402
from thalweg.search.learning.equilibrium_propagation import (  # noqa: E402
    EquilibriumPropagation,
)
from thalweg.search.learning.no_prop import NoProp  # noqa: E402
from thalweg.search.learning.sequential_boosting import (  # noqa: E402
    Round,
    SequentialBoosting,
)

__all__ = ["DirectFeedback", "EquilibriumPropagation", "NoProp", "Round", "SequentialBoosting"]
