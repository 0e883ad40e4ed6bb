"""minidl check: what is known of a net before it is made."""

import json

import pytest

from minidl.cli import main

LENET = "zoo/lenet/lenet_train_test.prototxt"


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    from tests.support import ROOT

    monkeypatch.chdir(ROOT)


def described(capsys, *words):
    assert main(["check", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_lenet_has_the_parameters_and_multiply_adds_worked_out_by_hand(capsys):
    net = described(capsys, LENET, "-phase", "TRAIN")
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
    sizes = [v for k, v in totals.items() if k.endswith("_bytes") and k != "memory_bytes"]
    assert totals["memory_bytes"] == sum(sizes)


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_what_it_says_is_what_the_net_then_takes(phase, run_folder, capsys):
    import minidl

    totals = described(capsys, "net.prototxt", "-phase", phase)["totals"]
    with minidl.Net("net.prototxt", getattr(minidl, phase), seed=1) as net:
        net.forward_pass()
        if phase == "TRAIN":
            net.backward_pass()
            assert totals["gradients_bytes"] == memory(b._diff for b in net.blobs.values())
        assert totals["data_bytes"] == memory(b._data for b in net.blobs.values())
        assert totals["params"] == sum(p.count for p in net.learnable)


def memory(arrays):
    """Bytes of these arrays together, those that several of them share counted once."""
    sizes = {a.__array_interface__["data"][0]: a.nbytes for a in arrays if a is not None}
    return sum(sizes.values())


def test_the_table_shows_every_layer_and_the_totals(capsys):
    assert main(["check", LENET, "-phase", "TRAIN"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("LeNet, phase TRAIN\n")
    row = next(line for line in out.splitlines() if line.startswith("conv2"))
    assert row.split()[:6] == ["conv2", "Convolution", "64", "50", "8", "8"]
    assert "25,050" in row and "102 M" in row
    assert "64 1 28 28, 64" in out and "in place" in out
    assert "parameters     431,080 in 8 blobs: 1.64 MiB, gradients 1.64 MiB" in out


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
def test_a_shape_that_nothing_needs_is_said_to_be_unused(command, run_folder, capsys):
    words = [command, "net.prototxt", *(["-iterations", "1"] if command == "time" else [])]
    assert main([*words, "--shape", "1,9,9"]) == 0
    assert "--shape is not used" in capsys.readouterr().err
    assert main(words) == 0
    assert "--shape" not in capsys.readouterr().err


@pytest.mark.parametrize("flag, shown", [("--debug=1", 1), ("-debug", 1), ("--debug=0", 0)])
def test_debug_may_carry_a_value(flag, shown, capsys):
    assert main(["check", "nowhere.prototxt", flag]) == 2
    assert capsys.readouterr().err.count("Traceback") == shown
