"""A pass: one operation on arrays that may lie otherwise than it wants them."""

from __future__ import annotations

from collections.abc import Mapping

from minidl.engines.onednn import api
from minidl.engines.onednn.layout import DnnlLayout, reorder, wanted
from minidl.engines.onednn.primitive import Description, Step
from minidl.engines.plan import packed

OUTPUTS = {api.DST, api.DIFF_SRC, api.DIFF_WEIGHTS, api.DIFF_BIAS}


class Pass:
    """An operation with the conversions before and after it, in one workspace.

    description   of the operation
    stated        how its arguments lie, by argument. Where it wants one otherwise, a copy is
                  converted in the workspace; arguments that are not here lie as it wants them
    workspace     bytes needed while it runs
    """

    def __init__(self, description: Description, stated: Mapping[int, DnnlLayout]) -> None:
        self.description = description
        self._ways: dict[int, Description] = {}
        sizes = [description.scratchpad]
        for argument, layout in stated.items():
            # Equal layouts share the memory that is there; others need a room and a conversion.
            inside = wanted(description, argument, layout.shape)
            if inside == layout:
                continue
            # Inputs are converted before the operation runs, outputs after it.
            ends = (inside, layout) if argument in OUTPUTS else (layout, inside)
            way = self._ways[argument] = reorder(*ends)
            sizes += [inside.nbytes, way.scratchpad]
        self._starts, self.workspace = packed(sizes)

    def steps(self, addresses: Mapping[int, int], workspace: int) -> list[Step]:
        """Return all steps in order, on memory at these addresses."""
        # In the order of `sizes`: the scratchpad, then for each conversion its room and scratchpad.
        scratchpad, *rooms = (workspace + start for start in self._starts)
        before, after, inside = [], [], dict(addresses)
        for (argument, way), room, spare in zip(
            self._ways.items(), rooms[::2], rooms[1::2], strict=True
        ):
            here, inside[argument] = addresses[argument], room
            if argument in OUTPUTS:
                after.append(way.step({api.SRC: room, api.DST: here}, spare))
            else:
                before.append(way.step({api.SRC: here, api.DST: room}, spare))
        return [*before, self.description.step(inside, scratchpad), *after]
