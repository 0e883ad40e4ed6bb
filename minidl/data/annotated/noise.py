"""Ways to spoil an image: SSD's noise_param."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from minidl.data import planes
from minidl.data.annotated.distort import to_hsv
from minidl.data.annotated.fit import filling
from minidl.data.sources import image as image_files
from minidl.errors import DataError

log = logging.getLogger("minidl")

GREY = np.array([0.114, 0.587, 0.299], np.float32).reshape(3, 1, 1)  # of blue, green and red
LEVEL = 64  # width of posterize's levels
REACH, SIGMA = 3, 1.5  # of the blur
IN_COLOUR = ("decolorize", "convert_to_hsv")


class Noise:
    """A NoiseParameter: ``noise(image, rng)`` returns the image with noise.

    Every field that is true applies, in the order of the message: decolorize, gauss_blur, hist_eq
    (of the brightness), jpeg, erode, posterize, inverse, saltpepper, convert_to_hsv. An image is
    (C, H, W), bytes, blue, green and red.

    Refused: clahe, which only OpenCV's code defines, and convert_to_lab, whose real numbers the
    fork reads as bytes.

    Source: weiliu89/caffe, branch ssd (im_transforms.cpp).
    """

    def __init__(self, param: Any, reject: Callable[..., NoReturn], where: str = "") -> None:
        self.param, self.where = param, where
        for name, reason in (
            ("clahe", "which only OpenCV's code defines"),
            ("convert_to_lab", "whose real numbers the fork reads as bytes"),
        ):
            if getattr(param, name):
                self._refuse(reject, name, f"asks for {name}, {reason}", "any of the others")
        if param.jpeg > 100:
            self._refuse(reject, "jpeg", f"jpeg is {param.jpeg:g}", "a quality up to 100")
        pepper = param.saltpepper_param
        if param.saltpepper and not (pepper.value and 0 <= pepper.fraction <= 1):
            self._refuse(
                reject,
                "saltpepper_param",
                f"has saltpepper with {len(pepper.value)} values and fraction {pepper.fraction:g}",
                "a value for all channels or one for each, and a share of all pixels",
            )
        if param.HasField("prob") and param.prob < 1:
            log.warning(
                "%s: noise_param { prob: %g } is not read: it is always done", where, param.prob
            )

    @staticmethod
    def _refuse(reject: Callable[..., NoReturn], name: str, found: str, expected: str) -> None:
        field = f"transform_param.noise_param.{name}"
        reject(f"noise_param: {found}", expected=expected, field=field)

    def check(self, image: np.ndarray, record: str) -> None:
        """Refuse an image that this noise cannot be added to."""
        p, found = self.param, ""
        if image.dtype != np.uint8:
            found, expected = "real numbers", "bytes"
        elif len(image) != 3 and (len(image) != 1 or any(getattr(p, n) for n in IN_COLOUR)):
            found, expected = f"{len(image)} channels", "3: blue, green and red"
        elif p.saltpepper and len(p.saltpepper_param.value) not in (1, len(image)):
            found, expected = f"{len(image)} channels", "as many as saltpepper_param has values"
        if found:
            raise DataError(
                f"has noise_param, but {record} has {found}", where=self.where, expected=expected
            )

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        p = self.param
        if p.decolorize:
            image = np.repeat(brightness(image)[None], 3, axis=0)
        if p.gauss_blur:
            image = blurred(image)
        if p.hist_eq:
            image = equalized(image)
        if p.jpeg > 0:
            image = _through_jpeg(image, int(p.jpeg))
        if p.erode:
            image = eroded(image)
        if p.posterize:
            image = image // LEVEL * LEVEL + LEVEL // 2
        if p.inverse:
            image = 255 - image
        if p.saltpepper:
            image = self._peppered(image, rng)
        return to_hsv(image) if p.convert_to_hsv else image

    def _peppered(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        _, height, width = image.shape
        pepper = self.param.saltpepper_param
        u = rng.random((int(pepper.fraction * height * width), 2))
        rows, columns = (u * (height, width)).astype(int).T
        image = image.copy()
        image[:, rows, columns] = filling(pepper.value, image)[:, 0]
        return image


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def brightness(image: np.ndarray) -> np.ndarray:
    """Grey (H, W), bytes, of an image (3, H, W)."""
    return _rounded((image * GREY).sum(axis=0))


def blurred(image: np.ndarray) -> np.ndarray:
    """Blur by a Gaussian of sigma 1.5, cut to 7 x 7, mirrored at the border."""
    at = np.arange(-REACH, REACH + 1)
    weights = np.exp(-(at**2) / (2 * SIGMA**2))
    weights /= weights.sum()
    out = np.pad(image, ((0, 0), (REACH, REACH), (REACH, REACH)), "reflect").astype(np.float32)
    for axis in (1, 2):
        length = image.shape[axis]
        out = sum(w * out.take(range(k, k + length), axis) for k, w in enumerate(weights.tolist()))
    return _rounded(out)


def equalized(image: np.ndarray) -> np.ndarray:
    """Equalize the histogram of brightness; colours keep their distance from grey."""
    grey = brightness(image) if len(image) == 3 else image[0]
    counts = np.bincount(grey.reshape(-1), minlength=256)
    first = int(np.flatnonzero(counts)[0])
    if counts[first] == grey.size:  # one level
        return image
    below = counts.cumsum() - counts[first]
    table = _rounded(below * np.float32(255 / (grey.size - counts[first])))
    moved = table[grey].astype(np.int16) - grey
    return (image + moved).clip(0, 255).astype(np.uint8)


def eroded(image: np.ndarray) -> np.ndarray:
    """Return the darkest of each pixel and its four neighbours."""
    out = image.copy()
    for axis in (1, 2):
        low, high = [slice(None)] * 3, [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        for to, of in ((low, high), (high, low)):
            np.minimum(out[tuple(to)], image[tuple(of)], out=out[tuple(to)])
    return out


def _through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    pillow, buffer = planes.pillow(), io.BytesIO()
    pixels = image[0] if len(image) == 1 else np.ascontiguousarray(image[::-1].transpose(1, 2, 0))
    pillow.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return image_files.decode(buffer.getvalue(), len(image) == 3)
