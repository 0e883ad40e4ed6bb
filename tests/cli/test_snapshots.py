"""Which snapshot a run goes on from."""

import os

import numpy as np
import pytest

from minidl import schema
from minidl.cli.snapshots import resolve
from minidl.errors import UsageError
from minidl.storage import caffemodel, snapshot, weight_files
from minidl.storage.content import LayerWeights, Weights


@pytest.fixture
def runs(tmp_path):
    """Snapshots of 'lenet' after 5, 20 and 100 iterations, and of 'lenet_big' after 300."""
    net = schema.NetParameter(name="n")
    net.layer.add(name="ip", type="InnerProduct")
    for stem, iteration in [("lenet", 5), ("lenet", 20), ("lenet", 100), ("lenet_big", 300)]:
        weights = tmp_path / f"{stem}_iter_{iteration}.caffemodel"
        caffemodel.write(weights, net, {"ip": [np.arange(12, dtype=np.float32)]})
        state = snapshot.State(iteration, str(weights), [np.zeros(12, np.float32)])
        path = weights.with_suffix(".solverstate")
        snapshot.write(path, state)
        os.utime(path, (HOUR, HOUR))
    return tmp_path


HOUR = 1_700_000_000


def test_of_one_time_latest_is_the_highest_iteration_of_this_prefix_by_number(runs):
    assert resolve("latest", str(runs / "lenet")) == runs / "lenet_iter_100.solverstate"


@pytest.mark.parametrize("iteration", [5, 20])
def test_latest_is_the_newest_run_even_where_an_older_one_came_further(runs, iteration):
    newest = runs / f"lenet_iter_{iteration}.solverstate"
    os.utime(newest, (HOUR + 1, HOUR + 1))
    os.utime(runs / "lenet_big_iter_300.solverstate", (HOUR + 2, HOUR + 2))  # another prefix
    assert resolve("latest", str(runs / "lenet")) == newest


def test_a_newest_one_that_is_not_whole_gives_way_to_the_next(runs):
    for iteration, age in [(5, 1), (20, 2)]:
        time = HOUR + age
        os.utime(runs / f"lenet_iter_{iteration}.solverstate", (time, time))
    cut(runs / "lenet_iter_20.caffemodel")
    assert resolve("latest", str(runs / "lenet")) == runs / "lenet_iter_5.solverstate"


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
    assert gone or "skipped a snapshot: " in caplog.text and "lenet_iter_100" in caplog.text


@pytest.mark.parametrize("prefix", ["other", "no/folder/lenet"])
def test_no_snapshot_is_an_error_that_names_the_prefix(runs, prefix):
    with pytest.raises(UsageError, match=f"no complete snapshot .*{prefix}_iter_N(.|\n)*leave out"):
        resolve("latest", str(runs / prefix))


def test_a_path_is_taken_as_it_is(runs):
    path = runs / "lenet_big_iter_300.solverstate"
    assert resolve(str(path), str(runs / "lenet")) == path


def test_a_caffemodel_is_refused_with_the_state_beside_it(runs):
    path = runs / "lenet_iter_5.caffemodel"
    with pytest.raises(UsageError, match="weights only(.|\n)*-snapshot .*lenet_iter_5.solverstate"):
        resolve(str(path), "")


@pytest.mark.parametrize("bare", ["lenet_iter_20", "lenet"])
def test_a_bare_prefix_is_put_right(runs, bare):
    newest = runs / "lenet_iter_20.solverstate"
    os.utime(newest, (HOUR + 1, HOUR + 1))
    (runs / "lenet.log").touch()
    with pytest.raises(UsageError) as refusal:
        resolve(str(runs / bare), "")
    assert refusal.value.fix == f"-snapshot {newest}"


def test_a_misspelt_snapshot_still_has_a_nearest_name(runs):
    with pytest.raises(UsageError, match="did you mean '.*lenet_iter_5.solverstate'"):
        resolve(str(runs / "lenet_iter_5.solverstat"), "")


def test_snapshots_in_hdf5_are_found_too(runs):
    pytest.importorskip("h5py")
    weights = runs / "lenet_iter_120.caffemodel.h5"
    blobs = [LayerWeights("ip", "InnerProduct", [np.zeros(12, np.float32)], [False])]
    weight_files.write(weights, Weights("n", blobs, []), "hdf5")
    path = runs / "lenet_iter_120.solverstate.h5"
    snapshot.write(path, snapshot.State(120, str(weights), [np.zeros(12, np.float32)]))
    os.utime(path, (HOUR, HOUR))
    assert resolve("latest", str(runs / "lenet")) == path
    with pytest.raises(
        UsageError, match="weights only(.|\n)*lenet_iter_120.solverstate.h5 to resume"
    ):
        resolve(str(weights), "")
    with pytest.raises(UsageError, match=r"-snapshot .*lenet_iter_120\.solverstate\.h5"):
        resolve(str(runs / "lenet_iter_120"), "")
    cut(path)
    assert resolve("latest", str(runs / "lenet")) == runs / "lenet_iter_100.solverstate"
