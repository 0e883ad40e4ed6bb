"""OpenCV's dnn module reading the same prototxt and caffemodel: inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2

from benchmarks.inputs import batch_of


def work(job: dict[str, Any]) -> Inference:
    return Inference(job)


class Inference:
    """Images in, probabilities out; the images are copied into the net in every step."""

    def __init__(self, job: dict[str, Any]) -> None:
        name, folder = job["net"], Path(job["folder"])
        cv2.setNumThreads(job["threads"])
        self.net = cv2.dnn.readNetFromCaffe(
            str(folder / f"{name}.prototxt"), str(folder / f"{name}.caffemodel")
        )
        self.images, _ = batch_of(name, job["batch"])

    def step(self) -> None:
        self.net.setInput(self.images)
        self.output = self.net.forward()

    def result(self) -> list[float]:
        return self.output.ravel().tolist()

    def facts(self) -> dict[str, Any]:
        return {"opencv": cv2.__version__, "threads": cv2.getNumThreads()}
