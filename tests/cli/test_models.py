"""Reading model files: solver or net, and what stands in for absent records."""

from argparse import Namespace

import pytest

from minidl import prototxt, schema
from minidl.cli import models
from minidl.errors import DataError

SOLVERS = {
    "plain": 'net: "lenet.prototxt"\nbase_lr: 0.01\n',
    "net inside": 'net_param { name: "n" layer { name: "x" } } base_lr: 0.1 type: "SGD"',
    "angle brackets": "net_param < layer < name: 'x' > > max_iter: 3",
    "commented net": '# layer { }\n# name: "net"\ntrain_net: "x" test_iter: 1 test_net: "y"',
    "debug_info": 'debug_info: true net: "x"',
}
NETS = {
    "plain": 'name: "LeNet"\nlayer { name: "data" type: "Input" top: "x" }',
    "V1": "layers { name: 'a' type: DATA }",
    "input only": 'input: "data" input_dim: 1',
    "words in a string": 'name: "net: 1 base_lr: 2 max_iter: 3"',
    "empty": "",
    "a bracket in a string": 'name: "}{" layer { name: "x" } ',
}


@pytest.mark.parametrize("text", SOLVERS.values(), ids=SOLVERS.keys())
def test_a_solver_is_known_by_its_fields(text, tmp_path):
    file = tmp_path / "x.prototxt"
    file.write_text(text)
    assert models.is_solver(str(file))


@pytest.mark.parametrize("text", NETS.values(), ids=NETS.keys())
def test_a_net_is_no_solver(text, tmp_path):
    file = tmp_path / "x.prototxt"
    file.write_text(text)
    assert not models.is_solver(str(file))


def data_net(inside="", name="n", source="x_lmdb"):
    return prototxt.read_net(
        f'name: "{name}" layer {{ name: "d" type: "Data" top: "data" '
        f'data_param {{ source: "{source}" batch_size: 2 }} {inside} }}'
    )


RECORDS = {
    "crop_size": (data_net("transform_param { crop_size: 227 }"), (3, 227, 227)),
    "one mean value": (data_net("transform_param { crop_size: 9 mean_value: 4 }"), (1, 9, 9)),
    "gray": (data_net("transform_param { crop_size: 9 force_gray: true }"), (1, 9, 9)),
    "crop before name": (data_net("transform_param { crop_size: 9 }", name="cifar"), (3, 9, 9)),
    "channels by name": (data_net("transform_param { crop_size: 9 }", name="digits"), (1, 9, 9)),
    "source": (data_net(source="examples/mnist/mnist_train_lmdb"), (1, 28, 28)),
    "net's name": (data_net(name="CIFAR10_quick"), (3, 32, 32)),
    "nothing": (data_net(), None),
}


@pytest.mark.parametrize("net, shape", RECORDS.values(), ids=RECORDS.keys())
def test_the_shape_of_absent_records_is_guessed(net, shape):
    assert models.guess_record(net, "net.prototxt", Namespace(shape=None)) == shape


def test_shape_counts_more_than_any_guess_and_the_file_name_least():
    net = data_net(name="cifar")
    assert models.guess_record(net, "x", Namespace(shape=(1, 2, 3))) == (1, 2, 3)
    file = "models/LeNet/train.prototxt"
    assert models.guess_record(data_net(), file, Namespace(shape=None)) is None
    file = "models/LeNet-train.prototxt"
    assert models.guess_record(data_net(), file, Namespace(shape=None)) == (1, 28, 28)


@pytest.mark.parametrize(
    "record, source, hinted",
    [(None, "gone", True), ((1, 28, 28), "gone", False), (None, "there", False)],
)
def test_only_where_nothing_was_guessed_and_nothing_is_there_the_error_mentions_shape(
    record, source, hinted, tmp_path
):
    (tmp_path / "there").mkdir()
    path = tmp_path / source
    net = schema.NetParameter()
    net.layer.add(name="d", type="Data").data_param.source = str(path)
    with pytest.raises(DataError) as error:
        with models.records(net, "net.prototxt", Namespace(shape=record)):
            raise DataError("no such data set", where=f"Data layer 'd': {path}", fix="get it")
    assert ("fix: get it; or give --shape C,H,W" in str(error.value)) == hinted


def test_an_error_about_one_data_set_has_no_hint_for_the_absence_of_another(tmp_path):
    net = schema.NetParameter()
    net.layer.add(name="d", type="Data").data_param.source = str(tmp_path / "gone")
    with pytest.raises(DataError) as error:
        with models.records(net, "net.prototxt", Namespace(shape=None)):
            raise DataError("is damaged", where=f"Data layer 'e': {tmp_path / 'other'}")
    assert "--shape" not in str(error.value)
