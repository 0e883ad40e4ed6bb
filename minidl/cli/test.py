"""Score trained weights: run a net's TEST phase over its data and average its outputs.

Prints the mean of every output over all batches, as `caffe test` does.
"""

from __future__ import annotations

import logging
from argparse import Namespace
from typing import Any

from minidl.cli import as_json, engine_flags
from minidl.cli.arguments import Parser, add_state, existing, seed, whole
from minidl.cli.log import logging_to
from minidl.cli.models import read_net, refuse_unfed, use_device
from minidl.cli.progress import steps
from minidl.errors import UsageError

log = logging.getLogger("minidl")


def add_arguments(parser: Parser) -> None:
    parser.add_file("model", "prototxt of the net")
    parser.add_argument("--weights", metavar="FILE", help="caffemodel to score (required)")
    parser.add_argument(
        "--iterations", type=whole(1), default=50, metavar="N", help="batches to run (default: 50)"
    )
    add_state(parser)
    engine_flags.add(parser)
    parser.add_argument("--seed", type=seed, metavar="N", help="of random crops and the like")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: Namespace) -> int:
    with logging_to(args):
        result = score(args)
    if args.json:
        print(as_json.dumps(result))
        return 0
    for name, value in result["outputs"].items():
        for number in _flat(value):
            print(_line(name, number, result["loss_weights"].get(name, 0)))
    return 0


def score(args: Namespace) -> dict[str, Any]:
    """Run the net; return the mean loss and the mean of every output (a list of several)."""
    if not args.weights:
        raise UsageError(
            "which weights?",
            where="minidl test",
            expected=f"minidl test {args.model} -weights FILE.caffemodel",
        )
    if "," in args.weights:
        raise UsageError(
            f"takes one file of weights, not '{args.weights}'", where="minidl test -weights"
        )
    device = use_device(args)
    param = read_net(args.model)
    existing(args.weights, "a caffemodel")
    from minidl.net import Net

    options: dict[str, Any] = dict(level=args.level, stages=args.stage, device=device)
    options |= engine_flags.options(args) | {"share": True}
    with Net(param, weights=args.weights, seed=args.seed, **options) as net:
        refuse_unfed(net, "minidl test", fix="a train_val.prototxt, or minidl classify PICTURES")
        net.prepare()
        log.info("Running for %d iterations.", args.iterations)
        loss = 0.0
        sums: dict[str, Any] = dict.fromkeys(net.outputs, 0.0)
        for i in steps(args.iterations, "testing", args):
            loss += net.forward_pass()
            for name in net.outputs:
                values = net.device.to_host(net.blobs[name].data).astype("f8")
                if i and sums[name].shape != values.shape:
                    raise UsageError(
                        f"the output '{name}' has the shape {values.shape}, in the batch before "
                        f"{sums[name].shape}, so there is no mean of it",
                        where=args.model,
                        fix='a solver with eval_type: "detection" says the mean average precision '
                        "of a DetectionEvaluate layer",
                    )
                sums[name] = sums[name] + values
                for value in values.flat:
                    log.info("Batch %d, %s = %g", i, name, value)
        weights = {name: weight for name, weight in net.blob_loss_weights.items() if weight}
    loss /= args.iterations
    log.info("Loss: %g", loss)
    means = {name: (total / args.iterations).tolist() for name, total in sums.items()}
    for name, value in means.items():
        for number in _flat(value):
            log.info(_line(name, number, weights.get(name, 0)))
    return {
        "model": args.model,
        "weights": args.weights,
        "iterations": args.iterations,
        "loss": loss,
        "outputs": means,
        "loss_weights": {name: w for name, w in weights.items() if name in means},
    }


def _flat(value: Any) -> list[float]:
    return [n for v in value for n in _flat(v)] if isinstance(value, list) else [value]


def _line(name: str, value: float, weight: float) -> str:
    if not weight:
        return f"{name} = {value:g}"
    return f"{name} = {value:g} (* {weight:g} = {weight * value:g} loss)"
