"""Label images: numbers of classes, never colours."""

import io

import numpy as np
import pytest

from minidl.data import label_image
from minidl.errors import DataError

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

LABELS = np.array([[0, 1, 255], [7, 1, 0]], np.uint8)


def file(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def paletted(labels):
    picture = image.fromarray(labels).convert("P")
    picture.putdata(labels.ravel().tolist())
    picture.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    return picture


FILES = {
    "grey": lambda: file(image.fromarray(LABELS)),
    "a palette": lambda: file(paletted(LABELS)),
    "16 bits": lambda: file(image.fromarray(LABELS.astype(np.uint16))),
}


@pytest.mark.parametrize("make", FILES.values(), ids=FILES.keys())
def test_numbers_count(make):
    got = label_image.decode(make())
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, LABELS[None])


def test_one_bit_is_zero_and_one():
    bits = np.array([[True, False, True]])
    np.testing.assert_array_equal(label_image.decode(file(image.fromarray(bits))), bits[None])


REFUSED = {
    "colours": (lambda: image.fromarray(np.zeros((2, 2, 3), np.uint8)), "is a picture of mode RGB"),
    "many": (lambda: image.fromarray(np.array([[300]], np.uint16)), "has labels up to 300"),
}


@pytest.mark.parametrize("make, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_holds_no_labels_is_refused(make, message):
    with pytest.raises(DataError, match=message):
        label_image.decode(file(make()))


def test_a_text_is_refused():
    with pytest.raises(DataError, match="not an image"):
        label_image.decode(b"no picture")
