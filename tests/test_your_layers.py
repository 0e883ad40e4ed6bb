"""examples/my_layers, a package of layer types outside minidl, in every command and in Python."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.support import ROOT

NET = "examples/my_layers/net.prototxt"
WEIGHTS = "runs/waves/waves_iter_4.caffemodel"
IMPORT = ["--import", "examples/my_layers"]


def run(folder, *words, ok=True):
    """stdout of a Python program, in a process that knows nothing of the package yet."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert (done.returncode == 0) is ok, done.stderr
    return done.stdout if ok else done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the package, and what four iterations with it left."""
    folder = tmp_path_factory.mktemp("theirs")
    shutil.copytree(ROOT / "examples" / "my_layers", folder / "examples" / "my_layers")
    solver = "examples/my_layers/solver.prototxt"
    short = ["--set", "max_iter=4", "--set", "test_interval=4"]
    said = run(folder, "-m", "minidl", "train", solver, *short, *IMPORT)
    assert WEIGHTS in said
    return folder


COMMANDS = {
    "test": (["--model", NET, "--weights", WEIGHTS, "-iterations", "2"], "loss = "),
    "check": ([NET], "snake1  Snake          16 8        array code"),
    "time": ([NET, "-iterations", "1"], "snake1          Snake"),
    "gradcheck": ([NET], "snake1  Snake                24        0      agrees"),
    "summarize": ([NET], "snake1  Snake"),
    "draw": ([NET, "-o", "net.svg"], "5 boxes for 5 layers"),
    "export": ([NET, "--weights", WEIGHTS, "--onnx", "net.onnx"], "output  ip2"),
    "explain": (["snake_param"], "channel_shared  bool, default false"),
    "extract_features": ([WEIGHTS, NET, "snake1", "out.npz", "1"], "16 items of 8"),
    "upgrade": ([NET, "new.prototxt"], "nothing was old"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_knows_the_package(folder, command):
    words, said = COMMANDS[command]
    if command == "export":
        pytest.importorskip("onnx")
    assert said in run(folder, "-m", "minidl", command, *words, *IMPORT)
    if command != "upgrade":  # a file is upgraded whatever types it names
        refused = run(folder, "-m", "minidl", command, *words, ok=False)
        assert "Snake" in refused or "snake_param" in refused


def test_the_type_has_a_page_and_so_has_the_layer(folder):
    page = run(folder, "-m", "minidl", "explain", "Snake", *IMPORT)
    assert "dx = dy (1 + sin(2 a x))" in page and "in ONNX        Mul by alpha, Sin" in page
    page = run(folder, "-m", "minidl", "explain", NET, "snake1", *IMPORT)
    assert "learns         alpha  8, 8 numbers, lr_mult 1, decay_mult 0" in page
    assert "    alpha_filler {" in page


def test_the_drawing_has_the_colour_of_its_family(folder):
    run(folder, "-m", "minidl", "draw", NET, "-o", "net.svg", *IMPORT)
    text = (folder / "net.svg").read_text()
    assert "#fbdfc5" in text  # nothing else in this net is an activation


def test_a_stopped_run_goes_on(folder):
    state = WEIGHTS.replace("caffemodel", "solverstate")
    words = ["examples/my_layers/solver.prototxt", "--snapshot", state, "--set", "max_iter=6"]
    assert "waves_iter_6.caffemodel" in run(folder, "-m", "minidl", "train", *words, *IMPORT)


def test_errors_in_the_message_have_line_and_nearest_name(folder):
    text = (folder / NET).read_text().replace("alpha_filler", "alpha_filer")
    (folder / "wrong.prototxt").write_text(text)
    said = run(folder, "-m", "minidl", "check", "wrong.prototxt", *IMPORT, ok=False)
    assert "wrong.prototxt:28:17: Snake layer 'snake1': snake_param has no field" in said
    assert "did you mean 'alpha_filler'" in said


def test_a_number_that_is_taken_stops_the_import(folder):
    (folder / "clash.py").write_text(
        "from minidl import schema\nschema.extend('clash_param', 106, {'a': (float,)})\n"
    )
    said = run(folder, "-m", "minidl", "check", NET, "--import", "clash.py", ok=False)
    assert "number 106 is that of convolution_param" in said and "30000 to 39999" in said


PYTHON = """
import sys
import numpy as np
import minidl
from minidl import coord_map, prototxt, schema
from minidl.spec import NetSpec, layers as L

early = minidl.Net('layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }')
sys.path.insert(0, "examples")
import my_layers

assert "Snake" in minidl.layer_type_list() and "Snake" in dir(L)
n = NetSpec()
n.x = L.Input(shape=dict(dim=[2, 3, 4, 5]))
n.y = L.Snake(n.x, channel_shared=True, alpha_filler=dict(type="constant", value=2))
assert coord_map.coord_map_from_to(n.y, n.x)[1:] == (1, 0)
proto = n.to_proto()
assert proto.layer[1].snake_param.channel_shared
for text in (prototxt.to_text(proto), str(proto)):
    net = minidl.Net(text)
    assert net.params["y"][0].data.tolist() == [2]
net.params["y"][0].data[...] = 3
net.save("y.caffemodel")
again = minidl.Net(proto, weights="y.caffemodel")
assert again.params["y"][0].data.tolist() == [3]
saved = schema.NetParameter.FromString(open("y.caffemodel", "rb").read())
assert saved.layer[1].snake_param.channel_shared and saved.layer[1].blobs[0].data[:] == [3]
x = np.linspace(-2, 2, 120).reshape(2, 3, 4, 5)
y = x + np.sin(3 * x) ** 2 / 3
np.testing.assert_allclose(again.forward(x=x)["y"], y, rtol=1e-5, atol=1e-6)
print("done")
"""


def test_python_knows_the_package_even_where_nets_were_made_before(folder):
    assert run(folder, "-c", PYTHON).endswith("done\n")


# ------------------------------------------------------------------ the layer itself


@pytest.fixture(scope="module")
def snake():
    """What builds a Snake layer, in this process."""
    from minidl import prototxt
    from minidl.cli.modules import load
    from minidl.layers.base import REGISTRY
    from minidl.onnx.table import EXPORTERS, WORDS
    from minidl.testing.harness import build

    load([str(ROOT / "examples" / "my_layers")])
    yield lambda **keywords: build("Snake", **keywords)
    for table in (REGISTRY, EXPORTERS, WORDS):
        del table["Snake"]
    prototxt.LAYER_TYPES.discard("Snake")
    for name in [m for m in sys.modules if m.partition(".")[0] == "my_layers"]:
        del sys.modules[name]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (4, 3)])
def test_the_example_computes_what_it_says(snake, shape, shared):
    from minidl.testing.gradcheck import check_backward
    from minidl.testing.harness import run as forward

    layer = snake(channel_shared=shared)
    x = np.random.default_rng(1).standard_normal(shape) * 2
    alpha = np.array([1.5]) if shared else np.array([0.5, -1.5, 3.0])
    _, (y,) = forward(layer, x, params=[alpha])
    a = alpha.reshape(-1, *[1] * (len(shape) - 2))
    np.testing.assert_allclose(y.data, x + np.sin(a * x) ** 2 / a, rtol=1e-12)
    check_backward(layer, x, params=[alpha])


def test_a_cell_that_runs_again_replaces_its_layer_and_nobody_elses():
    from minidl.layers.base import REGISTRY, Layer, register

    def cell():
        @register("CellOfMine")
        class CellOfMine(Layer):
            pass

        return CellOfMine

    try:
        first, second = cell(), cell()
        assert REGISTRY["CellOfMine"] is second is not first
        with pytest.raises(ValueError, match="'CellOfMine' is registered by CellOfMine"):
            register("CellOfMine")(type("CellOfMine", (Layer,), {"__module__": "theirs"}))
    finally:
        del REGISTRY["CellOfMine"]
