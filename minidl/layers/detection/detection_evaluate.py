"""Which detections are right: the `DetectionEvaluate` layer."""

from __future__ import annotations

import os

import numpy as np

from minidl.errors import DataError, LabelError, UsageError
from minidl.layers.base import Layer, register
from minidl.layers.detection.boxes import areas, best_first
from minidl.storage import files

LARGEST = 1 << 28  # bytes of a name_size_file


@register("DetectionEvaluate")
class DetectionEvaluate(Layer):
    r"""Compare detections with the objects that there are.

    In each image and class, from the best score on, a detection is right if the object that it
    overlaps most, by at least overlap_threshold, was not found before; it is wrong if it was, or if
    there is no such object. With evaluate_difficult_gt false, one whose object is difficult is
    neither, and difficult objects do not count.

    bottom[0]   detections: (1, 1, K, 7), as DetectionOutput gives them: image, class, score, xmin,
                ymin, xmax, ymax; a row whose image or class is -1 is none
    bottom[1]   objects: (1, 1, G, 8), as AnnotatedData gives them: image, class, instance, xmin,
                ymin, xmax, ymax, difficult; a row of image -1 is none
    top[0]      (1, 1, C + D, 5): for each of the C classes but the background -1, the class, how
                many objects it has, -1, -1; then for each of the D detections image, class, score,
                1 if it is right and 1 if it is wrong: by image, class and falling score. Where an
                image has no object of a class, the order is that of bottom[0]

    detection_evaluate_param
        num_classes                     required, with the background
        background_label_id (0)
        overlap_threshold (0.5)         above 0
        evaluate_difficult_gt (true)
        name_size_file                  lines of name, height and width: boxes are compared in
                                        pixels of the images, whose last pixels count. The next line
                                        is that of the next image with a detection, over and over
        resize_param                    how images were brought to the size of the net: boxes are
                                        brought back before that

    How many detections there are decides the top's shape in each pass. All of it runs on the host:
    a GPU is waited for. There is no gradient. In a solver with eval_type "detection" tests compute
    the mean average precision from the top. `position` is the number of images whose lines of
    name_size_file were taken.

    Source: weiliu89/caffe, branch ssd. There boxes of pixels that do not meet overlap by that of
    one pixel, and equal scores come in any order.
    """

    family = "detection"
    fork = "weiliu89/caffe, branch ssd"
    parameters = ("detection_evaluate_param",)
    bottoms = 2
    no_gradient = (0, 1)
    differentiable = False

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = self.p = spec.detection_evaluate_param
        if p.num_classes < 1:
            self.reject("num_classes is missing", expected="the classes, with the background")
        if not p.overlap_threshold > 0:
            self.reject_field("detection_evaluate_param.overlap_threshold", expected="above 0")
        r = p.resize_param
        if p.HasField("resize_param") and not (r.height and r.width):
            self.reject(
                f"resize_param has height {r.height} and width {r.width}",
                expected="both above 0",
                field="detection_evaluate_param.resize_param",
            )
        self.classes = [c for c in range(p.num_classes) if c != p.background_label_id]
        if not self.classes:
            self.reject("num_classes is 1, and that is the background", expected="2 or more")
        self.sizes = self._read_sizes()
        self.position = 0 if self.sizes else None
        self.rows, self.seen = np.zeros((0, 5)), 0  # of this pass, and the images in it

    def _read_sizes(self):
        """(height, width) of each line of name_size_file; none where there is no such file."""
        name = self.p.name_size_file
        if not name:
            return []
        where = f"{self.where}: name_size_file {name}"
        try:
            text = files.read(name, "list of images", limit=LARGEST).tobytes().decode("utf-8")
            lines = [line.rsplit(None, 2) for line in text.splitlines() if line.strip()]
        except (UsageError, UnicodeDecodeError) as error:
            found = "there is no such file" if not os.path.exists(name) else str(error)
            raise DataError(found, where=where) from None
        for number, words in enumerate(lines, start=1):
            if len(words) != 3 or not all(
                w.isdecimal() and 0 < int(w) < 1 << 24 for w in words[1:]
            ):
                raise DataError(
                    f"line {number} is '{' '.join(words)}'",
                    where=where,
                    expected="a name, the height and the width of an image",
                )
        if not lines:
            raise DataError("has no lines", where=where)
        return [(int(height), int(width)) for _, height, width in lines]

    def top_shapes(self, detections, objects):
        for name, shape, width in zip(self.spec.bottom, (detections, objects), (7, 8), strict=True):
            if len(shape) != 4 or shape[:2] != (1, 1) or shape[3] != width:
                self.reject(f"'{name}' is {shape}", expected=f"(1, 1, rows, {width})")
        return ((1, 1, len(self.classes) + detections[2], 5),)

    def late_shapes(self, bottom):
        self.rows = self._evaluated(*(self.ctx.device.to_host(blob.read()) for blob in bottom))
        return ((1, 1, *self.rows.shape),)

    def forward(self, bottom, top):
        self.ctx.device.write(top[0].data, self.rows.reshape(top[0].shape))
        if self.sizes:
            self.position += self.seen

    def _evaluated(self, detections, objects):
        """The rows of the top."""
        found = detections.reshape(-1, 7)
        found = found[(found[:, 0] != -1) & (found[:, 1] != -1)]
        images = np.setdiff1d(detections[..., 0], -1)
        there = objects.reshape(-1, 8)
        there = there[there[:, 0] != -1]
        self._check(found, there)
        counted = there if self.p.evaluate_difficult_gt else there[there[:, 7] == 0]
        rows = [(-1, c, np.sum(counted[:, 1] == c), -1, -1) for c in self.classes]
        self.seen = len(images)
        for number, image in enumerate(images):
            size = self._size(number)
            own, known = found[found[:, 0] == image], there[there[:, 0] == image]
            for c in np.unique(own[:, 1]):
                rows += self._of_class(own[own[:, 1] == c], known[known[:, 1] == c], size)
        return np.array(rows, self.dtype).reshape(-1, 5)

    def _size(self, number):
        """Height and width of an image of this pass; None where boxes are not of pixels."""
        return self.sizes[(self.position + number) % len(self.sizes)] if self.sizes else None

    def _of_class(self, found, objects, size):
        """The rows of the detections of a class in an image."""
        if len(objects):
            found = found[best_first(found[:, 2])]
        boxes, own = self._in_pixels(found[:, 3:7], size), self._in_pixels(objects[:, 3:7], size)
        rows, taken = [], set()
        for row, box, area in zip(found, *boxes, strict=True):
            best, right, wrong = self._best(box, area, *own), 0, 1
            if best is not None:
                if not self.p.evaluate_difficult_gt and objects[best, 7]:
                    wrong = 0
                elif best not in taken:
                    taken.add(best)
                    right, wrong = 1, 0
            rows.append((*row[:3], right, wrong))
        return rows

    def _best(self, box, area, objects, sizes):
        """Return the number of the object that a box overlaps most, and by enough; else None."""
        if not len(objects):
            return None
        low, high = np.maximum(box[:2], objects[:, :2]), np.minimum(box[2:], objects[:, 2:])
        sides = high - low + box.dtype.type(1 if self.sizes else 0)
        meets = (high >= low).all(axis=1) & (sides > 0).all(axis=1)
        common = np.where(meets, sides[:, 0] * sides[:, 1], 0)
        shared = np.zeros_like(common)
        np.divide(common, area + sizes - common, out=shared, where=common > 0)
        best = int(shared.argmax())
        return best if shared[best] >= shared.dtype.type(self.p.overlap_threshold) else None

    def _in_pixels(self, boxes, size):
        """Boxes, and their areas: of 0 to 1, or of pixels of an image of this size."""
        if size is None:
            return boxes, areas(boxes)
        p, (height, width) = self.p.resize_param, size
        full, extent = np.array([width, height] * 2, boxes.dtype), int(max(size) > 1)
        if self.p.HasField("resize_param"):
            if p.resize_mode == p.FIT_LARGE_SIZE_AND_PAD:
                whole, aspect = p.width / p.height, width / height
                kept = [min(1, aspect / whole), min(1, whole / aspect)] * 2
                kept = np.array(kept, boxes.dtype)
                boxes = (boxes - (1 - kept) / 2) / kept
            elif p.resize_mode == p.FIT_SMALL_SIZE and p.height_scale and p.width_scale:
                scaled = boxes * np.array([p.width_scale, p.height_scale] * 2, boxes.dtype)
                boxes = np.minimum(scaled.clip(0), full)
                return boxes, areas(boxes)  # as the fork has it: their last pixels do not count
        boxes = boxes.clip(0, 1) * full
        return boxes, areas(boxes, extent)

    def _check(self, found, objects):
        for name, rows in zip(self.spec.bottom, (found, objects), strict=True):
            wrong = ~np.isin(rows[:, 1], self.classes)
            if wrong.any():
                raise LabelError(
                    f"class {rows[wrong, 1][0]:g} in '{name}'",
                    where=self.where,
                    expected=f"a class from 0 to num_classes - 1, {self.p.num_classes - 1}, but "
                    f"the background, {self.p.background_label_id}",
                )
