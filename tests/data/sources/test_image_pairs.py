"""Lists of images and the images of their labels."""

import numpy as np
import pytest

from minidl.data.sources.image_pairs import ImagePairs, nearest
from minidl.errors import DataError

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (4, 6, 3), np.uint8)
LABELS = RNG.integers(0, 12, (4, 6), np.uint8)


@pytest.fixture
def folder(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    Image.fromarray(LABELS).save(tmp_path / "b.png")
    Image.fromarray(LABELS[:3]).save(tmp_path / "short.png")
    return tmp_path


def pairs(folder, text, size=None, color=True):
    (folder / "list.txt").write_text(text)
    return ImagePairs(folder / "list.txt", (f"{folder}/", f"{folder}/"), color, size, True)


def test_a_line_is_an_image_and_its_labels(folder):
    source = pairs(folder, "a.png b.png\n\n  a.png\t b.png \n")
    assert len(source) == 2
    sample = source[1]
    np.testing.assert_array_equal(sample.image, PIXELS[..., ::-1].transpose(2, 0, 1))
    np.testing.assert_array_equal(sample.label, LABELS[None])
    assert source.describe(1, sample.key) == f"'a.png', line 3 of {folder}/list.txt"


def test_labels_are_stretched_without_anything_between_them(folder):
    sample = pairs(folder, "a.png b.png", size=(3, 9))[0]
    for i, j in np.ndindex(3, 9):
        assert sample.label[0, i, j] == LABELS[int(i * 4 / 3), int(j * 6 / 9 + 1e-9)]
    assert nearest(LABELS[None], (4, 6)).tolist() == [LABELS.tolist()]


@pytest.mark.parametrize(
    "text, message",
    [
        ("a.png\na.png b.png 3\n", "(?s)list.txt:1.*has 1 words.*list.txt:2.*has 3 words"),
        ("\n", "lists no image"),
    ],
)
def test_lines_that_do_not_fit_are_named_at_once(folder, text, message):
    with pytest.raises(DataError, match=message):
        pairs(folder, text)


@pytest.mark.parametrize(
    "line, message",
    [
        ("a.png short.png", "list.txt:1.*4 x 6 pixels, but its labels 'short.png' 3 x 6"),
        ("a.png none.png", "none.png cannot be read(.|\n)*root_folder"),
        ("list.txt b.png", "list.txt:1.*not an image"),
    ],
)
def test_images_that_do_not_fit_are_named(folder, line, message):
    with pytest.raises(DataError, match=message):
        pairs(folder, line)[0]
