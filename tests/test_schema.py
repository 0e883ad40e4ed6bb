"""The schema: it compiles to what is committed, keeps Caffe's wire format, and explains itself."""

import importlib.util
import struct

import pytest
from google.protobuf import descriptor_pb2

from minidl import schema
from minidl.errors import MinidlError
from tests.support import ROOT, SHARED

PROTO = ROOT / "proto"


def test_rebuilding_gives_the_committed_descriptors():
    pytest.importorskip("grpc_tools", reason="grpcio-tools brings protoc, and is not installed")
    if not (PROTO / "build.py").is_file():
        pytest.skip("not a checkout: there is no proto/build.py")
    spec = importlib.util.spec_from_file_location("proto_build", PROTO / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    committed = (PROTO / "minidl.desc").read_bytes()
    read = descriptor_pb2.FileDescriptorSet.FromString
    assert read(build.compiled()) == read(committed)


def test_well_known_numbers_are_caffes():
    # (message, field, number): spot checks from every generation of the schema
    known = [
        ("BlobProto", "data", 5),
        ("BlobProto", "shape", 7),
        ("Datum", "label", 5),
        ("NetParameter", "layers", 2),
        ("NetParameter", "layer", 100),
        ("SolverParameter", "net", 24),
        ("SolverParameter", "layer_wise_reduce", 41),
        ("SolverParameter", "weights", 42),
        ("SolverState", "history", 3),
        ("LayerParameter", "convolution_param", 106),
        ("LayerParameter", "recurrent_param", 146),
        ("LayerParameter", "swish_param", 147),
        ("LayerParameter", "clip_param", 148),
        ("V1LayerParameter", "param", 1001),
        ("V0LayerParameter", "hdf5_output_param", 1001),
        ("ConvolutionParameter", "dilation", 18),
        ("PoolingParameter", "round_mode", 13),
        ("InfogainLossParameter", "axis", 2),
    ]
    for message, field, number in known:
        descriptor = getattr(schema, message).DESCRIPTOR
        assert descriptor.fields_by_name[field].number == number, (message, field)


def test_defaults_are_caffes():
    solver, lrn, filler = schema.SolverParameter(), schema.LRNParameter(), schema.FillerParameter()
    assert (solver.solver_mode, solver.type, solver.clip_gradients) == (1, "SGD", -1)
    assert solver.momentum2 == pytest.approx(0.999) and solver.snapshot_after_train
    assert (lrn.local_size, lrn.alpha, lrn.beta, lrn.k) == (5, 1, 0.75, 1)
    assert (filler.type, filler.std, filler.sparse) == ("constant", 1, -1)
    assert schema.NetState().phase == schema.TEST == 1 and schema.TRAIN == 0
    assert schema.PoolingParameter.AVE == 1 and schema.Phase == {"TRAIN": 0, "TEST": 1}


def test_the_wire_format_is_written_as_caffe_writes_it():
    # shape {dim: 2 dim: 300} data: [1.0, -2.0], encoded by hand
    by_hand = b"\x2a\x08" + struct.pack("<ff", 1, -2) + b"\x3a\x05\x0a\x03\x02\xac\x02"
    blob = schema.BlobProto(data=[1, -2])
    blob.shape.dim.extend([2, 300])
    assert blob.SerializeToString(deterministic=True) == by_hand
    assert schema.BlobProto.FromString(by_hand) == blob


# Fields that these writers' own versions of Caffe had added.
FROM_FORKS = {
    "mtcnn_det1": {("SoftmaxParameter", 3)},
    "mtcnn_det2": {("LossParameter", 4)},
    "mtcnn_det3": {("LossParameter", 4)},
}


def unknown_fields(message, data):
    """Numbers of the fields in `data` that the class of `message` does not have, at any depth."""
    known = {field.number: field for field in message.fields}
    found, at = [], 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        number, kind = key >> 3, key & 7
        inside = None
        if kind == 0:
            varint()
        elif kind == 2:
            size = varint()
            inside, at = data[at : at + size], at + size
        else:
            at += {1: 8, 5: 4}[kind]
        if number not in known:
            found.append((message.name, number))
        elif inside is not None and known[number].message_type is not None:
            found += unknown_fields(known[number].message_type, inside)
    return found


def binaries():
    weights = [*SHARED.glob("models/*/weights.caffemodel"), *SHARED.glob("golden/*/*.caffemodel")]
    states = SHARED.glob("golden/*/*.solverstate")
    means = SHARED.glob("golden/*/*.binaryproto")
    kinds = {"NetParameter": weights, "SolverState": states, "BlobProto": means}
    return [(path, name) for name, paths in kinds.items() for path in sorted(paths)]


# Fields that these writers' own versions of Caffe had added.
FROM_FORKS = {
    "mtcnn_det1": {("SoftmaxParameter", 3)},
    "mtcnn_det2": {("LossParameter", 4)},
    "mtcnn_det3": {("LossParameter", 4)},
}


def test_every_field_of_real_binary_files_is_known():
    files = binaries()
    if not files:
        pytest.skip(f"no real weight files: {SHARED} is absent (set MINIDL_SHARED)")
    for path, name in files:
        data = path.read_bytes()
        message = getattr(schema, name).FromString(data)
        expected = FROM_FORKS.get(path.parent.name, set())
        assert set(unknown_fields(message.DESCRIPTOR, data)) == expected, path
        assert message.ByteSize() > 0 and message.IsInitialized()


def test_comments_come_from_the_proto_file():
    assert "window" in schema.comment("PoolingParameter", "stride")
    assert "\n  poly       base_lr *" in schema.comment("SolverParameter", "lr_policy")
    assert schema.comment("Phase", "TRAIN").startswith("learning")
    with pytest.raises(MinidlError, match="no 'PoolingParameter.kernal'"):
        schema.comment("PoolingParameter", "kernal")


def test_every_message_field_and_enum_has_a_comment():
    def silent(name, descriptor):
        inside = [*descriptor.fields, *descriptor.enum_types]
        names = [name, *(f"{name}.{item.name}" for item in inside)]
        return [name for name in names if not schema.comment(name)]

    ours = schema.file().message_types_by_name  # others may have added some: schema.extend
    assert [n for name, found in ours.items() for n in silent(name, found)] == []


def test_a_missing_schema_is_an_error_that_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(schema, "__file__", str(tmp_path / "minidl" / "schema.py"))
    with pytest.raises(MinidlError, match=r"minidl.desc is missing(.|\n)*build.py"):
        schema.folder()


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'PollingParameter'"):
        _ = schema.PollingParameter
    assert "PoolingParameter" in dir(schema)
