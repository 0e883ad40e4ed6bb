"""Image files: channels, their order, and what is not an image."""

import contextlib
import io
import os
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.data.sources import image
from minidl.errors import DataError

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

RGB = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
ALPHA = np.random.default_rng(1).integers(0, 256, (4, 6), dtype=np.uint8)
GREY = np.random.default_rng(2).integers(0, 256, (4, 6), dtype=np.uint8)


def file_of(picture, form="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


COLOUR = file_of(Image.fromarray(RGB))
GREY_FILE = file_of(Image.fromarray(GREY))
WITH_ALPHA = file_of(Image.fromarray(np.dstack([RGB, ALPHA])))
BGR = RGB[..., ::-1].transpose(2, 0, 1)


def test_colour_comes_as_blue_green_red():
    got = image.decode(COLOUR)
    assert got.dtype == np.uint8 and got.flags.c_contiguous
    np.testing.assert_array_equal(got, BGR)


def test_grey_stays_one_channel():
    np.testing.assert_array_equal(image.decode(GREY_FILE), GREY[np.newaxis])


def test_alpha_is_the_fourth_channel():
    np.testing.assert_array_equal(image.decode(WITH_ALPHA), np.concatenate([BGR, ALPHA[None]]))


def test_grey_becomes_three_equal_channels_where_colour_is_asked_for():
    np.testing.assert_array_equal(image.decode(GREY_FILE, True), np.stack([GREY] * 3))


def test_alpha_goes_where_colour_is_asked_for():
    np.testing.assert_array_equal(image.decode(WITH_ALPHA, True), BGR)


def test_colour_becomes_its_luma_where_grey_is_asked_for():
    luma = RGB @ [0.299, 0.587, 0.114]
    got = image.decode(COLOUR, False)
    assert got.shape == (1, 4, 6)
    np.testing.assert_allclose(got[0], luma, atol=1)  # OpenCV rounds, Pillow cuts


def test_a_palette_is_looked_up():
    palette = Image.fromarray(RGB).quantize(256)
    expected = np.asarray(palette.convert("RGB"))[..., ::-1].transpose(2, 0, 1)
    np.testing.assert_array_equal(image.decode(file_of(palette)), expected)


def test_jpeg_is_read():
    flat = np.broadcast_to(np.uint8([200, 100, 50]), (16, 16, 3))
    got = image.decode(file_of(Image.fromarray(flat), "JPEG", quality=95))
    np.testing.assert_allclose(got, np.broadcast_to([[[50]], [[100]], [[200]]], got.shape), atol=3)


def test_sixteen_bits_are_refused():
    deep = Image.fromarray(np.arange(24, dtype=np.uint16).reshape(4, 6))
    with pytest.raises(DataError, match="mode I(.|\n)*8 bits"):
        image.decode(file_of(deep))


@pytest.mark.parametrize("data", [b"", b"no image", COLOUR[:40], COLOUR[:-30]])
def test_what_is_not_a_whole_image_is_refused(data):
    with pytest.raises(DataError, match=f"{len(data)} bytes that are not a whole image"):
        image.decode(data)


def test_an_image_that_claims_to_be_huge_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataError, match="not a whole image: Image size"):
        image.decode(COLOUR)


@settings(deadline=None)
@given(st.integers(0, len(COLOUR) - 1), st.integers(0, 255))
def test_a_changed_byte_gives_an_image_or_a_data_error(position, value):
    data = bytearray(COLOUR)
    data[position] = value
    with contextlib.suppress(DataError):
        image.decode(bytes(data))


def test_without_pillow_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"Pillow(.|\n)*pip install 'minidl\[images\]'"):
        image.decode(COLOUR)


def test_no_picture_makes_another_program_run(monkeypatch):
    """An EPS is a program that Pillow has Ghostscript run; others are decoded by other tools."""
    import subprocess

    def started(*args, **_):
        raise AssertionError(f"started {args}")

    monkeypatch.setattr(subprocess.Popen, "__init__", started)
    monkeypatch.setattr(subprocess, "check_call", started)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n"
    with pytest.raises(DataError, match=r"not a whole image\n  expected: an image file: JPEG, PNG"):
        image.decode(eps)


@pytest.mark.parametrize("form", image.FORMATS)
def test_what_is_on_the_list_is_read(form):
    try:
        data = file_of(Image.fromarray(RGB), form)
    except (KeyError, OSError) as error:
        pytest.skip(f"this Pillow writes no {form}: {error}")
    assert image.decode(data, True).shape == (3, 4, 6)


def test_what_is_not_a_regular_file_of_some_size_is_refused_unread(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "large", "wb") as file:
        file.truncate(1 << 40)
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path / "large", tmp_path):
        with pytest.raises(DataError, match="not a regular file|has 1,099,511,627,776|a folder"):
            image.read(str(path), "list.txt:1")
