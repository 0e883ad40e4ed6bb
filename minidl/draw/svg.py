"""A net as a picture: boxes with arrows, in SVG, which browsers and editors show as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as escape_html

from minidl.draw.placing import Placed, Point, place

FONT, LINE, PAD, MARGIN = 12.0, 16.0, 9.0, 14.0
FAMILY = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
# Widths of letters in parts of the font's size, on the generous side: which font there will be is
# not known here.
NARROW, WIDE = set("iljtfrI.,:;|!'()[]/ "), set("mwMW@%×")

COLOURS = {  # a layer's family: fill, border
    "data": ("#e3e7ea", "#77828c"),
    "weights": ("#cfe2f7", "#3d74b0"),
    "pooling": ("#d5ecd2", "#4d8c46"),
    "norm": ("#f7eec4", "#a78f28"),
    "activation": ("#fbdfc5", "#bd7431"),
    "loss": ("#f6ced0", "#b3474d"),
    "combine": ("#e4d7f1", "#7d58a8"),
    "shape": ("#f0ece6", "#8a8378"),
    "sequence": ("#d6d9f5", "#5560ad"),
    "detection": ("#d0ebe7", "#3f8f86"),
    "": ("#f3f3f3", "#8a8a8a"),
}


@dataclass(frozen=True)
class Box:
    """One box: a title, lines below it, strips for what works on it in place, shapes of its tops.

    family    its colour: a key of COLOURS
    strips    (family, text) each
    """

    title: str
    lines: Sequence[str] = ()
    strips: Sequence[tuple[str, str]] = ()
    shapes: Sequence[str] = ()
    family: str = ""

    @property
    def size(self) -> Point:
        """Width and height."""
        texts = [(self.title, 1.08), *((text, 1.0) for text in (*self.lines, *self.shapes))]
        texts += [(text, 1.0) for _, text in self.strips]
        width = max(text_width(text) * scale for text, scale in texts)
        rows = 1 + len(self.lines) + len(self.strips) + len(self.shapes)
        return width + 2 * PAD, rows * LINE + PAD


def text_width(text: str) -> float:
    """About how wide a text is, in pixels."""
    widths = (
        0.36 if c in NARROW else 0.92 if c in WIDE else 0.72 if c.isupper() else 0.58 for c in text
    )
    return FONT * sum(widths)


def svg(
    boxes: Sequence[Box],
    arrows: Sequence[tuple[int, int, str]],
    title: str = "",
    across: bool = False,
) -> str:
    """The picture.

    arrows   (from, to, what it carries) by number of the box; a box comes after those before it
    across   from left to right, not from top to bottom
    """
    sizes = [turned(box.size, not across) for box in boxes]
    placed = place(sizes, [(a, b) for a, b, _ in arrows], gap=44 if across else 30)
    width, height = turned(placed.size, not across)
    head = LINE + 8 if title else 0.0
    whole = width + 2 * MARGIN, height + 2 * MARGIN + head
    title_width = text_width(title) * 1.25 + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{max(whole[0], title_width):.0f}" '
        f'height="{whole[1]:.0f}" font-family="{FAMILY}" font-size="{FONT:g}">',
        '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
        '<path d="M0.5,0.5 L7.5,4 L0.5,7.5 Z" fill="#555"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    if title:
        parts.append(
            f'<text x="{MARGIN}" y="{MARGIN + FONT}" font-size="15" font-weight="bold">'
            f"{escape(title)}</text>"
        )
    parts.append(f'<g transform="translate({MARGIN:g},{MARGIN + head:g})">')
    parts += [
        _arrow(way, text, across) for way, (_, _, text) in zip(placed.ways, arrows, strict=True)
    ]
    parts += _boxes(boxes, placed, across)
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _boxes(boxes: Sequence[Box], placed: Placed, across: bool) -> list[str]:
    drawn = []
    for box, centre in zip(boxes, placed.centres, strict=True):
        (x, y), (width, height) = turned(centre, not across), box.size
        drawn.append(_box(box, x - width / 2, y - height / 2))
    return drawn


def _box(box: Box, left: float, top: float) -> str:
    (width, height), (fill, border) = box.size, COLOURS[box.family]
    parts = [
        f'<g transform="translate({left:.1f},{top:.1f})">',
        f'<rect width="{width:.1f}" height="{height:.1f}" rx="4" fill="{fill}" stroke="{border}"/>',
    ]
    y = PAD / 2
    for i, text in enumerate((box.title, *box.lines)):
        parts.append(_text(text, width / 2, y, ' font-weight="bold"' if i == 0 else ""))
        y += LINE
    for family, text in box.strips:
        strip, edge = COLOURS[family]
        parts.append(
            f'<rect x="0.5" y="{y:.1f}" width="{width - 1:.1f}" height="{LINE:g}" fill="{strip}" '
            f'stroke="{edge}" stroke-width="0.5"/>'
        )
        parts.append(_text(text, width / 2, y))
        y += LINE
    for text in box.shapes:
        parts.append(_text(text, width / 2, y, ' fill="#444" font-style="italic"'))
        y += LINE
    return "\n".join([*parts, "</g>"])


def _text(text: str, x: float, top: float, style: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{top + LINE - 4:.1f}" text-anchor="middle"{style}>'
        f"{escape(text)}</text>"
    )


def _arrow(way: Sequence[Point], text: str, across: bool) -> str:
    """Curves that leave and arrive along, straight where the way passes a rank."""
    points = [turned(point, not across) for point in way]
    path = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    for i in range(1, len(points)):
        (x1, y1), (x2, y2) = points[i - 1], points[i]
        if i % 2 == 0:
            path.append(f"L{x2:.1f},{y2:.1f}")
        elif across:
            middle = (x1 + x2) / 2
            path.append(f"C{middle:.1f},{y1:.1f} {middle:.1f},{y2:.1f} {x2:.1f},{y2:.1f}")
        else:
            middle = (y1 + y2) / 2
            path.append(f"C{x1:.1f},{middle:.1f} {x2:.1f},{middle:.1f} {x2:.1f},{y2:.1f}")
    return (
        f'<path d="{" ".join(path)}" fill="none" stroke="#555" marker-end="url(#tip)">'
        f"<title>{escape(text)}</title></path>"
    )


def escape(text: str) -> str:
    """Text for XML, which has no form at all for most control characters."""
    return escape_html("".join(c if c >= " " or c in "\t\n" else "\ufffd" for c in text))


def turned(point: Point, turn: bool) -> Point:
    """Between (along, across) and (x, y): from top to bottom the two change places."""
    return (point[1], point[0]) if turn else point
