"""Image files: channels, their order, and what is not an image."""

import contextlib
import io
import os
import struct
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.data.sources import image
from minidl.errors import DataError

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
ImageOps = pytest.importorskip("PIL.ImageOps", reason="Pillow is not installed")

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


def test_grey_of_a_coloured_jpeg_is_the_y_channel_it_holds():
    """Not that of the colours it decodes to: those are clipped, and their chroma is coarse."""
    stripes = np.uint8([[255, 0, 0], [0, 0, 255], [0, 255, 0], [255, 0, 255]])
    picture = Image.fromarray(stripes[(np.indices((40, 40)).sum(0) // 3) % 4])
    data = file_of(picture, "JPEG", quality=90)
    with Image.open(io.BytesIO(data)) as stored:
        stored.draft("YCbCr", stored.size)  # the channels as they lie in the file
        luma = np.asarray(stored)[..., 0].astype(int)
        assert np.abs(np.asarray(stored.convert("RGB").convert("L")) - luma).max() > 10
    np.testing.assert_allclose(image.decode(data, False)[0], luma, atol=1)


def turned(picture, orientation, form, **options):
    exif = picture.getexif()
    exif[0x0112] = orientation
    return file_of(picture, form, exif=exif, **options)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_exif_says(form, orientation):
    data = turned(Image.fromarray(RGB), orientation, form)
    got = image.decode(data)
    with Image.open(io.BytesIO(data)) as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(got, upright[..., ::-1].transpose(2, 0, 1))
    assert got.flags.c_contiguous
    if form != "TIFF":  # Pillow turns those in any case
        lying = image.decode(turned(Image.fromarray(RGB), 1, form))
        np.testing.assert_array_equal(image.decode(data, upright=False), lying)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_there_is_not_turns_nothing(orientation):
    data = turned(Image.fromarray(RGB), orientation, "PNG")
    np.testing.assert_array_equal(image.decode(data), BGR)


def test_damaged_exif_turns_nothing():
    data = file_of(Image.fromarray(RGB), "PNG", exif=b"Exif\0\0MM\0*\0\0\xff\xff\0")
    np.testing.assert_array_equal(image.decode(data), BGR)


DEEP = np.arange(24, dtype=np.uint16).reshape(4, 6) * 2000 + 255


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_of_sixteen_bits_the_upper_eight_count(form):
    data = file_of(Image.fromarray(DEEP), form)
    expected = (DEEP // 256)[np.newaxis]
    for color in (None, False):
        np.testing.assert_array_equal(image.decode(data, color), expected)
    np.testing.assert_array_equal(image.decode(data, True), np.concatenate([expected] * 3))


def deep_colour():
    """A PNG of 16 bits a channel, which Pillow reads but does not write: DEEP in blue."""
    pixels = np.zeros((4, 6, 3), ">u2")
    pixels[..., 2] = DEEP
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", 6, 4, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = (
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_of_sixteen_bits_of_colour_the_upper_eight_count():
    got = image.decode(deep_colour())
    np.testing.assert_array_equal(got[0], DEEP // 256)
    assert not got[1:].any()


@pytest.mark.parametrize("mode", ["I", "F"])
def test_thirty_two_bits_are_refused(mode):
    with pytest.raises(DataError, match=f"mode {mode}, numbers of 32 bits(.|\n)*8 or 16 bits"):
        image.decode(file_of(Image.fromarray(GREY).convert(mode), "TIFF"))


FILES = {
    "bilevel": Image.fromarray(GREY).convert("1"),
    "grey": Image.fromarray(GREY),
    "grey with alpha": Image.fromarray(np.dstack([GREY, ALPHA])),
    "palette": Image.fromarray(RGB).quantize(16),
    "colour": Image.fromarray(RGB),
    "colour with alpha": Image.fromarray(np.dstack([RGB, ALPHA])),
}


@pytest.mark.parametrize("picture", FILES.values(), ids=FILES.keys())
def test_any_mode_gives_the_channels_that_are_asked_for(picture):
    colours = np.asarray(picture.convert("RGBA"))[..., :3].astype(int)
    data = file_of(picture)
    np.testing.assert_array_equal(image.decode(data, True), colours[..., ::-1].transpose(2, 0, 1))
    luma = colours @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(image.decode(data, False)[0], luma, atol=1)


def test_four_inks_become_three_colours():
    inks = np.random.default_rng(3).integers(0, 256, (8, 8, 4)).astype(np.uint8)
    data = file_of(Image.fromarray(inks, "CMYK"), "TIFF")
    light = 1 - inks.astype(float) / 255
    expected = 255 * (light[..., :3] * light[..., 3:])[..., ::-1].transpose(2, 0, 1)
    for color in (None, True):
        np.testing.assert_allclose(image.decode(data, color), expected, atol=2)
    luma = [0.114, 0.587, 0.299] @ expected.reshape(3, -1)
    np.testing.assert_allclose(image.decode(data, False).reshape(-1), luma, atol=2)
    assert not image.is_plain(data)


def test_other_colours_are_refused_by_name():
    lab = Image.new("LAB", (2, 2))
    with pytest.raises(DataError, match="an image of mode LAB"):
        image.decode(file_of(lab, "TIFF"), False)


def test_only_eight_bits_of_red_green_and_blue_are_plain():
    found = {name: image.is_plain(file_of(picture)) for name, picture in FILES.items()}
    assert [name for name, plain in found.items() if plain] == ["colour"]
    assert image.is_plain(file_of(Image.fromarray(RGB), "JPEG"))
    assert not image.is_plain(deep_colour())
    lying = turned(Image.fromarray(RGB), 6, "JPEG")
    assert image.is_plain(lying) and not image.is_plain(lying, upright=False)


NO_IMAGES = {
    "nothing": (b"", "0 bytes that are not an image: empty"),
    "words": (b"no image", "8 bytes that are not an image\n"),
    "a page": (
        b"\n<!DOCTYPE html><html><body>404",
        "not an image: a web page, not the file itself",
    ),
    "a short page": (b"<head><title>Error</title>", "not an image: a web page"),
    "a page as XML": (b'<?xml version="1.0"?>\n<!DOCTYPE html>', "not an image: a web page"),
    "an answer": (b'{"message": "Not Found"}', "not an image: a text file\n"),
    "a pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid",
        "not an image: a Git LFS pointer",
    ),
    "a drawing": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image: a drawing in SVG"),
    "a video": (b"\0\0\0\x20ftypisom" + bytes(20), "not an image: a video, or a picture in HEIC"),
    "a document": (b"%PDF-1.7", "not an image: a PDF file"),
}


@pytest.mark.parametrize("data, message", NO_IMAGES.values(), ids=NO_IMAGES.keys())
def test_what_is_no_image_is_called_what_it_is(data, message):
    with pytest.raises(DataError) as caught:
        image.decode(data)
    assert message in str(caught.value) and " at 0x" not in str(caught.value)


@pytest.mark.parametrize("data", [COLOUR[:40], COLOUR[:-30]])
def test_what_is_not_a_whole_image_is_refused(data):
    with pytest.raises(DataError, match=f"{len(data)} bytes that are not a whole image") as caught:
        image.decode(data)
    assert " at 0x" not in str(caught.value)


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
    with pytest.raises(DataError, match=r"Pillow(.|\n)*pip install Pillow"):
        image.decode(COLOUR)


def test_no_picture_makes_another_program_run(monkeypatch):
    """An EPS is a program that Pillow has Ghostscript run; others are decoded by other tools."""
    import subprocess

    def started(*args, **_):
        raise AssertionError(f"started {args}")

    monkeypatch.setattr(subprocess.Popen, "__init__", started)
    monkeypatch.setattr(subprocess, "check_call", started)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n"
    with pytest.raises(
        DataError, match=r"not an image: a text file\n  expected: an image file: JPEG"
    ):
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
