"""Classify pictures with SqueezeNet's real weights, and look into the net.

    python examples/classification.py MODEL              # a clock drawn here
    python examples/classification.py MODEL photo.jpg

MODEL is a folder with SqueezeNet 1.0's deploy.prototxt and weights.caffemodel, trained on
ImageNet's thousand classes; their names are in ImageNet's synset_words.txt, line 409 (from 0) is
"analog clock".
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import minidl

MEAN = np.array([104, 117, 123])  # of ImageNet's blue, green and red


def drawn() -> Image.Image:
    """A clock at twelve past ten."""
    image = Image.new("RGB", (512, 512), "#c8beaa")
    pen = ImageDraw.Draw(image)
    pen.ellipse((40, 40, 472, 472), fill="#fafaf5", outline="#1e1e1e", width=18)

    def stroke(degrees: float, start: float, end: float, width: int) -> None:
        x, y = math.sin(math.radians(degrees)), -math.cos(math.radians(degrees))
        ends = [256 + r * part for r in (start, end) for part in (x, y)]
        pen.line(ends, fill="black", width=width)

    for minute in range(60):
        stroke(6 * minute, 195 if minute % 5 else 170, 205, 3 if minute % 5 else 10)
    stroke(306, 0, 110, 14)
    stroke(72, 0, 165, 9)
    pen.ellipse((244, 244, 268, 268), fill="black")
    return image


def main(model: str, picture: str = "") -> None:
    net = minidl.Classifier(
        Path(model) / "deploy.prototxt",
        Path(model) / "weights.caffemodel",
        image_dims=(256, 256),  # of which ten crops of the net's 227 x 227 are averaged
        mean=MEAN,
        raw_scale=255,  # the net learned from bytes, in the order blue, green, red
        channel_swap=(2, 1, 0),
    )
    image = minidl.io.load_image(picture) if picture else np.asarray(drawn()) / 255
    (scores,) = net.predict([image])
    # This prototxt ends before the softmax.
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    for label in np.argsort(-shares)[:5]:
        print(f"class {label:3}  {shares[label]:.3f}")

    print("\nshapes on the way, and the share of zeros that ReLU leaves")
    for name, blob in net.blobs.items():
        if name.endswith(("concat", "pool_final", "conv1")):
            print(f"{name:16} {blob.shape!s:20} {(blob.data == 0).mean():.2f}")
    weights = net.params["conv1"][0].data
    print(f"\nconv1's {len(weights)} filters see {weights.shape[1:]}: channels, height, width")


if __name__ == "__main__":
    main(*sys.argv[1:])
