"""`import minidl.caffe` puts minidl in Caffe's place, for the process that says so."""

import os
import subprocess
import sys

from tests.support import ROOT


def run(folder, code, **environment):
    """The words that a fresh Python prints for `code`, and its stderr."""
    for name in ("MINIDL_ALLOW_PYTHON", "GLOG_minloglevel"):
        environment.setdefault(name, "")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


def old_tree(folder):
    """A tree of Caffe with an extension that cannot be loaded, and a part of a fork's own."""
    package = folder / "python" / "caffe"
    (package / "proto").mkdir(parents=True)
    (package / "__init__.py").write_text("from ._caffe import Net\n")
    (package / "io.py").write_text("raise ImportError('the old tree')\n")
    (package / "proto" / "caffe_pb2.py").write_text("raise ImportError('the old tree')\n")
    (package / "model_libs.py").write_text(
        "import caffe\nfrom caffe import layers as L\n\n"
        "def add(net):\n    net.relu = L.ReLU(net.data)\n    return caffe.TEST\n"
    )


PROGRAM = """
import sys
import minidl.caffe as caffe
sys.path.insert(0, "python")

import caffe as old
import caffe.io, caffe.draw, caffe.proto.caffe_pb2
from caffe import layers as L, params as P
from caffe.proto import caffe_pb2
from caffe.net_spec import NetSpec
from minidl.caffe.proto import caffe_pb2 as ours
from caffe.model_libs import add
import minidl.caffe

assert old is caffe is minidl.caffe and caffe_pb2 is ours is caffe.io.caffe_pb2
n = NetSpec()
n.data = L.Input(shape=dict(dim=[1, 2]))
assert add(n) == caffe.TEST == caffe_pb2.TEST
print(*(layer.type for layer in n.to_proto().layer), P.Pooling.AVE, caffe.__version__)
print(caffe.Net(n.to_proto(), caffe.TEST).forward()["relu"].shape)
"""


def test_it_comes_before_an_old_tree_whose_further_parts_build_on_it(tmp_path):
    old_tree(tmp_path)
    words, _ = run(tmp_path, PROGRAM)
    assert words == ["Input", "ReLU", "1", "1.0.0", "(1,", "2)"]


LAYER = """
import caffe

class Two(caffe.Layer):
    def setup(self, bottom, top): pass
    def reshape(self, bottom, top): top[0].reshape(2)
    def forward(self, bottom, top): top[0].data[...] = 2
"""
NET = """layer { name: "p" type: "Python" top: "y" python_param { module: "two" layer: "Two" } }"""


def test_it_allows_python_layers_and_the_log_goes_to_stderr(tmp_path):
    (tmp_path / "two.py").write_text(LAYER)
    code = f"import minidl.caffe as caffe; print(caffe.Net('''{NET}''', caffe.TEST).forward()['y'])"
    words, log = run(tmp_path, code)
    assert words == ["[2.", "2.]"]
    assert "Network initialization done." in log and log.startswith("I")
    _, log = run(tmp_path, code, GLOG_minloglevel="2")
    assert log == ""


def test_permission_may_be_taken_back(tmp_path):
    (tmp_path / "two.py").write_text(LAYER)
    code = f"""
import minidl.caffe as caffe
from minidl.layers.context import allow_python
allow_python(False)
try: caffe.Net('''{NET}''', caffe.TEST)
except caffe.MinidlError as error: print("would run code" in str(error))
"""
    assert run(tmp_path, code)[0] == ["True"]


def test_importing_minidl_alone_takes_no_name(tmp_path):
    code = """
import sys, minidl
minidl.Layer, minidl.proto.caffe_pb2, minidl.pycaffe
print("caffe" in sys.modules, hasattr(minidl, "caffe"))
from minidl.layers.context import python_allowed
print(python_allowed())
"""
    assert run(tmp_path, code)[0] == ["False", "False", "False"]
