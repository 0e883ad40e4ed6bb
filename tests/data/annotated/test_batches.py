"""Batches of images and boxes: every box stays on what it is around, whatever is drawn."""

import numpy as np
import pytest

from minidl import schema
from minidl.arrays.rng import Streams
from minidl.data.annotated.batches import AnnotatedBatches, Look, cut, labels
from minidl.data.annotated.expand import Expand
from minidl.data.annotated.fit import Fit
from minidl.data.sampler import Sequential
from minidl.data.sources.annotated import AnnotatedDatums
from minidl.data.transform import Transform
from minidl.errors import DataError, LayerConfigError
from tests.data.support import annotated, write_lmdb

WARP = dict(resize_param=dict(height=60, width=80, interp_mode=[schema.ResizeParameter.NEAREST]))
SAMPLER = dict(
    sampler=dict(min_scale=0.4, max_scale=0.9, min_aspect_ratio=0.5, max_aspect_ratio=2),
    sample_constraint=dict(min_object_coverage=0.7),
    max_sample=1,
)


def marked(number):
    """A black image of some size with one white object: 255 in channel 0; and its row."""
    rng = np.random.default_rng(number)
    height, width = rng.integers(80, 160, 2)
    y, x = rng.integers(0, height - 40), rng.integers(0, width - 40)
    h, w = rng.integers(20, 40, 2)
    image = np.full((3, height, width), 20, np.uint8)
    image[0, y : y + h, x : x + w] = 255
    row = (1 + number % 3, number, x / width, y / height, (x + w) / width, (y + h) / height, 0)
    return image, row


@pytest.fixture
def made(tmp_path):
    makers = []

    def make(count=6, seed=1, samplers=(), batch_size=4, workers=2, phase="TRAIN", **fields):
        def reject(found, **more):
            raise LayerConfigError(found)

        t = schema.TransformationParameter(**fields)
        records = [(b"%03d" % i, annotated(*_record(i))) for i in range(count)]
        folder = tmp_path / f"{len(makers)}"
        look = Look(
            None,
            Expand(t.expand_param, reject) if t.HasField("expand_param") else None,
            [schema.BatchSampler(**one) for one in samplers],
            t.emit_constraint if t.HasField("emit_constraint") else None,
            Fit(t.resize_param, reject) if t.HasField("resize_param") else None,
            None,
            Transform(t, phase == "TRAIN", np.float32, reject, boxes=True),
        )
        source = AnnotatedDatums(write_lmdb(folder, records))
        order = Sequential(count, batch_size)
        streams = Streams(seed)
        makers.append(AnnotatedBatches(source, look, order, np.float32, streams, "data", workers))
        return makers[-1]

    yield make
    for maker in makers:
        maker.close()


def _record(i):
    image, row = marked(i)
    return image, [row]


def bounds(image):
    rows, columns = np.nonzero(image[0] > 127)
    size = np.array([*image.shape[:0:-1]] * 2)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / size


CHANGES = {
    "plain": {},
    "mirrored": dict(mirror=True),
    "sampled": dict(samplers=[SAMPLER]),
    "expanded": dict(expand_param=dict(max_expand_ratio=2)),
    "cropped": dict(crop_h=50, crop_w=70),
    "padded": dict(
        resize_param=dict(height=70, width=70, resize_mode=3, interp_mode=[3]), mirror=True
    ),
    "all": dict(
        samplers=[SAMPLER, SAMPLER],
        expand_param=dict(max_expand_ratio=1.5, prob=0.5),
        mirror=True,
        crop_h=55,
        crop_w=75,
    ),
}


@pytest.mark.parametrize("fields", CHANGES.values(), ids=CHANGES.keys())
def test_boxes_stay_on_their_objects(made, fields):
    maker = made(**{**WARP, **fields})
    seen, sides = 0, []
    for number in range(12):
        batch = maker.make(number)
        assert batch.labels.shape[:2] == (1, 1) and batch.labels.shape[3] == 8
        for row in batch.labels[0, 0]:
            if row[0] < 0:
                continue
            image = batch.data[int(row[0])]
            record = batch.records[int(row[0])][0]
            assert row[1] == 1 + record % 3 and row[2] == record and row[7] == 0
            height, width = image.shape[1:]
            if min((row[5] - row[3]) * width, (row[6] - row[4]) * height) < 2:
                continue
            found = bounds(image)
            # a pixel of the result, and one of the record on either side of the part
            np.testing.assert_allclose(found, row[3:7], atol=2.6 / min(height, width))
            seen += 1
            sides.append(tuple(np.round(row[3:7], 3)))
    assert seen > 30
    if fields:
        assert len(set(sides)) > 6  # not those of six records alone


def test_a_batch_is_a_function_of_its_number(made):
    fields = {**WARP, **CHANGES["all"]}
    first, again, other = (
        made(**fields, workers=1),
        made(**fields, workers=4),
        made(**fields, seed=2),
    )
    for number in (5, 0, 5):
        a, b = first.make(number), again.make(number)
        for x, y in zip(a.arrays, b.arrays, strict=True):
            np.testing.assert_array_equal(x, y)
    assert (other.make(5).data != first.make(5).data).any()


def test_items_of_one_record_are_others(made):
    batch = made(count=1, batch_size=8, **{**WARP, **CHANGES["all"]}).make(0)
    assert len({item.tobytes() for item in batch.data}) > 4


def test_the_memory_of_a_batch_is_used_again_where_it_fits(made):
    maker = made(**WARP)
    spare = maker.make(0)
    batch = maker.make(1, spare)
    assert batch.data is spare.data
    np.testing.assert_array_equal(batch.data, made(**WARP).make(1).data)


def test_a_mirrored_box_is_that_of_its_other_side(made):
    plain, turned = made(**WARP).make(0), made(**WARP, mirror=True).make(0)
    for a, b in zip(plain.labels[0, 0], turned.labels[0, 0], strict=True):
        same, flipped = a[3:7], [1 - a[5], a[4], 1 - a[3], a[6]]
        assert np.allclose(b[3:7], same, atol=1e-6) or np.allclose(b[3:7], flipped, atol=1e-6)
    assert not np.allclose(plain.labels, turned.labels)


def test_what_the_window_does_not_show_is_left_out(made):
    fields = dict(crop_h=20, crop_w=20, phase="TEST")
    everything = made(**WARP, **fields).make(0).labels[0, 0]
    centres = made(**WARP, **fields, emit_constraint=dict()).make(0).labels[0, 0]
    rows = {int(r[2]) for r in everything}
    for number in range(4):
        image, row = marked(number)
        low, high = np.array(row[2:4]) * (80, 60), np.array(row[4:6]) * (80, 60)
        assert (number in rows) == bool((high > (30, 20)).all() and (low < (50, 40)).all())
        middle = (low + high) / 2
        inside = bool((middle >= (30, 20)).all() and (middle <= (50, 40)).all())
        assert (number in {int(r[2]) for r in centres}) == inside


def test_no_object_is_a_row_of_minus_one():
    found = labels([np.zeros((0, 7), np.float32)] * 3, np.float32)
    np.testing.assert_array_equal(found, np.full((1, 1, 1, 8), -1))
    np.testing.assert_array_equal(labels([3, 5], np.float32), [3, 5])
    rows = np.arange(14, dtype=np.float32).reshape(2, 7)
    found = labels([rows[:1], rows[:0], rows[1:]], np.float32)
    assert found[0, 0].tolist() == [[0, *rows[0]], [2, *rows[1]]]


def test_images_of_two_sizes_are_refused_with_both_records(made):
    with pytest.raises(DataError, match=r"record 1, (.|\n)*record 0, (.|\n)*resize_mode: WARP"):
        made().make(0)


def test_a_part_of_an_image_is_a_pixel_at_least():
    image = np.arange(24).reshape(1, 4, 6)
    np.testing.assert_array_equal(cut(image, np.array([0.5, 0.25, 1, 0.75])), image[:, 1:3, 3:])
    assert cut(image, np.array([0.99, 0.99, 1, 1])).shape == (1, 1, 1)
    assert cut(image, np.array([1.0, 1, 1, 1])).shape == (1, 1, 1)
