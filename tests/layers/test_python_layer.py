"""The Python layer: pycaffe's protocol, late shapes, parameters, a GPU, permission, and errors."""

import builtins
import sys

import numpy as np
import pytest

from minidl import TEST, TRAIN, Net, get_solver
from minidl.cli import main
from minidl.errors import LayerConfigError, RunError
from minidl.layers import context
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build, run

MODULE = "tests.layers.user_layers"
X = np.random.default_rng(7).standard_normal((4, 3)).astype(np.float32)


def python(layer, bottoms=1, tops=1, **options):
    param = dict(module=MODULE, layer=layer, param_str=options.pop("param_str", ""))
    return build(
        "Python",
        bottoms=bottoms,
        tops=tops,
        allow_python=True,
        python_param=param,
        **options,
    )


def text(layer, *, module=MODULE, param_str="", bottom='bottom: "x"'):
    param_str = param_str.replace('"', '\\"')
    return f"""
layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 4 dim: 3 }} }} }}
layer {{ name: "mine" type: "Python" {bottom} top: "y"
  python_param {{ module: "{module}" layer: "{layer}" param_str: "{param_str}" }} }}
layer {{ name: "above" type: "Power" bottom: "y" top: "z" power_param {{ scale: 2 }} }}
"""


def net_of(layer, phase=TEST, **options):
    device = options.pop("device", None)
    return Net(text(layer, **options), phase, seed=1, allow_python=True, device=device)


# --------------------------------------------------------------------------------- the protocol


def test_forward_and_backward_are_those_of_the_class(device):
    layer = python("Affine", param_str="3", device=device)
    check_backward(layer, X, tolerance=1e-6)
    bottom, (y,) = run(layer, X, params=[np.array([1.0, 2, 3])])
    host = layer.ctx.device.to_host
    np.testing.assert_allclose(host(y.data), 3 * X.astype(np.float64) ** 2 + [1, 2, 3], rtol=1e-12)


def test_a_loss_written_for_caffe_is_the_layers_of_that_name():
    a, b = X, X[::-1] + 1
    ours = build("EuclideanLoss", bottoms=2)
    _, (expected,) = run(ours, a, b)
    layer = python("EuclideanLoss", bottoms=2)
    _, (loss,) = run(layer, a, b)
    assert float(loss.data[0]) == pytest.approx(float(expected.data), rel=1e-12)
    check_backward(layer, a, b)


def test_parameters_start_with_what_setup_wrote_and_are_learned(tmp_path, device):
    net = net_of("Affine", param_str="3", device=device)
    host = net.device.to_host
    assert [p.shape for p in net.params["mine"]] == [(3,)]
    np.testing.assert_array_equal(host(net.params["mine"][0].data), 2)
    np.testing.assert_allclose(host(net.forward(x=X)["z"]), 2 * (3 * X**2 + 2), rtol=1e-6)
    net.device.write(net.params["mine"][0].data, np.full(3, 5))
    np.testing.assert_allclose(host(net.forward(x=X)["z"]), 2 * (3 * X**2 + 5), rtol=1e-6)
    net.save(tmp_path / "net.caffemodel")
    again = Net(text("Affine"), weights=tmp_path / "net.caffemodel", allow_python=True)
    np.testing.assert_array_equal(again.params["mine"][0].data, 5)


def test_a_solver_learns_its_parameters(tmp_path, device):
    (tmp_path / "net.prototxt").write_text(
        text("Affine")
        + 'layer { name: "loss" type: "Reduction" bottom: "z" top: "loss" loss_weight: 1 }'
    )
    solver = f"net: '{tmp_path}/net.prototxt' base_lr: 0.5 lr_policy: 'fixed' max_iter: 2"
    solver = get_solver(solver, device=device, allow_python=True, share=True)
    solver.step(2)
    # z = 2 y, so every step takes 0.5 * 2 * 4 items from the offset
    np.testing.assert_allclose(solver.net.device.to_host(solver.net.params["mine"][0].data), 2 - 8)


def test_a_frozen_parameter_keeps_its_gradient_to_itself():
    layer = python("Affine")
    bottom, top = run(layer, X)
    layer.params[0].wanted = False
    top[0].diff.fill(1)
    layer.backward(top, [True], bottom)
    np.testing.assert_array_equal(layer.params[0].diff, 0)


def test_a_diff_that_backward_does_not_write_is_zero():
    layer = python("Told", param_str="{}")
    bottom, top = run(layer, X)
    bottom[0].diff.fill(np.nan)
    layer.backward(top, [True], bottom)
    np.testing.assert_array_equal(bottom[0].diff, 0)


@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_the_phase_is_known(phase):
    net = net_of("Told", phase, param_str="{}")
    assert net.forward(x=X)["z"] == 2 * phase
    assert str(net.layers[1].phase) == ("TRAIN", "TEST")[phase]


def test_ten_of_them_in_a_row():
    """Caffe's own test of its Python layer: a tenfold, three times."""
    chain = "".join(
        f'layer {{ name: "l{i}" type: "Python" bottom: "x{i}" top: "x{i + 1}" python_param '
        f"{{ module: '{MODULE}' layer: 'Affine' param_str: '10' }} }}"
        for i in range(3)
    )
    head = 'layer { name: "in" type: "Input" top: "x0" input_param { shape { dim: 1 dim: 1 } } }'
    net = Net(head + chain, allow_python=True)
    for params in net.params.values():
        params[0].data[...] = 0
    assert net.forward(x0=np.ones((1, 1)))["x3"] == 10**7


# ------------------------------------------------------------------------------------ late shapes


def test_tops_follow_reshape_in_every_pass_and_so_does_what_is_above(device):
    net = net_of("Growing", bottom="", device=device)
    for count in (1, 2, 3):
        z = net.device.to_host(net.forward(x=X)["z"])
        np.testing.assert_array_equal(z, np.full((count, 3), 2 * count))


def test_reshape_sees_the_values_of_the_bottoms(device):
    net = net_of("Positive", device=device)
    assert net.blobs["y"].shape == (0, 1), "all bottoms are zero while the net is built"
    for x in (X, X + 1, X - 1):
        z = net.device.to_host(net.forward(x=x)["z"])
        np.testing.assert_allclose(z[:, 0], 2 * x[x > 0], rtol=1e-6)


def test_the_net_may_be_reshaped():
    net = net_of("Affine")
    assert net.forward(x=np.ones((7, 3)))["z"].shape == (7, 3)


@pytest.fixture
def found(device):
    return net_of("Found", bottom="", device=device)


def test_forward_may_reshape_its_tops_and_what_is_above_follows(found):
    for count in (1, 2, 2, 3):
        found.layers[1].count = count
        z = found.device.to_host(found.forward(x=X)["z"])
        np.testing.assert_array_equal(z, 2 * np.arange(3 * count).reshape(count, 3))
        assert found.blobs["y"].shape == (count, 3)


def test_what_is_above_a_reshaped_top_is_trained(device):
    """As if the shapes had been known before."""
    above = """
layer { name: "ip" type: "InnerProduct" bottom: "y" top: "ip"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "square" type: "Power" bottom: "ip" top: "square" power_param { power: 2 } }
layer { name: "loss" type: "Reduction" bottom: "square" top: "loss" loss_weight: 1 }"""
    head = 'layer { name: "in" type: "Input" top: "y" input_param { shape { dim: 1 dim: 3 } } }'
    late = Net(text("Found", bottom="") + above, TRAIN, seed=5, allow_python=True, device=device)
    known = Net(head + above, TRAIN, seed=5, device=device)
    host = late.device.to_host
    for count in (4, 1, 3):
        late.layers[1].count = count
        values = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
        losses = [
            float(host(late.forward(x=X)["loss"])),
            float(host(known.forward(y=values)["loss"])),
        ]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        for net in (late, known):
            net.clear_param_diffs()
            net.backward()
        for a, b in zip(late.params["ip"], known.params["ip"], strict=True):
            np.testing.assert_allclose(host(a.diff), host(b.diff), rtol=1e-4)


def test_tops_keep_their_shapes_until_the_next_forward_changes_them(found):
    found.layers[1].count = 3
    found.forward(x=X)
    found.layers[1].seen.clear()
    found.forward(x=X)
    assert found.layers[1].seen == [(3, 3)], "that of the last pass, and forward called once"


def test_one_of_two_tops_may_be_reshaped(device):
    param = f"python_param {{ module: '{MODULE}' layer: 'Found' }}"
    net = Net(
        f'layer {{ name: "p" type: "Python" top: "y" top: "n" {param} }}',
        allow_python=True,
        device=device,
    )
    for count in (1, 4, 2):
        net.layers[0].count = count
        out = {name: net.device.to_host(array) for name, array in net.forward().items()}
        assert out["n"].tolist() == [count]
        np.testing.assert_array_equal(out["y"], np.arange(3 * count).reshape(count, 3))


def test_after_a_pass_that_broke_off_the_class_runs_again():
    """Shapes that forward gave, and a layer above refused, are forgotten."""
    net = Net(
        f"""layer {{ name: "p" type: "Python" top: "y" python_param {{ module: '{MODULE}'
        layer: 'Found' }} }}
        layer {{ name: "t" type: "Input" top: "t" input_param {{ shape {{ dim: 1 dim: 3 }} }} }}
        layer {{ name: "l" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "l" }}""",
        allow_python=True,
    )
    net.blobs["t"].reshape(2, 3)
    expected = np.sum(np.arange(6) ** 2) / 4
    assert float(net.forward()["l"]) == expected
    net.layers[0].count = 5
    with pytest.raises(LayerConfigError, match="'l'"):
        net.forward()
    net.layers[0].count = 2
    net.layers[0].seen.clear()
    assert float(net.forward()["l"]) == expected
    assert len(net.layers[0].seen) == 1


def test_reshape_is_called_once_a_pass(tmp_path):
    """One that fetches an image in reshape, as many do, would else skip some of them."""
    net = net_of("Fetching", bottom="")
    for number in (1, 2, 3):
        z = net.forward(x=X)["z"]
        np.testing.assert_array_equal(z, np.full((number % 3 + 1, 2), 2 * number))


def test_backward_changes_no_shapes():
    layer = python("Told", param_str=str({"backward": "top[0].reshape(2)"}))
    bottom, top = run(layer, X)
    with pytest.raises(LayerConfigError, match=r"gives 'y.*' \(1,\) the shape \(2,\)"):
        layer.backward(top, [True], bottom)


REFUSED_LATE = {
    "bottom": ("reshape", "bottom[0].reshape(2)", r"gives 'x' \(4, 3\) the shape \(2,\): a bottom"),
    "parameter": ("forward", "self.blobs.add_blob(2)", "adds a parameter after setup"),
}


@pytest.mark.parametrize("when, what, found", REFUSED_LATE.values(), ids=REFUSED_LATE.keys())
def test_shapes_change_only_where_they_may(when, what, found):
    with pytest.raises(LayerConfigError, match=rf"'mine': {when}\(\) of class 'Told'.*: {found}"):
        net_of("Told", param_str=str({when: what})).forward(x=X)


# ------------------------------------------------------------------------------ the user's object


def test_the_net_shows_the_object_of_the_users_class():
    net = net_of("Affine", param_str="3")
    mine = net.layers[1]
    assert type(mine).__name__ == "Affine" and mine is net.layer_dict["mine"]
    assert mine.type == "Python" and mine.scale == 3
    mine.scale = 5
    np.testing.assert_allclose(net.forward(x=X)["z"], 2 * (5 * X**2 + 2), rtol=1e-6)


def test_its_blobs_are_the_nets_parameters_before_and_after_a_pass(tmp_path):
    net = net_of("Affine", TRAIN)
    mine, (param,) = net.layers[1], net.params["mine"]
    mine.blobs[0].data[...] = 7
    np.testing.assert_array_equal(param.data, 7)
    np.testing.assert_allclose(net.forward(x=X)["z"], 2 * (X**2 + 7), rtol=1e-6)
    mine.blobs[0].data[0] += 1
    assert param.data.tolist() == [8, 7, 7]
    net.save(tmp_path / "w.caffemodel")
    mine.blobs[0].data[...] = -1
    net.copy_from(tmp_path / "w.caffemodel")
    assert mine.blobs[0].data.tolist() == [8, 7, 7]


def test_a_class_of_its_own_has_a_type_too():
    assert net_of("Growing", bottom="").layers[1].type == "Python"


def test_a_class_that_overrides_init_gets_the_layers_message():
    assert net_of("Named").layers[1].named == "mine"


# ------------------------------------------------------------------------------------- permission


def test_without_permission_nothing_is_imported(monkeypatch):
    monkeypatch.delenv("MINIDL_ALLOW_PYTHON", raising=False)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    found = r"Python layer 'mine': would run code: the class 'Affine'(.|\n)*--allow-python"
    for options in ({}, {"allow_python": False}):
        with pytest.raises(LayerConfigError, match=found):
            Net(text("Affine"), **options)
    assert MODULE not in sys.modules


def test_a_call_may_allow_it_for_all_nets(monkeypatch):
    monkeypatch.delenv("MINIDL_ALLOW_PYTHON", raising=False)
    context.allow_python()
    try:
        Net(text("Affine"))
        with pytest.raises(LayerConfigError):
            Net(text("Affine"), allow_python=False)
    finally:
        context.allow_python(False)
    with pytest.raises(LayerConfigError):
        Net(text("Affine"))


def test_the_environment_may_allow_it(monkeypatch):
    monkeypatch.setenv("MINIDL_ALLOW_PYTHON", "1")
    Net(text("Affine"))
    with pytest.raises(LayerConfigError):
        Net(text("Affine"), allow_python=False)
    monkeypatch.setenv("MINIDL_ALLOW_PYTHON", "0")
    with pytest.raises(LayerConfigError):
        Net(text("Affine"))


def test_the_command_line_may_allow_it(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MINIDL_ALLOW_PYTHON", raising=False)
    path = tmp_path / "net.prototxt"
    path.write_text(text("Affine"))
    assert main(["check", str(path)]) == 2
    assert "if you trust the code: --allow-python" in capsys.readouterr().err
    assert main(["check", str(path), "--allow-python"]) == 0
    assert main(["check", str(path)]) == 2, "the permission was for that command"


def test_a_module_in_the_current_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "found_here.py").write_text("from tests.layers.user_layers import Affine\n")
    monkeypatch.chdir(tmp_path)
    Net(text("Affine", module="found_here"), allow_python=True)
    assert str(tmp_path) not in sys.path


def test_caffe_is_a_name_of_ours_only_while_the_class_runs(monkeypatch):
    monkeypatch.setitem(sys.modules, "caffe", sys)
    told = {"forward": "__import__('caffe').Net.missing"}
    net = net_of("Told", param_str=str(told))
    with pytest.raises(RunError, match="AttributeError: type object 'Net'"):
        net.forward(x=X)
    assert sys.modules["caffe"] is sys


def test_where_there_was_no_caffe_there_is_none_afterwards(monkeypatch):
    monkeypatch.delitem(sys.modules, "caffe", raising=False)
    told = {"forward": "setattr(self, 'seen', __import__('caffe').TRAIN + 1 / self.phase)"}
    net = net_of("Told", param_str=str(told))
    net.forward(x=X)
    assert net.layer_dict["mine"].seen == TRAIN + 1 / TEST
    assert "caffe" not in sys.modules and "caffe.io" not in sys.modules


def test_the_old_name_of_param_str_is_understood():
    assert python("Affine", param_str="3").code.param_str_ == "3"


# ----------------------------------------------------------------------------------------- errors

FAILURES = {
    "no module": (dict(layer="A", module="not_there"), "there is no module 'not_there'"),
    "no module in it": (
        dict(layer="A", module="tests.not_there.x"),
        "cannot be imported: ModuleNotFoundError: No module named 'tests.not_there'",
    ),
    "no class": (dict(layer="Afine"), f"'{MODULE}' has no class 'Afine'(.|\n)*mean 'Affine'"),
    "no instance": (
        dict(layer="Unmakeable"),
        r"cannot be made: ValueError: not in user_layers.py \(user_layers.py, line \d+\)",
    ),
    "no name": (dict(layer=""), "python_param does not name a class"),
    "setup": (
        dict(layer="EuclideanLoss"),
        r"setup\(\) of class 'EuclideanLoss' .* failed: Exception: Need two inputs",
    ),
    "reshape": (
        dict(layer="Told", param_str="{'reshape': '1 / 0'}"),
        r"reshape\(\) of class .* failed: ZeroDivisionError: division by zero \(<string>, line 1\)",
    ),
}


@pytest.mark.parametrize("options, found", FAILURES.values(), ids=FAILURES.keys())
def test_what_fails_while_the_net_is_built_names_the_layer(options, found):
    with pytest.raises(LayerConfigError, match=f"Python layer 'mine': (.|\n)*{found}"):
        net_of(**options)


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_what_fails_in_a_pass_names_layer_class_and_line(method):
    layer = python("Told", name="mine", param_str=str({method: "self.missing"}))
    bottom, top = bind(layer, X)
    found = rf"'mine': {method}\(\) of class 'Told' .* failed: AttributeError: .*\(<string>, line 1"
    with pytest.raises(RunError, match=found) as caught:
        layer.forward(bottom, top)
        layer.backward(top, [True], bottom)
    assert isinstance(caught.value.__cause__, AttributeError)


@pytest.mark.parametrize("builtin", ["RuntimeError", "ValueError", "KeyError", "OSError"])
def test_what_fails_is_also_the_error_that_the_class_raised(builtin):
    told = {"setup": f"(_ for _ in ()).throw({builtin}('no'))"}
    with pytest.raises(getattr(builtins, builtin)) as caught:
        net_of("Told", param_str=str(told))
    assert isinstance(caught.value, LayerConfigError)
    assert f"setup() of class 'Told' of module '{MODULE}' failed: {builtin}" in str(caught.value)


def test_a_class_that_lacks_a_method_is_refused():
    with pytest.raises(LayerConfigError, match="class 'Forgetful' .* has no reshape, no forward"):
        python("Forgetful")


def test_the_users_traceback_is_shown_with_debug_alone(tmp_path, capsys):
    path = tmp_path / "net.prototxt"
    path.write_text(text("EuclideanLoss"))
    assert main(["check", str(path), "--allow-python"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert main(["check", str(path), "--allow-python", "--debug"]) == 2
    shown = capsys.readouterr().err
    assert "Traceback" in shown and 'raise Exception("Need two inputs' in shown


def test_a_class_without_backward_passes_no_gradient_on():
    assert not python("Growing", bottoms=0).differentiable
    assert python("Affine").differentiable


def test_tops_cannot_be_the_bottoms():
    with pytest.raises(LayerConfigError, match="cannot work in place"):
        python("Affine", in_place=True)


@pytest.mark.parametrize("how", ["exit(0)", "import sys; sys.exit()", "raise SystemExit"])
def test_a_module_that_exits_does_not_end_the_program(tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leaves.py").write_text(f"x = 1\n{how}\n")
    with pytest.raises(
        LayerConfigError, match=r"cannot be imported: SystemExit.*leaves.py, line 2"
    ):
        Net(text("Mine", module="leaves"), allow_python=True)
    sys.modules.pop("leaves", None)


@pytest.mark.parametrize("method", ["__init__", "setup", "reshape", "forward", "backward"])
def test_a_method_that_exits_does_not_end_the_program(tmp_path, monkeypatch, method):
    monkeypatch.chdir(tmp_path)
    methods = "".join(
        f"    def {m}(self, *_): {'exit(0)' if m == method else 'pass'}\n"
        for m in ("__init__", "setup", "forward", "backward")
    )
    shaped = "exit(0)" if method == "reshape" else "top[0].reshape(4, 3)"
    module = f"leaves_in_{method}"
    (tmp_path / f"{module}.py").write_text(
        f"class Mine:\n{methods}    def reshape(self, bottom, top): {shaped}\n"
    )
    with pytest.raises((LayerConfigError, RunError), match="SystemExit: 0"):
        net = Net("force_backward: true" + text("Mine", module=module), TRAIN, allow_python=True)
        net.forward()
        net.backward(z=np.ones((4, 3)))
    sys.modules.pop(module, None)
