"""The state of a run: what hooks see of a solver, and what its parts work on."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from minidl.errors import DivergedError
from minidl.net import Net
from minidl.solver.losses import PendingLosses
from minidl.solver.marks import Mark
from minidl.solver.monitor import Best
from minidl.solver.smoothing import SmoothedLoss
from minidl.solver.updater import Updater


class Shown(NamedTuple):
    """The iteration that was shown last, and when, by `time.perf_counter`."""

    seconds: float = 0.0
    iter: int = 0


class Written(NamedTuple):
    """A snapshot: its iteration and the path of its state."""

    iter: int
    state: str


class Run(Protocol):
    """The members of a Solver that its hooks and parts use; `Solver` says what the methods do.

    param             the SolverParameter, read again in every iteration
    net, test_nets    the net that is trained, and those that are tested; `nets` are all of them
    seed, iter        of everything random; updates done
    lr, loss          the rate of the next update; the smoothed loss: to read it waits for a GPU
    smoothed          the loss of the iterations that were read; `pending`: those that were not,
                      None on the CPU, where none waits
    updater           turns gradients into new weights, and holds the arrays of the solver type
    plateau, early_stop                      the best figures so far
    stop_requested, snapshot_requested       what is to be done as soon as it can be
    shown             the last iteration that was displayed
    snapshots         the last that was written or read, after the last one of an earlier iteration
    before_test       while a test runs: where the test nets were before it
    """

    param: Any
    net: Net
    test_nets: list[Net]
    seed: int
    iter: int
    smoothed: SmoothedLoss
    pending: PendingLosses | None
    updater: Updater
    plateau: Best
    early_stop: Best
    stop_requested: bool
    snapshot_requested: bool
    shown: Shown
    snapshots: list[Written]
    before_test: list[Mark] | None

    @property
    def loss(self) -> SmoothedLoss: ...
    @property
    def nets(self) -> list[Net]: ...
    @property
    def lr(self) -> float: ...
    def tell(self, event: str, *values: Any) -> None: ...
    def test_all(self) -> list[dict[str, Any]] | None: ...
    def apply_update(self) -> None: ...
    def snapshot(self) -> tuple[str, str]: ...
    def set_seed(self, seed: int) -> None: ...
    def request_stop(self) -> None: ...
    def request_snapshot(self) -> None: ...
    def diverged(
        self, what: str, net: Net | None = None, since: int | None = None
    ) -> DivergedError: ...
