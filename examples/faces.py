"""Find faces with MTCNN: three real nets, one after the other, each surer than the one before.

    python examples/faces.py MODELS                  # a face drawn here
    python examples/faces.py MODELS photo.jpg out.png

MODELS holds the folders mtcnn_det1, mtcnn_det2 and mtcnn_det3, each with deploy.prototxt and
weights.caffemodel (github.com/kpzhang93/MTCNN_face_detection_alignment). The first net looks at
the whole picture in many sizes, convolutional as it is, and proposes windows of 12 x 12 pixels; the
second and third look at each proposal again, in 24 x 24 and 48 x 48, move its edges, and the last
one says where eyes, nose and mouth are.

Source: Zhang et al. 2016, with the thresholds of its authors' demonstration.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

import minidl

SMALLEST = 40  # pixels of a face's side
SHRINK = 0.709  # from one size of the picture to the next: half the area
THRESHOLDS = (0.6, 0.7, 0.7)


class Faces:
    def __init__(self, models: Path) -> None:
        folders = [models / f"mtcnn_det{n}" for n in (1, 2, 3)]
        self.nets = [
            minidl.Net(f / "deploy.prototxt", weights=f / "weights.caffemodel") for f in folders
        ]

    def find(self, image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (n, 5), as x1, y1, x2, y2 and the score, and points (n, 5, 2), as x, y."""
        boxes = self._propose(image)
        boxes, _ = self._look(image, boxes, self.nets[1], 24, THRESHOLDS[1], "conv5-2")
        boxes, points = self._look(image, boxes, self.nets[2], 48, THRESHOLDS[2], "conv6-2")
        keep = unlike(boxes, 0.7, np.minimum)
        return boxes[keep], points[keep]

    def _propose(self, image: Image.Image) -> np.ndarray:
        net, found = self.nets[0], [np.zeros((0, 5))]
        scale = 12 / SMALLEST
        while min(image.size) * scale >= 12:
            size = [round(side * scale) for side in image.size]
            out = net.forward(data=blob(image.resize(size, Image.Resampling.BILINEAR))[None])
            sure = out["prob1"][0, 1]
            x, y = np.nonzero(sure >= THRESHOLDS[0])  # the nets see pictures transposed
            corners = np.stack([2 * x, 2 * y, 2 * x + 12, 2 * y + 12]) / scale
            moved = shift(corners.T, out["conv4-2"][0, :, x, y])
            boxes = np.column_stack([moved, sure[x, y]])
            found.append(boxes[unlike(boxes, 0.5)])
            scale *= SHRINK
        boxes = np.concatenate(found)
        return boxes[unlike(boxes, 0.7)]

    def _look(self, image, boxes, net, side, threshold, edges) -> tuple[np.ndarray, np.ndarray]:
        """Those of the boxes that the net takes for faces, with their edges moved, and points."""
        boxes = square(boxes)
        if not len(boxes):
            return boxes, np.zeros((0, 5, 2))
        crops = [image.crop(tuple(box[:4].round().astype(int))) for box in boxes]
        crops = [crop.resize((side, side), Image.Resampling.BILINEAR) for crop in crops]
        out = net.forward(data=np.stack([blob(crop) for crop in crops]))
        sure = out["prob1"][:, 1]
        keep = sure >= threshold
        points = out["conv6-3"][keep] if "conv6-3" in out else np.zeros((keep.sum(), 10))
        corner, size = boxes[keep, :2], boxes[keep, 2:4] - boxes[keep, :2]
        points = corner[:, None] + points.reshape(-1, 2, 5).swapaxes(1, 2) * size[:, None]
        boxes = np.column_stack([shift(boxes[keep, :4], out[edges][keep]), sure[keep]])
        best = unlike(boxes, 0.7) if side == 24 else slice(None)
        return boxes[best], points[best]


def blob(image: Image.Image) -> np.ndarray:
    """RGB x width x height from -1 to 1: the nets learned in Matlab, which counts columns first."""
    return (np.asarray(image, np.float32).transpose(2, 1, 0) - 127.5) / 128


def shift(corners: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Corners moved by shares of the box's width and height."""
    size = corners[:, 2:] - corners[:, :2]
    return corners + by * np.tile(size, 2)


def square(boxes: np.ndarray) -> np.ndarray:
    """Squares about the same centres, as wide as the longer side."""
    centre, side = (boxes[:, :2] + boxes[:, 2:4]) / 2, (boxes[:, 2:4] - boxes[:, :2]).max(1)
    half = side[:, None] / 2
    return np.column_stack([centre - half, centre + half, boxes[:, 4:]])


def unlike(boxes: np.ndarray, most: float, against=None) -> list[int]:
    """Non-maximum suppression: the best boxes, none overlapping a better one by more than `most`.

    against   overlap is a share of the boxes' union, or with np.minimum of the smaller box
    """
    left, keep = list(np.argsort(-boxes[:, 4])), []
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while left:
        best, rest = left[0], np.array(left[1:], int)
        keep.append(best)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:4], boxes[rest, 2:4])
        common = (high - low).clip(0).prod(axis=1)
        whole = against(area[best], area[rest]) if against else area[best] + area[rest] - common
        left = list(rest[common <= most * whole])
    return keep


# Blur, colour and ellipses: x, y, half width, half height, in pixels from the middle.
FACE = [
    (3, "#2d2019", [(0, -25, 78, 85)]),  # hair
    (2, "#be9178", [(0, 80, 32, 50)]),  # neck
    (1.5, "#deb296", [(0, 0, 62, 82)]),  # head
    (10, "#ecc4a8", [(0, -45, 35, 18), (-28, 15, 16, 14), (28, 15, 16, 14)]),  # light on it
    (8, "#c08e72", [(-55, 20, 10, 50), (55, 20, 10, 50), (0, 76, 35, 8)]),  # and shadow
    (6, "#af7e64", [(-27, -18, 18, 11), (27, -18, 18, 11)]),  # around the eyes
    (1, "#faf5f0", [(-27, -14, 12, 5.5), (27, -14, 12, 5.5)]),
    (0.8, "#2c1c16", [(-27, -14, 5.5, 5.5), (27, -14, 5.5, 5.5)]),
    (1.2, "#402a20", [(-28, -30, 17, 4), (28, -30, 17, 4)]),  # brows
    (4, "#b4825f", [(-10, 22, 4, 8), (10, 22, 4, 8)]),  # nose
    (1.2, "#6e4137", [(-7, 27, 3.5, 2), (7, 27, 3.5, 2)]),
    (1.5, "#af5550", [(0, 48, 23, 7)]),  # mouth
    (0.8, "#5f2828", [(0, 47, 22, 1.4)]),
]


def drawn() -> Image.Image:
    """Two heads of different size, of soft ellipses."""
    image = Image.new("RGB", (480, 320), "#6e7882")
    for x, y, scale in ((160, 165, 1), (370, 190, 0.6)):
        for blur, color, ellipses in FACE:
            mask = Image.new("L", image.size)
            for left, top, a, b in ellipses:
                middle = (x + scale * left, y + scale * top)
                edges = [middle[i] + sign * scale * (a, b)[i] for sign in (-1, 1) for i in (0, 1)]
                ImageDraw.Draw(mask).ellipse(edges, fill=255)
            image.paste(color, mask=mask.filter(ImageFilter.GaussianBlur(blur * scale)))
    return image


def main(models: str, picture: str = "", out: str = "faces.png") -> None:
    image = Image.open(picture).convert("RGB") if picture else drawn()
    boxes, points = Faces(Path(models)).find(image)
    pen = ImageDraw.Draw(image)
    for box, marks in zip(boxes, points, strict=True):
        x1, y1, x2, y2, score = box
        print(f"face at x {x1:.0f} to {x2:.0f}, y {y1:.0f} to {y2:.0f}, score {score:.3f}")
        pen.rectangle(tuple(box[:4]), outline="lime", width=3)
        for x, y in marks:
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill="red")
    image.save(out)
    print(f"{len(boxes)} faces, drawn in {out}")


if __name__ == "__main__":
    main(*sys.argv[1:])
