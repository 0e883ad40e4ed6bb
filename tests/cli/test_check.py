"""minidl check: what is known of a net before it is made."""

import json
import re

import pytest

from minidl.cli import main
from tests.support import need_onednn

LENET = "zoo/lenet/lenet_train_test.prototxt"


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    from tests.support import ROOT

    monkeypatch.chdir(ROOT)


def described(capsys, *words):
    assert main(["check", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_lenet_has_the_parameters_and_multiply_adds_worked_out_by_hand(capsys):
    net = described(capsys, LENET, "-phase", "TRAIN", "--engine", "numpy")
    by_name = {layer["name"]: layer for layer in net["layers"]}
    assert {n: la["params"] for n, la in by_name.items() if la["params"]} == {
        "conv1": 20 * 25 + 20,
        "conv2": 50 * 20 * 25 + 50,
        "ip1": 500 * 800 + 500,
        "ip2": 10 * 500 + 10,
    }
    conv1, ip1 = by_name["conv1"], by_name["ip1"]
    assert conv1["multiply_adds"] == 64 * 20 * 24 * 24 * 25
    assert ip1["multiply_adds"] == 64 * 500 * 800
    assert conv1["top_shapes"] == [[64, 20, 24, 24]]
    assert conv1["data_bytes"] == conv1["gradients_bytes"] == 4 * 64 * 20 * 24 * 24
    assert by_name["relu1"]["in_place"] and by_name["relu1"]["data_bytes"] == 0
    assert by_name["mnist"]["gradients_bytes"] == 0
    assert net["totals"]["params"] == net["totals"]["learnable"] == 431080
    assert net["totals"]["params_bytes"] == net["totals"]["param_gradients_bytes"] == 4 * 431080
    assert (net["inputs"], net["outputs"], net["batch"]) == ([], ["loss"], 64)


def test_a_net_that_only_runs_forward_has_no_gradients(capsys):
    totals = described(capsys, LENET)["totals"]
    assert totals["gradients_bytes"] == totals["param_gradients_bytes"] == 0


def test_the_sums_agree(capsys):
    net = described(capsys, LENET, "-phase", "TRAIN")
    totals = net["totals"]
    for name in ("data_bytes", "gradients_bytes", "buffers_bytes", "multiply_adds", "params"):
        assert totals[name] == sum(layer[name] for layer in net["layers"])
    assert totals["scratch_bytes"] == max(layer["scratch_bytes"] for layer in net["layers"])
    parts = ("params", "param_gradients", "shared", "unshared", "scratch")
    assert totals["memory_bytes"] == sum(totals[f"{part}_bytes"] for part in parts)
    saved = totals["apart_bytes"] - totals["shared_bytes"]
    assert totals["memory_apart_bytes"] - totals["memory_bytes"] == saved > 0
    assert totals["peak_bytes"] <= totals["shared_bytes"] < totals["apart_bytes"]


def test_without_engines_sharing_is_all_that_makes_it_less(capsys):
    """Every byte of blobs, gradients and what is kept is shared, or an input, output or loss."""
    totals = described(capsys, LENET, "-phase", "TRAIN", "--engine", "numpy")["totals"]
    each = totals["data_bytes"] + totals["gradients_bytes"] + totals["buffers_bytes"]
    assert totals["apart_bytes"] + totals["unshared_bytes"] == each


@pytest.mark.parametrize("engine", ["numpy", "auto"])
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_what_it_says_is_what_the_net_then_takes(phase, engine, capsys):
    import minidl
    from minidl.arrays.threads import threads

    words = LENET, "-phase", phase, "--engine", engine
    net = described(capsys, *words)
    totals = net["totals"]
    options = dict(absent_data=(1, 28, 28), seed=1, share=True, engine=engine)
    with minidl.Net(LENET, getattr(minidl, phase), **options) as made:
        schedule = made.schedule
        steps = {step.node.name: step.plan for step in schedule.steps}
        for layer in net["layers"]:
            plan = steps[layer["name"]]
            assert layer["algorithm"] == (plan.algorithm if plan is not None else "")
        planned = schedule.memory
        assert (totals["shared_bytes"], totals["peak_bytes"]) == (planned.total, planned.peak)
        assert totals["scratch_bytes"] == schedule.scratch
        params = sum(p.values.memory.array.nbytes for p in made.learnable)
        assert totals["params_bytes"] == params
        assert totals["param_gradients_bytes"] == (params if phase == "TRAIN" else 0)
        made.forward_pass()
        # To test, the loss has its four bytes of gradient all the same.
        kinds = ("data", "diff") if phase == "TRAIN" else ("data",)
        homes = {blob.home(kind) for blob in made.blobs.values() for kind in kinds}
        own = [home._array.nbytes for home in homes if home._array is not None]
        assert totals["unshared_bytes"] == sum(own)
    assert (net["engine"], net["math"], net["threads"]) == (engine, "float32", threads())


def test_a_net_to_test_has_its_parameters_where_the_net_to_train_has_them(capsys):
    train, test = described(capsys, "zoo/lenet/solver.prototxt")
    assert train["totals"]["params_bytes"] == test["totals"]["params_bytes"]


def test_no_array_is_made(capsys, monkeypatch):
    from minidl.arrays.device import Cpu

    def refuse(*_):
        raise AssertionError("an array was made")

    monkeypatch.setattr(Cpu, "bytes_", refuse)
    monkeypatch.setattr("minidl.engines.tuning.place", refuse)
    assert described(capsys, "zoo/lenet/solver.prototxt")


def test_engines_that_are_asked_for_are_shown_with_their_layouts(capsys):
    need_onednn()
    net = described(capsys, LENET, "-phase", "TRAIN", "--algorithm", "direct")
    by_name = {layer["name"]: layer for layer in net["layers"]}
    conv1, relu1, loss = (by_name[name] for name in ("conv1", "relu1", "loss"))
    assert conv1["engine"] == "onednn" and conv1["algorithm"].startswith(("jit", "brg"))
    assert conv1["layout"] and not conv1["fused"]
    assert (by_name["mnist"]["engine"], loss["engine"], loss["why"]) == ("none", "numpy", "")
    assert main(["check", LENET, "-phase", "TRAIN", "--algorithm", "winograd"]) == 0
    out = capsys.readouterr().out
    assert "onednn" not in out and out.count("array code") == 8 and "conversions    none" in out
    assert relu1["in_place"]


def test_every_conversion_is_named_with_its_layouts_and_size(capsys):
    need_onednn()
    net = described(capsys, LENET, "-phase", "TRAIN", "--algorithm", "nhwc")
    top = {layer["name"]: layer["layout"] for layer in net["layers"]}
    assert (top["conv1"], top["pool1"], top["conv2"]) == ("nhwc", "", "nhwc")
    pool1 = [c for c in net["conversions"] if c["layer"] == "pool1"]
    assert [c["pass"] for c in pool1] == ["forward", "backward"]
    assert pool1[:1] == [
        {
            "layer": "pool1",
            "pass": "forward",
            "when": "before",
            "blob": "conv1",
            "kind": "data",
            "from": "nhwc",
            "to": "plain",
            "bytes": 4 * 64 * 20 * 24 * 24,
        }
    ]
    assert main(["check", LENET, "-phase", "TRAIN", "--algorithm", "nhwc"]) == 0
    line = "pool1, before its forward: conv1 from nhwc to plain (2.81 MiB)"
    assert line in capsys.readouterr().out


def test_the_table_shows_every_layer_and_the_totals(capsys):
    assert main(["check", LENET, "-phase", "TRAIN", "--engine", "numpy"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("LeNet, phase TRAIN\n")
    row = next(line for line in out.splitlines() if line.startswith("conv2"))
    assert row.split()[:6] == ["conv2", "Convolution", "64", "50", "8", "8"]
    assert "25,050" in row and "102 M" in row
    assert "64 1 28 28, 64" in out and "in place" in out
    assert "parameters     431,080 in 8 blobs: 1.64 MiB, gradients 1.64 MiB" in out
    sizes = r"shared memory  [\d.]+ MiB for [\d.]+ MiB of these: at one time [\d.]+ MiB are needed"
    assert re.search(sizes, out)
    assert re.search(r"memory         [\d.]+ MiB together, [\d.]+ MiB without sharing", out)


def test_a_solver_is_checked_with_all_its_nets(capsys):
    train, test = described(capsys, "zoo/lenet/solver.prototxt")
    assert (train["phase"], test["phase"]) == ("TRAIN", "TEST")
    assert (train["outputs"], test["outputs"]) == (["loss"], ["accuracy", "loss"])
    assert main(["check", "-solver", "zoo/lenet/solver.prototxt"]) == 0
    assert capsys.readouterr().out.count("LeNet, phase T") == 2


def test_a_bad_solver_is_refused_with_all_its_faults(tmp_path, capsys):
    file = tmp_path / "solver.prototxt"
    file.write_text('net: "n" base_lr: 0.1 lr_policy: "stepp"\nmomentum: 2\nmax_iter: -1\n')
    assert main(["check", str(file)]) == 2
    err = capsys.readouterr().err
    for text in ("lr_policy", "momentum is 2", "max_iter is -1", "solver.prototxt:2"):
        assert text in err


NET = """
layer {{ name: "d" type: "Data" top: "data" top: "label"
  data_param {{ source: "{source}" batch_size: 2 backend: LMDB }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param {{ num_output: 3 }} include {{ stage: "wide" }} }}
layer {{ name: "silence" type: "Silence" bottom: "{last}" bottom: "label" }}
"""


def write(tmp_path, source, last="data"):
    file = tmp_path / "net.prototxt"
    file.write_text(NET.format(source=source, last=last))
    return str(file)


def test_shape_stands_in_for_absent_records(tmp_path, capsys):
    file = write(tmp_path, tmp_path / "no_lmdb")
    net = described(capsys, file, "-shape", "3,40,50")
    assert net["layers"][0]["top_shapes"] == [[2, 3, 40, 50], [2]]


def test_absent_records_of_unknown_shape_ask_for_it(tmp_path, capsys):
    assert main(["check", write(tmp_path, tmp_path / "no_lmdb")]) == 2
    err = capsys.readouterr().err
    assert "no_lmdb" in err and "give --shape C,H,W" in err


def test_stages_choose_layers(tmp_path, capsys):
    file = write(tmp_path, tmp_path / "mnist_lmdb", last="ip")
    net = described(capsys, file, "-stage", "wide")
    assert [layer["name"] for layer in net["layers"]] == ["d", "ip", "silence"]
    assert main(["check", file]) == 2
    assert "bottom[0] 'ip' is unknown" in capsys.readouterr().err


def test_an_unknown_type_is_named_with_its_layer(tmp_path, capsys):
    file = tmp_path / "net.prototxt"
    file.write_text('layer { name: "p" type: "Poling" top: "x" }')
    assert main(["check", str(file)]) == 2
    err = capsys.readouterr().err
    assert "net.prototxt:1: " in err and "'p': unknown type 'Poling'" in err and "'Pooling'" in err


def test_a_familys_name_says_how_many_channels_its_absent_records_have(capsys, tmp_path):
    path = tmp_path / "digits.prototxt"
    path.write_text(
        """layer { name: "d" type: "Data" top: "x" data_param { source: "no/digits" batch_size: 2 }
        transform_param { crop_size: 24 } }"""
    )
    assert main(["check", str(path)]) == 0
    assert "2 1 24 24" in capsys.readouterr().out


def test_a_damaged_data_set_is_refused_without_a_hint_of_shape(tmp_path, capsys):
    (tmp_path / "lmdb").mkdir()
    (tmp_path / "lmdb" / "data.mdb").write_bytes(b"cut")
    assert main(["check", write(tmp_path, tmp_path / "lmdb")]) == 2
    err = capsys.readouterr().err
    assert "Data layer 'd'" in err and "--shape" not in err


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_phase_chooses_among_the_nets_of_a_solver(phase, capsys):
    net = described(capsys, "zoo/lenet/solver.prototxt", "-phase", phase)
    assert net["phase"] == phase


def test_a_solver_without_a_net_to_test_says_so(tmp_path, capsys):
    net = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 } } }'
    (tmp_path / "net.prototxt").write_text(net)
    solver = tmp_path / "s.prototxt"
    solver.write_text('net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed"')
    assert main(["check", str(solver), "-phase", "TEST"]) == 2
    assert "s.prototxt: names no net to test" in capsys.readouterr().err
    assert described(capsys, str(solver))["phase"] == "TRAIN"


@pytest.mark.parametrize("command", ["check", "time", "gradcheck"])
def test_a_shape_that_nothing_needs_is_said_to_be_unused(command, run_folder, capsys, monkeypatch):
    monkeypatch.setattr("minidl.profile.floors.PRODUCT", 32)
    monkeypatch.setattr("minidl.profile.floors.SIZES", (1 << 10,))
    words = [command, "net.prototxt", *(["-iterations", "1"] if command == "time" else [])]
    assert main([*words, "--shape", "1,9,9"]) == 0
    assert "--shape is not used" in capsys.readouterr().err
    assert main(words) == 0
    assert "--shape" not in capsys.readouterr().err


@pytest.mark.parametrize("flag, shown", [("--debug=1", 1), ("-debug", 1), ("--debug=0", 0)])
def test_debug_may_carry_a_value(flag, shown, capsys):
    assert main(["check", "nowhere.prototxt", flag]) == 2
    assert capsys.readouterr().err.count("Traceback") == shown


def test_the_plan_of_a_gpu_is_worked_out_with_what_it_has(gpu, capsys):
    assert main(["check", LENET, "-phase", "TRAIN", "-gpu", "0"]) == 0
    out = capsys.readouterr().out
    assert "cupy" in out and "cuda:0" in out and ": enough" in out
    gpu.total = 1000
    assert main(["check", LENET, "-phase", "TRAIN", "-gpu", "0"]) == 0
    assert ": too little" in capsys.readouterr().out


MISSING = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "w" type: "FlowWarp" bottom: "c" top: "w" flow_warp_param { } }
layer { name: "r" type: "ReLU" bottom: "w" top: "r" }
"""


def test_of_a_net_with_a_missing_type_the_rest_is_shown(tmp_path, capsys):
    (tmp_path / "net.prototxt").write_text(MISSING)
    assert main(["check", str(tmp_path / "net.prototxt")]) == 2
    shown = capsys.readouterr()
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["c", "Convolution", "2", "4", "6", "6", "112"] in [line[:7] for line in lines]
    assert ["w", "FlowWarp", "missing"] in lines
    assert ["r", "ReLU", "not", "known"] in lines
    assert "2 of 4 layers are known, with 112 parameters; refused: 1, behind" in shown.out
    assert "unknown type 'FlowWarp'" in shown.err and "lmb-freiburg/flownet2" in shown.err


def test_the_rest_as_json(tmp_path, capsys):
    (tmp_path / "net.prototxt").write_text(MISSING)
    assert main(["check", str(tmp_path / "net.prototxt"), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert [layer["name"] for layer in found["layers"] if layer["missing"]] == ["w"]
    assert found["layers"][1]["top_shapes"] == [[2, 4, 6, 6]]
    assert found["layers"][3]["top_shapes"] is None
    assert found["totals"] == {"params": 112, "layers": 2}
