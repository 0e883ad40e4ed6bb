"""Convert colours to hue, saturation and value, and back."""

from __future__ import annotations

import numpy as np


def from_bgr(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hue, 0 to 360 degrees, saturation, 0 to 1, and value of an image (3, H, W).

    Its channels are blue, green and red, in any unit. With V the largest of the three and D its
    distance from the smallest, saturation is D / V, and hue 60 (G - B) / D where red is the
    largest, 120 + 60 (B - R) / D where green is, and 240 + 60 (R - G) / D where blue is. Of a grey
    both are 0.

    Source: Smith 1978; OpenCV's COLOR_BGR2HSV for floats.
    """
    blue, green, red = image
    value = image.max(axis=0)
    spread = value - image.min(axis=0)
    whole = np.where(spread > 0, spread, 1)
    hue = np.where(
        value == red,
        (green - blue) / whole,
        np.where(value == green, 2 + (blue - red) / whole, 4 + (red - green) / whole),
    )
    saturation = spread / np.where(value > 0, value, 1)
    return np.where(spread > 0, 60 * hue % 360, 0), saturation, value


def to_bgr(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return the image (3, H, W) of these colours; hue may be any number of degrees."""
    planes = []
    for place in (1, 3, 5):  # of blue, green and red: where on the circle they begin to fall
        k = (place + hue / 60) % 6
        planes.append(value - value * saturation * np.minimum(k, 4 - k).clip(0, 1))
    return np.stack(planes)
