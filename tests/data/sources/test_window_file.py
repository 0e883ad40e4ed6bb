"""Window files: what is foreground, what background, and what is damaged."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data.sources.window_file import WindowFile
from minidl.errors import DataError, MinidlError

TEXT = """# 0
a.png
3
40
60
3
2 1.0 5 6 24 35
1 0.6 0 0 9 9
0 0.3 10 10 59 39
# 1
sub/b c.png
3
20
30
2
0 0.0 0 0 29 19
5 0.45 1 2 3 4
"""


@pytest.fixture
def read(tmp_path):
    def made(text=TEXT, fg=0.5, bg=0.5):
        (tmp_path / "w.txt").write_text(text)
        return WindowFile(tmp_path / "w.txt", fg, bg)

    return made


def test_overlap_decides_between_foreground_and_background(read):
    file = read()
    assert file.paths == ["a.png", "sub/b c.png"] and file.shapes == [(3, 40, 60), (3, 20, 30)]
    np.testing.assert_array_equal(
        file.windows.foreground, [[0, 2, 5, 6, 24, 35], [0, 1, 0, 0, 9, 9]]
    )
    np.testing.assert_array_equal(
        file.windows.background,
        [[0, 0, 10, 10, 59, 39], [1, 0, 0, 0, 29, 19], [1, 0, 1, 2, 3, 4]],
    )


def test_what_lies_between_the_thresholds_is_not_used(read):
    windows = read(fg=0.9, bg=0.4).windows
    assert len(windows.foreground) == 1 and len(windows.background) == 2


WRONG = {
    "nothing": ("", "lists no image"),
    "no head": (TEXT[2:], "w.txt:1: '0' begins an image"),
    "cut before the path": ("# 0\n", "ends after line 1(.|\n)*the path"),
    "cut within the windows": (TEXT[:60], "is not a window|ends after line"),
    "a size that is no number": (
        TEXT.replace("40", "many"),
        "w.txt:4: 'many' is not a whole number",
    ),
    "a size of zero": (TEXT.replace("40", "0", 1), "sizes of at least 1"),
    "a word for a corner": (TEXT.replace("24 35", "24 x"), "w.txt:7: .* is not a window"),
    "a corner too few": (TEXT.replace("24 35", "24"), "w.txt:7: .* is not a window"),
    "outside": (TEXT.replace("24 35", "24 40"), "w.txt:7: the window 5 6 24 40 is not inside"),
    "inside out": (TEXT.replace("24 35", "4 35"), "w.txt:7: the window 5 6 4 35 is not inside"),
    "no class": (TEXT.replace("1 0.6", "0 0.6"), "w.txt:8: a window of class 0 overlaps by 0.6"),
}


@pytest.mark.parametrize("text, message", WRONG.values(), ids=WRONG.keys())
def test_odd_files_are_refused_by_line(read, text, message):
    with pytest.raises(DataError, match=message):
        read(text)


@given(st.integers(0, len(TEXT) - 1), st.characters(max_codepoint=255))
def test_a_changed_character_gives_windows_or_an_error_in_words(tmp_path_factory, at, other):
    path = tmp_path_factory.getbasetemp() / "changed.txt"
    path.write_text(TEXT[:at] + other + TEXT[at + 1 :])
    try:
        WindowFile(path, 0.5, 0.5)
    except MinidlError as error:
        assert "changed.txt" in str(error)


ODD = {
    "a share that is no number": "# 0\na.png\n3\n9\n9\n1\n1 nan 0 0 1 1\n",
    "an infinite share": "# 0\na.png\n3\n9\n9\n1\n1 1e999 0 0 1 1\n",
    "a class of a hundred digits": "# 0\na.png\n3\n9\n9\n1\n" + "9" * 100 + " 1 0 0 1 1\n",
    "a class of 5,000 digits": "# 0\na.png\n3\n9\n9\n1\n" + "9" * 5000 + " 1 0 0 1 1\n",
    "a side of a hundred digits": "# 0\na.png\n3\n9\n" + "9" * 100 + "\n1\n1 1 0 0 1 1\n",
    "windows of 5,000 digits": "# 0\na.png\n3\n9\n9\n" + "9" * 5000 + "\n1 1 0 0 1 1\n",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_numbers_that_make_no_sense_are_refused_with_their_line(tmp_path, text):
    (tmp_path / "w.txt").write_text(text)
    with pytest.raises(DataError, match=r"w.txt:\d: '.{1,60}' is not a (window|whole number)"):
        WindowFile(tmp_path / "w.txt", 0.5, 0.5)


@given(st.lists(st.sampled_from("# 0 1 9 nan -1 1e999 a.png 99999999999".split() + ["\n"] * 6)))
def test_any_words_in_any_order_are_read_or_refused(words):
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(DataError):
        path = Path(folder, "w.txt")
        path.write_text("# 0\na.png\n3\n9\n9\n" + " ".join(words))
        WindowFile(path, 0.5, 0.5)
