"""Image files into a store: what Datums hold, what is left out, what is refused."""

import io

import numpy as np
import pytest

from minidl import schema
from minidl.data.imageset import Form, convert
from minidl.data.resize import stretch
from minidl.data.sources import image
from minidl.data.sources.image_list import ImageList
from minidl.errors import DataError
from tests.data.test_lmdb_writer import contents

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

RGB = np.random.default_rng(0).integers(0, 256, (5, 6, 8, 3), dtype=np.uint8)
IMAGES = RGB[..., ::-1].transpose(0, 3, 1, 2)


@pytest.fixture
def folder(tmp_path):
    for i, pixels in enumerate(RGB):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    return tmp_path


@pytest.fixture
def made(folder):
    """Convert these lines; returns the report and the records."""

    def convert_lines(lines, form=None, order=None, **options):
        form = form or Form()
        (folder / "list.txt").write_text("\n".join(lines))
        images = ImageList(folder / "list.txt", f"{folder}/", form.color)
        order = range(len(images)) if order is None else order
        report = convert(images, folder / "db", form, order, **options)
        records = [(k, schema.Datum.FromString(v)) for k, v in contents(folder / "db")]
        return report, records

    return convert_lines


LINES = [f"{i}.png {10 - i}" for i in range(5)]


@pytest.mark.parametrize("workers", [1, 3])
def test_datums_are_caffes(made, workers):
    report, records = made(LINES, workers=workers)
    assert report.written == 5 and not report.unreadable
    assert [key for key, _ in records] == [b"%08d_%d.png" % (i, i) for i in range(5)]
    for i, (_, message) in enumerate(records):
        assert (message.channels, message.height, message.width) == (3, 6, 8)
        assert message.data == IMAGES[i].tobytes() and message.label == 10 - i
        assert not message.encoded


def test_the_order_is_that_which_is_said(made):
    _, records = made(LINES, order=[3, 0, 4])
    assert [key for key, _ in records] == [b"00000000_3.png", b"00000001_0.png", b"00000002_4.png"]
    assert [message.label for _, message in records] == [7, 10, 6]


def test_images_are_stretched_and_grey(made):
    _, ((_, message), *_) = made(LINES, Form(lambda image: stretch(image, 3, 4), color=False))
    expected = stretch(image.decode(_png(RGB[0]), False), 3, 4)
    assert (message.channels, message.height, message.width) == (1, 3, 4)
    assert message.data == expected.tobytes()


def _png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_encoded_files_are_stored_as_they_are(made, folder):
    _, records = made(LINES, Form(encoded=True))
    for i, (_, message) in enumerate(records):
        assert message.encoded and message.data == (folder / f"{i}.png").read_bytes()


MIXED = {
    "grey": Image.fromarray(RGB[0, ..., 0]),
    "grey and alpha": Image.fromarray(RGB[0, ..., :2]),
    "alpha": Image.fromarray(np.dstack([RGB[0], RGB[0, ..., 0]])),
    "palette": Image.fromarray(RGB[0]).quantize(8),
    "bilevel": Image.fromarray(RGB[0, ..., 0]).convert("1"),
    "16 bits": Image.fromarray(RGB[0, ..., 0].astype(np.uint16) * 257),
}


@pytest.mark.parametrize("picture", MIXED.values(), ids=MIXED.keys())
def test_every_encoded_file_has_three_channels_whoever_reads_it(made, folder, picture):
    picture.save(folder / "1.png")
    expected = image.decode((folder / "1.png").read_bytes(), True)
    _, records = made(LINES, Form(encoded=True))
    with Image.open(io.BytesIO(records[1][1].data)) as stored:
        assert (stored.format, stored.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(stored)[..., ::-1].transpose(2, 0, 1), expected)


def test_files_of_other_kinds_that_have_to_change_become_pngs(made, folder):
    for name, picture in (("1.gif", MIXED["palette"]), ("2.tif", Image.fromarray(RGB[2]))):
        picture.save(folder / name)
    _, records = made(["1.gif 1", "2.tif 2"], Form(encoded=True))
    assert records[0][1].data.startswith(b"\x89PNG")
    assert records[1][1].data == (folder / "2.tif").read_bytes()  # is one of three channels


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("upright", [True, False])
def test_pictures_are_turned_unless_that_is_not_wanted(made, folder, upright, encoded):
    picture = Image.fromarray(RGB[0])
    exif = picture.getexif()
    exif[0x0112] = 8
    picture.save(folder / "1.png", exif=exif)
    _, records = made(["1.png 1"], Form(encoded=encoded, upright=upright))
    message = records[0][1]
    expected = IMAGES[0][:, :, ::-1].swapaxes(1, 2) if upright else IMAGES[0]
    if encoded:
        np.testing.assert_array_equal(image.decode(message.data), expected)
    else:
        assert (message.height, message.width) == expected.shape[1:]
        assert message.data == expected.tobytes()


def test_files_are_written_anew_where_something_is_to_change(made):
    _, ((_, message), *_) = made(LINES, Form(lambda image: stretch(image, 3, 4), encoded=True))
    np.testing.assert_array_equal(image.decode(message.data), stretch(IMAGES[0], 3, 4))
    _, ((_, message), *_) = made(LINES, Form(encoded=True, color=False))
    assert image.decode(message.data).shape == (1, 6, 8)
    _, ((_, message), *_) = made(LINES, Form(encoded=True, encode_type="jpg"))
    assert message.data[:3] == b"\xff\xd8\xff" and image.decode(message.data).shape == (3, 6, 8)


def test_what_cannot_be_read_is_left_out_and_reported(made, folder):
    (folder / "1.png").write_bytes(b"no image")
    (folder / "3.png").unlink()
    ticks = []
    report, records = made(LINES, tick=lambda: ticks.append(1))
    assert [key for key, _ in records] == [b"00000000_0.png", b"00000001_2.png", b"00000002_4.png"]
    assert [message.label for _, message in records] == [10, 8, 6]
    first, second = map(str, report.unreadable)
    assert "line 2 of" in first and "are not an image" in first
    assert "list.txt:4: " in second and "3.png cannot be read" in second
    assert len(ticks) == 5


def test_encoded_files_are_looked_into_too(made, folder):
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:60])
    report, records = made(LINES, Form(encoded=True))
    assert len(records) == 4 and "line 2 of" in str(report.unreadable[0])


def test_no_image_at_all_is_an_error_and_leaves_nothing(made, folder):
    with pytest.raises(DataError, match="z.png cannot be read"):
        made(["z.png 1"])
    assert not [path for path in folder.iterdir() if "db" in path.name]


def test_sizes_are_compared_if_asked_for(made, folder):
    Image.fromarray(RGB[0, :3]).save(folder / "2.png")
    assert made(LINES)[0].written == 5
    with pytest.raises(DataError, match="2.png has 72 bytes, 0.png has 144"):
        made(LINES, check_size=True)


@pytest.mark.parametrize("line, message", [
    ("1.png 0.5", "list.txt:2: the label is 0.5"),
    ("1.png 2147483648", "the label is 2.14748e"),
])  # fmt: skip
def test_a_label_that_a_datum_cannot_hold_is_refused_by_line(made, line, message):
    with pytest.raises(DataError, match=message):
        made(["0.png 0", line])


def test_several_labels_need_a_store_of_their_own(made, folder):
    lines = ["0.png 1 0.5", "1.png 2 -3"]
    with pytest.raises(DataError, match=r"2 labels a line(.|\n)*--labels"):
        made(lines)
    _, records = made(lines, labels_folder=folder / "labels")
    beside = [(key, schema.Datum.FromString(v)) for key, v in contents(folder / "labels")]
    assert [key for key, _ in beside] == [key for key, _ in records]
    assert [list(message.float_data) for _, message in beside] == [[1, 0.5], [2, -3]]
    assert (beside[0][1].channels, beside[0][1].height, beside[0][1].width) == (2, 1, 1)
