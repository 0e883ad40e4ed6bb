"""A net whose input takes images, with what is done to them before."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minidl import preprocess as descriptions
from minidl import prototxt, schema
from minidl.errors import UsageError
from minidl.io import Transformer
from minidl.net.net import Net
from minidl.preprocess import Preprocess
from minidl.prototxt import deploy
from minidl.runs import store


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
            mean=mean, input_scale=input_scale, raw_scale=raw_scale, channel_swap=channel_swap
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
        """Make the net in the folder of a run of `minidl train`, with its last weights."""
        found = store.find(run)
        return cls(found.net, found.weights, preprocess=found.description, **options)

    def scores(self, images: Iterable[np.ndarray]) -> np.ndarray:
        """Return the first output, (M, ...), for M images H x W x C, resized to the net's input."""
        return self._scores([self.transformer.preprocess(self.input, image) for image in images])

    def _scores(self, ready: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """Return the first output for what the input takes."""
        if not len(ready):
            raise UsageError("there are no images", where=f"net '{self.name}'")
        inputs: dict[str, Any] = {self.input: ready}
        scores: np.ndarray = self.forward_all(**inputs)[self.outputs[0]]
        return scores


def _prepared(
    model: Any, weights: Any, preprocess: Any, words: list[str], options: dict[str, Any]
) -> tuple[Any, Preprocess | None]:
    """Return the net for use, and what it does to images; None where pycaffe's words say it."""
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


def _check_shape(net: NetOfImages, preprocess: Preprocess, shape: Sequence[int]) -> None:
    made = preprocess.shape()
    if made is not None and made != tuple(shape):
        raise UsageError(
            f"takes images of {tuple(shape)}, and the description makes {made} of them",
            where=f"net '{net.name}'",
            expected="the same shape (C, H, W)",
            fix="change crop_size or resize of the one, or the Input layer of the other",
        )
