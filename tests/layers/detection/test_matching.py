"""Matches of boxes and objects, and the hardest of the rest, on examples by hand."""

import numpy as np

from minidl.layers.detection.matching import crosses_border, hardest, match

# Boxes of height 1, so that overlaps can be read off their ends.
BOXES = np.array([[0.0, 0, 4, 1], [1, 0, 5, 1], [6, 0, 10, 1], [8, 0, 12, 1], [20, 0, 24, 1]])


def test_each_object_gets_the_box_that_overlaps_it_most():
    objects = np.array([[1.0, 0, 4, 1], [7, 0, 11, 1]])
    found, overlap = match(BOXES, objects, None)
    assert found.tolist() == [0, -1, 1, -1, -1]  # of equal overlaps the first box
    np.testing.assert_allclose(overlap, [3 / 4, 3 / 4, 3 / 5, 3 / 5, 0])


def test_two_objects_do_not_share_their_best_box():
    objects = np.array([[0.0, 0, 4, 1], [0, 0, 5, 1]])
    assert match(BOXES, objects, None)[0].tolist() == [0, 1, -1, -1, -1]
    one, other = match(BOXES[:1], objects, None)[0], match(BOXES[:1], objects[::-1], None)[0]
    assert one.tolist() == [0] and other.tolist() == [1]


def test_the_rest_take_what_they_overlap_enough():
    objects = np.array([[1.0, 0, 4, 1], [7, 0, 11, 1]])
    assert match(BOXES, objects, 0.75)[0].tolist() == [0, 0, 1, -1, -1]
    assert match(BOXES, objects, 0.6)[0].tolist() == [0, 0, 1, 1, -1]
    assert match(BOXES, objects, 0.0)[0].tolist() == [0, 0, 1, 1, -1]  # but not what is apart


def test_without_objects_nothing_is_matched():
    found, overlap = match(BOXES, np.zeros((0, 4)), 0.5)
    assert (found == -1).all() and (overlap == 0).all()


def test_boxes_that_leave_the_image():
    boxes = np.array([[0, 0, 1, 1], [0.1, -0.1, 0.5, 0.5], [0.5, 0.5, 1.1, 0.9]])
    assert crosses_border(boxes).tolist() == [False, True, True]


def test_the_hardest_candidates():
    losses, candidates = np.array([5.0, 1, 3, 3, 4]), np.array([0, 1, 1, 1, 1], bool)
    assert hardest(losses, candidates, 2).tolist() == [2, 4]
    assert hardest(losses, candidates, 9).tolist() == [1, 2, 3, 4]
    assert hardest(losses, candidates, 0).tolist() == []
