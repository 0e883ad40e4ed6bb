"""caffe_pb2 as programs use protoc's module: classes, enums, descriptors, text and bytes."""

import copy
import pickle

import pytest
from google.protobuf import text_format

from minidl import Net, caffe_pb2, schema


def test_the_classes_are_those_of_the_schema():
    assert caffe_pb2.NetParameter is schema.NetParameter
    net = caffe_pb2.NetParameter(name="n")
    layer = net.layer.add(name="x", type="Input", top=["x"])
    layer.input_param.shape.add(dim=[2, 3])
    assert Net(net).forward(x=[[1, 2, 3]] * 2)["x"].shape == (2, 3)
    assert copy.deepcopy(net) == pickle.loads(pickle.dumps(net)) == net


def test_enums_have_values_and_names_both_ways():
    assert caffe_pb2.Phase.Value("TEST") == caffe_pb2.TEST == 1
    assert caffe_pb2.Phase.Name(caffe_pb2.TRAIN) == "TRAIN"
    assert dict(caffe_pb2.Phase.items()) == {"TRAIN": 0, "TEST": 1}
    assert caffe_pb2.V1LayerParameter.LayerType.Name(4) == "CONVOLUTION"
    assert caffe_pb2.SolverParameter.GPU == 1
    method = caffe_pb2.PoolingParameter.PoolMethod.DESCRIPTOR
    assert {n: v.number for n, v in method.values_by_name.items()} == {
        "MAX": 0,
        "AVE": 1,
        "STOCHASTIC": 2,
    }


def test_descriptors_list_what_there_is():
    assert "LayerParameter" in caffe_pb2.DESCRIPTOR.message_types_by_name
    assert caffe_pb2._LAYERPARAMETER.fields_by_name["name"].number == 1
    assert caffe_pb2._PHASE.values_by_name["TEST"].number == 1
    names: dict = {}
    exec("from minidl.caffe_pb2 import *", names)
    assert names["TRAIN"] == 0 and names["BlobProto"] is caffe_pb2.BlobProto


def test_text_is_read_and_written_by_protobuf_itself():
    net = text_format.Merge('layer { name: "a" type: "ReLU" }', caffe_pb2.NetParameter())
    assert str(net) == 'layer {\n  name: "a"\n  type: "ReLU"\n}\n'
    with pytest.raises(text_format.ParseError):
        text_format.Merge('layer { nmae: "a" }', caffe_pb2.NetParameter())


def test_the_mean_of_a_binaryproto_by_hand():
    body = bytes([0x08, 1, 0x10, 1, 0x18, 1, 0x20, 2, 0x2A, 8]) + b"\0\0\x80\x3f\0\0\0\x40"
    blob = caffe_pb2.BlobProto()
    blob.ParseFromString(body)
    assert (blob.num, blob.channels, blob.height, blob.width) == (1, 1, 1, 2)
    assert list(blob.data) == [1, 2]


# Message: fields that programs of other people set and read. Numbers are Caffe's.
KNOWN = {
    "Datum": "channels 1 height 2 width 3 data 4 label 5 float_data 6 encoded 7",
    "NetParameter": "name 1 layers 2 input 3 input_dim 4 force_backward 5 state 6 layer 100",
    "SolverParameter": "train_net 1 base_lr 5 snapshot_prefix 15 net 24 type 40 weights 42",
    "LayerParameter": "name 1 type 2 bottom 3 top 4 param 6 blobs 7 phase 10 python_param 130",
    "TransformationParameter": "scale 1 mirror 2 crop_size 3 mean_file 4 mean_value 5",
    "BlobProtoVector": "blobs 1",
}


@pytest.mark.parametrize("message", KNOWN)
def test_fields_have_caffes_numbers(message):
    fields = getattr(caffe_pb2, message).DESCRIPTOR.fields_by_name
    words = KNOWN[message].split()
    for name, number in zip(words[::2], words[1::2], strict=True):
        assert fields[name].number == int(number)


def test_labels_of_detections_have_names():
    """As in the programs around SSD."""
    text = """item { name: "none" label: 0 display_name: "background" }
    item { name: "n1" label: 1 display_name: "plane" } item { name: "n2" label: 2 }"""
    labelmap = caffe_pb2.LabelMap()
    text_format.Merge(text, labelmap)
    names = {item.label: item.display_name for item in labelmap.item}
    assert names == {0: "background", 1: "plane", 2: ""}
    assert len(labelmap.item) == 3 and labelmap.item[2].name == "n2"
    assert labelmap.item[1].SerializeToString() == b"\x0a\x02n1\x10\x01\x1a\x05plane"


def test_an_image_with_boxes_has_the_bytes_of_ssd():
    record = caffe_pb2.AnnotatedDatum(type=caffe_pb2.AnnotatedDatum.BBOX)
    record.datum.channels = 3
    one = record.annotation_group.add(group_label=2).annotation.add(instance_id=1)
    one.bbox.xmin, one.bbox.ymax, one.bbox.difficult = 0.5, 1, True
    box = b"\x0d\x00\x00\x00\x3f" + b"\x25\x00\x00\x80\x3f" + b"\x30\x01"  # 1, 4, 6
    group = b"\x08\x02" + b"\x12\x10" + b"\x08\x01" + b"\x12\x0c" + box
    wanted = b"\x0a\x02\x08\x03" + b"\x10\x00" + b"\x1a\x14" + group
    assert record.SerializeToString() == wanted


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no 'NetParam'"):
        caffe_pb2.NetParam  # noqa: B018
