"""A net as a picture of pixels: what `minidl.draw.svg.svg` draws, by Pillow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from minidl.draw.placing import Point, place
from minidl.draw.svg import COLOURS, FONT, LINE, MARGIN, PAD, Box, turned
from minidl.errors import UsageError

SCALE = 2  # pixels for one of SVG's
MOST_PIXELS = 200_000_000
CURVE = [i / 16 for i in range(1, 17)]


def image(
    boxes: Sequence[Box], arrows: Sequence[tuple[int, int, str]], across: bool = False
) -> Any:
    """The picture as a PIL image; arguments as for `svg`. Needs Pillow."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        fix = "pip install Pillow, or write svg"
        raise UsageError("a picture of pixels needs Pillow", fix=fix) from None
    sizes = [turned(box.size, not across) for box in boxes]
    placed = place(sizes, [(a, b) for a, b, _ in arrows], gap=44 if across else 30)
    width, height = (int((side + 2 * MARGIN) * SCALE) for side in turned(placed.size, not across))
    if width * height > MOST_PIXELS:
        found = f"the picture would have {width} x {height} pixels"
        raise UsageError(found, expected=f"at most {MOST_PIXELS}", fix="write svg")
    made = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(made), ImageFont.load_default(FONT * SCALE)
    for way in placed.ways:
        points = [_pixels(turned(point, not across)) for point in curve(way)]
        pen.line(points, fill="#555", width=SCALE)
        pen.polygon(_tip(points[-1], across), fill="#555")
    for box, centre in zip(boxes, placed.centres, strict=True):
        _draw(pen, font, box, turned(centre, not across))
    return made


def curve(way: Sequence[Point]) -> Iterator[Point]:
    """The points of an arrow: it leaves and arrives along, and is straight where it passes a rank.

    Every other piece is a cubic Bezier curve with its control points halfway along.
    """
    yield way[0]
    for i in range(1, len(way)):
        (a, b), (c, d) = way[i - 1], way[i]
        if i % 2 == 0:
            yield c, d
            continue
        middle = (a + c) / 2
        for t in CURVE:
            u = 1 - t
            along = u**3 * a + 3 * u * t * middle + t**3 * c
            yield along, u * u * (u + 3 * t) * b + t * t * (t + 3 * u) * d


def _draw(pen: Any, font: Any, box: Box, centre: Point) -> None:
    (x, y), (width, height), (fill, border) = centre, box.size, COLOURS[box.family]
    left, top = x - width / 2, y - height / 2
    corners = (*_pixels((left, top)), *_pixels((left + width, top + height)))
    pen.rounded_rectangle(corners, 4 * SCALE, fill=fill, outline=border, width=SCALE)
    at = top + PAD / 2
    texts = [(text, "black") for text in (box.title, *box.lines)]
    rows = [*((None, *text) for text in texts), *((family, t, "black") for family, t in box.strips)]
    for family, text, colour in [*rows, *((None, text, "#444") for text in box.shapes)]:
        if family is not None:
            strip, edge = COLOURS[family]
            corners = (*_pixels((left + 1, at)), *_pixels((left + width - 1, at + LINE)))
            pen.rectangle(corners, fill=strip, outline=edge)
        pen.text(_pixels((x, at + LINE / 2)), text, fill=colour, font=font, anchor="mm")
        at += LINE


def _tip(point: Point, across: bool) -> list[Point]:
    x, y = point
    back, half = 7 * SCALE, 3.5 * SCALE
    if across:
        return [(x, y), (x - back, y - half), (x - back, y + half)]
    return [(x, y), (x - half, y - back), (x + half, y - back)]


def _pixels(point: Point) -> Point:
    return (point[0] + MARGIN) * SCALE, (point[1] + MARGIN) * SCALE
