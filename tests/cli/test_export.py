"""minidl export: what it writes, what it says, what it refuses."""

from pathlib import Path

import pytest

from minidl.cli import main

onnx = pytest.importorskip("onnx", reason="onnx is not installed")


@pytest.fixture
def weights(run_folder):
    from minidl import Net

    with Net("net.prototxt", seed=1) as net:
        net.save("tiny.caffemodel")
    return "tiny.caffemodel"


def test_it_writes_the_model_and_says_what_it_left_out(weights, capsys):
    assert main(["export", "net.prototxt", "--weights", weights, "--onnx", "tiny.onnx"]) == 0
    out = capsys.readouterr().out
    assert "Data layer 'digits' reads a data set: 'data' became an input, 'label' is not" in out
    assert "(scale: 0.0039 crop_size: 7)" in out
    assert "SoftmaxWithLoss layer 'loss' is left out" in out
    assert "Accuracy layer 'accuracy' is left out" in out
    assert "input   data  N 1 7 7\n" in out
    assert "output  ip2   N 3\n" in out
    assert "operators of opset 17" in out.splitlines()[-2]
    assert [o.name for o in onnx.load("tiny.onnx").graph.output] == ["ip2"]


def test_what_is_done_to_pictures_lies_beside_the_model(weights, capsys):
    from minidl import preprocess

    words = ["export", "net.prototxt", "--weights", weights, "--onnx", "tiny.onnx"]
    for _ in range(2):  # the second one replaces the first
        assert main(words) == 0
        assert capsys.readouterr().out.endswith("images  tiny.preprocess.json\n")
    found = preprocess.read("tiny.preprocess.json")
    assert found.shape() == (1, 7, 7) and found.transform.scale == pytest.approx(0.0039)
    assert not found.transform.mirror and found.transform.resize.height == 9


def test_a_mean_file_that_is_not_there_is_said(weights, capsys):
    text = Path("net.prototxt").read_text()
    Path("net.prototxt").write_text(
        text.replace("crop_size: 7 }", 'crop_size: 7 mean_file: "gone.binaryproto" }')
        .replace("train_lmdb", "gone")
        .replace("test_lmdb", "gone")
    )
    words = ["--onnx", "tiny.onnx", "--shape", "1,9,9", "--weights", weights]
    assert main(["export", "net.prototxt", *words]) == 0
    assert "is not written: there is no mean_file gone.binaryproto" in capsys.readouterr().err
    assert not Path("tiny.preprocess.json").exists()


def test_without_weights_it_says_so(run_folder, capsys):
    assert main(["export", "net.prototxt", "--onnx", "tiny.onnx"]) == 0
    assert "No weights were given" in capsys.readouterr().out


def test_a_data_set_that_is_absent_has_its_shape_by_the_flag(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text("""
        layer { name: "d" type: "Data" top: "x" data_param { source: "gone" batch_size: 2 } }
        layer { name: "relu" type: "ReLU" bottom: "x" top: "y" }""")
    words = ["export", "net.prototxt", "--onnx", "out.onnx"]
    assert main(words) == 2
    assert "give --shape C,H,W" in capsys.readouterr().err
    assert main([*words, "--shape", "3,4,5"]) == 0
    assert "output  y  N 3 4 5" in capsys.readouterr().out


def test_refusals_have_status_2_and_leave_no_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text("""
        layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "d" type: "Dropout" bottom: "x" top: "y" phase: TRAIN }""")
    assert main(["export", "net.prototxt"]) == 2
    assert "no output file" in capsys.readouterr().err
    assert main(["export", "net.prototxt", "--onnx", "out.onnx"]) == 2
    assert "net.prototxt:3: Dropout layer 'd': it draws random numbers" in capsys.readouterr().err
    assert not (tmp_path / "out.onnx").exists()
