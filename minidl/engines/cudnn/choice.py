"""The choice among a pass's algorithms: by preference, or by name.

PREFER_FASTEST is `algorithm="fastest"`, NO_WORKSPACE "no_workspace", SPECIFY_WORKSPACE_LIMIT a
`limit`; any other `algorithm` is a name, or a part of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from minidl.arrays.units import bytes_
from minidl.engines.cudnn.problem import Algorithm
from minidl.engines.request import Request


class Choice(NamedTuple):
    """The algorithm of a pass, None if it has none; `why`, if it is not what was asked for."""

    algorithm: Algorithm | None
    why: str = ""


def choose(found: Sequence[Algorithm], request: Request, limit: int | None) -> Iterator[Choice]:
    """Yield the algorithms that a request allows, the preferred one first.

    limit   bytes that the workspace may take; None: any number

    An algorithm that is asked for by name comes first; then those whose names contain the name; if
    neither can run, the others do, and the choice says why. Where nothing is allowed, what comes
    is one choice without an algorithm, with the reason.
    """
    allowed, reasons = [], {}
    for each in found:
        why = each.refusal or _unwanted(each, request, limit)
        if why:
            reasons[each.name] = why
        else:
            allowed.append(each)
    if not allowed:
        yield Choice(None, "; ".join(f"{name}: {why}" for name, why in reasons.items()) or "none")
        return
    name = request.algorithm
    if name in ("fastest", "no_workspace"):
        yield from map(Choice, allowed)
        return
    # In this order: the very name, names that contain it ("fft" is in "fft_tiling"), the others.
    exact = [each for each in allowed if each.name == name]
    alike = [each for each in allowed if name in each.name and each not in exact]
    others = [each for each in allowed if each not in exact and each not in alike]
    yield from map(Choice, [*exact, *alike])
    named = {known: why for known, why in reasons.items() if name in known}
    why = "; ".join(f"{known} is {said}" for known, said in named.items())
    yield from (Choice(each, why or f"this pass has no {name}") for each in others)


def _unwanted(algorithm: Algorithm, request: Request, limit: int | None) -> str:
    if request.deterministic and not algorithm.deterministic:
        return "not deterministic"
    if request.algorithm == "no_workspace" and algorithm.workspace:
        return f"in need of a workspace of {bytes_(algorithm.workspace)}"
    if limit is not None and algorithm.workspace > limit:
        return f"in need of {bytes_(algorithm.workspace)} of workspace, {bytes_(limit)} are allowed"
    return ""
