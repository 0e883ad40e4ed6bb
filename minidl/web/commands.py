"""The command line of a form: what the page starts is what anybody can type.

A form is a dict; what is absent, None or "" takes the command's own default. How its fields are
read and checked: `minidl.web.form`.

train      name, group; net_from ("zoo", "run", "file", "text") with net (a name, a run's id, a
           path) or text (a prototxt); data (a data set's id or a path); weights (a run's id or a
           path) with snapshot (its iteration); freeze_until; epochs, batch_size, accumulate,
           solver_type, rate, policy ("step"), policy_values ("33,0.1"), weight_decay, momentum,
           rms_decay, seed, mean, crop, mirror; snapshot_every, test_every, histograms, samples,
           sample_count; device ("cpu", "any" GPU, or a GPU's number), threads. batch_size and rate
           may be lists, or text with commas: one job for each pair
dataset    name, group; source: "folder" (pictures, val_from, test_from, val, test, min, max),
           "lists" (train, val, test, labels, folder, in_order), "store" (train, val, test, labels,
           mean_file), "pairs" (inputs, targets, targets_are, target_color, labels, val, test) or
           "digits", "mnist", "fashion-mnist"; size ("28" or "28,32"), resize, color ("gray",
           "color"), mean, encoding ("png", "jpg"), seed
evaluate   name, group; run (its id), snapshot; over: "split" (split), "list" (list) or "folder"
           (folder); count, scores, device
show       name, group; run (its id), snapshot; picture (a path); layers, device
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from minidl.web import paths, summary
from minidl.web.form import Form, Places, Reader, as_argument
from minidl.web.problems import Unusable

OUT = "\0"  # stands for the folder of the job until it is known; no form can hold it
SWEEP = 100  # jobs that one form may make
NET_FILE = "net.prototxt"  # a net that was written in the form, in the job's folder
NAMED = ("digits", "mnist", "fashion-mnist")
ZOO = re.compile(r"[\w-]{1,60}", re.ASCII)
SIZE = re.compile(r"\d{1,5}(,\d{1,5})?", re.ASCII)
RESIZE = ("squash", "crop", "fill", "half_crop")


@dataclass(frozen=True)
class Command:
    """A job that is to be.

    words    of its command line after `minidl`; OUT in the place of its folder
    home     the folder its folder is made in, relative to the root
    needs    paths of other jobs, relative to the root or absolute, by role
    files    texts that are to lie in its folder before it starts
    """

    kind: str
    words: tuple[str, ...]
    home: str
    name: str
    group: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    form: Form = field(default_factory=dict)

    def argv(self, folder: str) -> tuple[str, ...]:
        """Return the words with the job's folder, relative to the root."""
        return tuple(word.replace(OUT, folder) for word in self.words)

    def proposed(self, root: Path, taken: Collection[str] = ()) -> str:
        """Return the folder that the job would get now, if others get those in `taken`."""
        slug = paths.slug(self.name)
        for number in itertools.count(1):
            name = f"{self.home}/{slug}" + (f"-{number}" if number > 1 else "")
            if name not in taken and not (root / name).exists():
                return name
        raise AssertionError


def build(kind: str, form: Form, places: Places) -> list[Command]:
    """Return the jobs of a form. Errors: Unusable, with the field; Forbidden for a path."""
    makers: dict[str, Callable[[Reader], Command]] = {
        "train": _train,
        "dataset": _dataset,
        "evaluate": _evaluate,
        "show": _show,
    }
    if kind not in makers:
        raise Unusable(f"there is no kind '{str(kind)[:40]}'", expected=", ".join(makers))
    found = []
    for values, suffix in _swept(kind, form):
        reader = Reader(values, places)
        command = makers[kind](reader)
        group = reader.text("group", 200)
        if suffix:
            group = group or command.name
            command = replace(command, name=f"{command.name} {suffix}")
        python = ("--allow-python",) if places.allow_python and kind != "dataset" else ()
        found.append(
            replace(command, group=group, form=dict(values), words=(*command.words, *python))
        )
    return found


def _swept(kind: str, form: Form) -> list[tuple[dict[str, Any], str]]:
    """Return a form for each pair of its rates and batch sizes, and what tells it apart."""
    if kind != "train":
        return [(dict(form), "")]
    swept = {"rate": _listed(form.get("rate")), "batch_size": _listed(form.get("batch_size"))}
    many = [name for name, values in swept.items() if len(values) > 1]
    if math.prod(len(values) for values in swept.values()) > SWEEP:
        raise Unusable(
            "the lists of rates and batch sizes make too many runs",
            expected=f"{SWEEP} at most",
            field=many[0],
        )
    found = []
    for rate, batch in itertools.product(*swept.values()):
        chosen = {"rate": rate, "batch_size": batch}
        chosen = {name: value for name, value in chosen.items() if name in form}
        marks = [f"{'batch' if n == 'batch_size' else n} {chosen[n]}" for n in many]
        found.append(({**form, **chosen}, ", ".join(marks)))
    return found


def _listed(value: Any) -> list[Any]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    return list(value) or [""] if isinstance(value, list | tuple) else [value]


def form_of(argv: Sequence[str], root: Path, cwd: Path) -> dict[str, Any]:
    """Return the form that stands for a command line of training from a terminal; {} for none."""
    words, found = list(argv), dict[str, Any]()
    if not words or words[0] != "train":
        return {}
    words = words[1:]
    while words:
        name, equals, value = words.pop(0).partition("=")
        flag = name.lstrip("-").replace("-", "_")
        if not name.startswith("-"):
            return {}  # a solver's file
        if flag == "mirror":
            found[flag] = True
            continue
        if not equals:
            if not words:
                return {}
            value = words.pop(0)
        if flag in ("net", "data", "weights"):
            found[flag] = _from(cwd, value, root)
        elif flag == "policy":
            found["policy"], _, found["policy_values"] = value.partition(":")
        elif flag == "gpu":
            found["device"] = value
        elif flag in FLAGS:
            found[flag] = value
        elif flag not in ("out", "snapshot"):
            return {}
    if "net" not in found:
        return {}
    net = str(found["net"])
    is_run = (root / net).is_dir()
    found["net_from"] = "run" if is_run else "zoo" if ZOO.fullmatch(net) else "file"
    return found


# Of `minidl train`, what a form has under the same name.
FLAGS = set(
    "freeze_until epochs batch_size accumulate solver_type rate weight_decay momentum rms_decay"
    " seed mean crop snapshot_every test_every histograms samples sample_count threads".split()
)


def _from(cwd: Path, value: str, root: Path) -> str:
    """Return a path as it is called from the root; what is no path as it is."""
    path = Path(os.path.normpath(cwd / value))
    return paths.shown(path, root) if path.exists() else value


# ---------------------------------------------------------------------- one maker a kind


def _train(form: Reader) -> Command:
    net, files, needs = _net(form)
    data, needs["data"] = form.source("data")
    form.add("train", "--net", net, "--data", data, "--out", OUT)
    _weights(form, needs)
    form.word("freeze_until")
    for name in ("epochs", "batch_size", "accumulate", "crop", "threads"):
        form.whole(name, low=1 if name != "crop" else 0)
    for name in ("snapshot_every", "test_every", "histograms", "samples"):
        form.number(name, low=0)
    form.whole("sample_count", low=1, high=1000)
    form.word("solver_type")
    for name in ("rate", "weight_decay", "momentum", "rms_decay"):
        form.number(name, low=0)
    _policy(form)
    form.whole("seed")
    form.choice("mean", "image", "pixel", "none")
    form.switch("mirror")
    _device(form)
    name = form.text("name", 200) or _named_after(form, net, data)
    needs = {role: path for role, path in needs.items() if path}
    return Command("train", form.words(), "runs", name, needs=needs, files=files)


def _named_after(form: Reader, net: str, data: str) -> str:
    stem = "net" if form.get("net_from") == "text" else Path(net).stem
    return f"{stem}-{Path(data).name}"


def _net(form: Reader) -> tuple[str, dict[str, str], dict[str, str]]:
    """Return the word for --net, files for the job's folder, and what the job needs."""
    source = form.one_of("net_from", "zoo", "run", "file", "text")
    if source == "text":
        text = form.get("text")
        if not isinstance(text, str) or not text.strip():
            raise Unusable("the net's prototxt is missing", field="text")
        return f"{OUT}/{NET_FILE}", {NET_FILE: text}, {}
    name = form.required("net")
    if source == "zoo":
        if not ZOO.fullmatch(name) or name.startswith("-"):
            raise Unusable(f"'{name[:60]}' is not a net of the zoo", field="net")
        return name, {}, {}
    if source == "run":
        run = form.job("net")
        return as_argument(run), {}, {"net": run}
    return as_argument(form.path("net")), {}, {}


def _weights(form: Reader, needs: dict[str, str]) -> None:
    """Add --weights: a file, or a run with the one of its snapshots that was chosen."""
    if form.empty("weights"):
        return
    weights, needs["weights"] = form.source("weights")
    iteration = form.get("snapshot")
    if iteration not in (None, "") and needs["weights"]:
        weights = _snapshot(form, needs["weights"])
    form.add("--weights", weights)


def _snapshot(form: Reader, run: str) -> str:
    """Return the path of a run's weights of the iteration in the form."""
    iteration = form.checked_whole("snapshot", 0, 1 << 53)
    for one in summary.snapshots(form.places.root / run):
        if one["iter"] == iteration and one["weights"]:
            return as_argument(f"{run}/{one['weights']}")
    raise Unusable(f"has no snapshot of iteration {iteration}", where=run, field="snapshot")


def _policy(form: Reader) -> None:
    policy = form.text("policy", 60)
    if not policy:
        return
    values = form.get("policy_values")
    if isinstance(values, list | tuple):
        values = ",".join(str(value) for value in values)
    text = policy if values in (None, "") else f"{policy}:{values}"
    if not re.fullmatch(r"[a-z_]{1,30}(:[\d.,eE+-]{0,200})?", text.replace(" ", "")):
        raise Unusable(
            f"'{text[:60]}' is not a policy", expected="step with 33,0.1", field="policy_values"
        )
    form.add("--policy", text.replace(" ", ""))


def _dataset(form: Reader) -> Command:
    source = form.one_of("source", "folder", "lists", "store", "pairs", *NAMED)
    form.add("dataset", source)
    named = source
    if source == "folder":
        pictures = form.path("pictures")
        named = Path(pictures).name or named
        form.add(as_argument(pictures))
        form.paths("val_from", "test_from")
    elif source == "lists":
        form.add("--train", form.path("train"))
        form.paths("val", "test", "labels", root="folder")
        form.switch("in_order")
    elif source == "store":
        form.add("--train", form.path("train"))
        form.paths("val", "test", "labels", mean="mean_file")
        form.choice("resize", *RESIZE)
    elif source == "pairs":
        inputs, targets = form.path("inputs"), form.path("targets")
        named = Path(inputs).name or named
        form.add(as_argument(inputs), as_argument(targets))
        form.choice("targets_are", "image", "classes", flag="targets")
        target = form.checked_choice("target_color", "gray", "color")
        form.add(*([f"--target-{target}"] if target else []))
        form.paths("labels")
    form.add("--out", OUT)
    if source in ("folder", "pairs"):
        for name in ("val", "test"):
            form.number(name, low=0, high=100)
    if source == "folder":
        for name in ("min", "max"):
            form.whole(name, low=1)
    if source in ("folder", "lists", "pairs"):
        _pictures(form)
    name = form.text("name", 200) or named
    return Command("dataset", form.words(), "data", name)


def _pictures(form: Reader) -> None:
    """Add how pictures are brought to one size and stored."""
    size = str(form.get("size") or "").replace(" ", "").replace("x", ",")
    if size:
        if not SIZE.fullmatch(size):
            raise Unusable(f"'{size[:40]}' is not a size", expected="28, or 28,32", field="size")
        form.add("--size", size)
    form.choice("resize", *RESIZE)
    color = form.checked_choice("color", "gray", "color")
    form.add(*([f"--{color}"] if color else []))
    form.choice("mean", "pixel", "image", "none")
    encoding = form.checked_choice("encoding", "png", "jpg", "none")
    form.add(*(["--encode-type", encoding] if encoding in ("png", "jpg") else []))
    form.whole("seed")


def _evaluate(form: Reader) -> Command:
    run = form.job("run")
    form.add("evaluate", as_argument(run))
    form.whole("snapshot")
    over = form.one_of("over", "split", "list", "folder")
    if over == "split":
        what = form.checked_choice("split", "val", "test", "train") or "val"
        form.add("--split", what)
    else:
        path = form.path(over)
        form.add(f"--{over}", path)
        what = Path(path).stem
    form.whole("count", low=1)
    form.switch("scores")
    form.add("--out", OUT)
    _device(form)
    name = form.text("name", 200) or what
    return Command("evaluate", form.words(), f"{run}/evaluations", name, needs={"run": run})


def _show(form: Reader) -> Command:
    run = form.job("run")
    picture = form.path("picture")
    form.add("show", as_argument(run), as_argument(picture))
    form.whole("snapshot")
    form.add("--out", OUT)
    layers = form.get("layers")
    if layers:
        names = layers if isinstance(layers, list) else str(layers).split(",")
        form.add("--layers", ",".join(form.clean(str(name), "layers", 200) for name in names))
    _device(form)
    name = form.text("name", 200) or Path(picture).stem
    return Command("show", form.words(), f"{run}/shown", name, needs={"run": run})


def _device(form: Reader) -> None:
    """Add --gpu for a GPU that was chosen; which one "any" is, the queue decides."""
    device = str(form.get("device") or "cpu")
    if device.isascii() and device.isdecimal() and len(device) < 4:
        form.add("--gpu", device)
    elif device not in ("cpu", "any"):
        raise Unusable(f"'{device[:40]}' is not a device", expected="cpu, any, 0", field="device")
