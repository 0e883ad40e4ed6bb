"""The nets of the benchmarks as minidl's messages.

The zoo's nets with Input layers in the place of their data sets; SqueezeNet, which is not in the
zoo, is written down here. Layers bear the names of the published prototxts, so that published
weights load.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.inputs import IMAGE
from minidl import prototxt, schema
from minidl.spec import NetSpec
from minidl.spec import layers as L
from minidl.spec import params as P

ZOO = Path(__file__).resolve().parent.parent / "zoo"
NORMALISED = "resnet18", "resnet50", "mobilenet"  # with BatchNorm
TRAIN = dict.fromkeys(("alexnet", *NORMALISED), "train_val.prototxt")
TRAIN["lenet"] = "lenet_train_test.prototxt"
DEPLOY = dict.fromkeys(("alexnet", *NORMALISED), "deploy.prototxt")
DEPLOY["lenet"] = "lenet_deploy.prototxt"


def train_net(name: str, batch: int, dropout: bool = True) -> Any:
    """The zoo's training net, fed by hand. Without dropout it can be compared with another's."""
    net = prototxt.read_net(ZOO / name / TRAIN[name])
    away = {"Data"} if dropout else {"Data", "Dropout"}  # Dropout works in place: nothing to rejoin
    layers = [layer for layer in net.layer if layer.type not in away]
    del net.layer[:]
    for top, shape in (("data", (batch, *IMAGE[name])), ("label", (batch,))):
        layer = net.layer.add(name=top, type="Input", top=[top])
        layer.input_param.shape.add(dim=shape)
    net.layer.extend(layers)
    net.state.phase = schema.TRAIN
    return net


def fed_net(name: str, batch: int, records: Path) -> Any:
    """The zoo's training net reading an LMDB, crops and mirror images as it says."""
    net = prototxt.read_net(ZOO / name / TRAIN[name])
    for layer in net.layer:
        if layer.type == "Data":
            layer.data_param.source = str(records)
            layer.data_param.batch_size = batch
    net.state.phase = schema.TRAIN
    return net


def data_net(name: str, batch: int, records: Path) -> Any:
    """Only the data layer of that net."""
    net = fed_net(name, batch, records)
    layers = [layer for layer in net.layer if layer.type == "Data"]
    del net.layer[:]
    net.layer.extend(layers)
    return net


def deploy_net(name: str, batch: int) -> Any:
    """Images in, probabilities out."""
    if name == "squeezenet":
        return squeezenet(batch)
    net = prototxt.read_net(ZOO / name / DEPLOY[name])
    net.layer[0].input_param.shape[0].dim[0] = batch
    return net


def squeezenet(batch: int) -> Any:
    """SqueezeNet 1.0 (Iandola et al. 2016, table 1) with Caffe's layer names, and a Softmax."""
    n = NetSpec()
    n.data = L.Input(shape=dict(dim=[batch, *IMAGE["squeezenet"]]))
    top = _conv(n, n.data, "conv1", num_output=96, kernel_size=7, stride=2)
    top = n.pool1 = _pool(top)
    for fire, squeeze, expand in ((2, 16, 64), (3, 16, 64), (4, 32, 128)):
        top = _fire(n, top, f"fire{fire}", squeeze, expand)
    top = n.pool4 = _pool(top)
    for fire, squeeze, expand in ((5, 32, 128), (6, 48, 192), (7, 48, 192), (8, 64, 256)):
        top = _fire(n, top, f"fire{fire}", squeeze, expand)
    top = n.pool8 = _pool(top)
    top = _fire(n, top, "fire9", 64, 256)
    top = n.drop9 = L.Dropout(top, dropout_ratio=0.5, in_place=True)
    top = _conv(n, top, "conv_final", num_output=1000, kernel_size=1, pad=1)  # the pad is Caffe's
    top = n.pool_final = L.Pooling(top, pool=P.Pooling.AVE, global_pooling=True)
    n.prob = L.Softmax(top)
    return n.to_proto()


def _fire(n: NetSpec, bottom: Any, name: str, squeeze: int, expand: int) -> Any:
    """Few 1 x 1 filters, then 1 x 1 and 3 x 3 filters side by side."""
    small = _conv(n, bottom, f"{name}/conv1x1_1", num_output=squeeze, kernel_size=1)
    ones = _conv(n, small, f"{name}/conv1x1_2", num_output=expand, kernel_size=1)
    threes = _conv(n, small, f"{name}/conv3x3_2", num_output=expand, kernel_size=3, pad=1)
    n[f"{name}/concat"] = L.Concat(ones, threes)
    return n[f"{name}/concat"]


def _conv(n: NetSpec, bottom: Any, name: str, **fields: Any) -> Any:
    n[name] = L.Convolution(bottom, **fields)
    folder, _, last = name.rpartition("/")
    relu = f"{folder}/relu_{last}" if folder else f"relu_{last}"
    n[relu] = L.ReLU(n[name], in_place=True)
    return n[relu]


def _pool(bottom: Any) -> Any:
    return L.Pooling(bottom, pool=P.Pooling.MAX, kernel_size=3, stride=2)
