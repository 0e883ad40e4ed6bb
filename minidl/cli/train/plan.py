"""What a new run would be: its solver in numbers, and a preview of its rate."""

from __future__ import annotations

from typing import Any

from minidl.cli.train.data import Data

POINTS = 101  # of the preview, a percent of the training apart


def of(solver: Any, data: Data, batches: tuple[int, int], notes: list[str]) -> dict[str, Any]:
    """Return the plan of a run.

    epoch_iters    iterations an epoch, by which tests and snapshots are counted
    rates          at 0, 1, ..., 100 percent of the training
    """
    images = batches[0] * solver.iter_size
    given = {field.name: value for field, value in solver.ListFields()}
    plain = {name: list(v) if hasattr(v, "append") else v for name, v in given.items()}
    for name in ("minidl_origin", "net", "snapshot_prefix"):
        plain.pop(name, None)
    return {
        "records": data.counts,
        "classes": data.classes,
        "epoch_iters": -(-data.counts["train"] // images),
        "batch_size": batches[0],
        "test_batch_size": batches[1],
        "tested_on": data.tests,
        "max_iter": solver.max_iter,
        "solver": {name: _short(value) for name, value in plain.items()},
        "rates": rates(solver),
        "notes": notes,
    }


def rates(solver: Any) -> list[float]:
    """Return the rates of a run, at each percent of its iterations."""
    from minidl.solver import schedules

    last = solver.max_iter
    return [
        float(f"{schedules.shown(solver, last * percent // (POINTS - 1)):.6g}")
        for percent in range(POINTS)
    ]


def lines(plan: dict[str, Any]) -> list[str]:
    """Return a plan as text."""
    counts = ", ".join(f"{part} {count:,}" for part, count in plan["records"].items())
    solver, every = plan["solver"], max(1, POINTS // 10)
    found = [
        f"records      {counts}; {plan['classes']} classes",
        f"batches      {plan['batch_size']} in training, {plan['test_batch_size']} in tests",
        f"epoch        {plan['epoch_iters']:,} iterations",
    ]
    found += [f"{name:<12} {_text(value)}" for name, value in solver.items()]
    shown = ", ".join(f"{rate:.3g}" for rate in plan["rates"][::every])
    return [*found, f"rates        {shown}  (at 0, 10, ..., 100 % of the training)", *plan["notes"]]


def _short(value: Any) -> Any:
    """Return a number of 32 bits without digits that it does not have."""
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
