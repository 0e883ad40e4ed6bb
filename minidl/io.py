"""Images and arrays on their way into a net and out of it, by pycaffe's names."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from google.protobuf.message import DecodeError

from minidl import caffe_pb2, schema
from minidl.data.sources import datum as datums
from minidl.data.sources import image as image_files
from minidl.errors import DataError, FormatError, UsageError, did_you_mean
from minidl.prototxt.assign import assign
from minidl.storage import arrays, files

__all__ = [
    "Transformer",
    "array_to_blobproto",
    "array_to_datum",
    "arraylist_to_blobprotovector_str",
    "blobproto_to_array",
    "blobprotovector_str_to_arraylist",
    "caffe_pb2",
    "datum_to_array",
    "load_image",
    "oversample",
    "resize_image",
]


class Transformer:
    """Turn images into what a net's inputs take, and back.

    inputs   {name: shape}: ``Transformer({"data": net.blobs["data"].data.shape})``

    `preprocess` does, in this order and each only where it was set: float32, resize to the input's
    height and width, transpose, channel_swap, times raw_scale, minus mean, times input_scale.

    >>> t = Transformer({"data": (1, 3, 2, 2)})
    >>> t.set_transpose("data", (2, 0, 1))      # H x W x C to C x H x W
    >>> t.set_channel_swap("data", (2, 1, 0))   # RGB to BGR
    >>> t.set_raw_scale("data", 255)            # 0..1 to 0..255
    >>> t.set_mean("data", np.array([104, 117, 123]))
    >>> t.preprocess("data", np.full((4, 4, 3), 0.5))[:, 0, 0].tolist()
    [23.5, 10.5, 4.5]

    Other than pycaffe's: the caller's array is never changed; deprocess undoes any channel_swap and
    any transpose, and takes away only a leading axis of 1; what would broadcast by accident is
    refused. Errors: UsageError.
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = {name: tuple(shape) for name, shape in inputs.items()}
        self.transpose: dict[str, tuple[int, ...]] = {}
        self.channel_swap: dict[str, tuple[int, ...]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, np.ndarray] = {}
        self.input_scale: dict[str, float] = {}

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """Set the order of an image's axes: (2, 0, 1) makes H x W x C into C x H x W."""
        axes = len(self._shape(in_))
        self.transpose[in_] = self._permutation(in_, "transpose", order, axes, "axes")

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """Set the order in which to take the channels, the first axis after transposing."""
        channels = self._shape(in_)[0]
        self.channel_swap[in_] = self._permutation(in_, "channel_swap", order, channels, "channels")

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """Factor before the mean is subtracted: 255 for images in 0..1 and a net made for bytes."""
        self.raw_scale[in_] = self._factor(in_, "raw_scale", scale)

    def set_mean(self, in_: str, mean: np.ndarray) -> None:
        """Set what to subtract: one number for each channel, or an array of the input's shape.

        For an input of one channel, (H, W) will do. A mean image of another size, such as the
        256 x 256 one with a net that takes 227 x 227, is resized to the input's.
        """
        shape, mean = self._shape(in_), np.asarray(mean, np.float32)
        if mean.ndim == 1 and mean.shape == shape[:1]:
            mean = mean.reshape(-1, *(1,) * (len(shape) - 1))
        if mean.ndim == 2 and len(shape) == 3 and shape[0] == 1:
            mean = mean[np.newaxis]
        if mean.ndim == len(shape) == 3 and mean.shape[0] == shape[0] and mean.shape[1:] != (1, 1):
            mean = resize_image(mean.transpose(1, 2, 0), shape[1:]).transpose(2, 0, 1)
        elif mean.shape != shape and mean.shape != shape[:1] + (1,) * (len(shape) - 1):
            fix = "take the image out of the batch: mean[0]" if mean.ndim == 4 else ""
            expected = f"({shape[0]},) or {shape}"
            self._refuse(in_, f"mean has the shape {mean.shape}", expected, fix)
        self.mean[in_] = mean.copy()

    def set_input_scale(self, in_: str, scale: float) -> None:
        """Factor after the mean was subtracted."""
        self.input_scale[in_] = self._factor(in_, "input_scale", scale)

    def preprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """Return an image, (H, W, C) if there is a transpose, as float32 in the input's shape."""
        shape, order = self._shape(in_), self.transpose.get(in_)
        out = np.array(data, np.float32)
        if order is not None and out.ndim != len(order):
            expected = f"{len(order)} axes, as transpose {order} has"
            self._refuse(in_, f"the data has the shape {out.shape}", expected)
        ready = shape[1:] if out.ndim == 2 and shape[0] == 1 else shape  # grey, without its axis
        turned = out.shape if order is None else tuple(out.shape[axis] for axis in order)
        if turned != ready and len(shape) == 3 and out.ndim in (2, 3):
            out = resize_image(out, shape[1:])
        if order is not None:
            out = out.transpose(order)
        if out.shape != ready:
            last = out.ndim == 3 and out.shape[2] == shape[0]
            self._refuse(
                in_,
                f"data of shape {np.shape(data)} becomes {out.shape}",
                str(shape),
                f"set_transpose('{in_}', (2, 0, 1))" if last and order is None else "",
            )
        out = out.reshape(shape)
        if in_ in self.channel_swap:
            out = out[list(self.channel_swap[in_])]
        if in_ in self.raw_scale:
            out *= self.raw_scale[in_]
        if in_ in self.mean:
            out -= self.mean[in_]
        if in_ in self.input_scale:
            out *= self.input_scale[in_]
        return out

    def deprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """Return the image that `preprocess` made this of, but for its size (or (1, C, H, W))."""
        shape, out = self._shape(in_), np.array(data, np.float32)
        if out.shape == (1, *shape):
            out = out[0]
        if out.shape != shape:
            self._refuse(in_, f"the data has the shape {out.shape}", str(shape))
        if in_ in self.input_scale:
            out /= self.input_scale[in_]
        if in_ in self.mean:
            out += self.mean[in_]
        if in_ in self.raw_scale:
            out /= self.raw_scale[in_]
        if in_ in self.channel_swap:
            out = out[np.argsort(self.channel_swap[in_])]
        if in_ in self.transpose:
            out = out.transpose(np.argsort(self.transpose[in_]))
        return out

    def _shape(self, in_: str) -> tuple[int, ...]:
        """The shape of one item of an input."""
        if in_ not in self.inputs:
            raise UsageError(
                f"the Transformer has no input '{in_}'",
                expected=", ".join(self.inputs) or "an input",
                fix=did_you_mean(str(in_), self.inputs),
            )
        shape = self.inputs[in_][1:]
        if not shape:
            self._refuse(in_, f"its shape is {self.inputs[in_]}", "a batch and at least one axis")
        return shape

    def _permutation(
        self, in_: str, what: str, order: Sequence[int], count: int, of: str
    ) -> tuple[int, ...]:
        order = tuple(order)
        if sorted(order) != list(range(count)):
            numbers = ", ".join(map(str, range(count)))
            self._refuse(in_, f"{what} is {order}", f"{numbers} in some order: it has {count} {of}")
        return tuple(map(int, order))

    def _factor(self, in_: str, what: str, scale: float) -> float:
        self._shape(in_)
        if np.ndim(scale) != 0 or not math.isfinite(scale) or scale == 0:
            self._refuse(in_, f"{what} is {scale}", "a finite number other than 0")
        return float(scale)

    def _refuse(self, in_: str, found: str, expected: str, fix: str = "") -> NoReturn:
        raise UsageError(found, where=f"input '{in_}'", expected=expected, fix=fix)


def load_image(
    filename: str | os.PathLike[str], color: bool = True, *, upright: bool = True
) -> np.ndarray:
    """An image file as float32 in 0..1: (H, W, 3) as RGB, or with color=False (H, W, 1).

    Alpha is dropped. Grey is 0.299 R + 0.587 G + 0.114 B, as OpenCV makes it; scikit-image, and so
    pycaffe, has other weights; of a JPEG it is the file's own Y channel. A picture is turned as its
    EXIF orientation says, unless `upright` is False. Needs Pillow. Errors: UsageError for the path,
    DataError for the file's content.
    """
    data = files.read(filename, "image", limit=image_files.MOST_BYTES)
    try:
        pixels = image_files.decode(data.tobytes(), color, upright)
    except DataError as error:
        error.where = str(filename)
        raise
    return np.ascontiguousarray(pixels[::-1].transpose(1, 2, 0), np.float32) / np.float32(255)


def resize_image(im: np.ndarray, new_dims: Sequence[int], interp_order: int = 1) -> np.ndarray:
    """An array of shape (H, W, ...) resized to new_dims, (height, width), as float32.

    interp_order   1 bilinear, 0 nearest

    Pixel i of n covers [i / n, (i + 1) / n] of the side, before and after; beyond the outermost
    centres the edge is repeated, and shrinking does not average, so a large picture made small
    aliases. In the inside this is what OpenCV and scikit-image (without anti_aliasing) compute;
    scikit-image's default, as pycaffe calls it, blends the border with black where it enlarges, and
    other than 1 or 3 channels went through scipy's zoom there, which aligns the corner pixels.

    >>> resize_image(np.array([[0.0, 4.0]]), (1, 4)).tolist()
    [[0.0, 1.0, 3.0, 4.0]]
    """
    im = np.array(im, np.float32)
    new_dims = tuple(new_dims)
    whole = all(isinstance(n, int | np.integer) and n >= 1 for n in new_dims)
    if len(new_dims) != 2 or not whole:
        raise UsageError(f"new_dims is {new_dims}", expected="(height, width), both at least 1")
    if im.ndim < 2 or 0 in im.shape[:2]:
        raise UsageError(f"the image has the shape {im.shape}", expected="(H, W) or (H, W, C)")
    if interp_order not in (0, 1):
        raise UsageError(f"interp_order is {interp_order}", expected="1 (bilinear) or 0 (nearest)")
    for axis, size in enumerate(new_dims):
        old = im.shape[axis]
        if size == old:
            continue
        at = ((np.arange(size) + 0.5) * (old / size) - 0.5).clip(0, old - 1)
        if interp_order == 0:
            im = im.take(np.floor(at + 0.5).astype(int).clip(0, old - 1), axis)
            continue
        low = np.floor(at).astype(int)
        share = (at - low).astype(np.float32).reshape(-1, *(1,) * (im.ndim - axis - 1))
        above = im.take(np.minimum(low + 1, old - 1), axis)
        im = im.take(low, axis) * (1 - share) + above * share
    return im


def oversample(images: Iterable[np.ndarray], crop_dims: Sequence[int]) -> np.ndarray:
    """Ten crops of each image: four corners and the centre, then the same mirrored.

    images      arrays of one shape, (H, W, C)
    crop_dims   (h, w)

    Returns (10 * N, h, w, C) float32; corners in the order upper left, upper right, lower left,
    lower right; the centre is rounded towards the upper left.
    """
    images = [np.asarray(im) for im in images]
    shapes = {im.shape for im in images}
    if len(shapes) != 1 or len(next(iter(shapes))) != 3:
        found = f"shapes are {sorted(shapes)}" if shapes else "there are no images"
        raise UsageError(found, where="oversample", expected="images of one shape, (H, W, C)")
    height, width, channels = next(iter(shapes))
    h, w = crop_dims
    if not (1 <= h <= height and 1 <= w <= width):
        found = f"crop_dims is {(h, w)}"
        raise UsageError(found, where="oversample", expected=f"(1, 1) to {(height, width)}")
    corners = [(y, x) for y in (0, height - h) for x in (0, width - w)]
    crops = np.empty((len(images), 2, 5, h, w, channels), np.float32)
    for i, im in enumerate(images):
        for k, (y, x) in enumerate([*corners, ((height - h) // 2, (width - w) // 2)]):
            crops[i, 0, k] = im[y : y + h, x : x + w]
    crops[:, 1] = crops[:, 0, :, :, ::-1]
    return crops.reshape(-1, h, w, channels)


def blobproto_to_array(blob: Any, return_diff: bool = False) -> np.ndarray:
    """The array in a BlobProto, or its gradient; float64 if it holds `double_data`."""
    if return_diff:
        swapped = type(blob)()
        swapped.CopyFrom(blob)
        for data, diff in (("data", "diff"), ("double_data", "double_diff")):
            swapped.ClearField(data)
            getattr(swapped, data).extend(getattr(blob, diff))
            swapped.ClearField(diff)
        blob = swapped
    return arrays.from_blob(blob)


def array_to_blobproto(arr: np.ndarray, diff: np.ndarray | None = None) -> Any:
    """A BlobProto with an array of any shape and, if given, its gradient.

    float64 stays float64, in `double_data`; all else becomes float32.
    """
    arr, diff = np.asarray(arr), None if diff is None else np.asarray(diff)
    if diff is not None and diff.shape != arr.shape:
        raise UsageError(f"diff has the shape {diff.shape}", expected=str(arr.shape))
    return arrays.to_blob(arr, diff)


def arraylist_to_blobprotovector_str(arraylist: Iterable[np.ndarray]) -> bytes:
    """Return the bytes of a BlobProtoVector that holds these arrays."""
    blobs = [array_to_blobproto(arr) for arr in arraylist]
    return schema.BlobProtoVector(blobs=blobs).SerializeToString()


def blobprotovector_str_to_arraylist(data: bytes) -> list[np.ndarray]:
    """The arrays in the bytes of a BlobProtoVector."""
    try:
        vector = schema.BlobProtoVector.FromString(data)
    except DecodeError:
        raise FormatError(f"its {len(data)} bytes are not a BlobProtoVector") from None
    return [arrays.from_blob(blob) for blob in vector.blobs]


def array_to_datum(arr: np.ndarray, label: int | None = None) -> Any:
    """A Datum for an array (C, H, W): bytes if it is uint8, else float32 values."""
    arr = np.asarray(arr)
    if arr.ndim != 3:
        raise UsageError(f"the array has the shape {arr.shape}", expected="(C, H, W)")
    datum = datums.parse(datums.encode(arr, 0))
    datum.ClearField("label")
    if label is not None:
        assign(datum, {"label": label}, "array_to_datum")
    return datum


def datum_to_array(datum: Any) -> np.ndarray:
    """Return the values of a Datum, (C, H, W): uint8, or float32 where it has no bytes.

    An encoded image is decoded, which needs Pillow. Its label is ``datum.label``.
    """
    return datums.to_array(datum).copy()
