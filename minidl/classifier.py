"""Classifier: images in, class scores out, by pycaffe's names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minidl import preprocess as descriptions
from minidl import prototxt, run_folder, schema
from minidl.errors import UsageError
from minidl.graph import deploy
from minidl.io import Transformer, resize_image
from minidl.io import oversample as ten_crops
from minidl.net import Net
from minidl.preprocess import Preprocess

MOST = 32  # images in a batch


class NetOfImages(Net):
    """A net whose one input takes images, with what is done to them before.

    model, pretrained   the net (as for Net) and its weights. A net for training is taken as it is:
                        an input takes the place of its data layer, scores that of its loss
    preprocess          what is done to images: a Preprocess, or the path of a preprocess.json. By
                        default a net for training does what its data layer says
    mean, input_scale, raw_scale, channel_swap    the same in pycaffe's words, as in io.Transformer;
                        left out, not done
    options             what else Net takes: device, engine, ...

    transformer   makes C x H x W, of an image H x W x C that has the right size
    crop_dims     (height, width) of the net's input
    """

    def __init__(
        self,
        model: Any,
        pretrained: str | os.PathLike[str] | None,
        *,
        preprocess: Preprocess | str | os.PathLike[str] | None = None,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        words = dict(
            mean=mean,
            input_scale=input_scale,
            raw_scale=raw_scale,
            channel_swap=channel_swap,
        )
        given = [name for name, value in words.items() if value is not None]
        model, self.preprocess = _prepared(model, pretrained, preprocess, given, options)
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
        if self.preprocess is not None:
            _check_shape(self, self.preprocess, shapes[self.input][1:])
            words = self.preprocess.steps(self.crop_dims)
        self.transformer = Transformer(shapes)
        self.transformer.set_transpose(self.input, (2, 0, 1))
        for name, value in words.items():
            if value is not None:
                getattr(self.transformer, f"set_{name}")(self.input, value)

    @classmethod
    def from_run(cls, run: str | os.PathLike[str], **options: Any) -> NetOfImages:
        """The net in the folder of a run of `minidl train`, with its last weights."""
        found = run_folder.find(run)
        return cls(found.net, found.weights, preprocess=found.description, **options)

    def scores(self, images: Iterable[np.ndarray]) -> np.ndarray:
        """The first output, (M, ...), for M images H x W x C, resized to the net's input."""
        return self._scores([self.transformer.preprocess(self.input, image) for image in images])

    def _scores(self, ready: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """The first output for what the input takes."""
        if not len(ready):
            raise UsageError("there are no images", where=f"net '{self.name}'")
        inputs: dict[str, Any] = {self.input: ready}
        scores: np.ndarray = self.forward_all(**inputs)[self.outputs[0]]
        return scores


def _prepared(
    model: Any, weights: Any, preprocess: Any, words: list[str], options: dict[str, Any]
) -> tuple[Any, Preprocess | None]:
    """The net for use, and what it does to images; None where pycaffe's words say it."""
    if isinstance(preprocess, str | os.PathLike):
        preprocess = descriptions.read(preprocess)
    if preprocess is not None and words:
        raise UsageError(f"{words[0]} and preprocess are both given", expected="one of them")
    path = model if isinstance(model, str | os.PathLike) and os.path.isfile(model) else None
    if isinstance(model, str | os.PathLike):
        model = prototxt.read_net(model)
    state = options.get("level") or 0, options.get("stages") or ()
    if deploy.reader(model, *state) is None or deploy.is_for_use(model, *state):
        return model, preprocess
    if preprocess is None:
        preprocess = descriptions.find(model, weights, path, *state)
    shape = preprocess.shape() if preprocess is not None else None
    if shape is None:
        raise UsageError(
            "its data layer does not say how large images become",
            where=f"net '{model.name}'",
            expected="records of a data set that is there, crop_size, or resize",
            fix="transform_param { resize { height: 28 width: 28 } }",
        )
    return deploy.for_use(model, (1, *shape), *state), None if words else preprocess


def _several(inputs: Any, paths: bool) -> list[Any]:
    """The images that `predict` is given; one that is no list of them gets the right call.

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
            f"{type(inputs).__name__} is no list of images", expected="arrays H x W x C"
        )
    images = list(inputs)
    for image in images:
        if isinstance(image, str | os.PathLike) and not paths:
            path = os.fspath(image)
            raise UsageError(f"'{path}' is a file's name", fix=f"[io.load_image('{path}')]")
    return images


def _check_shape(net: NetOfImages, preprocess: Preprocess, shape: Sequence[int]) -> None:
    made = preprocess.shape()
    if made is not None and made != tuple(shape):
        raise UsageError(
            f"takes images of {tuple(shape)}, and the description makes {made} of them",
            where=f"net '{net.name}'",
            expected="the same shape (C, H, W)",
            fix="change crop_size or resize of the one, or the Input layer of the other",
        )


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
                 size of the net's input, so that every crop is the whole image. Not beside
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
