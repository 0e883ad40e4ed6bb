"""The `PoseImageData` layer: people in images, and a map for each joint of their bodies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minidl.arrays.blob import Shape
from minidl.arrays.threads import threads
from minidl.data.batches import Maker
from minidl.data.poses import Look, PoseBatches, Poses
from minidl.errors import DataError, placed_in
from minidl.layers.base import register
from minidl.layers.context import Context
from minidl.layers.image_reader import ImageReader
from minidl.storage import mean

FIELD = "pose_image_data_param"


@register("PoseImageData")
class PoseImageData(ImageReader):
    """Batches of images around the joints of a body, with a map of where each joint is.

    An image is first stretched until the torso is torso_ratio * new_height pixels long. Then a box
    around all joints is cut out, enlarged by a random factor in training, and with margins; it is
    shrunk, if it has to be, to new_height x new_width, and lies at the top, in the middle, with
    zeros around it. Then the mean is subtracted, and what is left multiplied by scale.

    top[0]   (N, 3, new_height, new_width), channels blue, green, red
    top[1]   (N, key_point_num, out_height, out_width): 1 at a joint and next to it, -1 in a ring
             around these, else 0

    pose_image_data_param
      source       a text file; each line is the path of an image, a blank, and the path of a text
                   file with x and y of key_point_num joints and of the two ends of the torso, whole
                   numbers from 1 on
      batch_size   N
      shuffle      another random order in every pass over the list, a function of the net's seed
      rand_skip    leave out a random number of lines, less than this, at the beginning
      new_height, new_width, out_height, out_width, key_point_num, torso_ratio    see above
      scale_lower_bound, scale_upper_bound    the random factor, 0.95 to 1.55; in TEST it is 1
      mx1, mx2, my1, my2      margins left, right, above, below
      randmargin   at most this many pixels more on each side, at random, in TEST too
      use_mode     1: margins around the box, after it is enlarged; any other: around the torso,
                   before
      mean_file    a mean image of new_height x new_width
      scale        (1)
      color_aug    multiply each channel by a random number from 0.8 to 1.2; at most 255 stays
      crop_size, key_point_range      accepted, and without effect, as in the fork
      mirror       refused: the fork exchanges left and right of images, and not of joints

    Batch n is a function of n as in Data layers, and so is a stand-in for a list that is not there.

    Source: xiaolonw/caffe-3dnormal_joint_pose (pose_image_data_layer.cpp).
    """

    fork = "xiaolonw/caffe-3dnormal_joint_pose"
    parameters = ("pose_image_data_param",)
    tops = (2, 2)

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        p = spec.pose_image_data_param
        sizes = ("new_height", "new_width", "out_height", "out_width")
        self.read_sizes(FIELD, "batch_size", "key_point_num", *sizes)
        self.read_source(FIELD, "data/train.txt")
        if p.mirror:
            self.reject("has mirror, which would not exchange the joints", field=f"{FIELD}.mirror")
        if p.out_height > p.new_height:
            self._refuse("out_height", f"at most new_height, {p.new_height}")
        if not 0 < p.torso_ratio < np.inf:
            self._refuse("torso_ratio", "a number above 0")
        # Scales are drawn in training alone.
        self.scales = (p.scale_lower_bound, p.scale_upper_bound) if ctx.training else None
        if self.scales and not 0.95 < self.scales[0] <= self.scales[1] < 1.55:
            self._refuse(
                "scale_lower_bound", "0.95 < scale_lower_bound <= scale_upper_bound < 1.55"
            )
        if not np.isfinite(p.scale):
            self._refuse("scale", "a finite number")
        self.shuffle = p.shuffle

    def open(self) -> tuple[Maker, tuple[Shape, ...]]:
        p, n = self.spec.pose_image_data_param, self.batch_size
        shapes: tuple[Shape, ...] = (
            (n, 3, p.new_height, p.new_width),
            (n, p.key_point_num, p.out_height, p.out_width),
        )
        if self.absent():
            return self.stand_in(*shapes)
        with placed_in(self.where):
            poses = Poses(Path(self.data_source), p.key_point_num)
            self.draw_skip(p.rand_skip, len(poses), self.data_source)
            look = self._look()
        self.workers = min(n, threads())
        return PoseBatches(poses, look, self.order_of(len(poses)), *self.making), shapes

    def _look(self) -> Look:
        p = self.spec.pose_image_data_param
        return Look(
            *(p.new_height, p.new_width, p.out_height, p.out_width, p.key_point_num),
            p.torso_ratio,
            (p.mx1, p.mx2, p.my1, p.my2),
            p.randmargin,
            self.scales,
            p.use_mode != 1,
            self._mean((3, p.new_height, p.new_width)),
            p.scale,
            p.color_aug,
        )

    def _mean(self, shape: Shape) -> np.ndarray:
        file = self.spec.pose_image_data_param.mean_file
        if not file:
            return np.zeros((3, 1, 1), self.dtype)
        pixels = mean.read(file)
        if pixels.shape != shape:
            raise DataError(f"has the shape {pixels.shape}", where=file, expected=str(shape))
        return pixels.astype(self.dtype)

    def _refuse(self, name: str, expected: str) -> None:
        self.reject_field(f"{FIELD}.{name}", expected=expected)
