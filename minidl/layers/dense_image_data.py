"""The `DenseImageData` layer: images with a label for every pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minidl.arrays.blob import Shape
from minidl.data.sources.image_pairs import ImagePairs
from minidl.layers.base import register
from minidl.layers.context import Context
from minidl.layers.image_reader import ImageReader


@register("DenseImageData")
class DenseImageData(ImageReader):
    """Batches of images that a text file names, with the images of their pixels' labels.

    top[0]   (N, C, H, W), each image after transform_param, channels blue, green, red; without
             crop_size or new_height the first image of a batch decides H and W
    top[1]   (N, 1, H, W), the labels: what the grey of the label images is, 0 to 255. Of one with a
             palette that is the grey of its colours, as in OpenCV, not their numbers

    dense_image_data_param
      source       the text file; each line is the path of an image, a blank, and that of its labels
      root_folder  put before every path, as it is: "images/" with its slash; or root_folder_image
                   and root_folder_label, each before its own
      batch_size   N (1)
      shuffle      another random order in every pass over the list, a function of the net's seed
      rand_skip    leave out a random number of lines, less than this, at the beginning
      new_height, new_width   stretch all images to this size, between pixels; their labels without
                   anything between them
      label_divide_factor     (1) labels have new_height and new_width divided by this, rounded down
      is_color     True: three channels, grey images too; False: one
      mirror       as in transform_param
      mean_file    refused: transform_param has the place for it
    transform_param   as for Data, but scale, mean_file and mean_value are for images alone; mirror
                      and crop_size, or crop_h and crop_w, are for both, at the same place;
                      force_color and force_gray overrule is_color; resize, augment, and NVIDIA's
                      fields, which draw a size for every picture, are refused

    Batch n is a function of n as in Data layers, and so is a stand-in for a list that is not there.

    Source: alexgkendall/caffe-segnet (dense_image_data_layer.cpp), which refuses mirror and
    crop_size; label_divide_factor, mirror and two roots from TimoSaemann/caffe-enet.
    """

    fork = "alexgkendall/caffe-segnet, TimoSaemann/caffe-enet"
    parameters = ("transform_param", "dense_image_data_param")
    tops = (2, 2)

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        field, p, t = "dense_image_data_param", spec.dense_image_data_param, spec.transform_param
        self.read_sizes(field, "batch_size", "label_divide_factor")
        self.read_source(field, "data/train.txt")
        if p.HasField("mean_file"):
            self.reject(
                f"{field} has mean_file",
                fix="move it to transform_param",
                field=f"{field}.mean_file",
            )
        for name in ("resize", "augment"):
            if t.HasField(name):
                self.reject(
                    f"has transform_param.{name}, which does not apply to labels",
                    fix=f"{field} {{ new_height: ... new_width: ... }}",
                    field=f"transform_param.{name}",
                )
        self.shuffle = p.shuffle
        self.transform = self.transform_with(self.stretch_to(field))
        if self.transform.varied is not None:
            self.reject(
                "has what draws a size for every picture, which says nothing of labels",
                fix="leave out img_rand_resize_lower and its like",
                field="transform_param.img_rand_resize_lower",
            )
        self.transform.mirror |= p.mirror  # either message may ask for it
        self.color = p.is_color if self.transform.color is None else self.transform.color
        self.label_size = self._label_size()

    def open_source(self) -> ImagePairs:
        p = self.spec.dense_image_data_param
        roots = (p.root_folder_image or p.root_folder, p.root_folder_label or p.root_folder)
        file, upright = Path(self.data_source), self.transform.upright
        source = ImagePairs(file, roots, self.color, self.label_size, upright)
        self.draw_skip(p.rand_skip, len(source), str(file))
        return source

    def absent_label(self, shape: Shape) -> Shape:
        return (1, *(self.label_size if self.label_size and not self.transform.crop else shape[1:]))

    def absent_shape(self, shape: Shape) -> Shape:
        p = self.spec.dense_image_data_param
        return (shape[0], p.new_height, p.new_width) if p.new_height else shape

    def _label_size(self) -> tuple[int, int] | None:
        p = self.spec.dense_image_data_param
        divisor = p.label_divide_factor
        if divisor > 1 and (not p.new_height or self.transform.crop):
            self.reject(
                f"label_divide_factor is {divisor} "
                + ("beside crop_size" if self.transform.crop else "without new_height"),
                expected="new_height and new_width, and no crop_size",
                field="dense_image_data_param.label_divide_factor",
            )
        if not p.new_height:
            return None
        size = (p.new_height // divisor, p.new_width // divisor)
        if min(size) < 1:
            self.reject(
                f"label_divide_factor is {divisor}, and leaves {size[0]} x {size[1]} labels",
                field="dense_image_data_param.label_divide_factor",
            )
        return size
