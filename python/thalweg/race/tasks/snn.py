"""A network of hard spikes on handwritten digits, or on MNIST where its files are given."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from thalweg.race.spiking.network import SurrogateNet
from thalweg.race.tasks import Task, digits, mnist

HIDDEN = 128


def load(data: Path | None) -> Task:
    """Take the images of `digits`, or of `mnist` from the folder `data`, as rows of pixels."""
    source = digits.load(None) if data is None else mnist.load(data)
    train, test = ((images.flatten(1), classes) for images, classes in (source.train, source.test))
    large = data is not None
    return Task(
        name="snn",
        title=f"hard spiking units on {source.title}",
        network=partial(SurrogateNet, train[0].shape[1], HIDDEN),
        train=train,
        test=test,
        epochs=3 if large else 40,
        batch_size=512 if large else 128,
        checks=4 if large else 1,
        target=0.2,
        threads=None if large else 1,
    )
