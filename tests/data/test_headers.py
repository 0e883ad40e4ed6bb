"""Headers against Pillow: the same, or nothing."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data import headers
from minidl.data.picture_folder import _GREY
from minidl.data.sources.image import FORMATS

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def file(mode, kind, shape=(13, 7), **options):
    bands = len(image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, bands), np.uint8)
    if mode in ("RGB", "RGBA", "L", "LA", "CMYK"):
        picture = image.fromarray(pixels.squeeze(), mode=None) if mode != "CMYK" else None
        picture = picture or image.frombytes("CMYK", shape[::-1], pixels.tobytes())
    else:
        picture = image.fromarray(pixels[..., 0]).convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def exif():
    found = image.Exif()
    found[0x010E] = "x" * 2000
    return found


FILES = {
    **{f"PNG {mode}": file(mode, "PNG") for mode in ("L", "LA", "RGB", "RGBA", "P", "1", "I;16")},
    "PNG with more chunks": file("RGB", "PNG", dpi=(72, 72), icc_profile=b"x" * 500),
    **{f"JPEG {mode}": file(mode, "JPEG") for mode in ("L", "RGB")},
    "JPEG progressive": file("RGB", "JPEG", progressive=True, quality=40),
    "JPEG with EXIF": file("RGB", "JPEG", exif=exif(), dpi=(72, 72), comment=b"hello"),
}
OTHERS = {
    "JPEG of four inks": file("CMYK", "JPEG"),
    "JPEG with a long profile": file("RGB", "JPEG", icc_profile=b"x" * 9000),
    "GIF": file("L", "GIF"),
    "BMP": file("RGB", "BMP"),
    "text": b"no picture",
    "empty": b"",
}


def by_pillow(data):
    with image.open(io.BytesIO(data), formats=FORMATS) as picture:
        grey = picture.mode in _GREY or picture.mode.startswith("I")
        return picture.height, picture.width, grey


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
def test_most_files_are_read_as_pillow_reads_them(data):
    assert headers.look(data[: headers.BYTES]) == by_pillow(data)


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS.keys())
def test_the_rest_is_left_to_pillow(data):
    assert headers.look(data[: headers.BYTES]) is None


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
def test_a_file_that_is_cut_short_is_never_more_than_pillow_sees(data):
    for length in range(min(len(data), headers.BYTES)):
        if headers.look(data[:length]) is not None:
            assert headers.look(data[:length]) == by_pillow(data[:length])


@pytest.mark.parametrize("name, place", [("PNG RGB", 16), ("JPEG RGB", None)])
def test_a_size_beyond_reason_is_left_to_pillow(name, place):
    data = bytearray(FILES[name])
    place = place or data.index(b"\xff\xc0") + 5
    data[place : place + 4] = b"\xff\xff\xff\xff" if name.startswith("JPEG") else b"\0\1\0\0"
    data[place + 4 : place + 8] = data[place + 4 : place + 8] if place > 16 else b"\0\1\0\0"
    assert headers.look(bytes(data)) is None


@given(
    st.sampled_from(list(itertools.chain(FILES.values(), OTHERS.values()))),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=3),
)
def test_damage_never_raises(data, changes):
    damaged = bytearray(data)
    for place, value in changes:
        if place < len(damaged):
            damaged[place] = value
    found = headers.look(bytes(damaged[: headers.BYTES]))
    assert found is None or (found.height > 0 and found.width > 0)
