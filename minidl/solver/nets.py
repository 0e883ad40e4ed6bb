"""The nets of a solver: which files and messages they come from, and in what state."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

from minidl import prototxt, schema
from minidl.errors import SolverError, did_you_mean
from minidl.net import Net, sharing, weights
from minidl.solver import parameters

log = logging.getLogger("minidl")


def make(param: Any, seed: int, **options: Any) -> tuple[Net, list[Net]]:
    """Make the net to train and those to test, with the weights that `param` starts from.

    seed       of everything random in them
    options    device and dtype of Net
    """
    sources = Sources(param)
    files = sources.weights()
    plan = sources.training()
    log.info("Creating training net from %s", plan.source)
    train = plan.make(seed=seeds(seed, 0)[0], weights=files, **options)
    tests = []
    for i, plan in enumerate(sources.testing()):
        log.info("Creating test net (#%d) specified by %s", i, plan.source)
        net = plan.make(seed=seeds(seed, i + 1)[-1], **options)
        own = sharing.unshared(net.state, train.state)
        if own:  # of the others the training net has had its say
            weights.load(net.state, *files, only=own)
        net.share_with(train)
        tests.append(net)
    return train, tests


def seeds(seed: int, tests: int) -> list[int]:
    """Return a seed for the training net and for each test net.

    They differ, so that layers of one name draw different numbers in different nets.
    """
    return [seed + i for i in range(tests + 1)]


class Plan(NamedTuple):
    """A net to make: its NetParameter, its NetState, and where it is from, in Caffe's words."""

    model: Any
    state: Any
    source: str

    def make(self, **options: Any) -> Net:
        state = self.state
        return Net(self.model, state.phase, level=state.level, stages=state.stage, **options)


class Sources:
    """Reads the nets that a SolverParameter names; a file that serves twice is read once."""

    def __init__(self, param: Any) -> None:
        self.param = param
        self._read: dict[str, Any] = {}

    def training(self) -> Plan:
        """Return the net to train: phase TRAIN, then the net's own state, then `train_state`."""
        p = self.param
        if p.HasField("train_net"):
            model, source = self._net(p.train_net, "train_net"), f"train_net file: {p.train_net}"
        elif p.HasField("net"):
            model, source = self._net(p.net, "net"), f"net file: {p.net}"
        else:
            field = "net_param" if p.HasField("net_param") else "train_net_param"
            model, source = getattr(p, field), field
        return Plan(model, _state(schema.TRAIN, model, p.train_state), source)

    def testing(self) -> list[Plan]:
        """Return the test nets, one for each `test_iter`, in Caffe's order.

        First test_net_param, then test_net, then as often as `test_iter` goes on, the generic net
        (net or net_param). Phase TEST, then the net's own state, then `test_state`.
        """
        p = self.param
        found = [(net, "test_net_param") for net in p.test_net_param]
        found += [(self._net(f, "test_net"), f"test_net file: {f}") for f in p.test_net]
        while len(found) < len(p.test_iter):
            if p.HasField("net_param"):
                found.append((p.net_param, "net_param"))
            else:
                found.append((self._net(p.net, "net"), f"net file: {p.net}"))
        states = list(p.test_state) or [schema.NetState()] * len(found)
        return [
            Plan(model, _state(schema.TEST, model, state), source)
            for (model, source), state in zip(found, states, strict=True)
        ]

    def weights(self) -> list[str]:
        """Find the files of weights to start from."""
        names = [n.strip() for entry in self.param.weights for n in entry.split(",")]
        return [find(name, self.param, "weights") for name in names if name]

    def _net(self, name: str, field: str) -> Any:
        if name not in self._read:
            self._read[name] = prototxt.read_net(Path(find(name, self.param, field)))
        return self._read[name]


def find(name: str, param: Any, field: str) -> str:
    """Find a file by its path from the current folder, else from the solver file's.

    Caffe knows only the first, so solver files are written for one folder to start it in.
    """
    beside = Path(parameters.file(param)).parent / name
    for path in (Path(name), beside):
        if os.path.isfile(path):  # unlike Path's, False for a name no system accepts
            return str(path)
    names = os.listdir(beside.parent) if os.path.isdir(beside.parent) else []
    raise SolverError(
        f"{field}: there is no file '{name}'",
        where=parameters.where(param, field),
        expected="a path as seen from the current folder or from the solver file's",
        fix=did_you_mean(beside.name, names),
    )


def _state(phase: int, model: Any, last: Any) -> Any:
    state = schema.NetState(phase=phase)
    state.MergeFrom(model.state)
    state.MergeFrom(last)
    return state
