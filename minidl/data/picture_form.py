"""The form in which the pictures of a data set are stored: their size, channels and encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from minidl import schema
from minidl.data import imageset, picture_folder
from minidl.data.picture_folder import Looks
from minidl.data.resize import Resize
from minidl.errors import UsageError

MODES = {"squash": "STRETCH", "crop": "CROP", "fill": "FILL", "half_crop": "HALF_CROP"}
SIDE = 256  # of pictures of different sizes


@dataclass
class Form:
    """The form in which pictures are stored.

    size         (height, width); None: the pictures' own if they have one in common, else 256 x 256
    mode         one of MODES
    color        3 channels, else 1; None: 1 if no picture has colours
    encode       "png" or "jpg", to store files; "": plain bytes
    """

    size: tuple[int, int] | None = None
    mode: str = "squash"
    color: bool | None = None
    encode: str = ""

    def settled(self, looks: Looks) -> imageset.Form:
        """Return the form for pictures that look like this."""
        size = self.size or picture_folder.sizes_of(looks, SIDE) or (SIDE, SIDE)
        color = not looks.grey if self.color is None else self.color
        return self.stored(size, color)

    def stored(self, size: tuple[int, int], color: bool) -> imageset.Form:
        """Return the form for this size and number of channels."""
        resize = Resize(resize_param(self.mode, size), reject)
        return imageset.Form(resize, color, bool(self.encode), self.encode)


def resize_param(mode: str, size: tuple[int, int], **more: Any) -> Any:
    """Return the ImageResize of one of MODES."""
    options = {"filter": "ANTIALIAS"} | more
    return schema.ImageResize(mode=MODES[mode], height=size[0], width=size[1], **options)


def reject(found: str, **parts: Any) -> NoReturn:
    """Refuse what a Resize cannot do."""
    parts.pop("field", None)
    raise UsageError(found, **parts)
