"""The `WindowData` layer: windows of images, on objects and beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minidl.arrays.blob import Shape
from minidl.arrays.threads import threads
from minidl.data.batches import Maker
from minidl.data.sources.window_file import WindowFile
from minidl.data.transform import Transform
from minidl.data.windows import Look, WindowBatches
from minidl.errors import DataError, placed_in
from minidl.layers.base import register
from minidl.layers.context import Context
from minidl.layers.reader import Reader
from minidl.storage import mean


@register("WindowData")
class WindowData(Reader):
    """Batches of windows drawn at random, a share of them on objects: R-CNN's training data.

    top[0]   (N, 3, crop_size, crop_size): N - F windows of background, then F of foreground,
             F = floor(N fg_fraction); blue, green, red; 0 beyond the border of the image
    top[1]   (N), the classes; 0 for background

    window_data_param
      source        the window file; its form is in minidl.data.sources.window_file.WindowFile
      root_folder   put before every path, as it is
      batch_size    N
      fg_threshold, bg_threshold   windows that overlap an object by at least the first (0.5) are
                    foreground; of the others those that do by less than the second (0.5) are
                    background
      fg_fraction   share of foreground in a batch (0.25)
      crop_mode     "warp" stretches a window to the square, "square" widens it to a square first
      context_pad   pixels of surroundings, counted in the square, that are shown around it
      cache_images  keep the image files in memory
      scale, mirror, mean_file, crop_size   refused: since 2013 they are in transform_param
    transform_param   as for Data, but crop_size is needed, and a square from the middle of
                      mean_file counts. A window has its size from crop_size, so resize, and
                      NVIDIA's fields, which draw a size for every picture, are refused, and crop_h
                      and crop_w not read; images are read in colour, so force_color says nothing
                      new and force_gray is refused

    Which windows a batch has is a function of the seed, the layer's name and the batch's number.
    `position`, the number of batches given, may be set, and is what a snapshot keeps.

    Source: Caffe; Girshick et al. 2014, "Rich feature hierarchies for accurate object detection".
    """

    tops = 2
    parameters = ("transform_param", "window_data_param")

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        p, t = spec.window_data_param, spec.transform_param
        self.read_sizes("window_data_param", "batch_size")
        self.read_source("window_data_param", "window_file.txt")
        self.refuse_old_fields("window_data_param")
        self.transform = Transform(t, ctx.training, ctx.dtype, self.reject, self.where)
        self.crop = t.crop_size
        if not self.crop:
            self.reject("crop_size is missing", fix="transform_param { crop_size: 227 }")
        if t.HasField("resize") or self.transform.varied is not None:
            size = "resize" if t.HasField("resize") else "what draws a size"
            self.reject(f"has {size}, but crop_size sets the size of windows")
        if t.force_gray:
            self.reject("has force_gray, but windows are read in colour")
        # In float32, as Caffe rounds it.
        self.foreground = int(np.float32(self.batch_size) * np.float32(p.fg_fraction))
        if not 0 <= p.fg_fraction <= 1:
            self.reject_field("window_data_param.fg_fraction", expected="0 to 1")
        if p.crop_mode not in ("warp", "square"):
            self.reject_field("window_data_param.crop_mode", expected="warp or square")
        if 2 * p.context_pad >= self.crop:
            self.reject(
                f"context_pad is {p.context_pad}, crop_size {self.crop}",
                expected="context_pad below half of crop_size",
                field="window_data_param.context_pad",
            )

    def open(self) -> tuple[Maker, tuple[Shape, ...]]:
        p, n = self.spec.window_data_param, self.batch_size
        shapes: tuple[Shape, ...] = ((n, 3, self.crop, self.crop), (n,))
        if self.absent():
            return self.stand_in(*shapes)
        with placed_in(self.where):
            file = WindowFile(Path(self.data_source), p.fg_threshold, p.bg_threshold)
            counts = {"foreground": self.foreground, "background": n - self.foreground}
            for kind, count in counts.items():
                if count and not len(getattr(file.windows, kind)):
                    raise DataError(
                        f"has no window that counts as {kind}, and a batch wants {count}",
                        where=self.data_source,
                        fix="change fg_threshold, bg_threshold or fg_fraction",
                    )
            self.transform.check_channels(3, "a window")
            pixels = self._mean()
        self.workers = min(n, self.spec.transform_param.workers or threads())
        t = self.transform
        square = p.crop_mode == "square"
        look = Look(
            self.crop, p.context_pad, square, t.mirror, pixels, t.scale, t.augment, t.upright
        )
        windows = file, p.root_folder, n, self.foreground, p.cache_images
        return WindowBatches(*windows, look, *self.making), shapes

    def _mean(self) -> np.ndarray:
        """Return what is subtracted: the middle of the mean file, (3, crop, crop), or (3 or 1, 1,
        1)."""
        t, crop = self.transform, self.crop
        if not t.mean_file:
            return np.array(t.mean_value or [0], self.dtype).reshape(-1, 1, 1)
        pixels = mean.read(t.mean_file)
        if pixels.shape[0] != 3 or min(pixels.shape[1:]) < crop:
            raise DataError(
                f"has the shape {pixels.shape}",
                where=t.mean_file,
                expected=f"3 channels of at least {crop} x {crop}",
            )
        # The middle, whatever the window
        top, left = ((side - crop) // 2 for side in pixels.shape[1:])
        return pixels[:, top : top + crop, left : left + crop].astype(self.dtype)
