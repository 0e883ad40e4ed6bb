"""What well-known programs do with pycaffe, on small nets; right values come from NumPy."""

import numpy as np
import pytest
from google.protobuf import text_format

from minidl import pycaffe as caffe
from minidl.pycaffe import layers as L
from minidl.pycaffe import params as P

caffe_pb2 = caffe.proto.caffe_pb2


@pytest.fixture(autouse=True)
def as_imported(monkeypatch, tmp_path):
    """As `import minidl.caffe` leaves a process, in a folder of its own."""
    monkeypatch.setenv("MINIDL_ALLOW_PYTHON", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    caffe.set_random_seed(5)
    yield
    caffe.set_random_seed(None)


def write(name, text):
    with open(name, "w") as file:
        file.write(str(text))
    return name


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# ------------------------------------------------------------------------------- Caffe's notebooks


def small_lenet(batch_size):
    n = caffe.NetSpec()
    n.data, n.label = L.DummyData(
        shape=[dict(dim=[batch_size, 1, 12, 12]), dict(dim=[batch_size])],
        data_filler=[dict(type="gaussian"), dict(type="constant", value=1)],
        ntop=2,
    )
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=4, weight_filler=dict(type="xavier"))
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.relu1 = L.ReLU(n.pool1, in_place=True)
    n.score = L.InnerProduct(n.relu1, num_output=3, weight_filler=dict(type="xavier"))
    n.loss = L.SoftmaxWithLoss(n.score, n.label)
    return n.to_proto()


def test_learning_lenet_its_solver_a_message_its_loop_the_programs():
    s = caffe_pb2.SolverParameter()
    s.random_seed = 0xCAFFE
    s.train_net = write("train.prototxt", small_lenet(8))
    s.test_net.append(write("test.prototxt", small_lenet(4)))
    s.test_interval, s.max_iter, s.type = 500, 100, "SGD"
    s.test_iter.append(2)
    s.base_lr, s.momentum, s.weight_decay = 0.05, 0.9, 5e-4
    s.lr_policy, s.gamma, s.power = "inv", 0.0001, 0.75
    s.snapshot, s.snapshot_prefix = 5000, "custom"
    s.solver_mode = caffe_pb2.SolverParameter.GPU
    solver = caffe.get_solver(write("solver.prototxt", s))
    assert [(k, v[0].data.shape) for k, v in solver.net.params.items()] == [
        ("conv1", (4, 1, 5, 5)),
        ("score", (3, 64)),
    ]
    train_loss = np.zeros(20)
    for it in range(20):
        solver.step(1)
        train_loss[it] = solver.net.blobs["loss"].data
        solver.test_nets[0].forward(start="conv1")
    assert train_loss[-1] < 0.2 < train_loss[0]
    assert (solver.test_nets[0].blobs["score"].data.argmax(1) == 1).mean() > 0.5
    assert solver.net.params["conv1"][0].diff[:, 0].any()
    solver.snapshot()
    again = caffe.get_solver("solver.prototxt")
    again.restore("custom_iter_20.solverstate")
    assert again.iter == 20


def test_surgery_on_weights():
    """The filters of a net are set by hand; its fully connected layer becomes a convolution."""
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 1, 6, 6]))
    n.conv = L.Convolution(n.data, num_output=2, kernel_size=3)
    fully, conv = caffe.NetSpec(), caffe.NetSpec()
    fully.data, fully.conv = n.data, n.conv
    fully.fc = L.InnerProduct(fully.conv, num_output=3, weight_filler=dict(type="xavier"))
    conv.data, conv.conv = n.data, n.conv
    conv["fc-conv"] = L.Convolution(conv.conv, num_output=3, kernel_size=4)
    net = caffe.Net(write("fc.prototxt", fully.to_proto()), caffe.TEST)
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
    net.params["conv"][0].data[0] = sobel
    net.params["conv"][0].data[1:] = sobel.T
    net.params["conv"][1].data[0] = 1.0
    net.save("fc.caffemodel")
    wide = caffe.Net(write("conv.prototxt", conv.to_proto()), "fc.caffemodel", caffe.TEST)
    wide.params["fc-conv"][0].data.flat = net.params["fc"][0].data.flat
    wide.params["fc-conv"][1].data[...] = net.params["fc"][1].data
    image = random(1, 1, 8, 7)
    wide.blobs["data"].reshape(*image.shape)
    wide.blobs["data"].data[...] = image
    maps = wide.forward()["fc-conv"]
    assert maps.shape == (1, 3, 3, 2)
    for y, x in np.ndindex(3, 2):
        out = net.forward(data=image[:, :, y : y + 6, x : x + 6])
        np.testing.assert_allclose(maps[0, :, y, x], out["fc"][0], rtol=1e-4, atol=1e-5)


MULTILABEL = """
import caffe, numpy as np

class Sync(caffe.Layer):
    def setup(self, bottom, top):
        params = eval(self.param_str)
        self.batch_size, self.count = params["batch_size"], 0
        top[0].reshape(self.batch_size, 3, *params["im_shape"])
        top[1].reshape(self.batch_size, 5)

    def forward(self, bottom, top):
        for i in range(self.batch_size):
            top[0].data[i, ...] = self.count
            top[1].data[i, ...] = np.arange(5) == self.count % 5
            self.count += 1

    def reshape(self, bottom, top): pass
    def backward(self, top, propagate_down, bottom): pass
"""


def test_several_labels_from_a_data_layer_of_ones_own():
    write("datalayers.py", MULTILABEL)
    n = caffe.NetSpec()
    options = dict(batch_size=5, im_shape=[4, 4])
    n.data, n.label = L.Python(module="datalayers", layer="Sync", ntop=2, param_str=str(options))
    n.score = L.InnerProduct(n.data, num_output=5)
    n.loss = L.SigmoidCrossEntropyLoss(n.score, n.label)
    path = write("net.prototxt", n.to_proto())
    solver = caffe.SGDSolver(
        write("solver.prototxt", f'net: "{path}" base_lr: 0.01 lr_policy: "fixed" test_iter: 1 '
              'test_interval: 9 max_iter: 9 snapshot: 0 snapshot_prefix: "s"')
    )  # fmt: skip
    solver.test_nets[0].share_with(solver.net)
    solver.step(2)
    np.testing.assert_array_equal(solver.net.blobs["label"].data, np.eye(5))
    np.testing.assert_array_equal(solver.net.blobs["data"].data[:, 0, 0, 0], np.arange(5, 10))
    assert solver.net.layers[0].count == 10


# --------------------------------------------------------------------------------------- deepdream


def test_a_dream_makes_a_layer_louder_by_its_own_activations():
    """The gradient of half the sum of squares of a layer is the layer itself."""
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 3, 9, 9]))
    n.conv = L.Convolution(n.data, num_output=4, kernel_size=3, weight_filler=dict(type="msra"))
    n.relu = L.ReLU(n.conv, in_place=True)
    n.pool = L.Pooling(n.relu, kernel_size=2, stride=2, pool=P.Pooling.AVE)
    n.out = L.InnerProduct(n.pool, num_output=2)
    model = caffe_pb2.NetParameter()
    text_format.Merge(str(n.to_proto()), model)
    model.force_backward = True
    net = caffe.Classifier(
        write("tmp.prototxt", model), None, mean=np.array([1.0, 2, 3]), channel_swap=(2, 1, 0)
    )
    end, src = "pool", net.blobs["data"]
    src.data[0] = random(3, 9, 9)
    energy = []
    for _ in range(4):
        net.forward(end=end)
        dst = net.blobs[end]
        dst.diff[:] = dst.data
        energy.append(float((dst.data.astype(float) ** 2).sum()) / 2)
        before = src.data[0].copy()
        net.backward(start=end)
        step = np.zeros_like(before)
        step[1, 4, 4] = 1e-2
        slope = src.diff[0, 1, 4, 4]
        src.data[0] = before + step
        net.forward(end=end)
        difference = float((dst.data.astype(float) ** 2).sum()) / 2 - energy[-1]
        assert difference == pytest.approx(slope * 1e-2, rel=0.1, abs=2e-4)
        g = src.diff[0]
        src.data[0] = before + 0.5 / np.abs(g).mean() * g * 0.05
    assert energy == sorted(energy) and energy[-1] > 1.1 * energy[0]


def test_saliency_by_the_gradient_of_one_score():
    net = caffe.Net(
        'force_backward: true layer { name: "in" type: "Input" top: "x" input_param { shape { '
        'dim: 1 dim: 4 } } } layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" '
        'inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }',
        caffe.TEST,
    )
    net.forward(x=random(1, 4))
    one = np.zeros_like(net.blobs["y"].data)
    one[0, 2] = 1
    gradient = net.backward(y=one)["x"]
    np.testing.assert_allclose(gradient[0], net.params["ip"][0].data[2], rtol=1e-6)


# --------------------------------------------------------------------------------------------- FCN

SEGMENTS = """
import caffe, numpy as np

class Segments(caffe.Layer):
    def setup(self, bottom, top):
        params = eval(self.param_str)
        if len(top) != 2:
            raise Exception("Need to define two tops: data and label.")
        self.sizes, self.idx = params["sizes"], 0

    def reshape(self, bottom, top):
        h, w = self.sizes[self.idx]
        self.data = np.full((2, h, w), self.idx, np.float32)
        self.label = (np.arange(h * w).reshape(1, h, w) % 3).astype(np.uint8)
        top[0].reshape(1, *self.data.shape)
        top[1].reshape(1, *self.label.shape)

    def forward(self, bottom, top):
        top[0].data[...] = self.data
        top[1].data[...] = self.label
        self.idx = (self.idx + 1) % len(self.sizes)

    def backward(self, top, propagate_down, bottom): pass
"""
SIZES = [(12, 10), (9, 16), (9, 16), (11, 11)]


def test_a_fully_convolutional_net_follows_every_image():
    write("segments.py", SEGMENTS)
    n = caffe.NetSpec()
    n.data, n.label = L.Python(
        module="segments", layer="Segments", ntop=2, param_str=str(dict(sizes=SIZES))
    )
    n.conv = L.Convolution(n.data, num_output=3, kernel_size=4, pad=4, stride=2,
                           weight_filler=dict(type="xavier"))  # fmt: skip
    n.score = L.Dropout(n.conv, dropout_ratio=0.5, in_place=True)
    n.upscore = L.Deconvolution(
        n.score,
        convolution_param=dict(num_output=3, kernel_size=4, stride=2, bias_term=False),
        param=[dict(lr_mult=0)],
    )
    n.cut = caffe.coord_map.crop(n.upscore, n.data)
    n.loss = L.SoftmaxWithLoss(n.cut, n.label, loss_param=dict(normalize=False, ignore_label=255))
    path = write("net.prototxt", n.to_proto())
    solver = caffe.SGDSolver(
        write("solver.prototxt", f'train_net: "{path}" test_net: "{path}" test_iter: 4 '
              'test_interval: 999 base_lr: 1e-4 lr_policy: "fixed" max_iter: 9 snapshot: 0 '
              'random_seed: 3 snapshot_prefix: "s" test_initialization: false')
    )  # fmt: skip
    for layer in [name for name in solver.net.params if "up" in name]:
        m, k, h, w = solver.net.params[layer][0].data.shape
        corner = 1 - abs(np.arange(4) - 1.5) / 2
        solver.net.params[layer][0].data[range(m), range(k), :, :] = np.outer(corner, corner)
    for size in SIZES:
        solver.step(1)
        assert solver.net.blobs["cut"].data.shape == (1, 3, *size)
    test_net = solver.test_nets[0]
    test_net.share_with(solver.net)
    hist = np.zeros((3, 3))
    for _ in SIZES:
        test_net.forward()
        gt = test_net.blobs["label"].data[0, 0].flatten().astype(int)
        out = test_net.blobs["cut"].data[0].argmax(0).flatten()
        hist += np.bincount(3 * gt + out, minlength=9).reshape(3, 3)
    assert hist.sum() == sum(h * w for h, w in SIZES)
    assert test_net.blobs["loss"].data.flat[0] > 0


# -------------------------------------------------------------------------- Faster R-CNN's training

RCNN = """
import caffe, numpy as np

class Images(caffe.Layer):
    def setup(self, bottom, top):
        top[0].reshape(1, 1, 16, 16)
        top[1].reshape(1, 3)

    def set_roidb(self, roidb):
        self._roidb, self._next = roidb, 0

    def reshape(self, bottom, top): pass

    def forward(self, bottom, top):
        image = self._roidb[self._next % len(self._roidb)]
        self._next += 1
        for index, blob in enumerate((image[None, None], np.array([[*image.shape, 1.0]]))):
            top[index].reshape(*blob.shape)
            top[index].data[...] = blob.astype(np.float32, copy=False)

    def backward(self, top, propagate_down, bottom): pass

class Anchors(caffe.Layer):
    def setup(self, bottom, top):
        height, width = bottom[0].data.shape[-2:]
        top[0].reshape(1, 1, height, width)

    def reshape(self, bottom, top): pass

    def forward(self, bottom, top):
        height, width = bottom[0].data.shape[-2:]
        top[0].reshape(1, 1, height, width)
        top[0].data[...] = np.arange(height * width).reshape(height, width) % 2

    def backward(self, top, propagate_down, bottom): pass

class Proposals(caffe.Layer):
    def setup(self, bottom, top):
        top[0].reshape(1, 5)
        top[1].reshape(1)
        self.key = str(self.phase)

    def reshape(self, bottom, top): pass

    def forward(self, bottom, top):
        height, width = bottom[1].data[0, :2]
        count = int(height) // 4
        rois = np.array([[0, i, i, width - 1, height - 1] for i in range(count)], np.float32)
        labels = np.arange(count) % 3
        top[0].reshape(*rois.shape)
        top[0].data[...] = rois
        if self.key == "TRAIN":
            top[1].reshape(*labels.shape)
            top[1].data[...] = labels

    def backward(self, top, propagate_down, bottom): pass
"""
PYTHON = 'type: "Python" python_param {{ module: "rcnn_layers" layer: "{}" }}'
BODY = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {
  num_output: 4 kernel_size: 3 pad: 1 stride: 2 weight_filler { type: "msra" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "rpn" type: "Convolution" bottom: "conv" top: "rpn" convolution_param {
  num_output: 2 kernel_size: 1 weight_filler { type: "gaussian" std: 0.1 } } }
%s
layer { name: "pool" type: "ROIPooling" bottom: "conv" bottom: "rois" top: "pool"
  roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.5 } }
layer { name: "score" type: "InnerProduct" bottom: "pool" top: "score"
  inner_product_param { num_output: 3 weight_filler { type: "gaussian" std: 0.1 } } }
"""
ANCHORS = f"""layer {{ name: "rpn-data" bottom: "rpn" bottom: "im_info" top: "rpn_labels"
  {PYTHON.format("Anchors")} }}"""
RPN_LOSS = """layer { name: "rpn_loss" type: "SoftmaxWithLoss" bottom: "rpn" bottom: "rpn_labels"
  top: "rpn_loss" propagate_down: 1 propagate_down: 0 loss_weight: 1 }"""
PROPOSALS = f"""layer {{ name: "proposal" bottom: "rpn" bottom: "im_info" top: "rois" top: "labels"
  {PYTHON.format("Proposals")} }}"""
HEAD_LOSS = """layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "labels"
  top: "loss" propagate_down: 1 propagate_down: 0 }"""
TRAIN = (
    f'layer {{ name: "input-data" top: "data" top: "im_info" {PYTHON.format("Images")} }}'
    + BODY % (ANCHORS + RPN_LOSS + PROPOSALS)
    + HEAD_LOSS
)


def known_net(image, rois, labels, rpn_labels):
    """The same net without Python, for the shapes of one image."""

    def source(name, array):
        dims = " ".join(f"dim: {size}" for size in array.shape)
        return (
            f'layer {{ name: "{name}" type: "Input" top: "{name}" '
            f"input_param {{ shape {{ {dims} }} }} }}"
        )

    given = dict(data=image, rois=rois, labels=labels, rpn_labels=rpn_labels)
    text = "".join(source(name, array) for name, array in given.items())
    return caffe.Net(text + BODY % RPN_LOSS + HEAD_LOSS, caffe.TRAIN), given


IMAGES = [random(*size, seed=i) for i, size in enumerate([(16, 12), (24, 17), (12, 30), (12, 30)])]


def test_regions_are_proposed_and_trained_on_within_a_pass():
    write("rcnn_layers.py", RCNN)
    train = write("train.prototxt", TRAIN)
    solver = caffe.SGDSolver(
        write("solver.prototxt", f'train_net: "{train}" base_lr: 0.1 lr_policy: "fixed" '
              'momentum: 0.9 random_seed: 3 display: 20 snapshot: 0 snapshot_prefix: "small"')
    )  # fmt: skip
    solver_param = caffe_pb2.SolverParameter()
    with open("solver.prototxt") as f:
        text_format.Merge(f.read(), solver_param)
    solver.net.layers[0].set_roidb(IMAGES)
    net = solver.net
    for i, image in enumerate(IMAGES):
        net.layers[0]._next = i
        net.clear_param_diffs()
        net.forward()
        blobs = {name: net.blobs[name].data.copy() for name in ("rois", "labels", "rpn_labels")}
        assert blobs["rois"].shape == (image.shape[0] // 4, 5)
        assert blobs["rpn_labels"].shape == (1, 1, *(-(-side // 2) for side in image.shape))
        known, given = known_net(image[None, None], **blobs)
        for name in known.params:
            for mine, theirs in zip(known.params[name], net.params[name], strict=True):
                mine.data[...] = theirs.data
        known.forward(**given)
        for loss in ("rpn_loss", "loss"):
            assert net.blobs[loss].data == pytest.approx(known.blobs[loss].data, rel=1e-5)
        net.backward()
        known.backward()
        for name in known.params:
            for mine, theirs in zip(net.params[name], known.params[name], strict=True):
                np.testing.assert_allclose(mine.diff, theirs.diff, rtol=1e-3, atol=1e-6)
        solver.step(1)
        assert solver.iter == i + 1
    net.params["score"][0].data[...] = net.params["score"][0].data * np.ones(3)[:, np.newaxis]
    net.save(f"{solver_param.snapshot_prefix}_iter_{solver.iter:d}.caffemodel")

    test = (
        """input: "data" input_shape { dim: 1 dim: 1 dim: 16 dim: 16 }
    input: "im_info" input_shape { dim: 1 dim: 3 }"""
        + BODY % PROPOSALS
    )
    detect = caffe.Net(write("test.prototxt", test), "small_iter_4.caffemodel", caffe.TEST)
    for image in IMAGES:
        blobs = dict(data=image[None, None], im_info=np.array([[*image.shape, 1.0]], np.float32))
        for name, blob in blobs.items():
            detect.blobs[name].reshape(*blob.shape)
        forward_kwargs = {name: blob.astype(np.float32, copy=False) for name, blob in blobs.items()}
        scores = detect.forward(**forward_kwargs)["score"]
        assert len(scores) == len(detect.blobs["rois"].data) == image.shape[0] // 4
        assert np.isfinite(scores).all()


# ------------------------------------------------------------------------------------------- DIGITS


def test_a_job_of_digits_is_made_run_and_read():
    """Layers by their phases, a solver of text, a deploy net of the training net's message."""
    network = caffe_pb2.NetParameter()
    text_format.Merge(
        """
layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 4 dim: 1 dim: 5 dim: 5 } shape { dim: 4 } } }
layer { name: "scaled" type: "Power" bottom: "data" top: "scaled" power_param { scale: 0.0125 } }
layer { name: "ip" type: "InnerProduct" bottom: "scaled" top: "ip" inner_product_param {
  weight_filler { type: "xavier" } } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy"
  include { stage: "val" } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss"
  exclude { stage: "deploy" } }
layer { name: "softmax" type: "Softmax" bottom: "ip" top: "softmax" include { stage: "deploy" } }
""",
        network,
    )
    ip = next(layer for layer in network.layer if layer.type == "InnerProduct")
    assert not ip.inner_product_param.HasField("num_output")
    ip.inner_product_param.num_output = 3
    write("train_val.prototxt", text_format.MessageToString(network))
    deploy = caffe_pb2.NetParameter()
    deploy.CopyFrom(network)
    deploy.layer.remove(deploy.layer[0])
    data = deploy.layer.add()
    data.CopyFrom(caffe_pb2.LayerParameter(name="data", type="Input", top=["data"]))
    data.input_param.shape.add(dim=[1, 1, 5, 5])
    ordered = [deploy.layer[-1], *deploy.layer[:-1]]
    deploy = caffe_pb2.NetParameter(layer=ordered)
    deploy.state.phase, deploy.state.stage[:] = caffe_pb2.TEST, ["deploy"]
    write("deploy.prototxt", deploy)
    solver = caffe_pb2.SolverParameter(net="train_val.prototxt", max_iter=4, base_lr=0.1)
    solver.test_iter.append(1)
    solver.test_interval, solver.lr_policy, solver.snapshot_prefix = 2, "fixed", "snapshot"
    solver.snapshot, solver.display, solver.random_seed = 2, 1, 7
    solver.test_state.add().stage.append("val")
    solver.solver_mode = caffe_pb2.SolverParameter.CPU
    caffe.get_solver(write("solver.prototxt", solver)).solve()
    net = caffe.Net("deploy.prototxt", "snapshot_iter_4.caffemodel", caffe.TEST)
    transformer = caffe.io.Transformer(inputs={"data": net.blobs["data"].data.shape})
    transformer.set_transpose("data", (2, 0, 1))
    for index, image in enumerate([np.full((5, 5, 1), 3.0)]):
        net.blobs["data"].data[index] = transformer.preprocess("data", image)
    scores = net.forward()[net.outputs[-1]]
    weights, bias = (param.data for param in net.params["ip"])
    logits = weights.sum(axis=1) * 3 * 0.0125 + bias
    np.testing.assert_allclose(scores[0], np.exp(logits) / np.exp(logits).sum(), rtol=1e-5)
