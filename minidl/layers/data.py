"""The `Data` layer: records of a database."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from minidl.data.sources import leveldb, lmdb
from minidl.data.sources.datums import Datums
from minidl.layers.base import register
from minidl.layers.context import Context
from minidl.layers.image_reader import ImageReader

log = logging.getLogger("minidl")


@register("Data")
class Data(ImageReader):
    """Batches of images and labels from a data set, read ahead in a thread of its own.

    top[0]   (N, C, H, W), each record after transform_param; without crop_size the first record
             of a batch decides C, H and W, and they may change from batch to batch
    top[1]   (N), the labels; may be left out

    data_param
      source       folder of an LMDB or LevelDB of Datums; a relative one starts from the current
                   folder
      batch_size   N
      backend      LMDB or LEVELDB, Caffe's default; what the folder holds counts, and the log
                   says where that is the other one
      prefetch     batches that lie ready (4)
      shuffle      not Caffe's: another random order in every pass over the records
      force_encoded_color   the old form of transform_param.force_color
      rand_skip    not applied, as in Caffe
    transform_param   scale, mirror, crop_size, mean_file, mean_value, force_color, force_gray;
                      resize, augment, workers and ignore_orientation, which are not Caffe's:
                      see minidl.data.transform.Transform; crop_h and crop_w, SSD's. Its
                      resize_param, noise_param, emit_constraint, distort_param and expand_param
                      are refused: AnnotatedData alone reads them
                      NVIDIA's img_rand_resize_lower, img_rand_resize_upper,
                      rand_resize_ratio_lower, rand_resize_ratio_upper, vertical_stretch_lower,
                      vertical_stretch_upper, horizontal_stretch_lower, horizontal_stretch_upper,
                      interpolation_algo_down, interpolation_algo_up, allow_upscale: a size drawn
                      for every picture, see minidl.data.varied.VariedSize

    A Datum has one label, a whole number. Several, or real ones, go into a store of their own: a
    Datum of float_data, C x 1 x 1, for each record under the same key. A second Data layer with one
    top reads it, batch by batch beside the first; its top is (N, C, 1, 1). Stores of as many
    records are shuffled alike.

    The order is that of the keys, over and over. Batch n depends on the data set, the net's seed,
    this layer's name and n alone, so `position`, the number of batches given so far, is all that
    has to be kept to go on with the same data; it may be set at any time.

    Where ctx.absent_data says (C, H, W) and the source is not there or not said, tops are one
    batch of random records of that shape (H = W = crop_size if cropped) with labels 0 or 1, the
    same one in every forward. The log says so.

    Source: Caffe.
    """

    parameters = ("transform_param", "data_param")  # the former has the newer fields

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        p = spec.data_param
        self.read_sizes("data_param", "batch_size", "prefetch")
        self.read_source("data_param", "data/mnist/train_lmdb")
        self.refuse_old_fields("data_param")
        if p.rand_skip:
            log.warning("%s: rand_skip is not applied, as in Caffe", self.where)
        self.shuffle = p.shuffle
        self.transform = self.transform_with()
        self.color = True if p.force_encoded_color else self.transform.color  # None: as a record is
        if p.force_encoded_color and self.transform.color is False:
            self.reject("has both force_encoded_color and force_gray", fix="keep one of them")

    def open_source(self) -> Datums:
        folder = Path(self.data_source)
        warn_of_backend(self.spec.data_param, folder, self.where)
        return leveldb.open_store(folder, self.color, self.transform.upright)


def warn_of_backend(param: Any, folder: Path, where: str) -> None:
    """Warn if a folder holds another kind of store than data_param says."""
    if param.backend == param.LEVELDB and lmdb.is_lmdb(folder):
        said = "backend is LEVELDB" if param.HasField("backend") else "backend is not set (LEVELDB)"
        log.warning("%s: %s, but %s is an LMDB: read as LMDB", where, said, folder)
    elif param.backend == param.LMDB and leveldb.holds_one(folder):
        log.warning("%s: backend is LMDB, but %s is a LevelDB: read as LevelDB", where, folder)
