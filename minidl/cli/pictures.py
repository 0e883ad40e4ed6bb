"""Nets that take pictures, on the command line: the net, and the preprocessing of pictures."""

from __future__ import annotations

import argparse
import logging
from argparse import Namespace
from pathlib import Path
from typing import Any

from minidl.cli import engine_flags
from minidl.cli.arguments import Parser, add_state, existing, names, whole
from minidl.cli.models import read_net, use_device
from minidl.errors import UsageError

log = logging.getLogger("minidl")
WORDS = ("mean_file", "mean_value", "input_scale", "raw_scale", "channel_swap", "images_dim")


def add_net(parser: Parser) -> None:
    """Add the flags for the net: --run, or --model and --weights; and for its preprocessing."""
    model = parser.add_argument_group("net and preprocessing of pictures")
    model.add_argument("--run", metavar="RUN", dest="run_folder", help="folder of a run")
    model.add_argument(
        "--model", "--model-def", metavar="NET", help="prototxt, for training or deployment"
    )
    model.add_argument(
        "--weights", "--pretrained-model", metavar="FILE", help="caffemodel (default: RUN's last)"
    )
    model.add_argument(
        "--snapshot",
        type=whole(0),
        metavar="ITER",
        help="RUN's weights of this iteration (default: the last)",
    )
    model.add_argument(
        "--preprocess",
        metavar="FILE",
        help="preprocess.json (default: as in NET's data layer, else the one next to FILE)",
    )
    add_state(parser)


def add_words(parser: Parser) -> None:
    """Add Caffe's flags for preprocessing, in place of preprocess.json."""
    words = parser.add_argument_group("in place of preprocess.json, in Caffe's words")
    words.add_argument("--mean-file", metavar="FILE", help="mean image, .npy or .binaryproto")
    words.add_argument("--mean-value", type=numbers, metavar="B,G,R", help="a mean per channel")
    words.add_argument("--input-scale", type=float, metavar="X", help="factor after the mean")
    words.add_argument("--raw-scale", type=float, metavar="X", help="before it (default: 255)")
    words.add_argument(
        "--channel-swap",
        type=order,
        metavar="I,J,K",
        help="order of the channels (default: 2,1,0, RGB to BGR; 0 for grey)",
    )
    engine_flags.add(parser)


def files(args: Namespace) -> tuple[str, str, str | Path | None]:
    """Return the net, its weights and the description that the flags name."""
    if args.run_folder:
        from minidl.runs import store

        if args.model:
            raise UsageError("--run and --model are both given", expected="one of them")
        run = store.find(args.run_folder, args.weights, args.snapshot)
        existing(str(run.weights), "weights")
        log.info("Weights of %s", run.weights)
        return str(run.net), str(run.weights), args.preprocess or run.description
    if args.snapshot is not None:
        raise UsageError("--snapshot needs --run", where=f"minidl {args.command}")
    if not args.model or not args.weights:
        raise UsageError(
            "which net?" if not args.model else "which weights?",
            where=f"minidl {args.command}",
            expected="--run RUN, or --model NET --weights FILE",
        )
    existing(args.weights, "weights")
    return args.model, args.weights, args.preprocess


def opened(cls: Any, args: Namespace, **more: Any) -> Any:
    """Return the net that the flags describe, as a Classifier or a Detector."""
    from minidl import preprocess
    from minidl.prototxt import deploy

    path, weights, written = files(args)
    model = read_net(path)
    options = dict(device=use_device(args), level=args.level, stages=args.stage)
    options |= engine_flags.options(args) | more
    if any(getattr(args, word, None) is not None for word in WORDS):
        if args.preprocess:
            raise UsageError("--preprocess and Caffe's words are both given", expected="either")
        return cls(model, weights, **_words(model, args), **options)
    state = args.level, args.stage
    found = preprocess.read(written) if written else None
    found = found or preprocess.find(model, weights, path, *state)
    if found is None and deploy.is_for_use(model, *state):
        found = preprocess.of_input(_input_shape(model, args))
        log.warning(
            "no preprocessing is given: pictures are stretched to %s, and go in as bytes, "
            "0 to 255, %s; --model train_val.prototxt, --preprocess, or --mean-value and others "
            "set it",
            _size(found),
            "grey" if found.channels == "gray" else "blue, green and red",
        )
    return cls(model, weights, preprocess=found, **options)


def _size(found: Any) -> str:
    resize, side = found.transform.resize, found.transform.crop_size
    return f"{resize.height} x {resize.width}" + (f" and cut to {side} x {side}" if side else "")


def _input_shape(model: Any, args: Namespace) -> tuple[int, ...]:
    """Return the shape (N, C, H, W) of the one input of a net for deployment."""
    from minidl import schema
    from minidl.prototxt.phases import filter_layers, net_state

    kept = filter_layers(model, net_state(schema.TEST, args.level, args.stage))
    shapes = [tuple(s.dim) for x in kept.layer if x.type == "Input" for s in x.input_param.shape]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise UsageError(
            f"has inputs of the shapes {shapes}", where=args.model, expected="one, (N, C, H, W)"
        )
    return shapes[0]


def _words(model: Any, args: Namespace) -> dict[str, Any]:
    """Return the arguments of Classifier and Detector in pycaffe's words."""
    import numpy as np

    from minidl import preprocess
    from minidl.prototxt import deploy
    from minidl.storage import mean as mean_image

    if args.mean_file and args.mean_value:
        raise UsageError("mean_file and mean_value are both given", expected="one of them")
    mean = args.mean_value
    if args.mean_file:
        read = load_npy if args.mean_file.endswith(".npy") else mean_image.read
        mean = read(args.mean_file)
    swap = args.channel_swap
    words = dict(
        mean=None if mean is None else np.asarray(mean, np.float32),
        input_scale=args.input_scale,
        raw_scale=255.0 if args.raw_scale is None else args.raw_scale,
    )
    found = preprocess.of_net(model, args.level, args.stage)
    if deploy.is_for_use(model, args.level, args.stage):
        found = preprocess.of_input(_input_shape(model, args))
    gray = found is not None and found.channels == "gray"
    words["channel_swap"] = (None if gray else (2, 1, 0)) if swap is None else swap or None
    if hasattr(args, "images_dim"):
        resize = found.transform.resize if found is not None else None
        own = (resize.height, resize.width) if resize is not None and resize.height else None
        words["image_dims"] = args.images_dim or own
    return words


def load_npy(path: str) -> Any:
    import numpy as np

    file = existing(path, "an array")
    try:
        return np.load(file, allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        raise UsageError(
            f"is not an array: {error}", where=path, expected="a file written by np.save"
        ) from None


def numbers(text: str) -> tuple[float, ...]:
    """Argument type: comma-separated numbers."""
    try:
        return tuple(float(part) for part in names(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not comma-separated numbers") from None


def order(text: str) -> tuple[int, ...]:
    """Argument type: comma-separated channels; "" for none."""
    if not all(part.isdecimal() for part in names(text)):
        raise argparse.ArgumentTypeError(f"'{text}' is not an order of channels such as 2,1,0")
    return tuple(int(part) for part in names(text))
