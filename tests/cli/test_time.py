"""minidl time: Caffe's lines, a table, JSON; random records where data is absent."""

import json
import re

import pytest

from minidl.cli import main
from minidl.profile import floors
from tests.support import need_onednn, shared


@pytest.fixture(autouse=True)
def small_measurements(monkeypatch):
    """What the floors are worked out with is tested elsewhere; here it has to be quick."""
    monkeypatch.setattr(floors, "PRODUCT", 32)
    monkeypatch.setattr(floors, "SIZES", (1 << 10, 1 << 12))


LAYERS = ["digits", "flat", "ip1", "relu1", "drop1", "ip2", "loss"]


def test_the_lines_are_caffes(run_folder, capsys):
    assert main(["time", "net.prototxt", "-iterations", "3"]) == 0
    lines = [line.partition("] ")[2] for line in capsys.readouterr().err.splitlines()]
    ours = [re.sub(r"[\d.e+-]+ ms", "T ms", line) for line in lines]
    start = ours.index("*** Benchmark begins ***")
    recorded = shared("golden/cli/cli_time.log").read_text().splitlines()
    theirs = [re.sub(r"[\d.e+-]+ ms", "T ms", line.partition("] ")[2]) for line in recorded]
    theirs = theirs[theirs.index("*** Benchmark begins ***") :]
    own = [line for line in ours[start:] if "\t" not in line]
    assert own == [line for line in theirs if "\t" not in line]
    rows = [line for line in ours[start:] if "\t" in line]
    assert rows == [f"{n:>10}\t{way}ward: T ms." for n in LAYERS for way in ("for", "back")]
    template = next(line for line in theirs if "conv1\tforward" in line)
    assert template == f"{'conv1':>10}\tforward: T ms."


def timed(capsys, *words):
    assert main(["time", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_has_means_medians_and_shares(run_folder, capsys):
    result = timed(capsys, "net.prototxt", "-iterations", "4", "-minloglevel", "1")
    assert [layer["name"] for layer in result["layers"]] == LAYERS
    assert (result["phase"], result["iterations"], result["batch"]) == ("TRAIN", 4, 8)
    shares = [layer["share"] for layer in result["layers"]]
    shares += [result["waiting_share"], result["between_layers_share"]]
    assert sum(shares) == pytest.approx(1) and min(shares) >= 0
    by_name = {layer["name"]: layer for layer in result["layers"]}
    assert by_name["digits"]["backward_ms"] == by_name["digits"]["gflops"] == 0
    for name in ("forward_ms", "backward_ms", "forward_median_ms", "backward_median_ms"):
        assert by_name["ip2"][name] > 0
        assert result[name] >= max(layer[name] for layer in result["layers"]) * 0.5
    ip1 = by_name["ip1"]  # its bottom is data: two products, not three
    seconds = (ip1["forward_median_ms"] + ip1["backward_median_ms"]) / 1e3
    assert ip1["multiply_adds"] == 8 * 16 * 49
    assert ip1["gflops"] == pytest.approx(2 * ip1["multiply_adds"] * 2 / seconds / 1e9)


def test_every_layer_stands_beside_its_floor(run_folder, capsys):
    words = ["net.prototxt", "-iterations", "3", "-minloglevel", "1", "--engine", "numpy"]
    result = timed(capsys, *words)
    layers = {layer["name"]: layer for layer in result["layers"]}
    for layer in layers.values():
        both = layer["forward_floor_ms"] + layer["backward_floor_ms"]
        assert layer["floor_ms"] == pytest.approx(both)
        spent = layer["forward_median_ms"] + layer["backward_median_ms"]
        assert layer["above_floor_ms"] == pytest.approx(spent - both)
    ip1 = layers["ip1"]
    assert (ip1["engine"], ip1["algorithm"], ip1["conversions"]) == ("numpy", "", [])
    assert ip1["forward_flop"] == ip1["backward_flop"] == 2 * 8 * 16 * 49
    assert ip1["forward_bytes"] == 4 * (8 * 49 + 8 * 16 + 16 * 49 + 16)
    seconds = ip1["forward_flop"] / result["product_gflops"] / 1e9
    if ip1["forward_bound"] == "arithmetic":
        assert ip1["forward_floor_ms"] == pytest.approx(1e3 * seconds)
    for way in ("forward", "backward"):  # no layer is faster than the fastest product
        reached = ip1[f"{way}_flop"] / ip1[f"{way}_median_ms"] / 1e6
        assert reached <= result["product_gflops"] * 1.0001
    assert layers["flat"]["floor_ms"] == 0
    assert result["floor_ms"] == pytest.approx(sum(la["floor_ms"] for la in layers.values()))
    furthest = sorted(layers.values(), key=lambda layer: -layer["above_floor_ms"])[:3]
    assert result["worst"] == [layer["name"] for layer in furthest]
    assert (result["engine"], result["math"]) == ("numpy", "float32")


def test_the_worst_three_are_explained_below_the_table(run_folder, capsys):
    assert main(["time", "net.prototxt", "-iterations", "2", "--engine", "numpy"]) == 0
    out = capsys.readouterr().out
    head, _, tail = out.partition("furthest above their floors:\n")
    speeds = r"floors: \d+ GFLOP/s, .*; copies at \d+ GB/s of 1 KiB to \d+ GB/s of 4 KiB; \d+ thr"
    assert re.search(speeds, head)
    lines = tail.splitlines()
    assert len(lines) == 3
    for line in lines:
        name, what = re.fullmatch(r"  (\w+): [\d.e-]+ ms above its floor; (.*)", line).groups()
        assert name in LAYERS
        if name in ("digits", "flat"):  # which make data, and only another shape
            assert what.endswith("nothing that it does has a floor")
        else:
            assert what.startswith("array code")
            assert re.search(
                r"ward [\d.e-]+ ms, (arrays|arithmetic) \(.*\) takes? [\d.e-]+ ms", what
            )
    columns = re.split(r"  +", out.splitlines()[0])
    assert columns[:3] == ["layer", "type", "engine"]
    assert columns[-3:] == ["floor ms", "x floor", "share"]


def test_the_net_that_is_timed_shares_memory_as_the_one_that_trains(run_folder, monkeypatch):
    import minidl.net

    made = []
    original = minidl.net.Net.__init__

    def noted(self, *args, **options):
        made.append(self)
        original(self, *args, **options)

    monkeypatch.setattr(minidl.net.Net, "__init__", noted)
    for phase in ("TRAIN", "TEST"):
        assert main(["time", "net.prototxt", "-iterations", "1", "-phase", phase]) == 0
    assert [net.share for net in made] == [True, False]


def test_conversions_and_engines_are_in_the_table(tmp_path, capsys):
    need_onednn()
    path = tmp_path / "net.prototxt"
    path.write_text("""
        layer { name: "in" type: "Input" top: "x"
          input_param { shape { dim: 2 dim: 16 dim: 9 dim: 9 } } }
        layer { name: "conv" type: "Convolution" bottom: "x" top: "y"
          convolution_param { num_output: 32 kernel_size: 3 } }
        layer { name: "power" type: "Power" bottom: "y" top: "z" power_param { power: 2 } }""")
    result = timed(capsys, str(path), "-iterations", "1")
    conv, power = result["layers"][1:]
    assert conv["engine"] == "onednn" and power["engine"] == "numpy"
    (copy,) = power["conversions"]
    assert (copy["blob"], copy["from"], copy["to"]) == ("y", conv["layout"], "plain")
    assert main(["time", str(path), "-iterations", "1"]) == 0
    out = capsys.readouterr().out
    assert f"onednn {conv['algorithm']}" in out
    assert "array code" in next(line for line in out.splitlines() if line.startswith("power"))


def test_phase_test_runs_the_test_net(run_folder, capsys):
    result = timed(capsys, "net.prototxt", "-iterations=1", "-phase", "test")
    assert (result["phase"], result["batch"]) == ("TEST", 5)
    assert "accuracy" in [layer["name"] for layer in result["layers"]]


def test_the_table_ends_with_records_a_second(run_folder, capsys):
    assert main(["time", "net.prototxt", "-iterations", "2"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split("  ")[0] == "layer"
    assert re.search(r"ms for a batch of 8, [\d.]+ records/s; medians of 2 passes", out)


def test_absent_data_is_random_and_said_so(run_folder, capsys):
    net = (run_folder / "net.prototxt").read_text().replace("train_lmdb", "cifar10_train_lmdb")
    (run_folder / "net.prototxt").write_text(net.replace("crop_size: 7 ", ""))
    result = timed(capsys, "net.prototxt", "-iterations", "1")
    assert result["layers"][2]["multiply_adds"] == 8 * 16 * 3 * 32 * 32
    (run_folder / "net.prototxt").write_text(net)
    result = timed(capsys, "net.prototxt", "-iterations", "1", "-shape", "2,9,8")
    assert result["layers"][2]["multiply_adds"] == 8 * 16 * 2 * 7 * 7


def test_weights_are_loaded(run_folder, capsys):
    assert main(["train", "solver.prototxt", "--set", "max_iter=1"]) == 0
    capsys.readouterr()
    words = ["time", "net.prototxt", "-iterations", "1", "-weights"]
    assert main([*words, "run/tiny_iter_1.caffemodel"]) == 0
    assert main([*words, "run/tiny_iter_1.caffemodl"]) == 2
    assert "did you mean 'run/tiny_iter_1.caffemodel'?" in capsys.readouterr().err


def test_a_net_without_a_loss_says_why_nothing_runs_backward(tmp_path, capsys):
    net = tmp_path / "deploy.prototxt"
    net.write_text(
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "relu" type: "ReLU" bottom: "x" top: "y" }'
    )
    assert main(["time", str(net), "-iterations", "1"]) == 0
    assert "No layer runs backward" in capsys.readouterr().out


class Slow:
    """perf_counter's stand-in: time passes only where somebody says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    slow = Slow()
    monkeypatch.setattr("minidl.profile.passes.perf_counter", slow)
    return slow


def spend(monkeypatch, clock, cls, method, seconds):
    original = getattr(cls, method)

    def slower(self, *values):
        clock.now += seconds
        return original(self, *values)

    monkeypatch.setattr(cls, method, slower)


def test_waiting_for_data_is_a_row_of_its_own(run_folder, capsys, monkeypatch, clock):
    from minidl.layers.data import Data
    from minidl.layers.inner_product import InnerProduct

    spend(monkeypatch, clock, Data, "upcoming_shapes", 0.006)  # where the net waits for a batch
    spend(monkeypatch, clock, Data, "forward", 0.001)
    spend(monkeypatch, clock, InnerProduct, "forward", 0.0005)
    spend(monkeypatch, clock, InnerProduct, "backward", 0.001)
    words = ["net.prototxt", "-iterations", "3", "--engine", "numpy"]
    result = timed(capsys, *words, "-minloglevel", "1")
    by_name = {layer["name"]: layer for layer in result["layers"]}
    assert result["waiting_median_ms"] == pytest.approx(6)
    assert result["between_layers_median_ms"] == pytest.approx(0, abs=1e-9)
    assert result["waiting_share"] == pytest.approx(0.6)
    assert by_name["digits"]["share"] == pytest.approx(0.1)
    assert by_name["ip1"]["share"] == by_name["ip2"]["share"] == pytest.approx(0.15)
    assert result["forward_median_ms"] == pytest.approx(8)
    assert main(["time", *words]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "waiting" in line)
    assert row.split() == ["waiting", "for", "data", "6.000", "60.0", "%"]


def test_a_net_without_data_does_not_wait(tmp_path, capsys):
    net = tmp_path / "deploy.prototxt"
    net.write_text(
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
    )
    assert main(["time", str(net), "-iterations", "2"]) == 0
    assert "waiting" not in capsys.readouterr().out
