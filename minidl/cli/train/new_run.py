"""A new run of `minidl train --net NET --data FOLDER`: the prototxts, made for a data set."""

from __future__ import annotations

import logging
import math
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minidl.cli import zoo
from minidl.cli.arguments import Parser, existing, whole
from minidl.cli.dataset import folder
from minidl.cli.table import plural
from minidl.errors import UsageError
from minidl.runs import store

log = logging.getLogger("minidl")

RATE = 0.01  # at most: the zoo's higher ones belong to larger batches
FINE_TUNING = 0.1  # of the rate, if weights are given
SIDE = 256  # of the pictures of nets that crop
BATCHES = 64  # images in a batch, at most
TESTS, SNAPSHOTS = 30, 5  # of a run, at most
SHOWN = 4  # names of a list


def add_arguments(parser: Parser) -> None:
    group = parser.add_argument_group("in place of a solver file")
    group.add_argument(
        "--net", metavar="NAME", help="a net of the zoo (lenet, alexnet, ...), or a prototxt"
    )
    group.add_argument(
        "--data", metavar="FOLDER", help="from minidl dataset folder, or the pictures themselves"
    )
    group.add_argument("--out", metavar="RUN", help="folder of the run (default: runs/NET-DATA)")
    group.add_argument("--epochs", type=whole(1), default=30, metavar="N", help="passes (30)")
    group.add_argument("--batch-size", type=whole(1), metavar="N", help="images in a batch (64)")
    group.add_argument(
        "--freeze-until",
        metavar="LAYER",
        help="with --weights: the layers up to this one keep their weights",
    )


def check(args: Namespace) -> None:
    """Refuse flags that do not go together."""
    if bool(args.net) != bool(args.data):
        given, other = ("net", "data") if args.net else ("data", "net")
        raise UsageError(
            f"--{given} is given without --{other}",
            where="minidl train",
            expected="minidl train --net NET --data FOLDER, or minidl train SOLVER",
        )
    if args.net and args.solver:
        raise UsageError(
            f"--net and the solver file {args.solver} exclude each other", where="minidl train"
        )
    if args.net and args.snapshot:
        raise UsageError(
            "--net starts a new run, but -snapshot resumes one",
            where="minidl train",
            fix="minidl train RUN/solver.prototxt -snapshot latest",
        )
    for flag in ("freeze_until", "out", "batch_size"):
        if getattr(args, flag) and not args.net:
            raise UsageError(f"--{flag.replace('_', '-')} needs --net", where="minidl train")
    if args.freeze_until and not args.weights:
        raise UsageError("--freeze-until needs --weights", where="minidl train")


def prepare(args: Namespace) -> str:
    """Write the net and the solver of a new run; return the path of the solver."""
    from minidl import preprocess
    from minidl.storage import files

    model = zoo.find(args.net)
    for path in args.weights:
        existing(path, "a caffemodel")
    given = Path(args.data)
    run = Path(args.out) if args.out else store.free(f"{model.name}-{_slug(given)}")
    if (run / store.SOLVER).exists():
        raise UsageError("holds a run already", where=str(run), fix="--out with another folder")
    notes = []
    data = given
    crop = max((layer.transform_param.crop_size for layer in model.net.layer), default=0)
    if not (given / preprocess.NAME).is_file():
        data = run / "data"
        notes += _make_data(given, data, model, crop, args)
    description = preprocess.read(data / preprocess.NAME)
    _check_size(description, model, crop, args)
    counts = _counts(data)
    net = _fitted(model.net, data, description, crop, _batches(counts, args.batch_size))
    if args.weights:
        notes += _fine_tuned(net, args, _slug(given))
    solver = _solver(model.solver, run, counts, args)
    run.mkdir(parents=True, exist_ok=True)
    net_file, solver_file = run / store.TRAINING_NET, run / store.SOLVER
    files.write_all(net_file, [_text(net, f"{model.name} for {given}")])
    sizes = ", ".join(f"{part} {count:,}" for part, count in counts.items())
    title = f"How {store.TRAINING_NET} learns {given}: {sizes}"
    files.write_all(solver_file, [_text(solver, title)])
    for line in [*notes, f"net     {net_file}", f"solver  {solver_file}"]:
        print(line, flush=True)
    return str(solver_file)


def _slug(data: Path) -> str:
    """Return the name of a folder without blanks."""
    return "_".join(data.resolve().name.split())


def _make_data(pictures: Path, out: Path, model: Any, crop: int, args: Namespace) -> list[str]:
    """Make the data set of a folder of pictures, in the net's size."""
    from minidl.data import folder_dataset

    size = model.size
    if crop:
        size = (max(SIDE, crop),) * 2
    choices = folder_dataset.Choices(size=size, seed=args.seed or 0)
    return folder.make(pictures, out, choices, "pixel", args)


def _check_size(description: Any, model: Any, crop: int, args: Namespace) -> None:
    """Refuse pictures of a size that the net was not made for."""
    resize = description.transform.resize
    height, width = resize.height, resize.width or resize.height
    side = max(SIDE, crop) if crop else max(model.size or (height, width))
    misfit = min(height, width) < crop
    if not crop and model.size:
        misfit = max(height, width) > 2 * side or 2 * min(height, width) < side
    if misfit:
        wanted = f"at least {crop} x {crop}" if crop else "{} x {}".format(*model.size)
        raise UsageError(
            f"has pictures of {height} x {width}, and {model.name} takes {wanted}",
            where=args.data,
            fix=f"minidl dataset folder PICTURES --size {side} --out ANOTHER",
        )


def _counts(data: Path) -> dict[str, int]:
    """Return the number of pictures in each part of a data set."""
    from minidl.data import making
    from minidl.data.sources.lmdb import Lmdb

    counts = {}
    for part, name in making.STORES.items():
        if (data / name).is_dir():
            pictures = Lmdb(data / name)
            counts[part] = len(pictures)
            pictures.close()
    if "train" not in counts:
        raise UsageError("has no train_lmdb", where=str(data), fix="make it again with --force")
    return counts


def _batches(counts: dict[str, int], asked: int | None) -> tuple[int, int]:
    """Return the batch sizes for training and tests; for tests so that hardly any comes twice."""
    train = asked or min(BATCHES, counts["train"])
    tests = counts.get("val") or counts.get("test") or 1
    most = min(100, tests)
    return train, min(range((most + 1) // 2, most + 1), key=lambda n: (-tests % n, -n))


def _fitted(net: Any, data: Path, description: Any, crop: int, batches: tuple[int, int]) -> Any:
    """Return the net with the data set's data layers and classes."""
    from minidl import schema
    from minidl.data.making import STORES
    from minidl.prototxt import deploy, finetune

    fitted = schema.NetParameter()
    fitted.CopyFrom(net)
    source = deploy.reader(net)
    if source is None or len(source.top) < 2:
        raise UsageError("has no data layer with pictures and labels", where=f"net '{net.name}'")
    tests = next((p for p in ("val", "test") if (data / STORES[p]).is_dir()), "train")
    layers = [
        _data_layer(source, description, crop, data / STORES[part], batch, phase)
        for part, batch, phase in (
            ("train", batches[0], schema.TRAIN),
            (tests, batches[1], schema.TEST),
        )
    ]
    mirrored = any(x.transform_param.mirror for x in net.layer if list(x.top) == list(source.top))
    if mirrored:
        layers[0].transform_param.mirror = True
    rest = [x for x in net.layer if x.type not in deploy.READERS]
    del fitted.layer[:]
    fitted.layer.extend([*layers, *rest])
    finetune.set_classes(fitted, len(description.labels))
    return fitted


def _data_layer(
    source: Any, description: Any, crop: int, lmdb: Path, batch: int, phase: int
) -> Any:
    from minidl import schema

    layer = schema.LayerParameter(name=source.name, type="Data", top=source.top)
    layer.include.add(phase=phase)
    layer.transform_param.CopyFrom(description.transform)
    if crop:
        layer.transform_param.crop_size = crop
    if source.transform_param.HasField("scale"):
        layer.transform_param.scale = source.transform_param.scale
    p = layer.data_param
    p.source, p.batch_size, p.backend = lmdb.as_posix(), batch, p.LMDB
    if phase == schema.TRAIN:
        p.shuffle = True
    return layer


def _fine_tuned(net: Any, args: Namespace, data: str) -> list[str]:
    """Make the net start with weights of another one; return lines about that."""
    from minidl.prototxt import finetune
    from minidl.storage import weight_files

    blobs: dict[str, int] = {}
    for path in args.weights:
        blobs |= {x.name: len(x.blobs) for x in weight_files.read(path).layers if x.blobs}
    names = finetune.rename_heads(net, data)
    notes = [
        f"layer '{old}' is now '{new}': it starts from scratch, at {finetune.FASTER} times the rate"
        for old, new in names.items()
    ]
    absent = finetune.missing(net, blobs, names.values())
    taken = [layer.name for layer in net.layer if layer.name in blobs]
    if not taken:
        raise UsageError(
            f"has no weights for any layer of {args.net}",
            where=", ".join(args.weights),
            expected=f"layers such as {net.layer[2].name}",
        )
    notes.append(f"weights of {', '.join(args.weights)}: {plural(len(set(taken)), 'layer')}")
    if absent:
        unused = sorted(set(blobs) - set(taken) - set(names))
        also = f"; unused in the file: {_listed(unused)}" if unused else ""
        notes.append(f"not among them, so they start from scratch too: {_listed(absent)}{also}")
    if args.freeze_until:
        frozen = finetune.freeze(net, args.freeze_until, blobs)
        notes.append(f"frozen: {_listed(frozen)}")
    return notes


def _listed(names: Sequence[str]) -> str:
    """Return the first names, and how many there are."""
    more = f", ... ({len(names)})" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _solver(published: Any, run: Path, counts: dict[str, int], args: Namespace) -> Any:
    """Return the published solver for this number of pictures.

    Source of the numbers of iterations: NVIDIA/DIGITS.
    """
    from minidl import schema

    batch, test_batch = _batches(counts, args.batch_size)
    tests = counts.get("val") or counts.get("test")
    epoch = math.ceil(counts["train"] / batch)
    total = epoch * args.epochs
    solver = schema.SolverParameter(net=store.TRAINING_NET)
    if tests:
        solver.test_iter.append(math.ceil(tests / test_batch))
        solver.test_interval = max(epoch, math.ceil(total / TESTS))
    rate = min(published.base_lr or RATE, RATE)
    solver.base_lr = float(f"{rate * (FINE_TUNING if args.weights else 1):.6g}")
    solver.lr_policy, solver.power, solver.max_iter = "poly", 1, total
    solver.momentum = published.momentum or 0.9
    solver.weight_decay = published.weight_decay or 0.0005
    if published.HasField("type"):
        solver.type = published.type
    solver.display = max(1, min(epoch // 8, math.ceil(5000 / batch)))
    solver.snapshot = math.ceil(total / SNAPSHOTS)
    solver.snapshot_prefix = (run / run.name).as_posix()
    solver.random_seed = 1 if args.seed is None else args.seed
    return solver


def _text(message: Any, comment: str) -> bytes:
    from minidl import prototxt

    return f"# {comment}; written by minidl train.\n{prototxt.to_text(message)}".encode()
