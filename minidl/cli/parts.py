"""The parts of a prototxt: the net of each phase that it has, and layers of neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from minidl.errors import MinidlError, raise_all


def states(net: Any, level: int, stages: Sequence[str]) -> list[Any]:
    """Return a NetState for each net that a NetParameter has, the one in phase TEST first.

    A phase counts if some layer brings data in: a file only for training has no net to
    test. If all layers are the same in both phases, there is one net, the one in TEST.
    """
    from minidl import schema
    from minidl.prototxt.phases import included, net_state

    found: dict[tuple[int, ...], Any] = {}  # by the layers that are kept
    for phase in (schema.TEST, schema.TRAIN):
        state = net_state(phase, level, stages)
        kept = tuple(i for i, layer in enumerate(net.layer) if included(layer, state))
        if any(not net.layer[i].bottom for i in kept):
            found.setdefault(kept, state)
    return list(found.values()) or [net_state(schema.TEST, level, stages)]


def check_all(net: Any, found: Sequence[Any], check: Callable[[Any], object]) -> None:
    """Call ``check(state)`` for each state, and raise the errors of all of them, each once.

    Errors of layers in none of the states are added, as far as a layer alone can show them.
    """
    errors: list[MinidlError] = []
    for state in found:
        try:
            check(state)
        except MinidlError as error:
            errors += error.errors
    errors += _faults(net, found)
    raise_all(list({str(error): error for error in errors}.values()))


def _faults(net: Any, found: Sequence[Any]) -> Iterator[MinidlError]:
    """Yield what layers of other levels and stages refuse of their own parameters."""
    from minidl.layers.base import layer_class
    from minidl.layers.context import Context
    from minidl.prototxt.phases import included

    for layer in net.layer:
        if layer.type == "Python" or any(included(layer, state) for state in found):
            continue  # the former would run foreign code
        try:
            layer_class(layer)(layer, Context())
        except MinidlError as error:
            yield error
