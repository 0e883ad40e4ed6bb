"""The picture of a net: well-formed SVG with every box, arrow and text."""

import xml.etree.ElementTree as xml

import pytest

from minidl.draw.svg import COLOURS, Box, svg, text_width

NAME = "{http://www.w3.org/2000/svg}"
BOXES = [
    Box("data", ["Input"], shapes=["1 × 3"], family="data"),
    Box("a<b>&c", ["Convolution 3 × 3"], strips=[("activation", "ReLU")], family="weights"),
    Box("end", ["Softmax"]),
]
ARROWS = [(0, 1, "data: 1 × 3"), (1, 2, "<blob>"), (0, 2, "data: 1 × 3")]


def parsed(**options):
    return xml.fromstring(svg(BOXES, ARROWS, **options))


@pytest.mark.parametrize("across", [False, True])
def test_every_text_and_every_arrow_is_there(across):
    root = parsed(title="net & more", across=across)
    texts = [element.text for element in root.iter(f"{NAME}text")]
    assert texts[0] == "net & more"
    assert {"data", "Input", "1 × 3", "a<b>&c", "ReLU", "end"} <= set(texts)
    paths = [e for e in root.iter(f"{NAME}path") if "marker-end" in e.attrib]
    assert [e.find(f"{NAME}title").text for e in paths] == [text for *_, text in ARROWS]


def test_everything_lies_on_the_page():
    root = parsed(title="a title that is much wider than all the boxes of the net, so it is")
    width, height = float(root.get("width")), float(root.get("height"))
    for box in root.iter(f"{NAME}g"):
        if box.find(f"{NAME}rect") is not None:
            x, y = map(float, box.get("transform")[10:-1].split(","))
            rect = box.find(f"{NAME}rect")
            assert x + float(rect.get("width")) <= width
            assert y + float(rect.get("height")) <= height
    assert text_width("a title that is much wider") < width


def test_control_characters_which_xml_does_not_have_are_shown_as_unknown():
    root = xml.fromstring(svg([Box("a\x01b\x1f")], [], title="\x00"))
    assert [e.text for e in root.iter(f"{NAME}text")] == ["\ufffd", "a\ufffdb\ufffd"]


def test_from_left_to_right_it_is_wider_and_less_high():
    down, right = parsed(), parsed(across=True)
    assert float(down.get("height")) > float(right.get("height"))
    assert float(down.get("width")) < float(right.get("width"))


def test_a_box_is_as_wide_as_its_widest_text_and_as_high_as_its_lines():
    small, wide = Box("x"), Box("x", ["a much longer line"])
    assert wide.size[0] > small.size[0]
    assert wide.size[1] > small.size[1]
    for box in BOXES:
        longest = max(map(text_width, (box.title, *box.lines, *box.shapes)))
        assert box.size[0] >= longest


def test_families_have_colours_of_their_own():
    assert len(set(COLOURS.values())) == len(COLOURS)
    text = svg(BOXES, ARROWS)
    assert COLOURS["weights"][0] in text
    assert COLOURS["activation"][0] in text
