"""Small data sets for tests, written by liblmdb and LevelDB themselves."""

from pathlib import Path

import lmdb
import numpy as np
import pytest

from minidl import schema


def write_lmdb(folder, records, map_size=1 << 26, **options):
    """Write (key, value) pairs; returns the folder."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(folder), map_size=map_size, lock=False, sync=False, **options) as env:
        with env.begin(write=True) as transaction:
            for key, value in records:
                transaction.put(key, value)
    return Path(folder)


def write_leveldb(folder, *runs, **options):
    """Write (key, value) pairs by LevelDB itself, opening the store once for each of `runs`.

    A value of None deletes the key. Skips the test where plyvel is not installed.
    """
    plyvel = pytest.importorskip("plyvel")
    for records in runs:
        with plyvel.DB(str(folder), create_if_missing=True, **options) as store:
            for start in range(0, len(records), 10):
                with store.write_batch() as batch:
                    for key, value in records[start : start + 10]:
                        if value is None:
                            batch.delete(key)
                        else:
                            batch.put(key, value)
    return Path(folder)


def datum(image, label=0, **fields):
    """The bytes of a Datum of an image (C, H, W): bytes if uint8, floats otherwise."""
    c, h, w = np.shape(image)
    message = schema.Datum(channels=c, height=h, width=w, label=label)
    if image.dtype == np.uint8:
        message.data = image.tobytes()
    else:
        message.float_data.extend(float(v) for v in image.ravel())
    for name, value in fields.items():
        setattr(message, name, value)
    return message.SerializeToString()


def image_lmdb(folder, images, labels=None):
    """A data set of images, keys as Caffe's tools write them."""
    labels = range(len(images)) if labels is None else labels
    pairs = zip(images, labels, strict=True)
    return write_lmdb(folder, [(b"%08d" % i, datum(x, y)) for i, (x, y) in enumerate(pairs)])


def random_images(count, shape=(3, 5, 4), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def annotated(image, objects=(), kind=0, **fields):
    """The bytes of an AnnotatedDatum of an image (C, H, W).

    objects   (class, instance, xmin, ymin, xmax, ymax, difficult), those of a class together
    kind      its type, or None
    fields    further ones of its Datum
    """
    message = schema.AnnotatedDatum()
    message.datum.MergeFromString(datum(image, **fields))
    if "label" not in fields:
        message.datum.ClearField("label")
    if kind is not None:
        message.type = kind
    for label, instance, *box, difficult in objects:
        groups = message.annotation_group
        if not groups or groups[-1].group_label != label:
            groups.add(group_label=label)
        one = groups[-1].annotation.add(instance_id=instance)
        one.bbox.xmin, one.bbox.ymin, one.bbox.xmax, one.bbox.ymax = box
        one.bbox.difficult = bool(difficult)
    return message.SerializeToString()
