"""Pictures of records, found again where they came from."""

import base64
import io

import numpy as np
import pytest

from minidl.data import lmdb_writer
from minidl.evaluation import pictures
from minidl.evaluation.sources import Origin
from tests.data.support import annotated, write_lmdb

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
RNG = np.random.default_rng(9)
PIXELS = RNG.integers(0, 256, (4, 3, 5, 6)).astype(np.uint8)


def shown(text):
    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        return np.asarray(picture)


def test_bytes_are_shown_with_blue_first_and_maps_in_colours():
    np.testing.assert_array_equal(
        shown(pictures.png(PIXELS[0])), PIXELS[0, ::-1].transpose(1, 2, 0)
    )
    classes = np.array([[[0, 1], [2, 255]]], np.uint8)
    with Image.open(io.BytesIO(base64.b64decode(pictures.png_of_classes(classes)))) as picture:
        colours = np.asarray(picture.convert("RGB"))
    assert colours.tolist() == [[[0, 0, 0], [128, 0, 0]], [[0, 128, 0], [255, 255, 255]]]


def test_pixels_are_rounded_and_cut():
    values = np.array([-3.0, 0.4, 0.6, 254.7, 300.0, np.nan])
    assert pictures.to_bytes(values).tolist() == [0, 0, 1, 255, 255, 0]


def origins(folder):
    """The same four pictures in stores, boxes, HDF5 and files: (origin, names)."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    lmdb_writer.write(folder / "plain", PIXELS, np.zeros(4, int))
    write_lmdb(folder / "boxes", [(b"%08d_a.png" % i, annotated(x)) for i, x in enumerate(PIXELS)])
    with h5py.File(folder / "rows.h5", "w") as file:
        file["pics"] = PIXELS.astype("f4")
    (folder / "rows.txt").write_text(f"{folder / 'rows.h5'}\n")
    for i, x in enumerate(PIXELS):
        Image.fromarray(x[::-1].transpose(1, 2, 0)).save(folder / f"{i}.png")
    return [
        (Origin("store", str(folder / "plain")), [f"{i:08d}" for i in range(4)]),
        (Origin("boxes", str(folder / "boxes")), ["a.png"] * 4),
        (Origin("hdf5", str(folder / "rows.txt"), "pics"), ["0", "1", "2", "3"]),
        (Origin("files", str(folder)), [f"{i}.png" for i in range(4)]),
    ]


def test_every_kind_of_origin_gives_the_picture_again(tmp_path):
    for origin, names in origins(tmp_path):
        found = pictures.found(origin, [(2, names[2]), (0, names[0])])
        for picture, number in zip(found, (2, 0), strict=True):
            np.testing.assert_array_equal(picture, PIXELS[number], err_msg=origin.kind)


def test_where_there_is_none_a_sentence_says_why(tmp_path):
    for origin, _ in origins(tmp_path)[:3]:
        (found,) = pictures.found(origin, [(4, "x")])
        assert "4" in found, origin.kind
    gone = Origin("files", str(tmp_path))
    assert "no such image" in pictures.found(gone, [(0, "gone.png")])[0]
    assert "where its records are" in pictures.found(Origin(), [(0, "x")])[0]
