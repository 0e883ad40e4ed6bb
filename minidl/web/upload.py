"""Files that are sent here: pictures, prototxt, weights, lists; bounded, and kept for a week."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from minidl.web import paths, picture_size, scratch
from minidl.web.problems import Refused, TooLarge, Unusable

MOST_FILES = 64
LARGEST, LARGEST_WEIGHTS = 64 << 20, 2 << 30  # bytes
MOST_PIXELS = 50_000_000
WEIGHTS = (".caffemodel", ".h5", ".npz", ".safetensors", ".solverstate")
TEXTS = (".prototxt", ".txt", ".csv", ".binaryproto", ".json")
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".ppm", ".pgm", ".pbm", ".pnm")


async def receive(request: Request, root: Path) -> list[dict[str, Any]]:
    """Store the files of a multipart request: {"name", "path" (from the root), "bytes", "size"}.

    Errors: Refused for a broken body, TooLarge, Unusable for a file of another kind.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise Refused(f"the body is of type '{kind[:60]}'", expected="multipart/form-data")
    try:
        form = await request.form(max_files=MOST_FILES, max_fields=MOST_FILES)
    except (HTTPException, ValueError, KeyError, IndexError, AssertionError) as error:
        if isinstance(error, Refused):  # a ValueError, too
            raise
        raise Refused("the body is not multipart/form-data as it should be") from None
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not files:
            raise Unusable("no file was sent", field="file")
        place = await asyncio.to_thread(scratch.folder, root)
        try:
            return [await asyncio.to_thread(_keep, file, place, root) for file in files]
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
    finally:
        await form.close()


def picture(file: UploadFile, place: Path) -> Path:
    """Store a picture that was sent in a folder; return its path. Errors: those of `receive`."""
    return place / Path(_keep(file, place, place)["path"])


def _keep(file: UploadFile, place: Path, root: Path) -> dict[str, Any]:
    name = Path((file.filename or "file").replace("\\", "/")).name
    suffix = Path(name).suffix.lower()
    size = file.size or 0
    if size > (LARGEST_WEIGHTS if suffix in WEIGHTS else LARGEST):
        raise TooLarge("the file is too large", where=name, expected=f"{LARGEST:,} bytes")
    head = file.file.read(picture_size.NEEDED)
    file.file.seek(0)
    sides = picture_size.size(head)
    if suffix not in (*WEIGHTS, *TEXTS):
        if sides is None or suffix not in PICTURES:
            kinds = ", ".join((*PICTURES, *TEXTS, *WEIGHTS))
            raise Unusable("is not a picture, a prototxt or weights", where=name, expected=kinds)
        if min(sides) < 1 or sides[0] * sides[1] > MOST_PIXELS:
            raise TooLarge(
                f"is a picture of {sides[0]} x {sides[1]}",
                where=name,
                expected=f"{MOST_PIXELS:,} pixels at most",
            )
    stem = paths.slug(Path(name).stem, "file")
    path = place / f"{stem}{suffix}"
    for number in range(2, MOST_FILES + 2):
        if not path.exists():
            break
        path = place / f"{stem}-{number}{suffix}"
    with open(path, "xb") as kept:
        shutil.copyfileobj(file.file, kept, 1 << 20)
    facts = {"name": name, "path": path.relative_to(root).as_posix(), "bytes": size}
    return {**facts, "size": list(sides)} if sides else facts
