"""Pictures and their boxes as DetectNet learns from them: the `DetectNetTransformation` layer."""

from __future__ import annotations

import numpy as np

from minidl import prototxt
from minidl.data import cubic, detectnet
from minidl.errors import LabelError, placed_in
from minidl.layers.base import Layer, register
from minidl.layers.detection import coverage
from minidl.storage import mean

COLUMNS = 16  # of a row of the labels; the class is in number 5
READ = {"mean_file", "mean_value", "use_gpu_transform", "forward_packing"}


@register("DetectNetTransformation")
class DetectNetTransformation(Layer):
    r"""Change pictures and the boxes in them at random, and say of each cell what it is to learn.

    In TRAIN, in this order and each with its own probability: colours are turned by up to
    hue_rotation degrees and bleached by up to desaturation_max; the mean is taken off; left and
    right are exchanged; the picture is stretched by a factor between scale_min and scale_max; it is
    turned by up to max_rotate_degree; and a window of image_size is seen of it, at a random place
    or, where that is not drawn, in the middle. With s = shift_x, a window w wide begins at column
    round(u (W - w + s) - s / 2) of a picture W wide. It may reach beyond the border, where there is
    0, the mean. In TEST the mean is taken off and the picture stretched to image_size. The boxes
    go with the picture.

    Of a grid of cells stride pixels wide, those see an object of which more than 1.2e-7 of their
    area lies in its coverage: a box about the object's centre, scale_cvg times as large, and

        GRIDBOX_MAX     at most max_cvg_len in either direction
        GRIDBOX_MIN     at least min_cvg_len, but no larger than the object

    Of objects that meet in a cell the last one has it. In top[1] such a cell holds

        0       1
        1 - 4   the object's left, upper, right and lower end, from the cell's upper left corner
        5, 6    1 / width and 1 / height of the object
        7       stride^2 / area of the coverage; without obj_norm at least 1
        8 + d   1 where d is the class, else 0

    and any other cell 0 throughout.

    bottom[0]   pictures: (N, 3, H, W): blue, green and red, 0 to 255
    bottom[1]   objects: (N, 1, R, 16), a row each: left, upper end, width, height, 0, class, and
                ten numbers more that are not read. The first row is [how many rows follow, 16, ...]
    top[0]      (N, 3, image_size_y, image_size_x)
    top[1]      (N, 8 + largest dst + 1, image_size_y / stride, image_size_x / stride)

    detectnet_groundtruth_param    stride (4), scale_cvg (0.5), gridbox_type (GRIDBOX_MAX),
                                   coverage_type (RECTANGULAR, the only one),
                                   max_cvg_len (50), min_cvg_len (50), image_size_x (1248),
                                   image_size_y (384), obj_norm (false), crop_bboxes (true): boxes
                                   end where the picture does; object_class { src dst }, of which
                                   there may be several: class src has plane 8 + dst, and others
                                   are left out; without any, class 1 has plane 8
    detectnet_augmentation_param   crop_prob (1), shift_x, shift_y (0); scale_prob (0.33), scale_min
                                   (0.7), scale_max (1); flip_prob (0.33); rotation_prob (0.33),
                                   max_rotate_degree (1); hue_rotation_prob (0.33), hue_rotation
                                   (15); desaturation_prob (0.33), desaturation_max (0.5)
    transform_param                as for Data, but mean_value alone, one or three, or mean_file,
                                   stretched to (H, W); all other fields, which do nothing in the
                                   fork, are refused

    What is drawn depends on the net's seed, the layer's name and the number of the pass only.
    Colours are turned in HSV (minidl.data.hsv), pictures stretched as minidl.data.cubic and turned
    as minidl.data.detectnet say. All of it runs on the host: a GPU is waited for. There is no
    gradient.

    Source: NVIDIA/caffe, detectnet_transform_layer.cpp and detectnet_coverage_rectangular.cpp; its
    GPU code stretches with another kernel and turns about another centre.
    """

    family = "detection"
    fork = "NVIDIA/caffe"
    parameters = ("detectnet_groundtruth_param", "detectnet_augmentation_param", "transform_param")
    bottoms = 2
    tops = 2
    no_gradient = (0, 1)
    differentiable = False

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.grid = spec.detectnet_groundtruth_param
        self.changes = spec.detectnet_augmentation_param
        sizes = ("stride", "image_size_x", "image_size_y")
        self.check_positive("detectnet_groundtruth_param", *sizes)
        self._check_changes()
        self._check_mean()
        self._last_mean = None  # a size, and what is taken off pictures of it
        self.planes = {}
        for pair in self.grid.object_class:
            if not (pair.HasField("src") and pair.HasField("dst")):
                self.reject(
                    "has an object_class without src or dst",
                    fix="object_class { src: 1 dst: 0 }: class 1 of the labels has plane 0",
                    field="detectnet_groundtruth_param.object_class",
                )
            self.planes[pair.src] = pair.dst
        self.planes = self.planes or {1: 0}

    def _check_changes(self):
        for name, least, most in (
            ("scale_min", 1e-3, 1e3),
            ("scale_max", 1e-3, 1e3),
            ("desaturation_max", 0, 1),
            ("hue_rotation", -360, 360),
            ("max_rotate_degree", -360, 360),
        ):
            value = getattr(self.changes, name)
            if not least <= value <= most:
                self.reject_field(
                    f"detectnet_augmentation_param.{name}", expected=f"{least:g} to {most:g}"
                )

    def _check_mean(self):
        p = self.spec.transform_param
        for field, _ in p.ListFields():
            if field.name not in READ:
                self.reject(
                    f"transform_param has {field.name}, which does not act here",
                    expected="mean_file or mean_value alone",
                    field=f"transform_param.{field.name}",
                )
        if p.mean_file and p.mean_value:
            self.reject(
                "has both mean_file and mean_value",
                fix="keep one of them",
                field="transform_param.mean_value",
            )
        if len(p.mean_value) not in (0, 1, 3):
            self.reject(
                f"has {len(p.mean_value)} mean_value entries",
                expected="1, or 3: for blue, green and red",
                field="transform_param.mean_value",
            )

    def top_shapes(self, pictures, objects):
        names = self.spec.bottom
        if len(pictures) != 4 or pictures[1] != 3 or 0 in pictures[2:]:
            self.reject(f"'{names[0]}' is {pictures}", expected="(N, 3, H, W): blue, green and red")
        if (
            len(objects) < 3
            or objects[0] != pictures[0]
            or objects[-1] != COLUMNS
            or 0 in objects[1:]
        ):
            self.reject(
                f"'{names[1]}' is {objects}",
                expected=f"({pictures[0]}, 1, rows, {COLUMNS}): a row for each object, after one "
                "that says how many there are",
            )
        p, n = self.grid, pictures[0]
        sides = [round(side / p.stride) for side in (p.image_size_y, p.image_size_x)]
        planes = coverage.PLANES + max(self.planes.values()) + 1
        return ((n, 3, p.image_size_y, p.image_size_x), (n, planes, *sides))

    def sample_bottoms(self, shapes, rng):
        pictures, objects = shapes
        rows = np.zeros(objects).reshape(objects[0], -1, COLUMNS)
        rows[:, 0, :2] = rows.shape[1] - 1, COLUMNS
        size = np.array(pictures[:1:-1])  # width, height
        rows[:, 1:, :2] = rng.random((*rows[:, 1:].shape[:2], 2)) * size / 2
        rows[:, 1:, 2:4] = rng.random((*rows[:, 1:].shape[:2], 2)) * size / 2 + 1
        rows[:, 1:, 5] = next(iter(self.planes))
        return [rng.integers(0, 256, pictures).astype(np.float64), rows.reshape(objects)]

    def forward(self, bottom, top):
        pictures, objects = (self.ctx.device.to_host(blob.data) for blob in bottom)
        size, window = pictures.shape[2:], top[0].shape[2:]
        taken_off = self._mean(size)
        seen, grids = np.zeros(top[0].shape, self.dtype), np.zeros(top[1].shape, self.dtype)
        numbers = self.random().random((len(pictures), detectnet.DRAWS))
        for n, picture in enumerate(pictures):
            boxes, planes = self._boxes(objects[n].reshape(-1, COLUMNS), n)
            change = detectnet.stretched(window)
            if self.ctx.training:
                change = detectnet.drawn(self.changes, size, window, numbers[n])
            seen[n] = change.picture(picture, taken_off, window)
            coverage.cover(grids[n], change.boxes(boxes, size), planes, self.grid)
        self.ctx.device.write(top[0].data, seen)
        self.ctx.device.write(top[1].data, grids)

    def _mean(self, size):
        """Return what is taken off pictures of this size, in a shape that broadcasts over them."""
        p = self.spec.transform_param
        if not p.mean_file:
            return np.array(list(p.mean_value) or [0], self.dtype).reshape(-1, 1, 1)
        if self._last_mean is None or self._last_mean[0] != size:
            # Pictures are mostly of one size
            self._last_mean = (size, cubic.stretch(self._read_mean(), *size))
        return self._last_mean[1]

    def _read_mean(self):
        p = self.spec.transform_param
        with placed_in(prototxt.where(self.spec, "transform_param.mean_file")):
            image = mean.read(p.mean_file)
        if len(image) != 3:
            self.reject(
                f"mean_file {p.mean_file} has the shape {image.shape}",
                expected="three channels: blue, green and red",
                field="transform_param.mean_file",
            )
        return image.astype(self.dtype)

    def _boxes(self, rows, number):
        """Return the boxes of a picture whose class has a plane, and those planes."""
        count, columns = rows[0, :2]
        if not (0 <= count < len(rows) and columns == COLUMNS):
            raise LabelError(
                f"first row of picture {number} in '{self.spec.bottom[1]}' is "
                f"[{count:g}, {columns:g}, ...]",
                where=self.where,
                expected=f"how many rows follow, up to {len(rows) - 1}, and {COLUMNS} columns",
            )
        rows = rows[1 : int(count) + 1]
        classes = rows[:, 5].clip(-1, 2**32).astype(np.int64)
        known = [i for i, c in enumerate(classes.tolist()) if c in self.planes]
        return rows[known, :4], np.array([self.planes[int(c)] for c in classes[known]], int)
