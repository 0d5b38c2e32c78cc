"""MNIST, read from its four IDX files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg._errors import InputError
from thalweg.race import idx
from thalweg.race.tasks import Task
from thalweg.race.tasks._network import CLASSES, conv_net, standardize


def load(data: Path | None) -> Task:
    """Read training and test images from the folder `data`."""
    if data is None:
        raise InputError(
            "--task mnist needs --data DIR, a folder that holds train-images-idx3-ubyte, "
            "train-labels-idx1-ubyte and the two t10k files, gzipped or not"
        )
    train_images, train_classes = _read(data, "train")
    test_images, test_classes = _read(data, "t10k")
    if train_images.shape[1:] != test_images.shape[1:]:
        raise InputError(
            f"the images in {data} differ in size: {tuple(train_images.shape[1:])} for training, "
            f"{tuple(test_images.shape[1:])} for the test; take both from one data set"
        )
    side = train_images.shape[-1]
    train_images, test_images = standardize(train_images, test_images)
    return Task(
        name="mnist",
        title="MNIST",
        network=partial(conv_net, side),
        train=(train_images, train_classes),
        test=(test_images, test_classes),
        epochs=1,
        batch_size=128,
        checks=4,
        target=0.1,
        threads=None,
    )


def _read(data: Path, part: str) -> tuple[Tensor, Tensor]:
    images = idx.read(idx.find(data, f"{part}-images-idx3-ubyte"))
    classes = idx.read(idx.find(data, f"{part}-labels-idx1-ubyte"))
    _check(data, part, images, classes)
    pixels = torch.from_numpy(images.astype(np.float32) / 255).unsqueeze(1)
    return pixels, torch.from_numpy(classes.astype(np.int64))


def _check(
    data: Path, part: str, images: NDArray[np.generic], classes: NDArray[np.generic]
) -> None:
    where = f"the {part} files in {data}"
    if images.ndim != 3 or images.shape[1] != images.shape[2] or images.shape[1] < 4:
        raise InputError(
            f"{where} hold images of shape {images.shape}; pass n square images of at least 4 x 4"
        )
    if classes.ndim != 1 or len(classes) != len(images) or len(images) == 0:
        raise InputError(
            f"{where} hold {len(images)} images and {len(classes)} labels; pass one label an image"
        )
    if classes.min() < 0 or classes.max() >= CLASSES:
        raise InputError(f"{where} hold labels up to {classes.max()}; pass classes 0 to 9")
