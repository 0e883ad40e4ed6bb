"""Lists of images: what a line is, and what it must not be."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data.sources.image_list import ImageList
from minidl.errors import DataError, MinidlError

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
RGB = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


@pytest.fixture
def listed(tmp_path):
    """A list of this text, beside the images a.png and 'b c.png'."""
    for name in ("a.png", "b c.png"):
        Image.fromarray(RGB).save(tmp_path / name)

    def made(text, **options):
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "list.txt").write_bytes(data)
        return ImageList(tmp_path / "list.txt", **options)

    return made


def test_a_line_is_a_path_and_a_label(listed, tmp_path):
    source = listed("a.png 3\nb c.png  -1\r\n\n", root=f"{tmp_path}/")
    assert len(source) == 2 and source.paths == ["a.png", "b c.png"]
    assert [source[i].label for i in range(2)] == [3, -1] and source[0].label_shape == ()
    np.testing.assert_array_equal(source[1].image, RGB[..., ::-1].transpose(2, 0, 1))
    assert source.describe(1, "b c.png") == f"'b c.png', line 2 of {tmp_path}/list.txt"


def test_several_numbers_a_line_are_several_labels(listed):
    source = listed("a.png 3 0.5 1e2\nb c.png -1 .25 7\n")
    np.testing.assert_array_equal(source.labels, [[3, 0.5, 100], [-1, 0.25, 7]])
    assert source.paths == ["a.png", "b c.png"]


def test_paths_that_end_in_a_number_need_the_count_said(listed):
    assert listed("cat 7 3\ncat 8 4\n").count == 2
    source = listed("cat 7 3\ncat 8 4\n", count=1)
    assert source.paths == ["cat 7", "cat 8"] and source.labels[:, 0].tolist() == [3, 4]


def test_a_path_may_be_a_number(listed):
    assert listed("12 3\n").paths == ["12"]


def test_grey_and_colour(listed, tmp_path):
    assert listed("a.png 0", root=f"{tmp_path}/", color=False)[0].image.shape == (1, 4, 6)


def test_names_of_any_bytes_reach_the_file_system(listed, tmp_path):
    assert listed(b"\xff.png 1").paths == ["\udcff.png"]


WRONG = {
    "nothing": ("", "list.txt: lists no image"),
    "blanks alone": ("\n  \n\n", "lists no image"),
    "no label": ("a.png 1\nb.png\n", "list.txt:2: 'b.png' has no label"),
    "no label in the first line": ("a.png\n", "list.txt:1: 'a.png' has no label"),
    "a word for a label": ("a.png 1\nb.png cat\n", "list.txt:2: 'b.png cat' has no label"),
    "no path": ("a.png 1\n7\n", "list.txt:2: '7' has no label"),
    "too few": (
        "a.png 1 2\nb.png 1\n",
        "'b.png 1' has 1 number at its end(.|\n)*blank, 2 numbers",
    ),
    "too many": ("a.png 1 2\nb.png 1 2 3\n", "3 numbers at its end(.|\n)*labels: N"),
    "not a number": ("a.png nan\n", "no label"),
    "zero bytes": ("a.png 1\0\n", "is not a text file"),
    "a web page": ("<!DOCTYPE html>\n<html>1\n", "is a web page"),
}


@pytest.mark.parametrize("text, message", WRONG.values(), ids=WRONG.keys())
def test_odd_lists_are_refused_by_line(listed, text, message):
    with pytest.raises(DataError, match=message):
        listed(text)


def test_all_odd_lines_are_named_at_once(listed):
    with pytest.raises(DataError) as refusal:
        listed("a.png 1\nb.png\nc.png 2\nd.png\n")
    assert re.findall(r"list\.txt:(\d)", str(refusal.value)) == ["2", "4"]


def test_a_list_that_is_absent_or_a_folder_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.txt"):
        with pytest.raises(DataError, match="cannot be read"):
            ImageList(path)


def test_an_absent_image_names_line_and_path(listed, tmp_path):
    with pytest.raises(DataError) as refusal:
        listed("a.png 1\nz.png 2\n", root=f"{tmp_path}/")[1]
    assert re.match(rf".*list\.txt:2: {tmp_path}/z\.png cannot be read", str(refusal.value))
    assert "root_folder" in str(refusal.value)


def test_a_damaged_image_names_line(listed, tmp_path):
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[:40])
    with pytest.raises(DataError, match=r"list\.txt:1: holds 40 bytes that are not a whole image"):
        listed("cut.png 1\n", root=f"{tmp_path}/")[0]


@given(st.binary(max_size=60))
def test_any_bytes_are_a_list_or_an_error_in_words(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzzed.txt"
    path.write_bytes(data)
    try:
        assert len(ImageList(path)) >= 1
    except MinidlError as error:
        assert "fuzzed.txt" in str(error)


def test_labels_beyond_all_numbers_and_special_files_are_refused(tmp_path):
    (tmp_path / "list.txt").write_text("a.png 1\nb.png 1e999\nc.png -1e999\n")
    with pytest.raises(
        DataError, match=r"list.txt:2: the label is inf(.|\n)*:3: the label is -inf"
    ):
        ImageList(tmp_path / "list.txt")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(DataError, match="is not a regular file"):
            ImageList(path)


def test_a_long_list_of_nonsense_is_read_no_further(tmp_path):
    (tmp_path / "list.txt").write_text("a.png 1\n" + "nonsense\n" * 300_000)
    with pytest.raises(DataError) as caught:
        ImageList(tmp_path / "list.txt")
    assert len(caught.value.errors) == 1000
