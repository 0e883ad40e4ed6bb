"""The solver of a new run: what is counted in epochs, in iterations.

Source of the formulas: NVIDIA DIGITS.
"""

from __future__ import annotations

import argparse
import math
from argparse import Namespace
from pathlib import Path
from typing import Any

from minidl.cli.arguments import positive, whole
from minidl.cli.train import policies
from minidl.errors import nearest
from minidl.runs import store

RATE = 0.01  # at most: the zoo's higher ones belong to larger batches
FINE_TUNING = 0.1  # of the rate, if weights are given
BATCHES = 64  # images in a batch, at most
TESTS, SNAPSHOTS = 30, 5  # of a run, at most
MOMENTUM = 0.9  # of the types that have one
TYPES = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam", "AdamW")


def add_arguments(group: Any) -> None:
    """Add the flags of the solver's form."""
    group.add_argument("--epochs", type=whole(1), default=30, metavar="N", help="passes (30)")
    group.add_argument("--batch-size", type=whole(1), metavar="N", help="images in a batch (64)")
    group.add_argument(
        "--accumulate", type=whole(1), metavar="N", help="batches of which an update is made (1)"
    )
    group.add_argument(
        "--test-every",
        type=epochs,
        metavar="EPOCHS",
        help="between two tests; 0: none (as many as make 30 tests, 1 at least)",
    )
    group.add_argument(
        "--snapshot-every",
        type=epochs,
        metavar="EPOCHS",
        help="between two snapshots; 0: one at the end (a fifth of all)",
    )
    group.add_argument(
        "--solver-type", type=solver_type, metavar="TYPE", help=f"{', '.join(TYPES)} (the net's)"
    )
    group.add_argument("--rate", type=positive, metavar="X", help="learning rate to begin with")
    group.add_argument(
        "--policy",
        type=policies.policy,
        metavar="NAME:NUMBERS",
        help="how the rate falls, in percent of the training: "
        + ", ".join(policies.shown(policies.Policy(n, k.default)) for n, k in POLICIES)
        + " (poly:1)",
    )
    group.add_argument(
        "--weight-decay",
        type=not_negative,
        metavar="X",
        help="(the net's; with --policy a hundredth of the rate)",
    )
    group.add_argument("--momentum", type=share, metavar="X", help="of types that have one (0.9)")
    group.add_argument("--rms-decay", type=share, metavar="X", help="of type RMSProp (0.99)")


POLICIES = policies.KINDS.items()
FLAGS = (
    "batch_size accumulate test_every snapshot_every solver_type rate policy weight_decay"
    " momentum rms_decay"
).split()


def solver(
    published: Any, run: Path, counts: dict[str, int], batches: tuple[int, int], args: Namespace
) -> Any:
    """Return the solver for this number of pictures.

    published   that of the net, or an empty one
    counts      pictures of each part of the data set
    batches     sizes in training and in tests

    An epoch has ceil(pictures / (batch * accumulate)) iterations.
    """
    from minidl import schema

    images = batches[0] * (args.accumulate or 1)
    epoch = math.ceil(counts["train"] / images)
    made = schema.SolverParameter(net=store.TRAINING_NET, max_iter=epoch * args.epochs)
    tests = counts.get("val") or counts.get("test")
    if tests and args.test_every != 0:
        made.test_iter.append(math.ceil(tests / batches[1]))
        made.test_interval = max(epoch, math.ceil(made.max_iter / TESTS))
        if args.test_every:
            made.test_interval = min(_iterations(args.test_every, epoch), made.max_iter)
    made.snapshot = math.ceil(made.max_iter / SNAPSHOTS)
    if args.snapshot_every is not None:
        every = _iterations(args.snapshot_every, epoch) if args.snapshot_every else 0
        made.snapshot = every if every < made.max_iter else 0
    made.display = max(1, min(epoch // 8, math.ceil(5000 / images)))
    if args.accumulate:
        made.iter_size = args.accumulate
    _set_rate(made, published, args)
    _set_type(made, published, args)
    made.snapshot_prefix = (run / run.name).as_posix()
    made.random_seed = 1 if args.seed is None else args.seed
    return made


def batches(counts: dict[str, int], asked: int | None) -> tuple[int, int]:
    """Return the batch sizes for training and tests; for tests so that hardly any comes twice."""
    train = asked or min(BATCHES, counts["train"])
    tests = counts.get("val") or counts.get("test") or 1
    most = min(100, tests)
    return train, min(range((most + 1) // 2, most + 1), key=lambda n: (-tests % n, -n))


def _iterations(every: float, epoch: int) -> int:
    """Return how many iterations these epochs are, at least one."""
    return max(1, int(every * epoch))


def _set_rate(made: Any, published: Any, args: Namespace) -> None:
    rate = min(published.base_lr or RATE, RATE) * (FINE_TUNING if args.weights else 1)
    made.base_lr = args.rate or float(f"{rate:.6g}")
    made.weight_decay = published.weight_decay or 0.0005
    if args.policy is None:
        made.lr_policy, made.power = "poly", 1
    else:
        args.policy.apply(made)
        made.weight_decay = float(f"{made.base_lr / 100:.6g}")
    if args.weight_decay is not None:
        made.weight_decay = args.weight_decay


def _set_type(made: Any, published: Any, args: Namespace) -> None:
    from minidl.solver.rules import RULES

    made.momentum = published.momentum or MOMENTUM
    if args.solver_type:
        made.type = args.solver_type
        made.momentum = MOMENTUM if "momentum" in RULES[args.solver_type].reads else 0
    elif published.HasField("type"):
        made.type = published.type
    if args.momentum is not None:
        made.momentum = args.momentum
    if args.rms_decay is not None:
        made.rms_decay = args.rms_decay


def solver_type(text: str) -> str:
    """Argument type: a solver's type, in whatever case."""
    for name in TYPES:
        if text.lower() == name.lower():
            return name
    near = nearest(text, TYPES)
    hint = f"; did you mean {near}?" if near else ""
    raise argparse.ArgumentTypeError(f"'{text}' is not one of {', '.join(TYPES)}{hint}")


def epochs(text: str) -> float:
    """Argument type: a number of epochs, 0 or more, which need not be whole."""
    return _number(text, "a number of epochs, 0 or more", 1e6)


def not_negative(text: str) -> float:
    """Argument type: a number of 0 or more."""
    return _number(text, "a number of 0 or more", 1e30)


def share(text: str) -> float:
    """Argument type: a number from 0 up to and without 1."""
    value = _number(text, "a number of 0 or more and below 1", 1)
    if value == 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not below 1")
    return value


def _number(text: str, what: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise argparse.ArgumentTypeError(f"'{text}' is not {what}")
    return value
