"""Show a picture as a data set would hold it.

minidl dataset preview cat.jpg --size 256 --resize half_crop --out cat.png
"""

from __future__ import annotations

import base64
from argparse import Namespace
from typing import Any

from minidl.cli.arguments import Parser
from minidl.cli.dataset import folder
from minidl.errors import UsageError

MOST = 50_000_000  # pixels


def add_arguments(parser: Parser) -> None:
    parser.add_argument("picture", metavar="PICTURE", help="a picture's file")
    parser.add_argument(
        "--size", type=folder.size, metavar="N", help="side, or H,W (default: its own)"
    )
    folder.add_resize(parser)
    parser.add_argument("--out", metavar="FILE", help="where to write the PNG")
    parser.add_argument("--json", action="store_true", help="print JSON, with the PNG in it")


def run(args: Namespace) -> int:
    from minidl.cli import as_json
    from minidl.data import browsing
    from minidl.storage import files

    if not args.out and not args.json:
        raise UsageError("where to?", where="minidl dataset preview", expected="--out FILE, --json")
    before, after = _made(args)
    data = browsing.png(after)
    if args.out:
        files.write_all(args.out, [data])
    if args.json:
        sizes = {"size": list(after.shape[1:]), "channels": len(after)}
        old = {"from": list(before.shape[1:]), "resize": args.resize}
        print(as_json.dumps(sizes | old | {"png": base64.b64encode(data).decode("ascii")}))
    else:
        print(f"{args.out}  {_size(before)} became {_size(after)} by {args.resize}")
    return 0


def _made(args: Namespace) -> tuple[Any, Any]:
    """Return the picture as it is, and as a record: what is stored, read again."""
    from minidl.data import imageset, picture_form
    from minidl.data.sources import image
    from minidl.errors import DataError
    from minidl.storage import files

    color = folder.color(args)
    data = files.read(args.picture, "picture", limit=image.MOST_BYTES).tobytes()
    try:
        before = image.decode(data, color)
        if len(before) == 4:  # data sets have no alpha
            before = image.decode(data, True)
    except DataError as error:
        error.where = args.picture
        raise
    size = args.size or before.shape[1:]
    if size[0] * size[1] > MOST:
        raise UsageError(
            f"{size[0]} x {size[1]} is too large for a preview",
            where="--size",
            expected=f"at most {MOST:,} pixels",
        )
    form = picture_form.Form(mode=args.resize, encode=args.encode_type or "")
    stored = form.stored(size, len(before) == 3)
    assert stored.resize is not None
    after = stored.resize(before)
    if stored.encode_type:
        after = image.decode(imageset.encode(after, stored.encode_type), len(before) == 3)
    return before, after


def _size(image: Any) -> str:
    return f"{image.shape[1]} x {image.shape[2]}"
