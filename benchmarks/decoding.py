"""JPEG decoders side by side: images a second of CPU time, on one thread.

    python benchmarks/decoding.py

Compares minidl's (Pillow) with simplejpeg, imagecodecs and OpenCV, as far as they are installed.
The images are smooth noise with some grain, at quality 90, about as large as photographs are.
"""

from __future__ import annotations

import io
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from minidl.data.sources import image  # noqa: E402

SIZES = ((256, 256), (375, 500))
ROUNDS = 15
Decoder = Callable[[bytes], np.ndarray]


def photograph(height: int, width: int, rng: np.random.Generator) -> bytes:
    from PIL import Image

    coarse = rng.standard_normal((3, height // 16 + 2, width // 16 + 2)).astype("f4")
    smooth = [np.asarray(Image.fromarray(c).resize((width, height))) for c in coarse]
    pixels = np.stack(smooth, -1) * 60 + 128 + rng.standard_normal((height, width, 3)) * 8
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype("u1")).save(file, "JPEG", quality=90)
    return file.getvalue()


def decoders() -> dict[str, Decoder]:
    """Those that are installed; each makes (3, H, W), blue, green, red."""
    found: dict[str, Decoder] = {"minidl (Pillow)": lambda data: image.decode(data, True)}
    try:
        import simplejpeg

        found["simplejpeg"] = lambda data: planes(simplejpeg.decode_jpeg(data, colorspace="BGR"))
    except ImportError:
        pass
    try:
        import imagecodecs

        found["imagecodecs"] = lambda data: planes(imagecodecs.jpeg8_decode(data)[..., ::-1])
    except ImportError:
        pass
    try:
        import cv2

        found["OpenCV"] = lambda data: planes(cv2.imdecode(np.frombuffer(data, "u1"), 1))
    except ImportError:
        pass
    return found


def planes(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def main() -> None:
    rng = np.random.default_rng(0)
    for height, width in SIZES:
        files = [photograph(height, width, rng) for _ in range(16)]
        rates: dict[str, list[float]] = {name: [] for name in decoders()}
        for _ in range(ROUNDS):  # in turns, so that all meet the same machine
            for name, decode in decoders().items():
                start = time.process_time()
                for data in files:
                    decode(data)
                rates[name].append(len(files) / (time.process_time() - start))
        for name, found in rates.items():
            print(
                f"{height} x {width}  {name:<16} {statistics.median(found):7,.0f} a second"
                f"  ({min(found):,.0f} to {max(found):,.0f})"
            )


if __name__ == "__main__":
    main()
