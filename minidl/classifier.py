"""Classifier: images in, class scores out, by pycaffe's names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minidl import schema
from minidl.errors import UsageError
from minidl.io import Transformer, resize_image
from minidl.io import oversample as ten_crops
from minidl.net import Net


class NetOfImages(Net):
    """A net whose one input takes images, with the Transformer that prepares them.

    model, pretrained   the net (as for Net) and its weights
    mean, input_scale, raw_scale, channel_swap    as in io.Transformer; left out, not done
    options             what else Net takes: device, engine, ...

    transformer   makes C x H x W, of an image H x W x C
    crop_dims     (height, width) of the net's input
    """

    def __init__(
        self,
        model: Any,
        pretrained: str | os.PathLike[str] | None,
        *,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model, schema.TEST, weights=pretrained, **options)
        shapes = {name: self.blobs[name].shape for name in self.inputs}
        if len(shapes) != 1 or len(next(iter(shapes.values()))) != 4:
            raise UsageError(
                f"net '{self.name}' has the inputs {shapes}",
                expected="one, of shape (N, C, H, W)",
                fix="a net for deployment begins with an Input layer",
            )
        self.input = self.inputs[0]
        self.crop_dims = tuple(shapes[self.input][2:])
        self.transformer = Transformer(shapes)
        self.transformer.set_transpose(self.input, (2, 0, 1))
        if mean is not None:
            self.transformer.set_mean(self.input, mean)
        if input_scale is not None:
            self.transformer.set_input_scale(self.input, input_scale)
        if raw_scale is not None:
            self.transformer.set_raw_scale(self.input, raw_scale)
        if channel_swap is not None:
            self.transformer.set_channel_swap(self.input, channel_swap)

    def scores(self, images: Iterable[np.ndarray]) -> np.ndarray:
        """The first output, (M, ...), for M images H x W x C, resized to the net's input."""
        ready = [self.transformer.preprocess(self.input, image) for image in images]
        if not ready:
            raise UsageError("there are no images", where=f"net '{self.name}'")
        inputs: dict[str, Any] = {self.input: ready}
        scores: np.ndarray = self.forward_all(**inputs)[self.outputs[0]]
        return scores


class Classifier(NetOfImages):
    """A net that classifies images.

        classifier = Classifier("deploy.prototxt", "weights.caffemodel", image_dims=(256, 256),
                                mean=np.array([104, 117, 123]), raw_scale=255,
                                channel_swap=(2, 1, 0))
        scores = classifier.predict([io.load_image("cat.jpg")])

    image_dims   (height, width) to which an image is resized before it is cropped; by default the
                 size of the net's input, so that every crop is the whole image
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
        **options: Any,
    ) -> None:
        super().__init__(
            model,
            pretrained,
            mean=mean,
            input_scale=input_scale,
            raw_scale=raw_scale,
            channel_swap=channel_swap,
            **options,
        )
        self.image_dims = self.crop_dims if image_dims is None else tuple(map(int, image_dims))
        sizes = list(zip(self.image_dims, self.crop_dims, strict=False))
        if len(self.image_dims) != 2 or any(image < crop for image, crop in sizes):
            raise UsageError(
                f"image_dims is {self.image_dims}",
                where=f"net '{self.name}'",
                expected=f"(height, width), at least its input's {self.crop_dims}",
            )

    def predict(self, inputs: Iterable[np.ndarray], oversample: bool = True) -> np.ndarray:
        """Scores for images H x W x C: (N, number of classes).

        oversample   average over ten crops, corners and centre, plain and mirrored; else the centre
        """
        images = [resize_image(image, self.image_dims) for image in inputs]
        if not images:
            raise UsageError("there are no images", where=f"net '{self.name}'")
        crops = ten_crops(images, self.crop_dims) if oversample else self._centres(images)
        scores = self.scores(crops).reshape(len(crops), -1)
        return scores.reshape(len(images), 10, -1).mean(axis=1) if oversample else scores

    def _centres(self, images: list[np.ndarray]) -> list[np.ndarray]:
        (h, w), (height, width) = self.crop_dims, self.image_dims
        top, left = (height - h) // 2, (width - w) // 2
        return [image[top : top + h, left : left + w] for image in images]
