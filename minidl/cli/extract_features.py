"""Run a net over its data, or over pictures, and write the contents of some of its blobs.

    minidl extract_features WEIGHTS NET BLOB[,BLOB] OUT[,OUT] BATCHES [TYPE] [CPU|GPU] [ID]
    minidl extract_features WEIGHTS NET BLOB[,BLOB] OUT[,OUT] --pictures PICTURE...

The first words are those of Caffe's tool: an item for each record of BATCHES batches. A PICTURE is
a file, a folder, or images H x W x C of one size in a .npy file; it is processed as
in training.

TYPE is lmdb (float Datums under keys of ten digits, as Caffe writes them), npz or hdf5; without
it, the ending of OUT decides: .npz, .h5 or .hdf5, else LMDB. One npz or HDF5 file may hold several
blobs, each under its name.
"""

from __future__ import annotations

import logging
from argparse import Namespace
from typing import Any

from minidl.cli import engine_flags, feature_files, pictures
from minidl.cli.arguments import Parser, add_state, existing, names, seed, whole
from minidl.cli.log import logging_to
from minidl.cli.models import read_net, refuse_unfed, use_device
from minidl.cli.progress import bar, steps
from minidl.errors import UsageError, did_you_mean

log = logging.getLogger("minidl")
AT_ONCE = 32  # pictures in a batch


def add_arguments(parser: Parser) -> None:
    parser.add_argument("weights", metavar="WEIGHTS", help="caffemodel with the weights")
    parser.add_argument("model", metavar="NET", help="prototxt, for training or deployment")
    parser.add_argument("blobs", metavar="BLOBS", type=names, help="blob names, comma-separated")
    parser.add_argument("out", metavar="OUT", type=names, help="where to write, one for each blob")
    parser.add_argument(
        "batches", nargs="?", metavar="BATCHES", type=whole(1), help="batches to run"
    )
    parser.add_argument("kind", nargs="?", metavar="TYPE", help=f"{', '.join(feature_files.KINDS)}")
    parser.add_argument("where", nargs="?", metavar="CPU|GPU", help="as in Caffe: CPU, or GPU")
    parser.add_argument("device_id", nargs="?", metavar="ID", help="of the GPU (default: 0)")
    parser.add_argument(
        "--pictures", nargs="+", default=[], metavar="PICTURE", help="a file, folder or .npy"
    )
    parser.add_argument("--preprocess", metavar="FILE", help="their preprocessing, as in classify")
    parser.set_defaults(run_folder=None, snapshot=None)
    add_state(parser)
    engine_flags.add(parser)
    parser.add_argument("--seed", type=seed, metavar="N", help="of random crops and the like")


def run(args: Namespace) -> int:
    _set_device(args)
    if bool(args.batches) == bool(args.pictures):
        raise UsageError(
            "BATCHES and --pictures are both given" if args.pictures else "BATCHES is missing",
            where="minidl extract_features",
            expected="BATCHES of the net's data layer, or --pictures PICTURE...",
        )
    existing(args.weights, "a caffemodel")
    with logging_to(args):
        written = of_pictures(args) if args.pictures else extract(read_net(args.model), args)
    for file, blob, (items, *sizes) in written:
        print(f"{file}  {blob}: {items:,} items of {' x '.join(map(str, sizes)) or '1'}")
    return 0


def extract(param: Any, args: Namespace) -> list[tuple[str, str, tuple[int, ...]]]:
    """Write the files; return file, blob and shape of everything written."""
    from minidl.net import Net

    options: dict[str, Any] = dict(level=args.level, stages=args.stage, device=use_device(args))
    options |= engine_flags.options(args) | {"share": True, "keep": args.blobs}
    with (
        Net(param, weights=args.weights, seed=args.seed, **options) as net,
        feature_files.writers(args.out, args.blobs, args.kind) as files,
    ):
        refuse_unfed(net, "minidl extract_features", fix="--pictures FILE_OR_FOLDER")
        _check(net, files)
        for _ in steps(args.batches, "extracting", args):
            net.forward_pass()
            _add(net, files)
        return _written(files)


def of_pictures(args: Namespace) -> list[tuple[str, str, tuple[int, ...]]]:
    """Write the same for pictures."""
    import numpy as np

    from minidl.cli import picture_files
    from minidl.net import NetOfImages

    more = {"seed": args.seed, "share": True, "keep": args.blobs}
    with (
        pictures.opened(NetOfImages, args, **more) as net,
        feature_files.writers(args.out, args.blobs, args.kind) as files,
    ):
        prepare = net.preprocess
        _check(net, files)
        found = picture_files.find(args.pictures, prepare.load)
        done: list[str] = []
        with bar(args, total=len(found), desc="extracting") as progress:
            for some, pixels in picture_files.loaded(found, AT_ONCE):
                ready = [prepare(each) for each in pixels]
                if len({array.shape for array in ready}) > 1:
                    raise UsageError(
                        "the pictures become arrays of different shapes",
                        where=args.model,
                        expected="one shape for all",
                        fix="transform_param { resize { height: 256 width: 256 } }",
                    )
                net.forward(**{net.input: np.stack(ready)})
                _add(net, files, len(some))
                done += [picture.name for picture in some]
                progress.update(len(some))
        for file in {file for file, _ in files}:
            file.name_items(done)
        return _written(files)


def _check(net: Any, files: list[tuple[Any, str]]) -> None:
    for file, name in files:
        if name not in net.blobs:
            raise UsageError(
                f"net '{net.name}' has no blob '{name}'",
                where="minidl extract_features",
                fix=did_you_mean(name, net.blobs),
            )
        shape = net.blobs[name].shape
        if not shape:
            raise UsageError(
                f"blob '{name}' is a single number",
                where="minidl extract_features",
                expected="a blob with an item for each record",
            )
        file.check(name, shape)


def _add(net: Any, files: list[tuple[Any, str]], count: int | None = None) -> None:
    """Write the current contents of the blobs, checking the number of items if `count` is given."""
    for file, blob in files:
        values = net.device.to_host(net.blobs[blob].data)
        if count is not None and len(values) != count:
            raise UsageError(
                f"blob '{blob}' has {len(values)} items for {count} pictures",
                where="minidl extract_features",
                expected="a blob with an item for each picture",
            )
        file.add(blob, values)


def _written(files: list[tuple[Any, str]]) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(str(file.path), blob, file.shapes[blob]) for file, blob in files]


def _set_device(args: Namespace) -> None:
    """Apply Caffe's last words, CPU or GPU and its number, as -gpu."""
    if args.where is None:
        return
    if args.where.upper() not in ("CPU", "GPU"):
        raise UsageError(
            f"has an unexpected argument '{args.where}'",
            where="minidl extract_features",
            expected="CPU, or GPU and its number",
        )
    if args.where.upper() == "GPU" and not args.gpu:
        args.gpu = args.device_id or "0"
