"""Sharpen an enlarged picture with VDSR, a net of twenty convolutions.

    python examples/super_resolution.py MODEL                       # a picture drawn here
    python examples/super_resolution.py MODEL photo.png out.png

MODEL is a folder with VDSR's deploy.prototxt and weights.caffemodel. A picture is made half as
large and brought back by bicubic interpolation, and the net adds what it thinks was lost. Saved
side by side: the original, what interpolation gives, what the net makes of it.

Source: Kim, Lee & Lee 2016. The net works on brightness alone, from 0 to 1.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import minidl

FACTOR = 2
BORDER = 8  # pixels that do not count in the score: the net pads with zeros


def drawn() -> Image.Image:
    """Rings, strokes and letters, smooth and hard edges."""
    large = Image.new("L", (768, 768), 225)
    pen = ImageDraw.Draw(large)
    for k, radius in enumerate(range(270, 20, -24)):
        box = (384 - radius, 350 - radius, 384 + radius, 350 + radius)
        pen.ellipse(box, fill=(40, 215)[k % 2])
    for k in range(24):
        angle = math.radians(7.5 * k)
        x, y = 384 + 380 * math.cos(angle), 760 - 240 * math.sin(angle)
        pen.line((384, 760, x, y), fill=20 + 8 * k, width=5)
    pen.text((40, 30), "minidl reads Caffe's nets", fill=10, font_size=52)
    return large.resize((256, 256), Image.Resampling.LANCZOS)


def psnr(picture: np.ndarray, original: np.ndarray) -> float:
    """Peak signal to noise, in decibels: 3 dB more is half the squared error."""
    inner = slice(BORDER, -BORDER)
    error = (picture.clip(0, 1) - original)[inner, inner]
    return float(-10 * np.log10(np.mean(error**2)))


def main(model: str, picture: str = "", out: str = "super_resolution.png") -> None:
    image = Image.open(picture).convert("L") if picture else drawn()
    width, height = (side - side % FACTOR for side in image.size)
    image = image.crop((0, 0, width, height))
    original = np.asarray(image, np.float32) / 255

    small = image.resize((width // FACTOR, height // FACTOR), Image.Resampling.BICUBIC)
    blurred = np.asarray(small.resize(image.size, Image.Resampling.BICUBIC), np.float32) / 255

    net = minidl.Net(Path(model) / "deploy.prototxt", weights=Path(model) / "weights.caffemodel")
    sharp = net.forward(data=blurred[None, None])["sum"][0, 0]

    print(f"interpolated  {psnr(blurred, original):.2f} dB")
    print(f"by the net    {psnr(sharp, original):.2f} dB")
    beside = np.concatenate([original, blurred, sharp.clip(0, 1)], axis=1)
    Image.fromarray((beside * 255).round().astype(np.uint8)).save(out)
    print(f"original, interpolated, by the net: {out}")


if __name__ == "__main__":
    main(*sys.argv[1:])
