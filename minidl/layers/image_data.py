"""The `ImageData` layer: image files that a text file lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minidl.data.sources.image_list import ImageList
from minidl.layers.base import register
from minidl.layers.context import Context
from minidl.layers.image_reader import ImageReader


@register("ImageData")
class ImageData(ImageReader):
    """Batches of images that a text file names, with their labels, read ahead in threads.

    top[0]   (N, C, H, W), each image after transform_param, channels blue, green, red; without
             crop_size or new_height the first image of a batch decides H and W, and they may
             change from batch to batch
    top[1]   (N), the labels, or (N, L) where lines have L > 1 of them; may be left out

    image_data_param
      source       the text file; each line is a path and, after a blank, one number or more, whole
                   or real: ``cats/tom.jpg 3``. As many as the first line has; the path is what
                   stands before them and may have blanks
      labels       not Caffe's: how many numbers are labels (0: as many as the first line has), for
                   paths that end in a number of their own
      root_folder  put before every path, as it is: "images/" with its slash
      batch_size   N (1)
      prefetch     not Caffe's: batches that lie ready (4)
      shuffle      another random order in every pass over the list; here a function of the net's
                   seed, so a resumed run goes on with the same images
      rand_skip    leave out a random number of images, less than this, at the beginning
      new_height, new_width   stretch all images to this size, between pixels as OpenCV does;
                   for other ways see transform_param { resize }
      new_dim, bicubic   another fork's words for transform_param { resize }: read as that
      is_color     True: three channels, grey images too; False: one
      scale, mirror, mean_file, crop_size   refused: since 2013 they are in transform_param
    transform_param   as for Data; force_color and force_gray overrule is_color

    Batch n is a function of n as in Data layers, and so is a stand-in for a list that is not there.
    JPEGs may differ by one or two steps of a byte from what OpenCV decodes; grey of a coloured one
    is its own Y channel. Pictures are turned as their EXIF orientation says.

    Source: Caffe, which takes one whole number a line, and whose shuffling cannot be resumed.
    """

    parameters = ("transform_param", "image_data_param")

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        p = spec.image_data_param
        self.read_sizes("image_data_param", "batch_size", "prefetch")
        self.read_source("image_data_param", "data/train.txt")
        self.refuse_old_fields("image_data_param")
        if p.new_height and spec.transform_param.HasField("resize"):
            self.reject(
                "has both new_height and transform_param.resize",
                fix="keep one of them",
                field="transform_param.resize",
            )
        self.shuffle = p.shuffle
        self.transform = self.transform_with(self.stretch_to("image_data_param"))
        # transform_param has the last word.
        self.color = p.is_color if self.transform.color is None else self.transform.color

    def open_source(self) -> ImageList:
        p = self.spec.image_data_param
        source = ImageList(
            Path(self.data_source), p.root_folder, self.color, p.labels, self.transform.upright
        )
        self.draw_skip(p.rand_skip, len(source), str(source.file))
        return source
