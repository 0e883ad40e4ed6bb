"""How a data layer transforms a record: resize, augment, crop, mirror, subtract the mean, scale."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from minidl.data.augment import Augment
from minidl.data.resize import Resize
from minidl.data.varied import VariedSize, is_asked
from minidl.errors import DataError, MinidlError, did_you_mean
from minidl.storage import mean

Shape = tuple[int, ...]
Reject = Callable[..., NoReturn]


OF_BOXES = ("resize_param", "noise_param", "emit_constraint", "distort_param", "expand_param")


class Transform:
    """y = (crop(x) - crop(mean)) * scale, and left and right exchanged in half of the cases.

    A pure function of a record and some random numbers: ``transform(image, u, out)``.

    image   x, (C, H, W), uint8 or float; if it is resized, x is the result of that
    out     y, (C, h, w): the window's size if there is one, else H and W
    u       `draws` numbers from [0, 1) if `random`: for the mirror, the row and the column of the
            window, Augment's and VariedSize's; None otherwise

    transform_param, all optional:
      resize       not Caffe's: bring the record to a size first; see minidl.data.resize.Resize
      augment      not Caffe's, and only in training: zoom, stretch and turn x, and change the
                   colours of its window; see minidl.data.augment.Augment
      img_rand_resize_lower and others   NVIDIA's: a size drawn for every record, in TEST too; see
                   minidl.data.varied.VariedSize. The mean is then the middle of mean_file, for
                   every window of the record
      crop_size    side of a square window: at a random place in training, else in the middle,
                   rounded towards the upper left; the image must be as large
      crop_h, crop_w   SSD's: the window's rows and columns, where there is no crop_size
      mirror       exchange left and right with probability 1/2; in TEST too, as Caffe does
      mean_file    BlobProto of one image as large as the records; the window cut from the
                   record is cut from it too
      mean_value   1 number for all channels, or 1 for each; not with mean_file
      scale        1 by default
      force_color, force_gray   only for encoded images, decoded by the source; see `color`
      ignore_orientation   not Caffe's: image files are not turned as EXIF says; see `upright`

    Source: Caffe.
    """

    def __init__(
        self,
        param: Any,
        training: bool,
        dtype: Any,
        reject: Reject,
        where: str = "",
        where_mean: str = "",
        resize: Resize | None = None,
        boxes: bool = False,
    ) -> None:
        """Check what can be checked without a record.

        param    a TransformationParameter
        reject   the layer's method of that name; not kept, as the layer must not live on in a
                 thread that holds this object
        where    the layer, prefix of later refusals, which are DataErrors
        where_mean   the same with the line of mean_file
        resize   in place of the one in `param`
        boxes    SSD's AnnotatedData fields are handled elsewhere; otherwise they are refused
        """
        if not boxes:
            _refuse_boxes(param, reject)
        self._where, self._where_mean = where, where_mean or where
        self.dtype, self.training = dtype, training
        self.crop, self.mirror, self.scale = _window(param, reject), param.mirror, param.scale
        self.mean_file, self.mean_value = param.mean_file, tuple(param.mean_value)
        self.resize, self.augment = resize, None
        if param.HasField("resize"):
            self.resize = Resize(param.resize, reject, self.mean_value)
        if param.HasField("augment"):
            changes = Augment(param.augment, reject, self.mean_value)
            self.augment = changes if training else None
        self.varied = VariedSize(param, self.crop, reject) if is_asked(param) else None
        if self.varied is not None and (boxes or self.resize is not None):
            reject(
                "draws a size for every picture, and has boxes or another size too",
                fix="leave out img_rand_resize_lower and the fields like it",
                field="transform_param.img_rand_resize_lower",
            )
        self._mean: np.ndarray | None = None
        self._accepted: dict[Shape, Shape] = {}
        if self.mean_file and self.mean_value:
            reject(
                "has both mean_file and mean_value",
                fix="keep one of them",
                field="transform_param.mean_value",
            )
        for field, value in [("scale", self.scale), *(("mean_value", v) for v in self.mean_value)]:
            if not math.isfinite(value):
                reject(
                    f"{field} is {value}",
                    expected="a finite number",
                    field=f"transform_param.{field}",
                )
        if param.force_color and param.force_gray:
            reject(
                "has both force_color and force_gray",
                fix="keep one of them",
                field="transform_param.force_gray",
            )
        self.color = True if param.force_color else False if param.force_gray else None
        self.upright = not param.ignore_orientation

    @property
    def random(self) -> bool:
        """Whether the result depends on `u`."""
        return bool(self.mirror or (self.training and self.crop) or self.augment or self.varied)

    @property
    def draws(self) -> int:
        """The number of random numbers per image, used or not."""
        return 3 + sum(part.draws for part in (self.augment, self.varied) if part is not None)

    @property
    def costly(self) -> bool:
        """Whether there is more to do than to copy a window."""
        return any(part is not None for part in (self.resize, self.augment, self.varied))

    def top_shape(self, shape: Shape, record: str) -> Shape:
        """Return the shape that an image of this shape gets; refuse one that does not fit.

        record  names it: "record 128, key '00000128', of data/mnist/train_lmdb"
        """
        if shape not in self._accepted:
            self._accepted[shape] = self._check(shape, record)
        return self._accepted[shape]

    def _check(self, shape: Shape, record: str) -> Shape:
        channels = shape[0]
        self._check_that_all_have(channels, record)
        self.check_channels(channels, record)
        if self.resize is not None:
            shape, record = self.resize.shape(shape), f"{record}, resized,"
        _, height, width = shape
        if self.varied is not None and self.varied.larger and self.crop:
            height, width = (max(pair) for pair in zip((height, width), self.crop, strict=True))
        if self.crop and (self.crop[0] > height or self.crop[1] > width):
            square = self.crop[0] == self.crop[1]
            found = f"crop_size is {self.crop[0]}" if square else "crop_h and crop_w are %d, %d"
            raise DataError(
                f"{found if square else found % self.crop}, but {record} has the shape {shape}",
                where=self._where,
                expected=f"crop_size <= {min(height, width)}"
                if square
                else f"crop_h <= {height} and crop_w <= {width}",
            )
        if self.mean_file:
            if self._mean is None:
                self._mean = self._read_mean()
            if self.varied is not None and self.crop:
                self._cut_mean(channels, self.crop)
            elif self._mean.shape != shape:
                raise DataError(
                    f"mean_file {self.mean_file} has the shape {self._mean.shape}, "
                    f"but {record} has {shape}",
                    where=self._where,
                    expected="a mean image as large as the records, before cropping",
                )
        if self.mean_value:
            self._mean = np.array(self.mean_value, self.dtype).reshape(-1, 1, 1)
        return (channels, *self.crop) if self.crop else shape

    def _cut_mean(self, channels: int, window: tuple[int, int]) -> None:
        """Keep the middle of the mean image, for images of varying size."""
        assert self._mean is not None
        (top, left) = (
            (old - new) // 2 for old, new in zip(self._mean.shape[1:], window, strict=True)
        )
        if len(self._mean) != channels or min(top, left) < 0:
            raise DataError(
                f"mean_file {self.mean_file} has the shape {self._mean.shape}",
                where=self._where,
                expected=f"{channels} channels, and at least {window[0]} x {window[1]} pixels",
            )
        self._mean = self._mean[:, top : top + window[0], left : left + window[1]]

    def _check_that_all_have(self, channels: int, record: str) -> None:
        """Refuse a record whose number of channels differs from the first one's."""
        first = next(iter(self._accepted), (channels,))[0]
        if channels != first:
            raise DataError(
                f"{record} has {channels} channels, the first record read has {first}",
                where=self._where,
                expected="the same number in all records",
                fix="for encoded images, transform_param { force_color: true } makes 3 channels, "
                "force_gray: true one",
            )

    def check_channels(self, channels: int, record: str) -> None:
        """Refuse lists that do not have one number for each channel."""
        if self.augment is not None:
            self.augment.check(channels, record, self._where)
        for what, numbers in (
            ("mean_value", self.mean_value),
            ("resize.fill", self.resize.fill if self.resize is not None else ()),
            ("augment.fill", self.augment.fill if self.augment is not None else ()),
        ):
            if numbers and len(numbers) not in (1, channels):
                raise DataError(
                    f"has {len(numbers)} {what} entries, but {record} has {channels} channels",
                    where=self._where,
                    expected=f"1 or {channels}" if channels > 1 else "1",
                )

    def _read_mean(self) -> np.ndarray:
        try:
            return mean.read(self.mean_file).astype(self.dtype)
        except MinidlError as error:
            error.where = ": ".join(filter(None, (self._where_mean, f"mean_file {error.where}")))
            path = Path(self.mean_file)
            if not os.path.exists(path):  # unlike Path's, False for a name no system accepts
                beside = path.parent.iterdir() if os.path.isdir(path.parent) else ()
                alike = [p.name for p in beside if p.suffix == path.suffix]
                error.fix = did_you_mean(path.name, alike)
            raise

    def __call__(self, image: np.ndarray, u: np.ndarray | None, out: np.ndarray) -> None:
        """Write the transformed `image`, whose shape `top_shape` has accepted, to `out`."""
        as_bytes = image.dtype == np.uint8
        if self.resize is not None:
            image = self.resize(image)
        if self.varied is not None:
            own = u is not None and len(u) == self.draws  # not a place chosen by the caller
            image = self.varied(image, u[-VariedSize.draws :] if own and u is not None else None)
        if self.augment is not None and u is not None:
            image = self.augment.warp(image, u[3:])
        window = self._window(image.shape, out.shape, u)
        out[...] = image[window]
        if self.augment is not None and u is not None:
            self.augment.recolor(out, u[3:], as_bytes)
        if self._mean is not None:
            seen = window if self.varied is None else (..., slice(None, None, window[2].step))
            out -= self._mean[seen] if self.mean_file else self._mean
        if self.scale != 1:
            out *= self.scale

    def label_shape(self, shape: Shape) -> Shape:
        """Return the shape that a label image of this shape gets, as high and wide as its image."""
        return (shape[0], *self.crop) if self.crop else shape

    def label(self, label: np.ndarray, u: np.ndarray | None, out: np.ndarray) -> None:
        """Write the window of a label image that matches its image's, and nothing else, to `out`.

        u   the numbers that its image is transformed with
        """
        out[...] = label[self._window(label.shape, out.shape, u)]

    def place(self, shape: Shape, cut: Shape, u: np.ndarray | None) -> tuple[int, int, bool]:
        """Return first row and column of the visible part of an image of `shape`; if mirrored."""
        (height, width), (h, w) = shape[1:], cut[1:]
        top, left, flip = (height - h) // 2, (width - w) // 2, False
        if u is not None:
            flip = bool(self.mirror and u[0] < 0.5)
            if self.training:
                top, left = int(u[1] * (height - h + 1)), int(u[2] * (width - w + 1))
        return top, left, flip

    def _window(self, shape: Shape, cut: Shape, u: np.ndarray | None) -> tuple[slice, ...]:
        """Return the visible part of an image of `shape`, from left to right or mirrored."""
        (top, left, flip), (h, w) = self.place(shape, cut, u), cut[1:]
        columns = slice(left, left + w)
        if flip:
            columns = slice(left + w - 1, left - 1 if left else None, -1)
        return (slice(None), slice(top, top + h), columns)


def _window(param: Any, reject: Reject) -> tuple[int, int] | None:
    """Return rows and columns of the window, if there is one."""
    if param.crop_size:
        return param.crop_size, param.crop_size
    if bool(param.crop_h) != bool(param.crop_w):
        reject(
            f"crop_h is {param.crop_h} and crop_w {param.crop_w}",
            expected="both, or neither",
            field="transform_param.crop_h",
        )
    return (param.crop_h, param.crop_w) if param.crop_h else None


def _refuse_boxes(param: Any, reject: Reject) -> None:
    """Refuse fields that only AnnotatedData reads."""
    for name in OF_BOXES:
        if param.HasField(name):
            reject(
                f"has transform_param.{name}, which only AnnotatedData reads",
                fix="transform_param { resize { height: ... width: ... } }"
                if name == "resize_param"
                else "transform_param { augment { ... } } makes random changes in other layers"
                if name != "emit_constraint"
                else "leave it out",
                field=f"transform_param.{name}",
            )
