"""Boxes in a part of their image, against the definition, box by box."""

import numpy as np
import pytest

from minidl import schema
from minidl.data.annotated.boxes import areas, common, emitted, mirrored, project, share

BOXES = np.array(
    [[0.1, 0.2, 0.5, 0.9], [0.6, 0.1, 0.9, 0.3], [-0.2, 0.4, 0.3, 1.2], [0.5, 0.5, 0.5, 0.7]],
    np.float32,
)
PART = np.array([0.25, 0.1, 0.75, 0.6], np.float32)


def overlap(a, b):
    sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1)]
    return sides[0] * sides[1] if min(sides) > 0 else 0.0


def test_areas_and_what_two_boxes_share():
    np.testing.assert_allclose(areas(BOXES), [0.28, 0.06, 0.4, 0], rtol=1e-6)
    assert areas(np.array([[0.5, 0.1, 0.2, 0.9]])) == 0
    wanted = [[overlap(a, b) for b in BOXES[::-1]] for a in BOXES]
    np.testing.assert_allclose(common(BOXES, BOXES[::-1]), wanted, atol=1e-7)


def test_a_box_is_where_it_is_in_the_part():
    boxes, there = project(PART, BOXES)
    np.testing.assert_allclose(
        boxes[:3],
        [[0, 0.2, 0.5, 1], [0.7, 0, 1, 0.4], [0, 0.6, 0.1, 1]],
        atol=1e-6,
    )
    assert there.tolist() == [True, True, True, False]
    assert not project(PART, np.array([[0.8, 0, 1, 1]], np.float32))[1].any()


def test_of_what_is_not_a_number_nothing_is_seen():
    assert not project(PART, np.full((1, 4), np.nan, np.float32))[1].any()


@pytest.mark.parametrize(
    "keywords, wanted",
    [
        (dict(), [True, False, False, True]),  # the centres: x 0.3, 0.75, 0.05, 0.5; y 0.55, ...
        (dict(emit_type=1, emit_overlap=0.3), [True, True, False, False]),
        (dict(emit_type=1, emit_overlap=0.5), [False, False, False, False]),
        (dict(emit_type=1), [True, True, True, False]),
    ],
)
def test_an_object_of_a_part_is_what_the_constraint_says(keywords, wanted):
    boxes = BOXES.copy()
    boxes[1] = [0.7, 0.1, 0.81, 0.3]  # its centre is beyond 0.75, and 5/11 of it is within
    found = emitted(PART, boxes, schema.EmitConstraint(**keywords))
    assert found.tolist() == wanted


def test_mirrored_twice_is_as_before():
    np.testing.assert_allclose(mirrored(BOXES)[0], [0.5, 0.2, 0.9, 0.9], rtol=1e-6)
    np.testing.assert_allclose(mirrored(mirrored(BOXES)), BOXES, atol=1e-7)


def test_nothing_of_nothing_is_no_share():
    assert share(np.array([0.0, 0.2]), np.array([0.0, 0.8])).tolist() == [0, 0.25]
