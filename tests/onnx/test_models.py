"""Real weights, the zoo, and Caffe's recorded layers: equal in onnxruntime."""

import json

import numpy as np
import pytest

from minidl import Net, prototxt
from minidl.errors import ExportError, MinidlError
from minidl.layers.base import REGISTRY
from minidl.onnx import convert
from minidl.onnx.table import EXPORTERS, is_left_out
from tests.onnx.support import BOUND, fill, outputs_there, random_inputs
from tests.support import ROOT, SHARED, golden, golden_cases, relative_error, shared

INDEX = SHARED / "models" / "index.json"
MODELS = sorted(json.loads(INDEX.read_text())) if INDEX.exists() else []
ZOO = sorted(p for p in (ROOT / "zoo").glob("*/*.prototxt") if "solver" not in p.name)


@pytest.mark.parametrize("model", MODELS)
def test_real_weights_give_the_outputs_of_two_other_engines(model):
    folder = shared("models") / model
    try:
        types = {layer.type for layer in prototxt.read_net(folder / "deploy.prototxt").layer}
        missing = types - set(REGISTRY)
    except MinidlError as error:  # parameters of a layer that minidl does not have
        missing = {str(error).partition("\n")[0]}
    if missing:
        pytest.skip(f"minidl does not have {', '.join(sorted(missing))}")
    reference = np.load(folder / "reference.npz")
    inputs = {k.split("/")[1]: reference[k] for k in reference.files if k.startswith("input/")}
    net = Net(folder / "deploy.prototxt", weights=folder / "weights.caffemodel")
    for name, value in inputs.items():
        net.blobs[name].reshape(*value.shape)
    net.reshape()
    outputs = outputs_there(net, inputs)
    assert outputs.keys() == set(net.outputs)
    for name, values in outputs.items():
        assert relative_error(values, reference[f"torch64/{name}"]) < BOUND, name


LARGE = ("alexnet", "caffenet", "vgg16")


def narrow(net):
    """An eighth of the filters of every layer: 138 million weights would show nothing more."""
    for layer in net.layer:
        for param in (layer.convolution_param, layer.inner_product_param):
            if param.num_output:
                param.num_output //= 8


@pytest.mark.parametrize("path", ZOO, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_the_zoo(path):
    param = prototxt.read_net(path)
    for layer in param.layer:  # two records: half of the time, and the batch may vary anyway
        if layer.HasField("data_param"):
            layer.data_param.batch_size = 2
            layer.data_param.source = ""
        for shape in layer.input_param.shape:
            shape.dim[0] = 2
    if path.parent.name in LARGE:
        narrow(param)
    digits = path.parent.name in ("lenet", "autoencoder")
    record = (1, 28, 28) if digits else (3, 256, 256)
    net = Net(param, absent_data=record, seed=0, engine="numpy")
    fill(net)
    conversion = convert(net)
    assert conversion.batch == 2
    if net.inputs:
        inputs = random_inputs(net)
        ours = net.forward(**inputs)
    else:
        net.forward_pass()
        inputs = {name: net.blobs[name].data for name in conversion.graph.inputs}
        ours = {name: net.blobs[name].data for name in conversion.graph.outputs}
    theirs = outputs_there(net, inputs)
    assert theirs.keys() == conversion.graph.outputs.keys()
    for name, values in theirs.items():
        assert relative_error(values, ours[name]) < BOUND, name


# Types of which the form that was recorded has no translation: Filter has one by its filter_param.
PARTLY = {"Filter"}


def recorded_layer(case):
    """A recorded net that ends with the layer in question, its arrays, and that layer."""
    arrays = golden(case)
    net = prototxt.read_net(str(arrays["prototxt"]))
    place = next(i for i, spec in enumerate(net.layer) if spec.name == "L")
    del net.layer[place + 1 :]  # what only makes gradients
    return net, arrays, net.layer[place]


def recorded(known):
    """The recordings of layers that minidl has, and that are in a model, by whether they can be."""
    found = []
    for case in golden_cases("layers/*.npz"):
        type = case.rpartition("/")[2].partition("__")[0]
        translated = type in EXPORTERS and type not in PARTLY
        if type in REGISTRY and not is_left_out(type, 1) and translated == known:
            found.append(case)
    return found


@pytest.mark.parametrize("case", recorded(known=True))
def test_caffes_own_numbers(case):
    net, arrays, layer = recorded_layer(case)
    if str(arrays["phase"]) == "TRAIN" and layer.type in ("BatchNorm", "Dropout"):
        pytest.skip("recorded in training")
    inputs = {key.replace("bottom_", "x"): arrays[key] for key in arrays if "dbottom" not in key}
    made = Net(net, engine="numpy")
    for i, param in enumerate(made.params.get("L", [])):
        param.data[...] = arrays[f"param_{i}"]
    theirs = outputs_there(made, inputs)
    for i, name in enumerate(layer.top):
        assert relative_error(theirs[name], arrays[f"top_{i}"]) < BOUND, name


@pytest.mark.parametrize("case", recorded(known=False))
def test_a_layer_without_a_translation_is_refused_by_name(case):
    net, _, layer = recorded_layer(case)
    with pytest.raises(ExportError, match=f"{layer.type} layer 'L': .+"):
        convert(Net(net, engine="numpy"))
