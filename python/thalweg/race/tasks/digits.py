"""The handwritten digits that scikit-learn brings along: 1797 images of 8 x 8 pixels."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from thalweg._errors import InputError
from thalweg._extras import require
from thalweg.race.tasks import Task
from thalweg.race.tasks._network import conv_net, standardize

TEST_IMAGES = 360


def load(data: Path | None) -> Task:
    """Split the digits the same way for every seed, so that races can be compared."""
    if data is not None:
        raise InputError("--data has no use with --task digits; remove it, or add --task mnist")
    bunch = require("sklearn.datasets").load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1)
    classes = torch.tensor(bunch.target, dtype=torch.int64)
    # the file is ordered by writer: unshuffled, the test would hold writers never trained on
    order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(0))
    train, test = order[TEST_IMAGES:], order[:TEST_IMAGES]
    train_images, test_images = standardize(images[train], images[test])
    return Task(
        name="digits",
        title="scikit-learn's handwritten digits",
        network=partial(conv_net, 8),
        train=(train_images, classes[train]),
        test=(test_images, classes[test]),
        epochs=12,
        batch_size=32,
        checks=1,
        target=0.05,
        threads=1,
    )
