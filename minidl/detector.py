"""Detector: scores for windows of images, as R-CNN classifies its proposals."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from minidl.errors import UsageError
from minidl.io import load_image, resize_image
from minidl.net import NetOfImages
from minidl.preprocess import Preprocess

Window = Sequence[float]  # (ymin, xmin, ymax, xmax) in pixels


class Context(NamedTuple):
    """The place of a window with its surroundings in the image, and in the net's input."""

    box: tuple[int, int, int, int]  # ymin, xmin, ymax, xmax, clipped to the image
    pad: tuple[int, int]  # rows and columns of the input above and left of it
    size: tuple[int, int]  # height and width of the input that it fills


class Detector(NetOfImages):
    """A net that scores windows of images, such as R-CNN's.

    context_pad   pixels of the net's (square) input that show a window's surroundings, on each
                  side, as R-CNN's nets were trained with 16; beyond the image the mean is used
    the rest      as in Classifier; windows are stretched to the input, regardless of `preprocess`
                  of sizes
    """

    def __init__(
        self,
        model: Any,
        pretrained: str | os.PathLike[str] | None = None,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
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
        self.context_pad = context_pad or 0
        side = self.crop_dims[0]
        if self.context_pad and (
            self.crop_dims != (side, side) or not 0 < self.context_pad < side / 2
        ):
            raise UsageError(
                f"context_pad is {self.context_pad}, the input is {self.crop_dims}",
                where=f"net '{self.name}'",
                expected="a square input, and a context_pad below half its side",
            )

    def detect_windows(
        self, images_windows: Iterable[tuple[Any, Iterable[Window]]]
    ) -> list[dict[str, Any]]:
        """Scores of windows: a dict with `window`, `prediction` and `filename` for each.

        images_windows   pairs of an image (a file's name, or an array H x W x C) and its windows
        """
        crops, found = [], []
        for image, windows in images_windows:
            named = isinstance(image, str | os.PathLike)
            color = self.preprocess is None or self.preprocess.channels != "gray"
            pixels = load_image(image, color) if named else np.asarray(image, np.float32)
            for window in windows:
                crops.append(self.crop(pixels, window))
                found.append({"window": np.asarray(window), "filename": image if named else ""})
        if not found:
            return []
        for entry, scores in zip(found, self.scores(crops), strict=True):
            entry["prediction"] = scores.reshape(-1)
        return found

    def detect_selective_search(self, image_fnames: Iterable[str]) -> NoReturn:
        """Raise an error: in pycaffe this asks a Matlab program for windows."""
        raise UsageError(
            "selective search is a Matlab program that minidl does not call",
            fix="find windows with any other program, and give them to detect_windows",
        )

    def crop(self, image: np.ndarray, window: Window) -> np.ndarray:
        """Return what the net sees of a window of an image H x W x C, before preprocessing."""
        ymin, xmin, ymax, xmax = (int(edge) for edge in window)
        height, width = image.shape[:2]
        if not (0 <= ymin < ymax <= height and 0 <= xmin < xmax <= width):
            found = f"window (ymin, xmin, ymax, xmax) is {(ymin, xmin, ymax, xmax)}"
            raise UsageError(found, expected=f"a part of the image, {height} x {width}")
        if not self.context_pad:
            return image[ymin:ymax, xmin:xmax]
        window = (ymin, xmin, ymax, xmax)
        box, pad, size = with_context(window, self.context_pad, self.crop_dims[0], (height, width))
        out = np.array(np.broadcast_to(self._background(), (*self.crop_dims, image.shape[2])))
        inside = resize_image(image[box[0] : box[2], box[1] : box[3]], size)
        out[pad[0] : pad[0] + size[0], pad[1] : pad[1] + size[1]] = inside
        return out

    def _background(self) -> np.ndarray:
        """Return the image that preprocessing makes zero: the mean, as the caller's images are."""
        return self.transformer.deprocess(
            self.input, np.zeros(self.transformer.inputs[self.input][1:], np.float32)
        )


def with_context(window: Window, context_pad: int, side: int, image: tuple[int, int]) -> Context:
    """Return the region that fills a square of `side` pixels, `context_pad` around a window.

    The region is the window enlarged about its centre by side / (side - 2 * context_pad), in each
    direction; windows count their last row and column, as Matlab's do.

    Source: Girshick et al. 2014, appendix A, and pycaffe's rounding.
    """
    enlarge = side / (side - 2 * context_pad)
    box, pad, size = [0] * 4, [0] * 2, [0] * 2
    for axis in (0, 1):
        low, high = window[axis], window[axis + 2]
        half = (high - low + 1) / 2
        start, end = (round(low + half + sign * enlarge * half) for sign in (-1, 1))
        scale = side / (end - start + 1)
        pad[axis] = round(max(0, -start) * scale)
        start, end = (min(max(edge, 0), image[axis]) for edge in (start, end))
        size[axis] = max(1, min(round((end - start + 1) * scale), side - pad[axis]))
        box[axis], box[axis + 2] = start, max(end, start + 1)
    return Context(tuple(box), tuple(pad), tuple(size))  # type: ignore[arg-type]
