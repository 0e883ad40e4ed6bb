"""pycaffe's namespace: every name is there, under every name of a module."""

import inspect

import pytest

from minidl import classifier, coord_map, detector, io, pycaffe
from minidl import spec as minidl_spec
from minidl.pycaffe import draw, net_spec

NAMES = """
Net SGDSolver NesterovSolver AdaGradSolver RMSPropSolver AdaDeltaSolver AdamSolver NCCL Timer
init_log log set_mode_cpu set_mode_gpu set_device Layer get_solver layer_type_list set_random_seed
solver_count set_solver_count solver_rank set_solver_rank set_multiprocess has_nccl __version__
TRAIN TEST Classifier Detector io layers params NetSpec to_proto
""".split()


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_pycaffe_is_there(name):
    assert getattr(pycaffe, name) is not None
    if name != "__version__":
        assert name in pycaffe.__all__


def test_modules_by_the_names_that_programs_import():
    found = pycaffe.modules()
    assert found["caffe"] is found["caffe._caffe"] is found["caffe.pycaffe"] is pycaffe
    assert found["caffe.io"] is io and found["caffe.draw"] is draw
    assert found["caffe.classifier"] is classifier and found["caffe.detector"] is detector
    assert found["caffe.coord_map"] is coord_map and found["caffe.net_spec"] is net_spec
    assert found["caffe.layers"] is minidl_spec.layers
    assert found["caffe.params"] is minidl_spec.params
    assert found["caffe.proto"].caffe_pb2 is found["caffe.proto.caffe_pb2"] is io.caffe_pb2


def test_each_part_is_an_attribute_of_its_package():
    for name, module in pycaffe.modules().items():
        parts = name.split(".")[1:]
        at = pycaffe
        for part in parts if parts not in (["pycaffe"], ["_caffe"]) else ():
            at = getattr(at, part)
        assert at is module, name


def test_functions_of_the_namespace_are_explained():
    for name in pycaffe.__all__:
        value = getattr(pycaffe, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert value.__doc__, name
