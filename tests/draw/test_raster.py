"""The picture of pixels against that of vectors."""

import pytest

from minidl.draw import raster
from minidl.draw.svg import COLOURS, MARGIN, Box
from minidl.errors import UsageError

pytest.importorskip("PIL", reason="Pillow is not installed")
BOXES = [Box("one", ["Data"], family="data"), Box("two", strips=[("loss", "L")], family="weights")]


@pytest.mark.parametrize("across", [False, True])
def test_boxes_lie_along_the_arrows_with_their_colours(across):
    made = raster.image(BOXES, [(0, 1, "x")], across)
    along = made.width if across else made.height
    first, second = MARGIN * raster.SCALE + 6, along - MARGIN * raster.SCALE - 6
    middle = (made.height if across else made.width) // 2
    places = [(first, middle), (second, middle)] if across else [(middle, first), (middle, second)]
    seen = [made.getpixel((int(x), int(y))) for x, y in places]
    wanted = [
        tuple(bytes.fromhex(COLOURS[f][0][1:])) for f in ("data", "weights" if across else "loss")
    ]
    if across:
        assert seen[0] == wanted[0]
    else:
        assert seen[0] == wanted[0] or seen[0] == (0, 0, 0), "the title may lie there"
    assert made.getpixel((0, 0)) == (255, 255, 255)


def test_a_curve_leaves_and_arrives_along():
    points = list(raster.curve([(0.0, 0.0), (10.0, 4.0), (20.0, 4.0), (30.0, 0.0)]))
    assert points[0] == (0, 0) and points[-1] == (30, 0)
    assert (10.0, 4.0) in points and (20.0, 4.0) in points
    slopes = [(d - b) / (c - a) for (a, b), (c, d) in zip(points, points[1:], strict=False)]
    assert abs(slopes[0]) < 0.2 and abs(slopes[-1]) < 0.2
    assert max(b for _, b in points) == 4


def test_a_picture_beyond_all_measure_is_refused(monkeypatch):
    monkeypatch.setattr(raster, "MOST_PIXELS", 100)
    with pytest.raises(UsageError, match="the picture would have"):
        raster.image(BOXES, [])
