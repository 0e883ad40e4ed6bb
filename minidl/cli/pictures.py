"""Nets that take images, on the command line: the flags of classify and detect, and their files."""

from __future__ import annotations

import argparse
from argparse import Namespace
from typing import Any

from minidl.cli import engine_flags
from minidl.cli.arguments import Parser, add_device, existing, names
from minidl.cli.models import use_device
from minidl.errors import UsageError


def add_preparation(parser: Parser) -> None:
    """The flags that classify and detect have in common: the net, and what images become."""
    model = parser.add_argument_group("net and preprocessing")
    model.add_argument("--model-def", required=True, metavar="NET", help="prototxt, deploy form")
    model.add_argument("--pretrained-model", required=True, metavar="WEIGHTS", help="caffemodel")
    model.add_argument("--mean-file", metavar="FILE", help="mean image, .npy or .binaryproto")
    model.add_argument("--mean-value", type=numbers, metavar="B,G,R", help="a mean per channel")
    model.add_argument("--input-scale", type=float, metavar="X", help="factor after the mean")
    model.add_argument(
        "--raw-scale", type=float, default=255.0, metavar="X", help="before it (default: 255)"
    )
    model.add_argument(
        "--channel-swap",
        type=order,
        default=(2, 1, 0),
        metavar="I,J,K",
        help="order of the channels (default: 2,1,0, RGB to BGR)",
    )
    add_device(parser)
    engine_flags.add(parser)


def preparation(args: Namespace) -> dict[str, Any]:
    """What Classifier and Detector take, by keyword."""
    import numpy as np

    if args.mean_file and args.mean_value:
        raise UsageError("mean_file and mean_value are both given", expected="one of them")
    existing(args.pretrained_model, "weights")
    mean = read_mean(args.mean_file) if args.mean_file else args.mean_value
    return dict(
        pretrained=args.pretrained_model,
        mean=None if mean is None else np.asarray(mean, np.float32),
        input_scale=args.input_scale,
        raw_scale=args.raw_scale,
        channel_swap=args.channel_swap or None,
        device=use_device(args),
        **engine_flags.options(args),
    )


def read_mean(path: str) -> Any:
    """A mean image (C, H, W), or a number for each channel, of a .npy or .binaryproto file."""
    from minidl.storage import mean

    return load_npy(path) if path.endswith(".npy") else mean.read(path)


def load_npy(path: str) -> Any:
    import numpy as np

    try:
        return np.load(existing(path, "an array"), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UsageError(
            f"is no array: {error}", where=path, expected="what np.save wrote"
        ) from None


def numbers(text: str) -> tuple[float, ...]:
    """Argument type: numbers by comma."""
    try:
        return tuple(float(part) for part in names(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not numbers by comma") from None


def order(text: str) -> tuple[int, ...]:
    """Argument type: channels by comma; "" for none."""
    if not all(part.isdecimal() for part in names(text)):
        raise argparse.ArgumentTypeError(f"'{text}' is not an order of channels such as 2,1,0")
    return tuple(int(part) for part in names(text))
