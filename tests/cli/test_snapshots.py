"""Which snapshot a run goes on from."""

import numpy as np
import pytest

from minidl import schema
from minidl.cli.snapshots import resolve
from minidl.errors import UsageError
from minidl.storage import caffemodel, snapshot


@pytest.fixture
def runs(tmp_path):
    """Snapshots of 'lenet' after 5, 20 and 100 iterations, and of 'lenet_big' after 300."""
    net = schema.NetParameter(name="n")
    net.layer.add(name="ip", type="InnerProduct")
    for stem, iteration in [("lenet", 5), ("lenet", 20), ("lenet", 100), ("lenet_big", 300)]:
        weights = tmp_path / f"{stem}_iter_{iteration}.caffemodel"
        caffemodel.write(weights, net, {"ip": [np.arange(12, dtype=np.float32)]})
        state = snapshot.State(iteration, str(weights), [np.zeros(12, np.float32)])
        snapshot.write(weights.with_suffix(".solverstate"), state)
    return tmp_path


def test_latest_is_the_highest_iteration_of_this_prefix_by_number(runs):
    assert resolve("latest", str(runs / "lenet")) == runs / "lenet_iter_100.solverstate"


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def remove(path):
    path.unlink()


@pytest.mark.parametrize("suffix", [".solverstate", ".caffemodel"])
@pytest.mark.parametrize("damage", [cut, remove])
def test_latest_passes_over_what_is_not_whole(runs, damage, suffix, caplog):
    damage(runs / f"lenet_iter_100{suffix}")
    assert resolve("latest", str(runs / "lenet")) == runs / "lenet_iter_20.solverstate"
    gone = damage is remove and suffix == ".solverstate"
    assert gone or "passed over a snapshot: " in caplog.text and "lenet_iter_100" in caplog.text


@pytest.mark.parametrize("prefix", ["other", "no/folder/lenet"])
def test_no_snapshot_is_an_error_that_names_the_prefix(runs, prefix):
    with pytest.raises(UsageError, match=f"no whole snapshot .*{prefix}_iter_N(.|\n)*leave out"):
        resolve("latest", str(runs / prefix))


def test_a_path_is_taken_as_it_is(runs):
    path = runs / "lenet_big_iter_300.solverstate"
    assert resolve(str(path), str(runs / "lenet")) == path


def test_a_caffemodel_is_refused_with_the_state_beside_it(runs):
    path = runs / "lenet_iter_5.caffemodel"
    with pytest.raises(UsageError, match="weights only(.|\n)*-snapshot .*lenet_iter_5.solverstate"):
        resolve(str(path), "")
