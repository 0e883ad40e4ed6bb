"""minidl: training, inference, a data layer alone.

job["task"]       "train", "infer" or "data"
job["net"], job["batch"]
job["options"]    further keywords of get_solver or Net: engine, math, share
job["dropout"]    false leaves the Dropout layers out
job["records"]    the net reads this LMDB instead of getting its batch by hand
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minidl
from benchmarks import nets
from benchmarks.alternate import Declined
from benchmarks.inputs import DECAY, MOMENTUM, RATE, batch_of
from minidl import prototxt

SOLVER = f"""base_lr: {RATE} momentum: {MOMENTUM} weight_decay: {DECAY} lr_policy: "fixed"
max_iter: 1000000 solver_mode: CPU snapshot_after_train: false random_seed: 1"""


def work(job: dict[str, Any]) -> _Work:
    return {"train": Training, "infer": Inference, "data": Reading}[job["task"]](job)


class _Work:
    """What the three have in common: `self.net`, and what can be said of it."""

    net: minidl.Net

    def __init__(self, job: dict[str, Any]) -> None:
        self.job, self.notes = job, Notes()
        self.name, self.batch, self.folder = job["net"], job["batch"], Path(job["folder"])

    def facts(self) -> dict[str, Any]:
        return {
            "minidl": minidl.__version__,
            "numpy": np.__version__,
            "threads": self.job["threads"],
            "batch": self.batch,
            "options": self.job["options"],
            "policy": {**vars(self.net.policy), "math": self.net.policy.math.name},
            "algorithms": self.notes.algorithms,
        }

    def make(self, maker: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
        """A net or solver with the job's options, its algorithms chosen.

        Errors: Declined where this machine cannot do what the options ask for.
        """
        options = self.job["options"]
        try:
            with self.notes:
                made = maker(*args, **keywords, **options)
                net = getattr(made, "net", made)
                net.prepare()
        except minidl.MinidlError as error:
            if not options.keys() - {"share"}:  # nothing special was asked for
                raise
            raise Declined(" ".join(str(error).split())) from error
        math = options.get("math", "float32")
        if net.policy.math.name != math:
            raise Declined("; ".join(self.notes.warnings) or f"minidl took {net.policy.math}")
        return made


class Training(_Work):
    """Forward, backward and update, as `solver.step(1)` does them. Results: losses."""

    def __init__(self, job: dict[str, Any]) -> None:
        super().__init__(job)
        param = prototxt.read_solver(SOLVER)
        if job.get("records"):
            net = nets.fed_net(self.name, self.batch, self.folder / job["records"])
        else:
            net = nets.train_net(self.name, self.batch, job.get("dropout", True))
        param.net_param.CopyFrom(net)
        self.solver = self.make(minidl.get_solver, param)
        self.net = self.solver.net
        self.net.copy_from(self.folder / f"{self.name}.caffemodel")
        if not job.get("records"):
            images, labels = batch_of(self.name, self.batch)
            self.net.blobs["data"].data[...] = images
            self.net.blobs["label"].data[...] = labels

    def step(self) -> None:
        self.solver.step(1)

    def result(self) -> list[float]:
        return [self.net.loss]

    def facts(self) -> dict[str, Any]:
        """With the loss, and the operations of a step in layers with weights.

        Forward once, backward twice, except of the first layer: its input needs no gradient.
        """
        nodes = [node for node in self.net.blueprint.nodes if node.param_shapes]
        first, *_ = forward = [node.multiply_adds for node in nodes]
        loss = self.net.loss
        return super().facts() | {"operations": 2 * (3 * sum(forward) - first), "loss": loss}


class Inference(_Work):
    """Images in, probabilities out; the images are copied into the net in every step."""

    def __init__(self, job: dict[str, Any]) -> None:
        super().__init__(job)
        weights = self.folder / f"{self.name}.caffemodel"
        net = nets.deploy_net(self.name, self.batch)
        self.net = self.make(minidl.Net, net, minidl.TEST, weights=weights)
        self.images, _ = batch_of(self.name, self.batch)

    def step(self) -> None:
        self.output = self.net.forward(data=self.images)["prob"]

    def result(self) -> list[float]:
        return self.output.ravel().tolist()


class Reading(_Work):
    """Batches as the data layer of the training net makes them: read, decode, crop, mirror."""

    def __init__(self, job: dict[str, Any]) -> None:
        super().__init__(job)
        net = nets.data_net(self.name, self.batch, self.folder / job["records"])
        self.net = minidl.Net(net, minidl.TRAIN, seed=1)

    def step(self) -> None:
        self.net.forward_pass()

    def result(self) -> list[float]:
        return self.net.blobs["label"].data.tolist()


class Notes(logging.Handler):
    """Who computes each layer, and how, from what the net logs when it has chosen.

    algorithms    {"conv2": "onednn jit:avx512_core, 0 B", "loss": "array code (...)"}; what is not
                  there is array code, too
    warnings      in the order in which they came
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.algorithms: dict[str, str] = {}
        self.warnings: list[str] = []
        self._log = logging.getLogger("minidl")

    def __enter__(self) -> Notes:
        self._level = self._log.level
        self._log.setLevel(logging.INFO)
        self._log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)
        self._log.setLevel(self._level)

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.warnings.append(record.getMessage())
        layer, _, choice = record.getMessage().partition(": ")
        if choice.startswith(("onednn ", "array code")):
            self.algorithms[layer] = choice
