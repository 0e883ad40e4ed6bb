"""A new run of `minidl train --net NET --data FOLDER`: the prototxts, made for a data set."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidl.cli import overrides
from minidl.cli.arguments import Parser, whole
from minidl.cli.as_json import dumps
from minidl.cli.dataset import folder
from minidl.cli.train import data as data_sets
from minidl.cli.train import net_form, nets, plan, solver_form
from minidl.errors import UsageError
from minidl.runs import store

DATA = "data"  # in a run's folder: the data set that is made of pictures for it
SIDE = 256  # of the pictures of nets that crop


def add_arguments(parser: Parser) -> None:
    group = parser.add_argument_group("in place of a solver file")
    group.add_argument(
        "--net",
        metavar="NAME",
        help="a net of the zoo (lenet, alexnet, ...), a prototxt, or the folder of a run",
    )
    group.add_argument(
        "--data", metavar="FOLDER", help="from minidl dataset, or the pictures themselves"
    )
    group.add_argument("--out", metavar="RUN", help="folder of the run (default: runs/NET-DATA)")
    solver_form.add_arguments(group)
    group.add_argument(
        "--mean",
        choices=data_sets.MEANS,
        help="what is subtracted: the mean image, a number per channel, nothing (the data set's)",
    )
    group.add_argument(
        "--crop",
        type=whole(0),
        metavar="N",
        help="side of a window of each picture, anywhere in training (the net's)",
    )
    group.add_argument(
        "--mirror", action="store_true", help="mirror pictures in training, each at random"
    )
    group.add_argument(
        "--freeze-until",
        metavar="LAYER",
        help="with --weights: the layers up to this one keep their weights",
    )
    group.add_argument(
        "--plan", action="store_true", help="write nothing: print what the run would be"
    )
    group.add_argument("--json", action="store_true", help="with --plan: as JSON")


FLAGS = (*solver_form.FLAGS, "freeze_until", "out", "mean", "crop", "mirror", "plan")


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
    for flag in FLAGS:
        value = getattr(args, flag)
        if value is not None and value is not False and not args.net:  # 0 is a value
            raise UsageError(f"--{flag.replace('_', '-')} needs --net", where="minidl train")
    if args.freeze_until and not args.weights:
        raise UsageError("--freeze-until needs --weights", where="minidl train")
    if args.json and not args.plan:
        raise UsageError("--json needs --plan", where="minidl train")


@dataclass
class NewRun:
    """What is written for a new run.

    notes    lines about what was changed
    """

    folder: Path
    source: nets.Source
    data: data_sets.Data
    net: Any
    solver: Any
    batches: tuple[int, int]
    notes: list[str]


def place(args: Namespace) -> Path:
    """Return the folder of a new run. Errors: UsageError if there is a run in it."""
    if args.out:
        run = Path(args.out)
    else:
        run = store.free(f"{nets.find(args.net).model.name}-{net_form.slug(Path(args.data))}")
    if (run / store.SOLVER).exists():
        raise UsageError("holds a run already", where=str(run), fix="--out with another folder")
    return run


def data_folder(args: Namespace, run: Path) -> Path:
    """Return the folder of the data set: of pictures, the one that is made in the run's folder."""
    given = Path(args.data)
    return given if data_sets.is_one(given) or not given.is_dir() else run / DATA


def prepare(args: Namespace, run: Path) -> str:
    """Write the net and the solver of a new run; return the path of the solver."""
    from minidl.storage import files

    made = _made(args, run)
    run.mkdir(parents=True, exist_ok=True)
    net_file, solver_file = run / store.TRAINING_NET, run / store.SOLVER
    files.write_all(net_file, [_text(made.net, f"{made.source.model.name} for {args.data}")])
    title = f"How {store.TRAINING_NET} learns {args.data}: {_sizes(made.data.counts)}"
    files.write_all(solver_file, [_text(made.solver, title)])
    if made.data.elsewhere:
        made.data.description.write(run / store.DESCRIPTION)
    if made.source.original:
        files.write_all(run / nets.ORIGINAL, [Path(made.source.original).read_bytes()])
    for line in [*made.notes, f"net     {net_file}", f"solver  {solver_file}"]:
        print(line, flush=True)
    return str(solver_file)


def show(args: Namespace) -> None:
    """Print what a run would be; write nothing."""
    from minidl.solver import parameters

    if not data_sets.is_one(Path(args.data)):
        raise UsageError(
            "is not a data set yet, so nothing can be counted",
            where=args.data,
            fix=f"minidl dataset folder {args.data}",
        )
    made = _made(args, Path(args.out or "run"))
    overrides.apply(made.solver, args.set)
    parameters.check(made.solver)
    found = plan.of(made.solver, made.data, made.batches, made.notes)
    if args.json:
        text = _text(made.net, f"{made.source.model.name} for {args.data}")
        print(dumps(found | {"net": text.decode("utf-8")}))
    else:
        print("\n".join(plan.lines(found)))


def _made(args: Namespace, run: Path) -> NewRun:
    """Return the run of these flags; a data set of pictures is made in its folder."""
    source = nets.find(args.net)
    model, given = source.model, Path(args.data)
    weights = nets.weight_files(args.weights)
    crop = net_form.crop_size(model.net) if args.crop is None else args.crop
    notes: list[str] = []
    at = given
    if not data_sets.is_one(given):
        at = run / DATA
        notes += _make_data(given, at, model, crop, args)
    data = data_sets.with_mean(data_sets.read(at), args.mean)
    _check_size(data, model, crop, args)
    batches = solver_form.batches(data.counts, args.batch_size)
    net, said = net_form.fitted(model.net, data, crop, batches, args.mirror)
    notes += said
    if weights:
        same = nets.same_classes(args.weights, data.description.labels)
        notes += net_form.fine_tuned(net, weights, net_form.slug(given), args, same)
        args.weights = weights
    solver = solver_form.solver(model.solver, run, data.counts, batches, args)
    return NewRun(run, source, data, net, solver, batches, notes)


def _make_data(pictures: Path, out: Path, model: Any, crop: int, args: Namespace) -> list[str]:
    """Make the data set of a folder of pictures, in the net's size."""
    from minidl.data import folder_dataset

    size = model.size
    if crop:
        size = (max(SIDE, crop),) * 2
    choices = folder_dataset.Choices(size=size, seed=args.seed or 0)
    return folder.make(pictures, out, choices, "pixel", args)


def _check_size(data: data_sets.Data, model: Any, crop: int, args: Namespace) -> None:
    """Refuse pictures of a size that the net was not made for."""
    if data.size is None:
        return
    height, width = data.size
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


def _sizes(counts: dict[str, int]) -> str:
    return ", ".join(f"{part} {count:,}" for part, count in counts.items())


def _text(message: Any, comment: str) -> bytes:
    from minidl import prototxt

    return f"# {comment}; written by minidl train.\n{prototxt.to_text(message)}".encode()
