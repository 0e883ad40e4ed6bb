"""The preprocessing of pictures for a net: one description, read, written and applied.

A data layer's transform sets it for the records of a data set, `preprocess.json` next to the data
set, next to the snapshots of a run and next to an exported model for everything else. Both are
carried out by the same code.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from google.protobuf import json_format

from minidl import schema
from minidl.data.sources import image as image_files
from minidl.data.sources.leveldb import open_store
from minidl.data.transform import Transform
from minidl.errors import DataError, FormatError, LayerConfigError, UsageError, did_you_mean
from minidl.prototxt import deploy
from minidl.runs import store
from minidl.storage import files, mean

log = logging.getLogger("minidl")

NAME = store.DESCRIPTION
FORMAT = "minidl preprocess 1"
LARGEST = 1 << 26  # bytes of a description
CHANNELS = ("BGR", "RGB", "gray")
RECORDS = 256  # side of the records of nets that crop, where nothing else says it: Caffe's own
_TRAINING = ("mirror", "augment", "workers", "force_color", "force_gray")
_GREY = np.array([0.114, 0.587, 0.299], np.float32).reshape(3, 1, 1)  # of blue, green and red


@dataclass(frozen=True)
class Preprocess:
    """A description of what becomes of a picture.

        prepare = preprocess.read("runs/lenet/preprocess.json")
        net.blobs["data"].data[0] = prepare("digit.png")

    transform   a TransformationParameter without what is for training alone: resize, crop_size
                (from the middle), mean_file or mean_value, scale
    channels    "BGR", "RGB" or "gray"
    labels      names of the classes, or none
    """

    transform: Any
    channels: str = "BGR"
    labels: tuple[str, ...] = ()

    def __call__(self, picture: Any) -> np.ndarray:
        """Return the float32 array (C, H, W) that a net takes, of a picture's file or its pixels.

        picture   a path; or an array H x W, H x W x 1 or H x W x 3 (red, green, blue): bytes, or
                  floats from 0 to 1 as `io.load_image` gives them

        Errors: UsageError and DataError for input that is not a picture, or does not fit.
        """
        pixels, name = self.pixels(picture)
        return self._apply(Transform, pixels, name, [None])[0]

    def ten_crops(self, picture: Any) -> np.ndarray:
        """(10, C, h, w): the corners and the middle, then the same from right to left."""
        pixels, name = self.pixels(picture)
        corners = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5)]
        return np.stack(
            self._apply(_Places, pixels, name, [(*c, m) for m in (0, 1) for c in corners])
        )

    def load(self, path: str | os.PathLike[str]) -> np.ndarray:
        """A picture's bytes, H x W x 3 (red, green, blue) or H x W x 1: what calls take, too."""
        pixels, _ = self.pixels(path)
        turned = pixels[::-1] if self.channels == "BGR" else pixels
        return np.ascontiguousarray(turned.transpose(1, 2, 0))

    def pixels(self, picture: Any) -> tuple[np.ndarray, str]:
        """The picture as a data layer would get it, (C, H, W), and what to call it."""
        if isinstance(picture, str | os.PathLike):
            name = os.fspath(picture)
            data = files.read(name, "image").tobytes()
            try:
                pixels = image_files.decode(
                    data, self.channels != "gray", not self.transform.ignore_orientation
                )
            except DataError as error:
                error.where = name
                raise
        else:
            name, pixels = "the picture", self._from_array(np.asarray(picture))
        return (pixels[::-1] if self.channels == "RGB" else pixels), name

    def shape(self) -> tuple[int, int, int] | None:
        """Return the shape of every preprocessed picture, (C, H, W); None if it varies."""
        channels, side = 1 if self.channels == "gray" else 3, self.transform.crop_size
        if side:
            return channels, side, side
        resize = self.transform.resize
        if not resize.height or resize.mode == schema.ImageResize.COVER:
            return None
        return channels, resize.height, resize.width or resize.height

    def steps(self, size: Sequence[int]) -> dict[str, Any]:
        """The same for a net of pictures (height, width) = `size`, as pycaffe's words: `mean`,
        `raw_scale`, `channel_swap`, `input_scale`, for pictures from 0 to 1 that are cut already.
        """
        t, image = self.transform, None
        if t.mean_file:
            image = mean.read(t.mean_file)
            top, left = ((old - new) // 2 for old, new in zip(image.shape[1:], size, strict=True))
            if min(top, left) >= 0:
                image = image[:, top : top + size[0], left : left + size[1]]
        elif t.mean_value:
            count = 1 if self.channels == "gray" else 3
            image = np.array(list(t.mean_value) * (count if len(t.mean_value) == 1 else 1))
        return dict(
            mean=image,
            raw_scale=255.0,
            channel_swap=(2, 1, 0) if self.channels == "BGR" else None,
            input_scale=t.scale if t.HasField("scale") else None,
        )

    def to_json(self) -> str:
        found = {
            "format": FORMAT,
            "channels": self.channels,
            "transform_param": json_format.MessageToDict(
                self.transform, preserving_proto_field_name=True
            ),
            "labels": list(self.labels),
        }
        return json.dumps(found, indent=1, ensure_ascii=False) + "\n"

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the description, and a copy of its mean file next to it, which it then names."""
        target, description = Path(path), self
        if self.transform.mean_file:
            own = Path(self.transform.mean_file)
            if own.resolve().parent != target.resolve().parent:
                own = target.with_name(f"{target.stem}_mean.binaryproto")
                files.write_all(own, [files.read(self.transform.mean_file, "mean image")])
            description = replace(self, transform=_copy(self.transform))
            description.transform.mean_file = own.name
        # Names of classes come from folders, and may hold bytes that are not UTF-8: they become
        # JSON's own escapes.
        data = description.to_json().encode("utf-8", "backslashreplace")
        files.write_all(target, [data])

    # ------------------------------------------------------------------

    def _apply(self, kind: Any, pixels: np.ndarray, name: str, choices: list[Any]) -> list[Any]:
        transform = kind(self.transform, False, np.float32, _reject, name)
        shape = transform.top_shape(pixels.shape, "the picture")
        outs = [np.empty(shape, np.float32) for _ in choices]
        for choice, out in zip(choices, outs, strict=True):
            transform(pixels, choice, out)
        return outs

    def _from_array(self, array: np.ndarray) -> np.ndarray:
        """An array of a program as (C, H, W), blue, green and red or grey."""
        if array.ndim == 2:
            array = array[:, :, np.newaxis]
        if array.ndim != 3 or array.shape[2] not in (1, 3) or not array.size:
            raise UsageError(
                f"the picture has the shape {array.shape}",
                expected="(H, W), (H, W, 1) or (H, W, 3)",
            )
        if array.dtype != np.uint8:
            array = array.astype(np.float32) * np.float32(255)
        planes = array[:, :, ::-1].transpose(2, 0, 1)
        if self.channels != "gray":
            return np.repeat(planes, 3, 0) if len(planes) == 1 else planes
        if len(planes) == 1:
            return planes
        grey = (planes * _GREY).sum(axis=0, keepdims=True, dtype=np.float32)
        return np.rint(grey).astype(np.uint8) if planes.dtype == np.uint8 else grey


class _Places(Transform):
    """A Transform whose window is where the caller says: (row, column, mirrored), from 0 to 1."""

    def _window(self, shape: Any, cut: Any, u: Any) -> tuple[slice, ...]:
        top, left = (
            int(at * (old - new)) for at, old, new in zip(u, shape[1:], cut[1:], strict=False)
        )
        columns = slice(left, left + cut[2])
        if u[2]:
            columns = slice(left + cut[2] - 1, left - 1 if left else None, -1)
        return (slice(None), slice(top, top + cut[1]), columns)


# ---------------------------------------------------------------------- where descriptions are from


def read(path: str | os.PathLike[str]) -> Preprocess:
    """Return the description in a file, written by `write` or by hand. Errors: FormatError."""
    text = files.read(path, "description of pictures", limit=LARGEST).tobytes()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"is not JSON: {error}", where=str(path)) from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise FormatError("does not describe pictures", where=str(path), expected=f'"{FORMAT}"')
    known = ("format", "channels", "transform_param", "labels")
    for name in found:
        if name not in known:
            fix = did_you_mean(name, known)
            raise FormatError(f"has the unknown entry '{name}'", where=str(path), fix=fix)
    channels, labels = found.get("channels", "BGR"), found.get("labels", [])
    if channels not in CHANNELS:
        expected = ", ".join(CHANNELS)
        raise FormatError(f"channels is {channels!r}", where=str(path), expected=expected)
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise FormatError("labels is not a list of names", where=str(path))
    transform = schema.TransformationParameter()
    try:
        json_format.ParseDict(found.get("transform_param", {}), transform)
    except json_format.ParseError as error:
        raise FormatError(f"transform_param: {error}", where=str(path)) from None
    if transform.mean_file:
        transform.mean_file = str(Path(path).parent / transform.mean_file)
    return Preprocess(transform, channels, tuple(labels))


def beside(path: str | os.PathLike[str]) -> Preprocess | None:
    """Return the description in the folder of a file or a data set; None without one."""
    place = Path(path).parent / NAME
    return read(place) if place.is_file() else None


def of_net(net: Any, level: int = 0, stages: Sequence[str] = ()) -> Preprocess | None:
    """Return the data layer's preprocessing, TEST's before TRAIN's; None if it reads no pictures.

    What the layer leaves open is asked of the description beside its data set, of the records of
    that data set, and of its mean file: how large the pictures are, and whether they have colours.
    Where its data set is not there, that of the other phase is asked.
    """
    layers = deploy.readers(net, level, stages)
    if not layers or layers[0].type not in ("Data", "ImageData"):
        return None
    layer, alike = layers[0], [one for one in layers if one.type == layers[0].type]
    sources = [getattr(one, deploy.READERS[one.type]).source for one in alike]
    stored = next((found for source in sources if source and (found := beside(source))), None)
    transform = _copy(layer.transform_param)
    p = layer.image_data_param
    if p.new_height:
        transform.resize.height, transform.resize.width = p.new_height, p.new_width
    shapes = (_record_shape(one, source) for one, source in zip(alike, sources, strict=True))
    shape = next((shape for shape in shapes if shape), None)
    if shape and shape[0] not in (1, 3):
        return None
    if not transform.HasField("resize") and layer.type == "Data":
        _set_resize(transform, stored, shape)
    channels = "gray" if shape and shape[0] == 1 else "BGR"
    if stored is not None and shape is None:
        channels = stored.channels
    for name in _TRAINING:
        transform.ClearField(name)
    return Preprocess(transform, channels, stored.labels if stored else ())


def of_input(shape: Sequence[int]) -> Preprocess:
    """Return all that the shape of a net's input, (N, C, H, W), says: stretched to it, as bytes.

    An input of 200 to 256 rows and columns sees the middle of 256 x 256, as nets of ImageNet do.
    """
    transform = schema.TransformationParameter()
    height, width = shape[2:]
    if height == width and 200 <= height <= RECORDS:
        transform.crop_size, height, width = height, RECORDS, RECORDS
    transform.resize.height, transform.resize.width = height, width
    return Preprocess(transform, "gray" if shape[1] == 1 else "BGR")


def find(
    net: Any,
    weights: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | None = None,
    level: int = 0,
    stages: Sequence[str] = (),
) -> Preprocess | None:
    """Return this net's preprocessing: its data layer's, else the one written next to it.

    weights, model   the files from which the net has its weights and its layers; a description
                     next to them, in that order, counts where the net has no data layer

    Names of classes may come from any of these. None where nothing says anything.
    """
    written = [beside(path) for path in (weights, model) if path]
    known = [one for one in (of_net(net, level, stages), *written) if one is not None]
    if not known:
        return None
    labels = next((one.labels for one in known if one.labels), ())
    return replace(known[0], labels=labels)


def _set_resize(transform: Any, stored: Preprocess | None, shape: Any) -> None:
    """Say in `transform` how the pictures became the records of the data set."""
    if stored is not None and stored.transform.HasField("resize"):
        transform.resize.CopyFrom(stored.transform.resize)
    elif shape is not None:
        transform.resize.height, transform.resize.width = shape[1:]
    elif transform.crop_size:
        side = max(RECORDS, transform.crop_size)
        transform.resize.height = transform.resize.width = side
        log.warning(
            "the data set is not there to say how large its pictures are: taken as %d x %d",
            side,
            side,
        )


def _record_shape(layer: Any, source: str) -> tuple[int, ...] | None:
    """The shape of the data layer's records: what its fields say, a record, or its mean file."""
    p = layer.transform_param
    if layer.type == "ImageData":
        color = p.force_color or (layer.image_data_param.is_color and not p.force_gray)
        return (3 if color else 1, 0, 0)
    if os.path.isdir(source):
        color = True if p.force_color else False if p.force_gray else None
        store = open_store(Path(source), color, not p.ignore_orientation)
        try:
            return store[0].image.shape
        finally:
            store.close()
    return mean.read(p.mean_file).shape if os.path.exists(p.mean_file) else None


def _copy(transform: Any) -> Any:
    copy = schema.TransformationParameter()
    copy.CopyFrom(transform)
    return copy


def _reject(found: str, **parts: Any) -> NoReturn:
    parts.pop("field", None)
    raise LayerConfigError(found, where=NAME, **parts)
