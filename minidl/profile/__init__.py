"""Measure nets: where the time goes, and how fast each layer could be on this machine.

    layers(net)                     every layer forward and backward, compared with its floor
    training(blueprint, devices)    whole iterations, on several devices and at several batch sizes
    data(blueprint)                 the data path alone, and the net alone
    algorithms(blueprint, device)   all of cuDNN's, on every convolution

A blueprint is a net on paper: ``Blueprint(prototxt.read_net(path), Context(phase=schema.TRAIN))``.
Each returns plain records, times in milliseconds or seconds as their names say; `minidl time`
prints them.

>>> import minidl
>>> net = minidl.Net('''
... layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 8 dim: 64 } } }
... layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
...   inner_product_param { num_output: 32 } }''', engine="numpy")
>>> times = layers(net, iterations=3)
>>> ip = times.layers[1]
>>> ip.forward.work.flop == 2 * 8 * 64 * 32, ip.forward.times.median_ms > 0
(True, True)
"""

from minidl.profile.convolutions import Algorithms, algorithms
from minidl.profile.data_rate import DataRate, data
from minidl.profile.engines import Engines
from minidl.profile.net_times import LayerTimes, NetTimes, PassTimes, Times, layers
from minidl.profile.training_times import TrainingTimes, training

__all__ = [
    "Algorithms",
    "DataRate",
    "Engines",
    "LayerTimes",
    "NetTimes",
    "PassTimes",
    "Times",
    "TrainingTimes",
    "algorithms",
    "data",
    "layers",
    "training",
]
