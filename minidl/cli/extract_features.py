"""Run a net over its data and write what some of its blobs hold, an item for each record.

The words are those of Caffe's tool:

    minidl extract_features WEIGHTS NET BLOB[,BLOB] OUT[,OUT] BATCHES [TYPE] [CPU|GPU] [ID]

TYPE is lmdb (float Datums under keys of ten digits, as Caffe writes them), npz or hdf5; without
it the ending of OUT says it: .npz, .h5 or .hdf5, else LMDB. One npz or HDF5 file may take several
blobs, each under its name.
"""

from __future__ import annotations

import logging
from argparse import Namespace
from typing import Any

from minidl.cli import engine_flags, feature_files
from minidl.cli.arguments import Parser, add_device, add_state, existing, names, whole
from minidl.cli.log import logging_to
from minidl.cli.models import read_net, use_device
from minidl.cli.progress import steps
from minidl.errors import UsageError, did_you_mean

log = logging.getLogger("minidl")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("weights", metavar="WEIGHTS", help="caffemodel with the weights")
    parser.add_argument("model", metavar="NET", help="prototxt of the net, with its data layer")
    parser.add_argument("blobs", metavar="BLOBS", type=names, help="names of blobs, by comma")
    parser.add_argument("out", metavar="OUT", type=names, help="where to write, one for each blob")
    parser.add_argument("batches", metavar="BATCHES", type=whole(1), help="batches to run")
    parser.add_argument("kind", nargs="?", metavar="TYPE", help=f"{', '.join(feature_files.KINDS)}")
    parser.add_argument("where", nargs="?", metavar="CPU|GPU", help="as in Caffe: CPU, or GPU")
    parser.add_argument("device_id", nargs="?", metavar="ID", help="of the GPU (default: 0)")
    add_state(parser)
    add_device(parser)
    engine_flags.add(parser)
    parser.add_argument("--seed", type=whole(0), metavar="N", help="of random crops and the like")


def run(args: Namespace) -> int:
    _set_device(args)
    param = read_net(args.model)
    existing(args.weights, "a caffemodel")
    with logging_to(args):
        written = extract(param, args)
    for file, blob, (items, *sizes) in written:
        print(f"{file}  {blob}: {items:,} items of {' x '.join(map(str, sizes)) or '1'}")
    return 0


def extract(param: Any, args: Namespace) -> list[tuple[str, str, tuple[int, ...]]]:
    """Write the files; returns file, blob and shape of all that was written."""
    from minidl.net import Net

    options: dict[str, Any] = dict(level=args.level, stages=args.stage, device=use_device(args))
    options |= engine_flags.options(args) | {"share": True, "keep": args.blobs}
    with (
        Net(param, weights=args.weights, seed=args.seed, **options) as net,
        feature_files.writers(args.out, args.blobs, args.kind) as files,
    ):
        _check_blobs(net, args.blobs)
        for file, blob in files:
            file.check(blob, net.blobs[blob].shape)
        for _ in steps(args.batches, "extracting", args):
            net.forward_pass()
            for file, blob in files:
                file.add(blob, net.device.to_host(net.blobs[blob].data))
        return [(str(file.path), blob, file.shapes[blob]) for file, blob in files]


def _check_blobs(net: Any, blobs: tuple[str, ...]) -> None:
    for name in blobs:
        if name not in net.blobs:
            raise UsageError(
                f"net '{net.name}' has no blob '{name}'",
                where="minidl extract_features",
                fix=did_you_mean(name, net.blobs),
            )
        if not net.blobs[name].shape:
            raise UsageError(
                f"blob '{name}' is a single number",
                where="minidl extract_features",
                expected="a blob with an item for each record",
            )


def _set_device(args: Namespace) -> None:
    """Caffe's last words, CPU or GPU and its number, as -gpu."""
    if args.where is None:
        return
    if args.where.upper() not in ("CPU", "GPU"):
        raise UsageError(
            f"does not know what to do with '{args.where}'",
            where="minidl extract_features",
            expected="CPU, or GPU and its number",
        )
    if args.where.upper() == "GPU" and not args.gpu:
        args.gpu = args.device_id or "0"
