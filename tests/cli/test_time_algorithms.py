"""minidl time --algorithms: every algorithm of every convolution, on the fake GPU."""

import json

import pytest

from minidl.cli import main
from minidl.engines import cudnn
from minidl.engines.cudnn import library
from minidl.engines.request import Declined
from tests import fakegpu
from tests.fakegpu import cudnn as fake_cudnn

NET = """
name: "tiny"
layer {
  name: "data" type: "Input" top: "data"
  input_param { shape { dim: 4 dim: 2 dim: 9 dim: 7 } }
}
layer {
  name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 3 kernel_size: 3 }
}
layer {
  name: "same" type: "Convolution" bottom: "data" top: "same"
  convolution_param { num_output: 3 kernel_size: 3 bias_term: false }
}
layer {
  name: "up" type: "Deconvolution" bottom: "conv1" top: "up"
  convolution_param { num_output: 2 kernel_size: 2 stride: 2 }
}
layer {
  name: "over" type: "Convolution" bottom: "data" top: "over"
  convolution_param { num_output: 1 kernel_size: 8 stride: 4 }
}
"""
PASSES = ["forward", "backward data", "backward filter"]


@pytest.fixture
def cudnn_there(gpu, monkeypatch):
    """A fake cuDNN on a fake GPU."""
    made = fake_cudnn.install(monkeypatch, gpu)
    yield made
    library._opened.cache_clear()
    made.close()


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return str(path)


def surveyed(capsys, *words):
    assert main(["time", *words, "--algorithms", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_each_convolution_once_and_each_of_its_algorithms(cudnn_there, net, capsys):
    facts = surveyed(capsys, net, "--iterations", "2")
    assert facts["device"] == "Fake GPU" and facts["math"] == "float32"
    names = [convolution["layers"] for convolution in facts["convolutions"]]
    assert names == [["conv1", "same"], ["up"], ["over"]]
    for convolution in facts["convolutions"][:2]:
        assert list(convolution["passes"]) == PASSES
        for algorithms in convolution["passes"].values():
            assert 6 <= len(algorithms) <= 8
            assert sum(a["taken"] for a in algorithms) == 1
            for a in algorithms:
                assert (a["ms"] is None) == bool(a["refusal"])
                assert a["error"] is None or a["error"] < 1e-6
    assert "overhang" in facts["convolutions"][2]["declined"]


def test_the_passes_of_a_transposed_convolution_have_its_names(cudnn_there, net, capsys):
    up = surveyed(capsys, net, "--iterations", "1")["convolutions"][1]
    assert up["bottom"] == [4, 3, 7, 5] and up["top"] == [4, 2, 14, 10]
    names = {a["algorithm"] for a in up["passes"]["forward"]}
    assert "algo0" in names and "implicit_gemm" not in names


def test_as_text_a_table_for_each_and_reasons_below(cudnn_there, net, capsys):
    assert main(["time", net, "--algorithms", "--iterations", "1"]) == 0
    out = capsys.readouterr().out
    assert "conv1, same: 4 2 9 7 by 3 2 3 3 to 4 3 7 5" in out
    assert "pass             algorithm" in out
    assert "forward, did not run: direct: not supported for this shape and chip" in out
    assert "over: its kernels do not overhang the padded bottom, as this one does" in out


def test_flags_move_the_star_and_change_the_batch(cudnn_there, net, capsys):
    words = ["--batches", "3", "--algorithm", "no_workspace", "--iterations", "1"]
    conv1 = surveyed(capsys, net, *words)["convolutions"][0]
    assert conv1["bottom"] == [3, 2, 9, 7]
    stars = [a for algorithms in conv1["passes"].values() for a in algorithms if a["taken"]]
    assert len(stars) == 3 and all(a["workspace_bytes"] == 0 for a in stars)


def test_a_limit_leaves_out_what_needs_more(cudnn_there, net, capsys):
    words = ["--workspace-limit", "0", "--iterations", "1"]
    for a in surveyed(capsys, net, *words)["convolutions"][0]["passes"]["forward"]:
        assert a["ms"] is None or a["workspace_bytes"] == 0


@pytest.mark.parametrize("math, least", [("tf32", 1e-5), ("fp16", 1e-5), ("bf16", 1e-4)])
def test_other_arithmetic_has_other_errors(cudnn_there, net, capsys, math, least):
    facts = surveyed(capsys, net, "--math", math, "--iterations", "1")
    ran = [a for a in facts["convolutions"][0]["passes"]["forward"] if a["ms"] is not None]
    assert facts["math"] == math and ran
    assert all(least < a["error"] < 0.05 for a in ran)


def test_without_a_gpu_it_says_what_is_missing(net, capsys, monkeypatch):
    fakegpu.install(monkeypatch, devices=0)
    assert main(["time", net, "--algorithms"]) == 2
    assert "no GPU can be used: the NVIDIA driver answers" in capsys.readouterr().err


def test_without_the_library_it_says_how_to_get_it(cudnn_there, net, capsys, monkeypatch):
    monkeypatch.setattr(cudnn.Cudnn, "load", lambda device: Declined("there is no libcudnn.so.9"))
    assert main(["time", net, "--algorithms"]) == 2
    assert "cuDNN is not available: there is no libcudnn.so.9" in capsys.readouterr().err


def test_of_several_batch_sizes_it_takes_none(cudnn_there, net, capsys):
    assert main(["time", net, "--algorithms", "--batches", "2,3"]) == 2
    assert "expected: one size" in capsys.readouterr().err


@pytest.mark.parametrize("other", [["--data"], ["--compare", "cpu"]])
def test_it_stands_alone(net, capsys, other):
    assert main(["time", net, "--algorithms", *other]) == 2
    assert "cannot be combined" in capsys.readouterr().err


def test_a_net_that_does_not_convolve_is_refused(cudnn_there, tmp_path, capsys):
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 2 } } }'
    )
    assert main(["time", str(path), "--algorithms"]) == 2
    assert "has no convolution" in capsys.readouterr().err
