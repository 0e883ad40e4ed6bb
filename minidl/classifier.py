"""Classifier: images in, class scores out, by pycaffe's names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minidl.errors import UsageError
from minidl.io import oversample as ten_crops
from minidl.io import resize_image
from minidl.net import NetOfImages
from minidl.preprocess import Preprocess

MOST = 32  # images in a batch


class Classifier(NetOfImages):
    """A net that classifies images.

        classifier = Classifier("deploy.prototxt", "weights.caffemodel", image_dims=(256, 256),
                                mean=np.array([104, 117, 123]), raw_scale=255,
                                channel_swap=(2, 1, 0))
        scores = classifier.predict([io.load_image("cat.jpg")])

    Or with all that is done to images as it was in training:

        classifier = Classifier.from_run("runs/lenet-pictures")
        classifier = Classifier("train_val.prototxt", "weights.caffemodel")
        scores = classifier.predict(["cat.jpg", "dog.jpg"])

    image_dims   (height, width) to which an image is resized before it is cropped; by default the
                 size of the net's input, so that every crop is the whole image. Not with
                 `preprocess`, which says it itself
    the rest     as in NetOfImages. Means and scales apply to crops; raw_scale is 255 for nets that
                 were trained on bytes, as load_image gives 0..1
    """

    def __init__(
        self,
        model: Any,
        pretrained: str | os.PathLike[str] | None = None,
        image_dims: Sequence[int] | None = None,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        preprocess: Preprocess | str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            model,
            pretrained,
            preprocess=preprocess,
            mean=mean,
            input_scale=input_scale,
            raw_scale=raw_scale,
            channel_swap=channel_swap,
            **options,
        )
        if self.preprocess is not None and image_dims is not None:
            raise UsageError("image_dims and preprocess are both given", expected="one of them")
        self.image_dims = self.crop_dims if image_dims is None else tuple(map(int, image_dims))
        sizes = list(zip(self.image_dims, self.crop_dims, strict=False))
        if len(self.image_dims) != 2 or any(image < crop for image, crop in sizes):
            raise UsageError(
                f"image_dims is {self.image_dims}",
                where=f"net '{self.name}'",
                expected=f"(height, width), at least its input's {self.crop_dims}",
            )

    def predict(self, inputs: Iterable[Any], oversample: bool | None = None) -> np.ndarray:
        """Scores for images: (N, number of classes).

        inputs       arrays H x W x C, and with `preprocess` paths, too
        oversample   average over ten crops, corners and centre, plain and mirrored; else the
                     centre. By default the centre with `preprocess`, as in tests, else ten
        """
        images = _several(inputs, paths=self.preprocess is not None)
        if not images:
            raise UsageError("there are no images", where=f"net '{self.name}'")
        if self.preprocess is not None:
            return self._as_described(self.preprocess, images, bool(oversample))
        images = [resize_image(image, self.image_dims) for image in images]
        if oversample is False:
            return self.scores(self._centres(images)).reshape(len(images), -1)
        scores = self.scores(ten_crops(images, self.crop_dims))
        return scores.reshape(len(images), 10, -1).mean(axis=1)

    def _as_described(self, prepare: Preprocess, images: list[Any], ten: bool) -> np.ndarray:
        ready = [prepare.ten_crops(image) if ten else prepare(image)[None] for image in images]
        blob = self.blobs[self.input]
        batch = min(len(images) * len(ready[0]), MOST)
        if blob.shape != (batch, *ready[0].shape[1:]):
            blob.reshape(batch, *ready[0].shape[1:])
        scores = self._scores(np.concatenate(ready))
        return scores.reshape(len(images), len(ready[0]), -1).mean(axis=1)

    def _centres(self, images: list[np.ndarray]) -> list[np.ndarray]:
        (h, w), (height, width) = self.crop_dims, self.image_dims
        top, left = (height - h) // 2, (width - w) // 2
        return [image[top : top + h, left : left + w] for image in images]


def _several(inputs: Any, paths: bool) -> list[Any]:
    """Return the images given to `predict`; anything but a list of them is an error with a fix.

    paths   whether images may be files
    """
    if isinstance(inputs, str | os.PathLike):
        image = f"'{os.fspath(inputs)}'" if paths else f"io.load_image('{os.fspath(inputs)}')"
        raise UsageError(f"'{inputs}' is one image", fix=f"predict([{image}])")
    shape = getattr(inputs, "shape", None)
    if shape is not None and (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))):
        raise UsageError(f"an array of shape {tuple(shape)} is one image", fix="predict([image])")
    if not isinstance(inputs, Iterable) or isinstance(inputs, Mapping):
        raise UsageError(
            f"{type(inputs).__name__} is not a list of images", expected="arrays H x W x C"
        )
    images = list(inputs)
    for image in images:
        if isinstance(image, str | os.PathLike) and not paths:
            path = os.fspath(image)
            raise UsageError(f"'{path}' is a file's name", fix=f"[io.load_image('{path}')]")
    return images
