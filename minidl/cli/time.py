"""Time every layer of a net, forward and backward, and say how fast it could be here.

Where a data set is absent, random records take its place. One pass warms up, untimed. A layer's
floor is the time that its arithmetic would take at the speed of a matrix product, or its arrays
at that of a copy, whichever is longer; both speeds are measured in the same run.

With --compare, whole training iterations on several devices, as a table. With --data, only the data
path. With --algorithms, all of cuDNN's on every convolution, on random numbers, with their errors:
the largest difference from the definition in float64, among 64 elements of the result, over their
root mean square. The star marks the one that the net would use with these flags.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from minidl.cli import as_json, engine_flags, time_algorithms, time_data, time_layers, time_training
from minidl.cli.arguments import Parser, add_shape, add_state, names, whole, wholes
from minidl.cli.log import logging_to
from minidl.errors import UsageError


def add_arguments(parser: Parser) -> None:
    parser.add_file("model", "prototxt of the net")
    parser.add_argument(
        "--weights", type=names, default=(), metavar="FILE", help="caffemodel to load first"
    )
    parser.add_argument(
        "--iterations",
        type=whole(1),
        metavar="N",
        help="passes to time (default: 50; with --compare or --data 20, with --algorithms 10)",
    )
    parser.add_argument(
        "--compare",
        type=names,
        default=(),
        metavar="DEVICES",
        help="time whole training iterations on each of these devices instead: cpu,cuda:0",
    )
    parser.add_argument(
        "--batches",
        type=wholes("a list of batch sizes such as 64,128"),
        default=(),
        metavar="N,N",
        help="batch sizes to compare at: 64,128,256; with --algorithms one (default: the net's)",
    )
    parser.add_argument(
        "--data",
        action="store_true",
        help="time the data path and the net separately instead, in images per second",
    )
    parser.add_argument(
        "--algorithms",
        action="store_true",
        help="run all of cuDNN's algorithms on every convolution instead, on a GPU",
    )
    add_state(parser, phase="TRAIN")
    add_shape(parser)
    engine_flags.add(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: Namespace) -> int:
    way = _way(args)
    args.iterations = args.iterations or way.ITERATIONS
    with logging_to(args):
        found = way.measure(args)
    if args.json:
        print(as_json.dumps({"model": args.model, **way.facts(found)}))
    else:
        print(way.text(found, args.model))
    return 0


def _way(args: Namespace) -> Any:
    """Return the module that times what the flags ask for."""
    given = [flag for flag in ("data", "algorithms", "compare") if getattr(args, flag)]
    if args.batches and given in ([], ["data"]):
        given.append("compare")
    if len(given) > 1:
        found, fix = f"--{given[0]} cannot be combined", f"leave out --{given[1]}"
        raise UsageError(found, where="minidl time", fix=fix)
    ways = {"data": time_data, "algorithms": time_algorithms, "compare": time_training}
    return ways[given[0]] if given else time_layers
