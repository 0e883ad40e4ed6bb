"""The pipeline from a message to a running net: one module per stage, in the order of events.

    graph       layers get their splits: every top has one reader
    infer       layers become Nodes: shapes, parameters, buffers            (node)
    gradients   who runs backward, and for which bottoms
    aliasing    does anything in place overwrite what somebody still reads?
                ... these four, one after the other, are a Blueprint        (blueprint)
    fuse        which layers may run as one
    schedule    a plan for each group, from the engines;  layout: where each reader finds its array
                access: what each step reads and writes;  planner: places in one piece of memory
    program     the schedule with memory: lists of calls
    run         calls them in order; cuda_pass: the same as one CUDA graph

`state` is what a net holds and these stages share, `parameters` and `weights` what it learns. The
public `Net` does all of it; by hand, on a net of two layers:

>>> import numpy as np
>>> from minidl.prototxt import read_net
>>> from minidl.layers.context import Context
>>> from minidl.engines import select
>>> from minidl.net import blueprint, fuse, program, run, schedule, state
>>> net = read_net('''
... layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
... layer { name: "square" type: "Power" bottom: "x" top: "y" power_param { power: 2 } }''')
>>> paper = blueprint.Blueprint(net, Context())                        # graph to aliasing
>>> [(node.name, node.top_shapes, node.keeps) for node in paper.nodes]
[('in', ((2, 3),), ()), ('square', ((2, 3),), ('bottom',))]
>>> [[node.name for node in group.nodes] for group in fuse.groups(paper.nodes)]
[['in'], ['square']]
>>> plan = schedule.Schedule.of(paper, select.policy("numpy"))
>>> [(array.name, array.shape, array.layout) for array in plan.walk.arrays]
[('x data', (2, 3), None), ('y data', (2, 3), None)]
>>> held = state.State(paper, plan.policy)                             # blobs, parameters
>>> made = program.Program(plan, held.blobs, held.parameters.owned(), held.device, held.dtype)
>>> held.blobs["x"].data[...] = 3
>>> with made.running(0, 1):                                           # what run.forward does
...     for calls in made.forward:
...         for call in calls:
...             call()
>>> held.blobs["y"].data.tolist()
[[9.0, 9.0, 9.0], [9.0, 9.0, 9.0]]
"""

from minidl.net.net import Net
from minidl.net.of_images import NetOfImages
from minidl.net.state import Callback, Callbacks

__all__ = ["Callback", "Callbacks", "Net", "NetOfImages"]
