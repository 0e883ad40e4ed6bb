"""Records of described data sets: LMDB, LevelDB and HDF5, and pictures of any array."""

import io

import numpy as np
import pytest

from minidl.data import browsing, described
from minidl.data.described import DataSet, Split
from minidl.errors import DataError, UsageError
from tests.data.support import datum, image_lmdb, random_images, write_leveldb, write_lmdb

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

IMAGES = random_images(6)
LABELS = [0, 2, 1, 2, 2, 0]
RECORDS = [
    (b"%08d_c%d/x %d.png" % (i, label, i), datum(pixels, label))
    for i, (pixels, label) in enumerate(zip(IMAGES, LABELS, strict=True))
]


def described_as(folder, store, backend="lmdb", labels=LABELS, target="", **more):
    split = Split(len(IMAGES), store, backend, target=target)
    described.write(folder, DataSet("classification", {"val": split}, **more))
    if labels is not None:
        described.write_labels(folder, "val", labels)
    return browsing.Part(folder, "val")


@pytest.mark.parametrize("write, kind", [(write_lmdb, "lmdb"), (write_leveldb, "leveldb")])
def test_records_have_names_pictures_and_labels(write, kind, tmp_path):
    write(tmp_path / "store", RECORDS)
    part = described_as(tmp_path, "store", kind)
    assert len(part) == 6 and part[4].name == "c2/x 4.png" and part[4].target is None
    np.testing.assert_array_equal(part[4].image, IMAGES[4])
    assert list(part.of_label(2)) == [1, 3, 4] and list(part.of_label(None)) == list(range(6))
    assert list(part.of_label(7)) == []


def test_rows_of_hdf5_files_are_records_too(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = np.stack(IMAGES)[:4] / 7
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["data"] = np.stack(IMAGES)[4:] / 7
    (tmp_path / "list").write_text(f"{tmp_path}/a.h5\n{tmp_path}/b.h5\n")
    part = described_as(tmp_path, "list", "hdf5")
    np.testing.assert_allclose(part[5].image, IMAGES[5] / 7, rtol=1e-6)
    assert part[5].name == "row 5"


def test_second_pictures_come_with_the_first(tmp_path):
    image_lmdb(tmp_path / "store", IMAGES)
    image_lmdb(tmp_path / "second", IMAGES[::-1])
    part = described_as(tmp_path, "store", target="second", labels=None)
    np.testing.assert_array_equal(part[1].target, IMAGES[4])
    with pytest.raises(UsageError, match="its records have no labels"):
        part.of_label(0)


def test_what_is_not_there_is_refused(tmp_path):
    image_lmdb(tmp_path / "store", IMAGES)
    described_as(tmp_path, "store")
    with pytest.raises(UsageError, match=r"has no part 'vla'(.|\n)*did you mean 'val'"):
        browsing.Part(tmp_path, "vla")
    image_lmdb(tmp_path / "shorter", IMAGES[:2])
    with pytest.raises(DataError, match="has 2 records, but was described with 6"):
        described_as(tmp_path, "shorter")


AXES = {"(5,)": (1, 1, 5), "(4, 5)": (1, 4, 5), "(3, 4, 5)": (3, 4, 5), "(2, 3, 4, 5)": (2, 12, 5)}


@pytest.mark.parametrize("shape", AXES)
def test_arrays_of_any_axes_become_pictures(shape):
    row = np.zeros(eval(shape))
    assert browsing.as_picture(row).shape == AXES[shape]


# ---------------------------------------------------------------------- pictures for people


def opened(data):
    return np.asarray(image.open(io.BytesIO(data)))


def test_bytes_are_shown_as_they_are():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 6), np.uint8)
    np.testing.assert_array_equal(opened(browsing.png(pixels[:1])), pixels[0])
    colour = pixels[2::-1].transpose(1, 2, 0)
    np.testing.assert_array_equal(opened(browsing.png(pixels[:3])), colour)
    np.testing.assert_array_equal(opened(browsing.png(pixels)), colour)  # without alpha
    np.testing.assert_array_equal(opened(browsing.png(pixels[:2])), pixels[0])


FLOATS = {
    "from least to greatest": ([[-1, 0.5, 2]], [[0, 128, 255]]),
    "all alike": ([[7, 7, 7]], [[0, 0, 0]]),
    "no numbers": ([[np.nan, np.inf, 4]], [[0, 0, 255]]),
}


@pytest.mark.parametrize("values, expected", FLOATS.values(), ids=FLOATS.keys())
def test_of_floats_the_least_is_black_and_the_greatest_white(values, expected):
    got = opened(browsing.png(np.float32([values])))
    np.testing.assert_array_equal(got, expected)


def test_the_longest_side_is_bounded_and_nothing_is_enlarged():
    pixels = np.zeros((1, 40, 100), np.uint8)
    assert opened(browsing.png(pixels, 50)).shape == (20, 50)
    assert opened(browsing.png(pixels, 500)).shape == (40, 100)


def test_labels_have_the_colours_of_pascal_voc():
    # Source: the colour map of the VOC development kit.
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 8: (64, 0, 0)}
    known |= {15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}
    for label, colour in known.items():
        assert tuple(browsing.colours()[label]) == colour
    data = browsing.png_of_classes(np.array([[[0, 1], [15, 255]]], np.uint8), ignore=255)
    shown = np.asarray(image.open(io.BytesIO(data)).convert("RGB"))
    assert shown.tolist() == [[[0, 0, 0], [128, 0, 0]], [[192, 128, 128], [255] * 3]]
