"""Decode image files (JPEG, PNG, ...) to the arrays that Caffe's nets expect."""

from __future__ import annotations

import contextlib
import io
import os
import re
from typing import Any

import numpy as np

from minidl.errors import DataError, UsageError
from minidl.storage import files, sniff

# Formats that may be opened, by Pillow's names. Of the others some are programs to be run by
# others (EPS by Ghostscript), some have hardly been read since they were written.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000")
MOST_BYTES = 1 << 30  # of a file
_BANDS = {"RGB": "BGR", "RGBA": "BGRA"}
_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_SIXTEEN_BITS = ("PNG", "PPM")  # formats whose mode "I" has no more
_ORIENTATION = 0x0112  # the number of EXIF's field
_BEGINNINGS = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"RIFF")
_PNG, _PNG_DEPTH = b"\x89PNG\r\n\x1a\n", 24  # start of a PNG; offset of its bit depth


def read(path: str, where: str) -> bytes:
    """Return the bytes of a file that a list names; `where` is the list. Errors: DataError."""
    try:
        return files.read(path, "image", limit=MOST_BYTES).tobytes()
    except UsageError as error:
        absent = not os.path.exists(path)
        raise DataError(
            f"{path} cannot be read: {error.found}",
            where=where,
            expected=error.expected,
            fix="set root_folder to the folder in front of the paths" if absent else "",
        ) from None


def is_image(data: bytes) -> bool:
    """Return whether these bytes begin as a JPEG, PNG, GIF or WebP file does."""
    return data.startswith(_BEGINNINGS)


def decode(data: bytes, color: bool | None = None, upright: bool = True) -> np.ndarray:
    """Return an image file as uint8 of shape (C, H, W), channels in the order blue, green, red.

    data      the whole file
    color     True: 3 channels; False: 1 channel (grey); None: 1 for grey files, 3 for colour, and
              a fourth, alpha, where the file has one
    upright   turn a picture as its EXIF orientation says (Pillow turns TIFF files in any case)

    As OpenCV, which Caffe uses: grey of a colour JPEG is the Y channel that the file holds; of 16
    bits the upper 8 count; cameras' orientation is honoured (from OpenCV 3.1 on). JPEG decoders
    round differently, by one or two.

    Needs Pillow, which refuses images of more than 178 million pixels: a small file can claim any
    size. Errors: DataError.
    """
    picture = _opened(data)
    with picture:
        try:
            if color is False:
                picture.draft("L", picture.size)  # a JPEG's own grey
            picture.load()
        except Exception as error:  # damaged files make Pillow raise nearly anything
            raise _not_whole(data, error) from None
        bands = _bands(picture, color)
        return _turned(np.stack(bands), _orientation(picture) if upright else 1)


def is_plain(data: bytes, upright: bool = True) -> bool:
    """Return whether any reader sees three channels of 8 bits in an image file as it is.

    upright   for a reader that honours EXIF's orientation; otherwise the file must not have any
    """
    with _opened(data) as picture:
        deep = data.startswith(_PNG) and data[_PNG_DEPTH] == 16
        plain = picture.mode == "RGB" and "transparency" not in picture.info and not deep
        return plain and (upright or _orientation(picture) == 1)


def _opened(data: bytes) -> Any:
    """Return Pillow's picture of a file, not yet decoded."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError(
            "holds an encoded image, and Pillow, which decodes it, is not installed",
            fix="pip install Pillow",
        ) from None
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.UnidentifiedImageError:
        if is_image(data):
            raise _not_whole(data, ValueError("it is cut short, or damaged")) from None
        kind = sniff.guess(data[:1024]).removesuffix(" (a prototxt?)")
        raise DataError(
            f"holds {len(data)} bytes that are not an image" + (f": {kind}" if kind else ""),
            expected=f"an image file: {', '.join(FORMATS)}",
        ) from None
    except Exception as error:
        raise _not_whole(data, error) from None


def _not_whole(data: bytes, error: Exception) -> DataError:
    reason = re.sub(r"<[^<>]* object at 0x\w+>", "the file", str(error))[:200]
    return DataError(
        f"holds {len(data)} bytes that are not a whole image: {reason or type(error).__name__}",
        expected=f"an image file: {', '.join(FORMATS)}",
    )


def _bands(picture: Any, color: bool | None) -> list[np.ndarray]:
    """Return the channels of a decoded picture.

    By channel: half the copying that transposing an (H, W, C) array takes.
    """
    mode = picture.mode
    if mode.startswith(("I", "F")):
        return [_upper_byte(picture)] * (3 if color else 1)
    if color is None:
        alpha = mode in _ALPHA or "transparency" in picture.info
        wanted = "L" if mode in ("1", "L") else "RGBA" if alpha else "RGB"
    else:
        wanted = "RGB" if color else "L"
    if wanted == "L":
        return [np.asarray(_converted(picture, "L"))]
    picture = _converted(picture, wanted)
    return [np.asarray(picture.getchannel(band)) for band in _BANDS[wanted]]


def _converted(picture: Any, wanted: str) -> Any:
    """Return the picture in another of Pillow's modes, through RGB if there is no direct way."""
    if picture.mode in ("RGBa", "La"):
        picture = picture.convert("RGBA" if picture.mode == "RGBa" else "LA")
    if picture.mode in ("CMYK", "YCbCr", "HSV") and wanted == "L":
        picture = picture.convert("RGB")
    if picture.mode == wanted:
        return picture
    try:
        return picture.convert(wanted)
    except ValueError:
        raise DataError(
            f"holds an image of mode {picture.mode}",
            expected="grey, RGB, CMYK or a palette, perhaps with alpha",
        ) from None


def _upper_byte(picture: Any) -> np.ndarray:
    """Return the upper 8 of a grey picture's 16 bits. Errors: DataError for other number types."""
    sixteen = picture.mode.startswith("I;16") or picture.format in _SIXTEEN_BITS
    if not sixteen or picture.mode == "F":
        raise DataError(
            f"holds an image of mode {picture.mode}, numbers of 32 bits",
            expected="8 or 16 bits for each channel",
        )
    return (np.asarray(picture) >> 8).astype(np.uint8)


def _orientation(picture: Any) -> int:
    """Return the EXIF orientation of a decoded picture, 1 (upright) to 8; 1 if it is not valid."""
    value: Any = 1
    with contextlib.suppress(Exception):  # damaged EXIF counts as none
        value = picture.getexif().get(_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """A picture (C, H, W) turned upright; EXIF's 5 to 8 exchange rows and columns."""
    if orientation >= 5:
        pixels = pixels.swapaxes(1, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, :, ::-1]
    return np.ascontiguousarray(pixels)
