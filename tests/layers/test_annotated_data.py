"""AnnotatedData: images with the boxes of their objects, from a database."""

import io
import logging

import numpy as np
import pytest

from minidl import prototxt, schema
from minidl.arrays.rng import Streams
from minidl.errors import DataError, LayerConfigError
from minidl.layers.base import layer_class
from minidl.layers.context import Context
from minidl.net import Net
from minidl.prototxt.assign import assign
from minidl.testing.harness import bind, make_spec
from tests.data.support import annotated, random_images, write_lmdb
from tests.support import shared

IMAGES = random_images(5, (3, 20, 30))
OBJECTS = [
    [(1, 0, 0.1, 0.2, 0.5, 0.6, 0), (1, 1, 0.6, 0.1, 0.9, 0.4, 1), (3, 0, 0, 0, 1, 1, 0)],
    [],
    [(2, 4, 0.25, 0.25, 0.75, 0.75, 0)],
    [],
    [],
]


@pytest.fixture
def make(tmp_path):
    """A layer from keywords over five records; closed at the end."""
    layers = []

    def made(
        records=None, absent=None, phase=schema.TRAIN, seed=1, tops=2, batch_size=2, **keywords
    ):
        if records is None:
            records = [annotated(x, rows) for x, rows in zip(IMAGES, OBJECTS, strict=True)]
        folder = tmp_path / f"{len(layers)}_lmdb"
        if absent is None:
            write_lmdb(folder, [(b"%d" % i, value) for i, value in enumerate(records)])
        spec = make_spec("AnnotatedData", name="faces", tops=tops)
        spec.data_param.source, spec.data_param.batch_size = str(folder), batch_size
        spec.data_param.backend = spec.data_param.LMDB
        for field, value in keywords.items():
            own = "annotated_data_param" if field in ("anno_type", "batch_sampler") else None
            assign(getattr(spec, own or "transform_param"), {field: value})
        ctx = Context(dtype=np.float32, phase=phase, streams=Streams(seed), absent_data=absent)
        layers.append(layer_class(spec)(spec, ctx))
        return layers[-1]

    yield made
    for layer in layers:
        layer.close()


def batches(layer, count):
    """The data and labels of the next `count` batches, whatever shapes they have."""
    top, got = bind(layer)[1], []
    for _ in range(count):
        for blob, shape in zip(top, layer.upcoming_shapes(), strict=True):
            blob.reshape(*shape)
        layer.forward([], top)
        got.append([blob.data.copy() for blob in top])
    return got


def test_rows_are_those_of_the_records(make):
    layer = make()
    assert layer.top_shapes() == ((2, 3, 20, 30), (1, 1, 3, 8))  # of the first record
    (data, first), (_, second), (_, third) = batches(layer, 3)
    np.testing.assert_array_equal(data, IMAGES[:2])
    np.testing.assert_array_equal(first[0, 0], [[0, *row] for row in np.float32(OBJECTS[0])])
    np.testing.assert_array_equal(second[0, 0], [[0, *np.float32(OBJECTS[2][0])]])
    np.testing.assert_array_equal(third[0, 0], [[1, *row] for row in np.float32(OBJECTS[0])])


def test_a_first_record_without_objects_has_room_for_one(make):
    records = [annotated(IMAGES[0])]
    layer = make(records)
    assert layer.top_shapes()[1] == (1, 1, 1, 8)
    np.testing.assert_array_equal(batches(layer, 1)[0][1], np.full((1, 1, 1, 8), -1))


def test_records_without_a_type_have_labels(make):
    records = [annotated(x, kind=None, label=i) for i, x in enumerate(IMAGES)]
    layer = make(records, mirror=True)
    assert layer.top_shapes() == ((2, 3, 20, 30), (2,))
    assert np.concatenate([label for _, label in batches(layer, 3)]).tolist() == [0, 1, 2, 3, 4, 0]
    alone = make([annotated(IMAGES[0], kind=None)], tops=1)
    assert alone.top_shapes() == ((2, 3, 20, 30),)


def test_anno_type_stands_for_that_of_the_records(make):
    records = [annotated(IMAGES[0], OBJECTS[0], kind=None)]
    assert make(records, anno_type=0).top_shapes()[1] == (1, 1, 3, 8)


def test_mean_and_scale_come_last(make):
    (data, _), *_ = batches(make(mean_value=[1, 2, 3], scale=0.5, phase=schema.TEST), 1)
    np.testing.assert_array_equal(data, (IMAGES[:2] - np.reshape([1.0, 2, 3], (3, 1, 1))) / 2)


EVERYTHING = dict(
    mirror=True,
    mean_value=[104, 117, 123],
    resize_param=dict(height=24, width=16, interp_mode=[1, 2, 3, 4, 5]),
    emit_constraint=dict(emit_type=0),
    distort_param=dict(
        brightness_prob=0.5,
        brightness_delta=32,
        contrast_prob=0.5,
        contrast_lower=0.5,
        contrast_upper=1.5,
        hue_prob=0.5,
        hue_delta=18,
        saturation_prob=0.5,
        saturation_lower=0.5,
        saturation_upper=1.5,
        random_order_prob=0.1,
    ),
    expand_param=dict(prob=0.5, max_expand_ratio=2),
    noise_param=dict(gauss_blur=True),
    batch_sampler=[dict(sampler=dict(min_scale=0.3), max_sample=1, max_trials=50)],
)


def test_a_run_that_goes_on_sees_the_batches_that_it_would_have_seen(make):
    whole = batches(make(**EVERYTHING), 6)
    again = make(**EVERYTHING)
    again.position = 3
    for (a, b), (c, d) in zip(whole[3:], batches(again, 3), strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    assert (batches(make(seed=2, **EVERYTHING), 1)[0][0] != whole[0][0]).any()
    assert whole[0][0].shape == (2, 3, 24, 16)


def test_one_image_at_a_time_may_have_any_size(make):
    records = [annotated(x, OBJECTS[0]) for x in (IMAGES[0], random_images(1, (3, 40, 20))[0])]
    fit = dict(height=10, width=10, resize_mode=2)
    layer = make(records, batch_size=1, resize_param=fit)
    assert [data.shape for data, _ in batches(layer, 2)] == [(1, 3, 10, 15), (1, 3, 20, 10)]
    with pytest.raises(LayerConfigError, match=r"batch_size is 2(.|\n)*batch_size: 1, or"):
        make(resize_param=fit)


def test_image_files_are_decoded(make):
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    buffer = io.BytesIO()
    Image.fromarray(IMAGES[0].transpose(1, 2, 0)[..., ::-1].copy()).save(buffer, "PNG")
    message = schema.AnnotatedDatum.FromString(annotated(IMAGES[0], OBJECTS[0]))
    message.datum.Clear()
    message.datum.data, message.datum.encoded = buffer.getvalue(), True
    (data, label), *_ = batches(make([message.SerializeToString()]), 1)
    np.testing.assert_array_equal(data, IMAGES[[0, 0]])
    assert label.shape == (1, 1, 6, 8)


def test_a_stand_in_has_an_object_in_each_image(make):
    layer = make(absent=(3, 50, 60), resize_param=dict(height=24, width=16))
    assert layer.top_shapes() == ((2, 3, 24, 16), (1, 1, 2, 8))
    label = batches(layer, 1)[0][1][0, 0]
    assert label[:, :3].tolist() == [[0, 1, 0], [1, 1, 0]]
    assert (label[:, 3:5] < label[:, 5:7]).all() and label[:, 3:7].min() >= 0
    assert make(absent=(3, 50, 60), crop_size=8).top_shapes()[0] == (2, 3, 8, 8)


def test_a_net_learns_from_boxes(make):
    source = make().data_source
    text = f"""layer {{ name: "faces" type: "AnnotatedData" top: "data" top: "label"
        data_param {{ source: "{source}" batch_size: 2 backend: LMDB }}
        transform_param {{ resize_param {{ height: 16 width: 16 }} }} }}
      layer {{ name: "map" type: "Convolution" bottom: "data" top: "map"
        convolution_param {{ num_output: 8 kernel_size: 4 stride: 4 }} }}
      layer {{ name: "priors" type: "PriorBox" bottom: "map" bottom: "data" top: "priors"
        prior_box_param {{ min_size: 6 variance: 0.1 }} }}
      layer {{ name: "loc" type: "Convolution" bottom: "map" top: "loc"
        convolution_param {{ num_output: 4 kernel_size: 1 }} }}
      layer {{ name: "locp" type: "Permute" bottom: "loc" top: "locp"
        permute_param {{ order: 0 order: 2 order: 3 order: 1 }} }}
      layer {{ name: "locf" type: "Flatten" bottom: "locp" top: "locf" }}
      layer {{ name: "conf" type: "Convolution" bottom: "map" top: "conf"
        convolution_param {{ num_output: 4 kernel_size: 1 }} }}
      layer {{ name: "confp" type: "Permute" bottom: "conf" top: "confp"
        permute_param {{ order: 0 order: 2 order: 3 order: 1 }} }}
      layer {{ name: "conff" type: "Flatten" bottom: "confp" top: "conff" }}
      layer {{ name: "loss" type: "MultiBoxLoss" bottom: "locf" bottom: "conff" bottom: "priors"
        bottom: "label" top: "loss" multibox_loss_param {{ num_classes: 4 }} }}"""
    with Net(text, schema.TRAIN, seed=1) as net:
        for _ in range(3):  # labels of three shapes
            assert np.isfinite(net.forward()["loss"]).all()
            net.backward()


REAL = "NVIDIA+caffe__models-WIDER_FACE-SFD.exp-train_fp16.prototxt"


def test_the_data_layer_of_a_real_net_reads(make):
    spec = prototxt.read_net(str(shared(f"prototxt/{REAL}"))).layer[0]
    spec.data_param.source, spec.data_param.batch_size = make().data_source, 3
    layer = layer_class(spec)(spec, Context(dtype=np.float32, streams=Streams(1)))
    try:
        assert layer.top_shapes() == ((3, 3, 640, 640), (1, 1, 3, 8))
        for data, label in batches(layer, 2):
            assert data.shape == (3, 3, 640, 640) and -124 < data.min() < data.max() <= 151
            assert label.shape[3] == 8
    finally:
        layer.close()


REFUSED = {
    "resize": (
        dict(resize=dict(height=3)),
        "transform_param.resize, which does not apply to boxes",
    ),
    "augment": (dict(augment=dict(hue=3)), "transform_param.augment"),
    "no size": (dict(resize_param=dict(height=3)), "height 3 and width 0"),
    "half a window": (dict(crop_h=3), "crop_h is 3 and crop_w 0"),
    "a mean image": (
        dict(expand_param=dict(max_expand_ratio=2), mean_file="m"),
        "expand_param and mean_file",
    ),
    "scales": (dict(batch_sampler=[dict(sampler=dict(min_scale=2))]), "scales from 2 to 1"),
    "no batch": (dict(batch_size=0), "batch_size is 0"),
}


@pytest.mark.parametrize("keywords, words", REFUSED.values(), ids=REFUSED.keys())
def test_refusals_name_the_layer_and_what_was_found(make, keywords, words):
    with pytest.raises(LayerConfigError, match=f"AnnotatedData layer 'faces'(.|\n)*{words}"):
        make(**keywords)


def test_records_of_two_kinds_are_refused(make):
    records = [annotated(IMAGES[0], OBJECTS[0]), annotated(IMAGES[1], kind=None, label=1)]
    with pytest.raises(DataError, match="record 1, key '1'"):
        batches(make(records), 1)


def test_windows_larger_than_the_image_are_refused(make):
    with pytest.raises(DataError, match=r"crop_h and crop_w are 9, 40(.|\n)*crop_w <= 30"):
        make(crop_h=9, crop_w=40).top_shapes()


def test_the_log_says_what_kind_of_store_it_is(make, caplog):
    layer = make()
    layer.spec.data_param.ClearField("backend")
    with caplog.at_level(logging.WARNING, logger="minidl"):
        layer.top_shapes()
    assert "backend is not set (LEVELDB)" in caplog.text
