"""Forms made command lines: what each field becomes, and that no value becomes anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.errors import MinidlError
from minidl.web import commands
from minidl.web.commands import NET_FILE, OUT, build, form_of
from minidl.web.form import Places
from minidl.web.problems import Forbidden, Unusable
from tests.web.making import make


@pytest.fixture
def places(root):
    make(root / "data" / "pets", "dataset")
    make(root / "runs" / "old")
    (root / "runs" / "old" / "old_iter_50.caffemodel").write_bytes(b"")
    (root / "pictures").mkdir()
    (root / "pictures" / "cat.png").write_bytes(b"")
    (root / "-rf").mkdir()
    (root / "list.txt").write_text("")
    return Places(root, (root,))


def words(places, kind, /, **form):
    (command,) = build(kind, form, places)
    return " ".join(command.argv("OUT"))


NEW = {"net_from": "zoo", "net": "lenet", "data": "data/pets"}
BASE = "train --net lenet --data data/pets --out OUT"

TRAIN = {
    "nothing else": ({}, ""),
    "empty fields": ({"epochs": "", "seed": None, "mirror": False, "weights": ""}, ""),
    "numbers": (
        {"epochs": "30", "batch_size": 64, "accumulate": "2", "crop": 24, "threads": 1},
        "--epochs 30 --batch-size 64 --accumulate 2 --crop 24 --threads 1",
    ),
    "intervals": (
        {"snapshot_every": "0.5", "test_every": 2, "histograms": "1", "samples": 0.25},
        "--snapshot-every 0.5 --test-every 2 --histograms 1 --samples 0.25",
    ),
    "a solver": (
        {"solver_type": "Adam", "rate": "1e-3", "weight_decay": "0.0005", "momentum": 0.9},
        "--solver-type Adam --rate 0.001 --weight-decay 0.0005 --momentum 0.9",
    ),
    "a policy": ({"policy": "step", "policy_values": "33, 0.1"}, "--policy step:33,0.1"),
    "a policy's list": ({"policy": "poly", "policy_values": [3]}, "--policy poly:3"),
    "a policy alone": ({"policy": "fixed"}, "--policy fixed"),
    "the rest": (
        {"seed": 7, "mean": "pixel", "mirror": True, "freeze_until": "pool5", "sample_count": 4},
        "--freeze-until pool5 --sample-count 4 --seed 7 --mean pixel --mirror",
    ),
    "a GPU": ({"device": "1"}, "--gpu 1"),
    "any GPU": ({"device": "any"}, ""),
    "weights of a run": ({"weights": "runs/old"}, "--weights runs/old"),
    "weights of a snapshot": (
        {"weights": "runs/old", "snapshot": 50},
        "--weights runs/old/old_iter_50.caffemodel",
    ),
}


@pytest.mark.parametrize("form, expected", TRAIN.values(), ids=TRAIN.keys())
def test_a_form_of_training(places, form, expected):
    assert words(places, "train", **NEW, **form) == f"{BASE} {expected}".strip()


def test_where_a_net_comes_from(places, root):
    (root / "net.prototxt").write_text("")
    base = {"data": "data/pets"}
    assert "--net runs/old " in words(places, "train", net_from="run", net="runs/old", **base)
    mine = words(places, "train", net_from="file", net="net.prototxt", **base)
    assert "--net net.prototxt " in mine
    (command,) = build("train", {"net_from": "text", "text": "layer {}", **base}, places)
    assert f"--net OUT/{NET_FILE} " in " ".join(command.argv("OUT"))
    assert command.files == {NET_FILE: "layer {}"}


def test_what_a_job_needs(places):
    form = {**NEW, "net_from": "run", "net": "runs/old", "weights": "runs/old"}
    (command,) = build("train", form, places)
    assert command.needs == {"net": "runs/old", "data": "data/pets", "weights": "runs/old"}
    (command,) = build("evaluate", {"run": "runs/old"}, places)
    assert command.needs == {"run": "runs/old"} and command.home == "runs/old/evaluations"
    (command,) = build("show", {"run": "runs/old", "picture": "pictures/cat.png"}, places)
    assert command.needs == {"run": "runs/old"} and command.home == "runs/old/shown"


OTHERS = {
    "folder": (
        "dataset",
        {
            "source": "folder",
            "pictures": "pictures",
            "size": "28 x 32",
            "resize": "crop",
            "color": "gray",
            "val": 25,
            "test": "0",
            "min": 2,
            "mean": "image",
            "encoding": "png",
        },
        "dataset folder pictures --out OUT --val 25 --test 0 --min 2 --size 28,32 --resize crop"
        " --gray --mean image --encode-type png",
    ),
    "lists": (
        "dataset",
        {
            "source": "lists",
            "train": "list.txt",
            "val": "list.txt",
            "folder": "pictures",
            "in_order": True,
        },
        "dataset lists --train list.txt --val list.txt --root pictures --in-order --out OUT",
    ),
    "store": (
        "dataset",
        {"source": "store", "train": "pictures", "mean_file": "list.txt"},
        "dataset store --train pictures --mean list.txt --out OUT",
    ),
    "pairs": (
        "dataset",
        {
            "source": "pairs",
            "inputs": "pictures",
            "targets": "pictures",
            "targets_are": "classes",
            "target_color": "gray",
            "labels": "list.txt",
        },
        "dataset pairs pictures pictures --targets classes --target-gray --labels list.txt"
        " --out OUT",
    ),
    "a name": ("dataset", {"source": "digits"}, "dataset digits --out OUT"),
    "a split": (
        "evaluate",
        {"run": "runs/old", "snapshot": 50, "split": "test", "count": 100, "scores": True},
        "evaluate runs/old --snapshot 50 --split test --count 100 --scores --out OUT",
    ),
    "a folder": (
        "evaluate",
        {"run": "runs/old", "over": "folder", "folder": "pictures"},
        "evaluate runs/old --folder pictures --out OUT",
    ),
    "a picture": (
        "show",
        {"run": "runs/old", "picture": "pictures/cat.png", "layers": ["conv1", "pool1"]},
        "show runs/old pictures/cat.png --out OUT --layers conv1,pool1",
    ),
}


@pytest.mark.parametrize("kind, form, expected", OTHERS.values(), ids=OTHERS.keys())
def test_other_forms(places, kind, form, expected):
    assert words(places, kind, **form) == expected


REFUSED = {
    "no kind": ("run", {}, ""),
    "no net": ("train", {"data": "data/pets"}, "net"),
    "no data": ("train", {"net": "lenet"}, "data"),
    "no text": ("train", {"net_from": "text", "data": "data/pets"}, "text"),
    "no number": ("train", {**NEW, "epochs": "many"}, "epochs"),
    "not whole": ("train", {**NEW, "epochs": 1.5}, "epochs"),
    "not positive": ("train", {**NEW, "epochs": 0}, "epochs"),
    "negative": ("train", {**NEW, "rate": "-0.1"}, "rate"),
    "infinite": ("train", {**NEW, "rate": "inf"}, "rate"),
    "NaN": ("train", {**NEW, "rate": "nan"}, "rate"),
    "true": ("train", {**NEW, "seed": True}, "seed"),
    "a policy with words": (
        "train",
        {**NEW, "policy": "step", "policy_values": "--gpu 1"},
        "policy_values",
    ),
    "a list for a name": ("train", {**NEW, "name": ["a"]}, "name"),
    "a line break": ("train", {**NEW, "name": "a\nb"}, "name"),
    "a device": ("train", {**NEW, "device": "0 --debug"}, "device"),
    "a choice": ("train", {**NEW, "mean": "--debug"}, "mean"),
    "a net that is a flag": ("train", {**NEW, "net": "--debug"}, "net"),
    "a net that is a path": ("train", {**NEW, "net": "../x"}, "net"),
    "no such snapshot": ("train", {**NEW, "weights": "runs/old", "snapshot": 51}, "snapshot"),
    "a switch": ("train", {**NEW, "mirror": "maybe"}, "mirror"),
    "a size": ("dataset", {"source": "folder", "pictures": "pictures", "size": "a"}, "size"),
    "a source": ("dataset", {"source": "http"}, "source"),
    "too many": ("train", {**NEW, "rate": list(range(1, 200))}, "rate"),
}


@pytest.mark.parametrize("kind, form, field", REFUSED.values(), ids=REFUSED.keys())
def test_a_form_that_makes_no_sense_names_the_field(places, kind, form, field):
    with pytest.raises(Unusable) as caught:
        build(kind, form, places)
    assert caught.value.field == field and caught.value.status == 422


@pytest.mark.parametrize("name", ["/etc", "..", "../..", "data/../../..", "~"])
@pytest.mark.parametrize(
    "kind, field, form",
    [
        ("train", "data", {"net": "lenet"}),
        ("train", "weights", NEW),
        ("dataset", "pictures", {"source": "folder"}),
        ("dataset", "train", {"source": "store"}),
        ("evaluate", "run", {}),
        ("show", "picture", {"run": "runs/old"}),
    ],
)
def test_paths_outside_are_forbidden(places, kind, field, form, name):
    with pytest.raises((Forbidden, MinidlError)) as caught:
        build(kind, {**form, field: name}, places)
    assert caught.value.field == field


def test_a_path_that_looks_like_a_flag_is_none(places):
    form = {"source": "folder", "pictures": "-rf"}
    assert words(places, "dataset", **form) == "dataset folder ./-rf --out OUT"
    form = {"source": "lists", "train": "list.txt", "folder": "-rf"}
    assert "--root=-rf" in words(places, "dataset", **form)
    assert "--freeze-until=-x" in words(places, "train", **NEW, freeze_until="-x")


FIELDS = sorted(
    commands.FLAGS
    | set("name group net data weights snapshot policy policy_values mirror device text".split())
)
FLAGS = {f"--{name.replace('_', '-')}" for name in commands.FLAGS}
FLAGS |= {"--net", "--data", "--out", "--weights", "--policy", "--mirror", "--gpu"}


@given(st.data())
def test_no_value_becomes_a_flag(tmp_path_factory, data):
    """Whatever the fields hold, a word that looks like a flag is one of ours."""
    root = tmp_path_factory.getbasetemp().resolve() / "flags"
    (root / "data").mkdir(parents=True, exist_ok=True)
    value = st.one_of(
        st.text(max_size=12),
        st.sampled_from(["--debug", "-x", "--allow-python", "--import=os", "-", "--", "=--x", "0"]),
        st.integers(-5, 5),
    )
    form = data.draw(st.dictionaries(st.sampled_from(FIELDS), value, max_size=6))
    form = {"net": "lenet", "data": "data", **form}
    try:
        found = build("train", form, Places(root, (root,)))
    except MinidlError:
        return
    for command in found:
        for word in command.argv("runs/x"):
            assert not word.startswith("-") or word.partition("=")[0] in FLAGS, command.words
            assert "\0" not in word and "\n" not in word


def test_lists_of_rates_and_batch_sizes_make_a_group(places, root):
    found = build(
        "train", {**NEW, "name": "sweep", "rate": "0.1, 0.01", "batch_size": [32, 64]}, places
    )
    assert len(found) == 4 and {one.group for one in found} == {"sweep"}
    assert found[1].name == "sweep rate 0.1, batch 64"
    assert "--batch-size 64 --rate 0.1" in " ".join(found[1].words)
    assert found[3].form["rate"] == "0.01" and found[3].form["batch_size"] == 64
    assert len({one.proposed(root) for one in found}) == 4


def test_a_name_that_is_taken_gets_a_number(places, root):
    (command,) = build("train", {**NEW, "name": "Old"}, places)
    assert command.proposed(root) == "runs/old-2"
    assert command.proposed(root, {"runs/old-2"}) == "runs/old-3"


def test_python_layers_are_allowed_if_the_server_allows_them(places, root):
    assert "--allow-python" not in words(places, "train", **NEW)
    assert words(Places(root, (root,), True), "train", **NEW).endswith("--allow-python")


@pytest.mark.parametrize("form, expected", TRAIN.values(), ids=TRAIN.keys())
def test_a_command_from_a_terminal_becomes_a_form_again(places, root, form, expected):
    (command,) = build("train", {**NEW, **form}, places)
    argv = command.argv("runs/x")
    again = form_of(argv, root, root)
    (second,) = build("train", {"name": "x", **again}, places)
    assert second.argv("runs/x") == argv


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("dataset", "digits"),
        ("train", "solver.prototxt"),
        ("train", "--net"),
        ("train", "--net", "a", "--set", "x=1"),
    ],
)
def test_a_command_that_no_form_can_hold(root, argv):
    assert form_of(argv, root, root) == {}


def test_nobody_can_write_the_mark_of_the_folder(places):
    with pytest.raises(Unusable):
        build("train", {**NEW, "name": f"a{OUT}b"}, places)
    with pytest.raises(Unusable):
        build("train", {**NEW, "freeze_until": OUT}, places)


@pytest.mark.parametrize(
    "kind, form",
    [
        *(("train", {**NEW, **form}) for form, _ in TRAIN.values()),
        *((kind, form) for kind, form, _ in OTHERS.values()),
    ],
    ids=[*TRAIN, *(f"other: {name}" for name in OTHERS)],
)
def test_minidl_takes_every_word_of_it(places, kind, form):
    from minidl.cli import parser_for

    (command,) = build(kind, form, places)
    words = list(command.argv("out"))
    assert parser_for(words[0]).read(words[1:]).out == "out"
