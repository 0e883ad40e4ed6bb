"""Data: against Caffe's recorded batches, and what it promises."""

import gc
import logging
import re
import threading

import numpy as np
import pytest

from minidl import schema
from minidl.arrays.device import default_device
from minidl.arrays.rng import Streams
from minidl.errors import DataError, LayerConfigError, MinidlError
from minidl.layers.base import layer_class
from minidl.layers.context import Context
from minidl.net import Net
from minidl.testing.harness import bind, build, make_spec, run
from tests.data.support import datum, image_lmdb, random_images, write_leveldb, write_lmdb
from tests.places import on
from tests.support import golden, golden_cases, shared

pytestmark = on("cpu", "cuda:0")

# ---------------------------------------------------------------------- Data against Caffe

CASES = [c for c in golden_cases("data/*.npz") if "hdf5" not in c]


@pytest.mark.skipif(not CASES, reason="reference material not found: golden/data")
@pytest.mark.parametrize("name", CASES)
def test_the_first_five_batches_are_those_that_caffe_read(name, monkeypatch):
    case = golden(name)
    monkeypatch.chdir(shared("golden/data"))
    with Net(str(case["prototxt"]), phase=schema.TEST) as net:
        for k in range(5):
            net.forward_pass()
            np.testing.assert_array_equal(net.blobs["data"].data, case[f"data_{k}"])
            np.testing.assert_array_equal(net.blobs["label"].data, case[f"label_{k}"])


# ---------------------------------------------------------------------- Data

IMAGES = random_images(10)


@pytest.fixture
def folder(tmp_path):
    return image_lmdb(tmp_path / "db", IMAGES)


@pytest.fixture
def make():
    """A Data layer from keywords, closed when the test ends."""
    layers = []

    def made(folder, tops=2, backend="LMDB", batch_size=4, absent_data=None, **keywords):
        phase, seed = keywords.pop("phase", schema.TRAIN), keywords.pop("seed", 1)
        spec = make_spec(
            "Data",
            tops=tops,
            source=str(folder),
            batch_size=batch_size,
            **({"backend": backend} if backend else {}),
            **{"name": "data", **keywords},
        )
        ctx = Context(default_device(), np.float64, phase, Streams(seed), absent_data=absent_data)
        layers.append(layer_class(spec)(spec, ctx))
        return layers[-1]

    yield made
    for layer in layers:
        layer.close()


def forward(layer, top):
    with layer.ctx.device.current():
        layer.forward([], top)


def batches(layer, count, top=None):
    """The data and labels of the next `count` batches."""
    top = bind(layer)[1] if top is None else top
    got = []
    for _ in range(count):
        forward(layer, top)
        got.append([blob.data.copy() for blob in top])
    return got


def test_batches_follow_the_keys_and_wrap(folder, make):
    got = batches(make(folder, batch_size=4), 6)
    order = np.arange(24) % 10
    np.testing.assert_array_equal(np.concatenate([data for data, _ in got]), IMAGES[order])
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in got]), order)


def test_one_top_is_the_images_alone(folder, make):
    layer = make(folder, tops=1)
    assert layer.top_shapes() == ((4, 3, 5, 4),)
    np.testing.assert_array_equal(batches(layer, 1)[0][0], IMAGES[:4])


def test_the_restart_is_logged_as_caffe_does(folder, make, caplog):
    with caplog.at_level(logging.INFO, "minidl"):
        batches(make(folder, batch_size=4), 5)
    assert caplog.messages == ["Restarting data prefetching from start."] * 2


def test_shapes_come_from_the_first_record_alone(tmp_path, make):
    records = [(b"0", datum(IMAGES[0])), (b"1", b"\xff\xff")]
    layer = make(write_lmdb(tmp_path / "db", records), batch_size=2, name="shapes")
    assert layer.top_shapes() == ((2, 3, 5, 4), (2,))
    assert not threads("shapes")
    with pytest.raises(DataError, match="db: record 1, key '1': its 2 bytes are not a Datum"):
        batches(layer, 1)
    assert layer.position == 0


RANDOM = dict(crop_size=3, mirror=True)


def test_position_is_all_that_is_kept_to_go_on(folder, make):
    whole = batches(make(folder, **RANDOM), 7)
    resumed = make(folder, **RANDOM)
    resumed.position = 4
    for (data, labels), (data2, labels2) in zip(whole[4:], batches(resumed, 3), strict=True):
        np.testing.assert_array_equal(data, data2)
        np.testing.assert_array_equal(labels, labels2)
    assert resumed.position == 7


def test_position_may_be_set_at_any_time(folder, make):
    layer = make(folder, **RANDOM)
    _, top = bind(layer)
    whole = batches(layer, 5, top)
    for position in (3, 0, 1, 1):
        layer.position = position
        np.testing.assert_array_equal(batches(layer, 1, top)[0][0], whole[position][0])


def test_random_numbers_follow_seed_and_name_but_not_other_layers_or_passes(folder, make):
    def first(**keywords):
        layer = make(folder, batch_size=10, **RANDOM, **keywords)
        layer.ctx.streams.passes = np.random.default_rng().integers(1000)
        return batches(layer, 2)[1][0]

    np.testing.assert_array_equal(first(), first())
    assert not np.array_equal(first(), first(seed=2))
    assert not np.array_equal(first(), first(name="other"))


def test_crops_are_random_in_training_and_central_in_testing(folder, make):
    (data, _), *_ = batches(make(folder, crop_size=3, phase=schema.TEST), 1)
    np.testing.assert_array_equal(data, IMAGES[:4, :, 1:4, 0:3])
    (data, _), *_ = batches(make(folder, crop_size=3, batch_size=10), 1)
    places = {
        (y, x)
        for item, image in zip(data, IMAGES, strict=True)
        for y in range(3)
        for x in range(2)
        if np.array_equal(item, image[:, y : y + 3, x : x + 3])
    }
    assert len(places) > 2


def test_batches_of_other_shapes_are_announced(tmp_path, make):
    images = [random_images(1, (1, 2 + i // 4, 3))[0] for i in range(8)]
    layer = make(image_lmdb(tmp_path / "db", images), batch_size=4)
    _, top = bind(layer)
    assert layer.upcoming_shapes() == ((4, 1, 2, 3), (4,))
    forward(layer, top)
    assert layer.upcoming_shapes() == layer.upcoming_shapes() == ((4, 1, 3, 3), (4,))
    with pytest.raises(
        DataError, match=r"batch 1 has the shape \(4, 1, 3, 3\), its top 'y0' \(4, 1, 2"
    ):
        forward(layer, top)
    assert layer.position == 1
    top[0].reshape(4, 1, 3, 3)
    forward(layer, top)
    np.testing.assert_array_equal(top[0].data, images[4:])


def test_a_net_follows_the_shapes_of_the_batches(tmp_path):
    images = [random_images(1, (1, 2 + i // 4, 3))[0] for i in range(8)]
    folder = image_lmdb(tmp_path / "db", images)
    text = f"""
      layer {{ name: "data" type: "Data" top: "x"
              data_param {{ source: "{folder}" batch_size: 4 backend: LMDB }} }}
      layer {{ name: "twice" type: "Power" bottom: "x" top: "y" power_param {{ scale: 2 }} }}"""
    with Net(text) as net:
        for batch in (images[:4], images[4:], images[:4]):
            net.forward_pass()
            np.testing.assert_array_equal(net.blobs["y"].data, 2.0 * np.array(batch))


def test_a_record_of_the_batch_in_words(folder, make):
    layer = make(folder, batch_size=4)
    batches(layer, 3)
    assert layer.record(3) == f"record 1, key '00000001', of {folder}"


def test_encoded_images_are_decoded(tmp_path, make):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pixels = random_images(1, (4, 6, 3))[0]
    path = tmp_path / "x.png"
    image.fromarray(pixels).save(path)
    message = schema.Datum(label=2, data=path.read_bytes(), encoded=True)
    folder = write_lmdb(tmp_path / "db", [(b"0", message.SerializeToString())])
    (data, labels), *_ = batches(make(folder, batch_size=1), 1)
    np.testing.assert_array_equal(data[0], pixels[..., ::-1].transpose(2, 0, 1))
    assert labels.tolist() == [2]
    assert make(folder, batch_size=1, force_gray=True).top_shapes()[0] == (1, 1, 4, 6)
    assert make(folder, batch_size=1, force_encoded_color=True).top_shapes()[0] == (1, 3, 4, 6)


@pytest.fixture
def turned(tmp_path):
    """A store of one picture that EXIF says to turn by a quarter."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    picture = image.fromarray(random_images(1, (4, 6, 3))[0])
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "x.png", exif=exif)
    message = schema.Datum(data=(tmp_path / "x.png").read_bytes(), encoded=True)
    return write_lmdb(tmp_path / "turned", [(b"0", message.SerializeToString())])


def test_encoded_images_are_turned_unless_that_is_not_wanted(turned, make):
    assert make(turned, batch_size=1).top_shapes()[0] == (1, 3, 6, 4)
    assert make(turned, batch_size=1, ignore_orientation=True).top_shapes()[0] == (1, 3, 4, 6)


@pytest.mark.parametrize("size", [1, 2])
def test_encoded_images_of_several_modes_are_refused_or_made_alike(tmp_path, make, size):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    records = []
    for i, pixels in enumerate((random_images(1, (4, 6, 3))[0], random_images(1, (4, 6))[0])):
        image.fromarray(pixels).save(tmp_path / "x.png")
        message = schema.Datum(data=(tmp_path / "x.png").read_bytes(), encoded=True)
        records.append((b"%d" % i, message.SerializeToString()))
    folder = write_lmdb(tmp_path / "db", records)
    with pytest.raises(DataError, match=r"'1'(.|\n)*1 channels, the(.|\n)*force_color: true"):
        batches(make(folder, batch_size=size), 2)
    for options, channels in ((dict(force_color=True), 3), (dict(force_gray=True), 1)):
        found = batches(make(folder, batch_size=size, **options), 2)
        assert {data.shape for data, _ in found} == {(size, channels, 4, 6)}


# ---------------------------------------------------------------------- what Data refuses or says

WRONG = {
    "no batch size": (dict(batch_size=0), "batch_size is 0"),
    "nothing ahead": (dict(prefetch=0), "prefetch is 0"),
    "the form of 2013": (
        dict(data_param=dict(scale=0.5)),
        "data_param has scale(.|\n)*move scale to transform_param",
    ),
    "grey and colour": (
        dict(force_encoded_color=True, force_gray=True),
        "both force_encoded_color and force_gray",
    ),
    "two means": (dict(mean_value=[1.0], mean_file="m"), "both mean_file and mean_value"),
    "three tops": (dict(tops=3), "has 3 tops"),
    "an Input of the wrong name": (
        dict(input_param=dict(shape=[dict(dim=[1])])),
        'has input_param(.|\n)*type: "Input"',
    ),
}


@pytest.mark.parametrize("keywords, message", WRONG.values(), ids=WRONG.keys())
def test_wrong_parameters_are_refused(make, keywords, message):
    with pytest.raises(LayerConfigError, match=f"Data layer 'data': .*{message}"):
        make("db", **keywords)


def test_no_source_is_refused():
    with pytest.raises(LayerConfigError, match="Data layer 'd': source is missing"):
        build("Data", name="d", batch_size=1)


def test_an_absent_data_set_names_layer_and_command(make):
    with pytest.raises(DataError) as caught:
        make("data/mnist/train_lmdb").top_shapes()
    text = str(caught.value)
    assert text.startswith("Data layer 'data': data/mnist/train_lmdb (below ")
    assert text.endswith("fix: run: minidl dataset mnist")


def test_a_crop_larger_than_the_images_names_layer_record_and_sizes(folder, make):
    with pytest.raises(DataError, match=r"Data layer 'data': crop_size is 5, but record 0, key '0"):
        make(folder, crop_size=5).top_shapes()


@pytest.mark.parametrize(
    "backend, says", [("LEVELDB", "backend is LEVELDB"), (None, "backend is not set")]
)
def test_an_lmdb_called_leveldb_is_read_and_the_log_says_so(folder, make, caplog, backend, says):
    layer = make(folder, backend=backend)
    for _ in range(2):
        assert layer.top_shapes()[0] == (4, 3, 5, 4)
    (message,) = caplog.messages  # opened once
    assert message.startswith(f"Data layer 'data': {says}") and "read as LMDB" in message


@pytest.mark.parametrize("backend", ["LEVELDB", "LMDB", None])
def test_a_leveldb_is_read_whatever_the_backend(tmp_path, make, caplog, backend):
    records = [(b"%08d" % i, datum(x, i)) for i, x in enumerate(IMAGES)]
    layer = make(write_leveldb(tmp_path / "db", records), backend=backend)
    np.testing.assert_array_equal(batches(layer, 1)[0][0], IMAGES[:4])
    assert ("LMDB, but" in caplog.text) == (backend == "LMDB")


def test_a_damaged_leveldb_names_the_layer(tmp_path, make):
    (tmp_path / "CURRENT").write_text("MANIFEST-000002\n")
    with pytest.raises(DataError, match="Data layer 'data': .*MANIFEST-000002: is missing"):
        make(tmp_path, backend="LEVELDB").top_shapes()


def test_several_labels_a_record_come_from_a_store_of_their_own(tmp_path, make):
    labels = np.random.default_rng(3).standard_normal((7, 3, 1, 1)).astype(np.float32)
    folder = write_lmdb(tmp_path / "db", [(b"%08d" % i, datum(x)) for i, x in enumerate(labels)])
    layer = make(folder)
    assert layer.top_shapes()[0] == (4, 3, 1, 1)
    np.testing.assert_array_equal(batches(layer, 1)[0][0], labels[:4])


def test_rand_skip_is_said_to_do_nothing(folder, make, caplog):
    layer = make(folder, rand_skip=5)
    assert "rand_skip is not applied" in caplog.text
    np.testing.assert_array_equal(batches(layer, 1)[0][0], IMAGES[:4])


def test_shuffled_stores_of_as_many_records_stay_in_step(tmp_path, folder, make):
    """Images and their labels in two stores are read in one order."""
    numbers = [np.full((1, 1, 1), i, np.float32) for i in range(10)]
    beside = image_lmdb(tmp_path / "labels", numbers)
    one, other = make(folder, shuffle=True), make(beside, tops=1, shuffle=True, name="other")
    for (_, labels), (rows,) in zip(batches(one, 6), batches(other, 6), strict=True):
        np.testing.assert_array_equal(labels, rows.ravel())
    order = np.concatenate([labels for _, labels in batches(make(folder, shuffle=True), 5)])
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))
    assert order[:10].tolist() != order[10:].tolist()


# ---------------------------------------------------------------------- Data that is not there


def test_random_records_stand_in_where_the_caller_allows_it(make, caplog):
    layer = make("nowhere", absent_data=(3, 9, 8), mean_file="nowhere either", batch_size=50)
    assert "nowhere is missing" not in caplog.text
    assert layer.top_shapes() == ((50, 3, 9, 8), (50,))
    assert "nowhere is missing: random records of shape (3, 9, 8) take its place" in caplog.text
    (data, labels), (again, _) = batches(layer, 2)
    assert data.std() > 0.9 and set(labels.tolist()) == {0.0, 1.0}
    np.testing.assert_array_equal(data, again)
    assert layer.position == 2 and layer.record(3) == "random record 3"


def test_random_records_stand_in_for_a_source_that_is_not_said(make, caplog):
    assert make("", absent_data=(3, 9, 8)).top_shapes()[0] == (4, 3, 9, 8)
    assert "the data set is missing" in caplog.text


def test_the_stand_in_is_cropped(make):
    assert make("nowhere", absent_data=(3, 9, 8), crop_size=5).top_shapes()[0] == (4, 3, 5, 5)


def test_a_stand_in_is_of_images():
    with pytest.raises(LayerConfigError, match="records would have the shape .2,."):
        spec = make_spec("Data", source="nowhere", batch_size=1)
        layer_class(spec)(spec, Context(absent_data=(2,))).top_shapes()


def test_a_data_set_that_is_there_is_used_all_the_same(folder, make):
    np.testing.assert_array_equal(batches(make(folder, absent_data=(1, 2, 2)), 1)[0][0], IMAGES[:4])


def test_a_damaged_data_set_is_refused_all_the_same(tmp_path, make):
    (tmp_path / "data.mdb").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="is not an LMDB file"):
        make(tmp_path, absent_data=(1, 2, 2)).top_shapes()


# ---------------------------------------------------------------------- threads and files


def threads(name):
    """The threads that read for the layer of this name."""
    return [t for t in threading.enumerate() if t.name == f"minidl data layer {name}"]


def test_close_ends_the_thread_and_forward_opens_again(folder, make):
    layer = make(folder, name="closing")
    _, top = bind(layer)
    batches(layer, 1, top)
    assert len(threads("closing")) == 1
    layer.close()
    layer.close()
    assert not threads("closing")
    np.testing.assert_array_equal(batches(layer, 1, top)[0][0], IMAGES[4:8])


def test_a_forgotten_layer_ends_its_thread(folder):
    layer = build("Data", source=str(folder), backend="LMDB", batch_size=2, name="forgotten")
    run(layer)
    assert len(threads("forgotten")) == 1
    del layer
    gc.collect()
    assert not threads("forgotten")


def test_a_net_that_forces_backward_goes_back_as_far_as_its_data(folder):
    text = f"""
      force_backward: true
      layer {{ name: "data" type: "Data" top: "x" top: "label"
              data_param {{ source: "{folder}" batch_size: 2 backend: LMDB }} }}
      layer {{ name: "noise" type: "DummyData" top: "n"
              dummy_data_param {{ shape {{ dim: 2 dim: 3 dim: 5 dim: 4 }} }} }}
      layer {{ name: "loss" type: "EuclideanLoss" bottom: "x" bottom: "n" top: "loss" }}"""
    with Net(text, phase=schema.TRAIN) as net:
        net.forward_pass()
        net.backward_pass()
        np.testing.assert_allclose(net.blobs["x"].diff, net.blobs["x"].data / 2)


def test_a_data_set_cut_while_it_is_read_is_an_error_of_the_forward_that_needs_it(tmp_path, make):
    folder = image_lmdb(tmp_path / "db", random_images(40, (3, 40, 40)))
    layer = make(folder, batch_size=1, prefetch=1)
    _, top = bind(layer)
    batches(layer, 2, top)
    with open(folder / "data.mdb", "r+b") as file:
        file.truncate(8192)
    with pytest.raises(MinidlError, match="was cut short"):
        batches(layer, 10, top)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_mean_file_that_is_absent_or_damaged_names_layer_and_line(folder, tmp_path, damaged):
    path = tmp_path / "mk.binaryproto"
    if damaged:
        path.write_bytes(b"\xff\xff\xff")
    (tmp_path / "mk.py").touch()
    (tmp_path / "mq.binaryproto").touch()
    text = f"""
    layer {{ name: "images" type: "Data" top: "x"
      data_param {{ source: "{folder}" batch_size: 2 backend: LMDB }}
      transform_param {{
        mean_file: "{path}" }} }}"""
    with pytest.raises(MinidlError) as refusal:
        Net(text)
    message = str(refusal.value)
    assert re.match(rf".*:5: Data layer 'images': mean_file {path}: ", message), message
    assert "mk.py" not in message
    assert ("did you mean 'mq.binaryproto'" in message) == (not damaged)
