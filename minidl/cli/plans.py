"""How a net of which no array exists will run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def make(
    blueprint: Any, policy: Any, backward: bool, homes: Mapping[str, Any] | None = None
) -> Any:
    """The schedule of a net that is made with `share` and that nobody has read from.

    backward   whether it will run backward
    homes      layouts of parameters that are another net's, by owner's key
    """
    from minidl.engines import select
    from minidl.net.schedule import Demands, Schedule

    nodes = blueprint.nodes
    force = blueprint.param.force_backward
    demands = Demands(
        backward=backward and any(node.needs_backward for node in nodes),
        homes=homes or {},
        learning=frozenset(
            p.owner
            for node in nodes
            for p in node.params
            if p.lr_mult or (force and p.attr not in node.layer.statistics)
        ),
        share=True,
    )
    engines = select.engines(policy, [node.layer.engine_wish for node in nodes])
    return Schedule(nodes, engines, policy, demands)
