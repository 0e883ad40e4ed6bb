"""Detector: windows cut, enlarged and padded as R-CNN's were."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.detector import with_context
from minidl.io import resize_image

NET = """
name: "window"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }
layer { name: "scale" type: "Power" bottom: "data" top: "out" }
"""
IMAGE = np.random.default_rng(1).random((20, 30, 3), np.float32)
MEAN = np.array([1.0, 2.0, 3.0])


def detector(**options):
    return minidl.Detector(NET, None, mean=MEAN, raw_scale=255, channel_swap=(2, 1, 0), **options)


def seen(net, window):
    """What the net is given for one window: 3 x 8 x 8."""
    (found,) = net.detect_windows([(IMAGE, [window])])
    assert found["window"].tolist() == list(window) and found["filename"] == ""
    return found["prediction"].reshape(3, 8, 8)


def prepared(crop):
    bgr = crop[..., ::-1] * 255.0 - MEAN
    return np.moveaxis(bgr, 2, 0)


def test_a_window_is_cut_and_resized():
    expected = prepared(resize_image(IMAGE[2:13, 5:9], (8, 8)))
    np.testing.assert_allclose(seen(detector(), (2, 5, 13, 9)), expected, rtol=1e-4, atol=1e-3)


def test_the_surroundings_of_a_window_are_seen():
    """8 - 2 * 2 of 8 pixels for the window: 5 rows become 10, 6 to 10 become 3.5 to 12.5."""
    context = with_context((6, 10, 10, 16), 2, 8, (20, 30))
    assert context == ((4, 6, 14, 20), (0, 0), (8, 8))
    expected = prepared(resize_image(IMAGE[4:14, 6:20], (8, 8)))
    found = seen(detector(context_pad=2), (6, 10, 10, 16))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_the_rounding_is_pycaffes():
    """-1 to 9, of which 0 to 9 are there; at 227 pixels for 11 that is 20.6, then 206.4."""
    context = with_context((0, 0, 7, 7), 16, 227, (20, 30))
    assert context == ((0, 0, 9, 9), (21, 21), (206, 206))


def test_beyond_the_image_there_is_the_mean():
    """At the upper left corner a quarter of the input lies above, and a quarter left of it."""
    found = seen(detector(context_pad=2), (0, 0, 7, 7))
    np.testing.assert_allclose(found[:, :2], 0, atol=1e-4)
    np.testing.assert_allclose(found[:, :, :2], 0, atol=1e-4)
    assert np.abs(found[:, 2:, 2:]).min() > 0.01


def test_the_lower_right_corner_is_padded_as_well():
    found = seen(detector(context_pad=2), (12, 22, 20, 30))
    np.testing.assert_allclose(found[:, -1], 0, atol=1e-4)
    np.testing.assert_allclose(found[:, :, -1], 0, atol=1e-4)
    assert np.abs(found[:, :5, :5]).min() > 0.01


@given(st.data())
def test_the_box_lies_in_the_image_and_its_picture_in_the_input(data):
    height, width = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    side = data.draw(st.integers(3, 64))
    pad = data.draw(st.integers(1, (side - 1) // 2))
    ymin, xmin = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = (ymin, xmin, data.draw(st.integers(ymin + 1, height)))
    window += (data.draw(st.integers(xmin + 1, width)),)
    box, pads, size = with_context(window, pad, side, (height, width))
    for axis, length in enumerate((height, width)):
        assert 0 <= box[axis] < box[axis + 2] <= length
        assert box[axis] <= window[axis] and box[axis + 2] >= window[axis + 2]
        assert 0 <= pads[axis] and 1 <= size[axis] and pads[axis] + size[axis] <= side


def test_several_windows_of_several_images(tmp_path):
    image_module = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    path = str(tmp_path / "a.png")
    image_module.fromarray((IMAGE * 255).astype(np.uint8)).save(path)
    windows = [(0, 0, 8, 8), (2, 3, 18, 27), (5, 5, 6, 6)]
    found = detector().detect_windows([(path, windows), (IMAGE, windows[:1])])
    assert [entry["filename"] for entry in found] == [path] * 3 + [""]
    assert [tuple(entry["window"]) for entry in found] == [*windows, windows[0]]
    first, last = found[0]["prediction"], found[-1]["prediction"]
    np.testing.assert_allclose(first, last, atol=1)  # bytes beside floats


def test_no_windows_no_scores():
    assert detector().detect_windows([(IMAGE, [])]) == []


REFUSED = {
    "outside": (lambda: seen(detector(), (0, 0, 21, 5)), r"\(0, 0, 21, 5\)(.|\n)*20 x 30"),
    "empty": (lambda: seen(detector(), (5, 5, 5, 9)), r"\(5, 5, 5, 9\)"),
    "pad": (lambda: detector(context_pad=4), "context_pad is 4(.|\n)*below half its side"),
    "search": (lambda: detector().detect_selective_search(["x"]), "Matlab(.|\n)*detect_windows"),
}


@pytest.mark.parametrize("do, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused(do, message):
    with pytest.raises(minidl.MinidlError, match=message):
        do()
