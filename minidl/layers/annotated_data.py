"""The `AnnotatedData` layer: images with boxes of objects, from a database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minidl.arrays.blob import Shape
from minidl.arrays.threads import threads
from minidl.data.annotated import samples
from minidl.data.annotated.batches import ROW, AnnotatedBatches, BoxesStandIn, Look
from minidl.data.annotated.distort import Distort
from minidl.data.annotated.expand import Expand
from minidl.data.annotated.fit import Fit
from minidl.data.annotated.noise import Noise
from minidl.data.batches import Maker
from minidl.data.sources.annotated import AnnotatedDatums
from minidl.errors import placed_in
from minidl.layers.base import register
from minidl.layers.context import Context
from minidl.layers.data import warn_of_backend
from minidl.layers.image_reader import ImageReader


@register("AnnotatedData")
class AnnotatedData(ImageReader):
    """Batches of images and of the boxes of the objects in them, read ahead in threads.

    Of each record: its colours are changed (distort_param); it is put somewhere into a larger,
    empty image (expand_param); a part of it is drawn (batch_sampler); that is brought to a size
    (resize_param), spoilt (noise_param), cut (crop_size, or crop_h and crop_w), mirrored; then the
    mean is subtracted, and what is left multiplied by scale. Boxes go with it, each cut at the
    border of what is seen; one of which nothing is seen is left out, and one that emit_constraint
    leaves out, at every step.

    top[0]   (N, C, H, W), channels blue, green, red
    top[1]   (1, 1, G, 8), the objects of the batch: item, class, instance, xmin, ymin, xmax, ymax
             (0 and 1 are the borders), difficult; item by item, in the order of the record. One
             row of -1 where there is no object. (N), labels, where the first record has no
             annotation type. May be left out

    data_param            as for Data, of a store of AnnotatedDatums
    annotated_data_param  batch_sampler: each draws parts of the image; those of all that satisfy
                          their sample_constraint are put together, and one is taken at random; the
                          whole image, where there is none. label_map_file is not read. anno_type:
                          records hold boxes, whatever they say
    transform_param       as for Data, but for minidl's own resize and augment, which are refused;
                          and resize_param, noise_param, emit_constraint, distort_param and
                          expand_param: see minidl.data.annotated.fit, .noise, .boxes, .distort and
                          .expand. FIT_SMALL_SIZE needs batch_size: 1. expand_param with a
                          mean_file is refused

    Batch n depends on the data set, the net's seed, this layer's name and n alone, as in Data
    layers. The stand-in for a data set that is not there has one object of class 1 in each image.

    Source: Liu et al. 2016 (SSD), sections 2.2 and 3.6; weiliu89/caffe, branch ssd. There every
    step but the last writes a JPEG and reads it again, and with constraints of several kinds in
    one sampler a part may count for which no object satisfies them all.
    """

    fork = "weiliu89/caffe, branch ssd"
    parameters = ("transform_param", "data_param", "annotated_data_param")

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        p, t, a = spec.data_param, spec.transform_param, spec.annotated_data_param
        self.read_sizes("data_param", "batch_size", "prefetch")
        self.read_source("data_param", "data/VOC0712/trainval_lmdb")
        self.refuse_old_fields("data_param")
        self.shuffle = p.shuffle
        for name, instead in (("resize", "resize_param"), ("augment", "distort_param")):
            if t.HasField(name):
                self.reject(
                    f"has transform_param.{name}, which does not apply to boxes",
                    fix=f"transform_param {{ {instead} {{ ... }} }}",
                    field=f"transform_param.{name}",
                )
        samples.check(a.batch_sampler, self.reject)
        self.transform = self.transform_with(boxes=True)
        self.color = True if p.force_encoded_color else self.transform.color
        self.look = self._look()

    def _look(self) -> Look:
        t, where, reject = self.spec.transform_param, self.where, self.reject
        if t.HasField("expand_param") and t.mean_file:
            self.reject(
                "has expand_param and mean_file, and a mean image has one size",
                fix="mean_value for mean_file",
                field="transform_param.expand_param",
            )
        fit = Fit(t.resize_param, reject, where) if t.HasField("resize_param") else None
        if fit is not None and t.resize_param.resize_mode == t.resize_param.FIT_SMALL_SIZE:
            if self.batch_size > 1:
                self.reject(
                    f"FIT_SMALL_SIZE gives images of several sizes, and batch_size is "
                    f"{self.batch_size}",
                    fix="batch_size: 1, or resize_mode: WARP",
                    field="transform_param.resize_param",
                )
        mean = tuple(t.mean_value)
        return Look(
            Distort(t.distort_param, reject, where) if t.HasField("distort_param") else None,
            Expand(t.expand_param, reject, mean, where) if t.HasField("expand_param") else None,
            list(self.spec.annotated_data_param.batch_sampler),
            t.emit_constraint if t.HasField("emit_constraint") else None,
            fit,
            Noise(t.noise_param, reject, where) if t.HasField("noise_param") else None,
            self.transform,
        )

    def open(self) -> tuple[Maker, tuple[Shape, ...]]:
        if self.absent():
            return self._stand_in()
        warn_of_backend(self.spec.data_param, Path(self.data_source), self.where)
        boxes = True if self.spec.annotated_data_param.HasField("anno_type") else None
        labels = len(self.spec.top) > 1
        with placed_in(self.where):
            file, upright = Path(self.data_source), self.transform.upright
            source = AnnotatedDatums(file, self.color, upright, boxes, labels)
            first = source[0]
        n, shape = self.batch_size, first.image.shape
        if self.look.fit is not None:
            shape = self.look.fit.shape(shape)
        shape = self.transform.top_shape(shape, source.describe(0, first.key))
        self.workers = min(n, self.spec.transform_param.workers or threads())
        maker = AnnotatedBatches(source, self.look, self.order_of(len(source)), *self.making)
        objects = (1, 1, max(1, len(first.label)), ROW) if first.label_shape else (n,)
        return maker, ((n, *shape), objects)

    def stand_in(self, *shapes: Shape) -> tuple[Maker, tuple[Shape, ...]]:
        _, shapes = super().stand_in(shapes[0], (1, 1, self.batch_size, ROW))
        return BoxesStandIn(shapes, self.dtype, self.ctx.streams, self.name), shapes

    def absent_shape(self, shape: Shape) -> Shape:
        return shape if self.look.fit is None else self.look.fit.shape(shape)
