"""Which nets are written, under which names, with which first lines."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from zoo.writing import caffenet, googlenet, mobilenet, resnet, small, squeezenet, vgg
from zoo.writing.build import Net

IMAGENET = (
    "Expects ImageNet as LMDB of 256 x 256 BGR images in the folder you stand in; see README.md."
)
IMAGES = "For use: BGR images less their mean in, 1,000 probabilities out."


class Model(NamedTuple):
    """A folder of the zoo.

    make    ``make(training)`` writes the net
    about   the first line of both files;  data, use: the second of each
    """

    folder: str
    make: Callable[[bool], Net]
    about: str
    data: str = IMAGENET
    use: str = IMAGES


CIFAR = (
    "Expects CIFAR-10 as LMDB and its mean image in data/cifar10; see README.md.",
    "For use: 32 x 32 pictures less the mean image in, 10 probabilities out.",
)
MODELS = (
    Model("caffenet", caffenet.caffenet, caffenet.__doc__ or ""),
    Model("googlenet", googlenet.googlenet, googlenet.__doc__ or ""),
    Model("vgg16", vgg.vgg16, vgg.__doc__ or ""),
    Model("resnet18", partial(resnet.resnet, 18), resnet.__doc__ or ""),
    Model("resnet50", partial(resnet.resnet, 50), resnet.__doc__ or ""),
    Model("squeezenet", squeezenet.squeezenet, squeezenet.__doc__ or ""),
    Model("mobilenet", mobilenet.mobilenet, mobilenet.__doc__ or ""),
    Model(
        "cifar10_quick", small.cifar10_quick, "CIFAR-10, the quick net of Caffe's example.", *CIFAR
    ),
    Model("cifar10_full", small.cifar10_full, "CIFAR-10, the full net of Caffe's example.", *CIFAR),
    Model(
        "autoencoder",
        small.autoencoder,
        "An autoencoder of handwritten digits (Hinton & Salakhutdinov 2006).",
        "Expects MNIST in data/mnist: minidl dataset mnist.",
        "For use: digits from 0 to 1 in, digits out.",
    ),
)


def files(model: Model) -> dict[str, str]:
    """The model's prototxts by name."""
    silent = logging.getLogger("minidl")
    level, silent.level = silent.level, logging.ERROR  # that data sets are not there
    try:
        return {
            "train_val.prototxt": model.make(True).text([model.about, model.data]),
            "deploy.prototxt": model.make(False).text([model.about, model.use]),
        }
    finally:
        silent.setLevel(level)
