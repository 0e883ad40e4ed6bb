"""The test digits that a trained LeNet misreads, drawn in the terminal: the Python API in short.

make lenet
python examples/misread.py runs/lenet_digits/lenet_iter_500.caffemodel
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import minidl

NET = "zoo/lenet/digits_train_test.prototxt"
BATCHES = 6  # of 60 images: the whole test set


def misread(weights: str) -> Iterator[tuple]:
    """(image, label, what the net reads) of every mistake in the test set."""
    net = minidl.Net(NET, phase=minidl.TEST, weights=weights)
    for _ in range(BATCHES):
        net.forward()
        images = net.blobs["data"].data
        labels = net.blobs["label"].data.astype(int)
        answers = net.blobs["ip2"].data.argmax(axis=1)
        for i in (answers != labels).nonzero()[0]:
            yield images[i, 0].copy(), labels[i], answers[i]


def draw(image) -> str:
    """Two characters a pixel, every other row and column, darker is more ink."""
    return "\n".join("".join(" .:*#"[int(v * 4.99)] * 2 for v in row[::2]) for row in image[::2])


def main(weights: str) -> None:
    count = 0
    for image, label, answer in misread(weights):
        count += 1
        print(f"{draw(image)}\na {label}, read as {answer}\n")
    print(f"{count} of {BATCHES * 60} misread")


if __name__ == "__main__":
    main(sys.argv[1])
