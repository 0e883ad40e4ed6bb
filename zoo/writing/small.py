"""Small pictures: Caffe's two nets for CIFAR-10, and the autoencoder of handwritten digits."""

from minidl import schema
from minidl.spec import layers as L
from zoo.writing.build import Net


def _records(net, name, scale, shape, batches, label=True, mean=None):
    net.record = shape
    if not net.training:
        return net.add("data", L.Input(shape=dict(dim=[batches[1], *shape])))
    tops = ["data", "label"] if label else ["data"]
    for phase, batch, folder in (("TRAIN", batches[0], "train"), ("TEST", batches[1], "test")):
        transform = {"scale": scale} if scale != 1 else {}
        transform |= {"mean_file": mean} if mean else {}
        keywords = dict(
            name="data",
            include=dict(phase=getattr(schema, phase)),
            data_param=dict(source=f"data/{name}/{folder}_lmdb", backend=1, batch_size=batch),
            **({"transform_param": transform} if transform else {}),
        )
        if phase == "TEST":
            net.add("data (test)", L.Data(ntop=0, top=tops, **keywords))
            continue
        made = L.Data(ntop=len(tops), **keywords)
        for top, value in zip(tops, made if label else [made], strict=True):
            net.add(top, value)
    return net.spec["data"]


def cifar10_quick(training: bool) -> Net:
    net = Net("CIFAR-10 quick", training)
    mean = "data/cifar10/mean.binaryproto"
    x = _records(net, "cifar10", 1, (3, 32, 32), (100, 100), mean=mean)
    x = net.conv("conv1", x, 32, 5, pad=2, weight=dict(type="gaussian", std=0.0001))
    x = net.relu("relu1", net.pool("pool1", x, "MAX", 3, 2))
    for i, outputs in ((2, 32), (3, 64)):
        x = net.conv(f"conv{i}", x, outputs, 5, pad=2, weight=dict(type="gaussian", std=0.01))
        x = net.pool(f"pool{i}", net.relu(f"relu{i}", x), "AVE", 3, 2)
    x = net.fc("ip1", x, 64, weight=dict(type="gaussian", std=0.1))
    net.classes(net.fc("ip2", x, 10, weight=dict(type="gaussian", std=0.1)), top_5=False)
    return net


def cifar10_full(training: bool) -> Net:
    net = Net("CIFAR-10 full", training)
    mean = "data/cifar10/mean.binaryproto"
    x = _records(net, "cifar10", 1, (3, 32, 32), (100, 100), mean=mean)

    def norm(i, x):
        region = dict(local_size=3, alpha=5e-5, beta=0.75, norm_region=1)
        return net.add(f"norm{i}", L.LRN(x, **region))

    x = net.conv("conv1", x, 32, 5, pad=2, weight=dict(type="gaussian", std=0.0001))
    x = norm(1, net.relu("relu1", net.pool("pool1", x, "MAX", 3, 2)))
    x = net.conv("conv2", x, 32, 5, pad=2, weight=dict(type="gaussian", std=0.01))
    x = norm(2, net.pool("pool2", net.relu("relu2", x), "AVE", 3, 2))
    x = net.conv("conv3", x, 64, 5, pad=2, weight=dict(type="gaussian", std=0.01))
    x = net.pool("pool3", net.relu("relu3", x), "AVE", 3, 2)
    x = net.fc("ip1", x, 10, weight=dict(type="gaussian", std=0.01))
    net.classes(x, top_5=False)
    return net


def autoencoder(training: bool) -> Net:
    """784 - 1000 - 500 - 250 - 30 and back (Hinton & Salakhutdinov 2006)."""
    net = Net("MNIST autoencoder", training)
    x = _records(net, "mnist", 0.0039215684, (1, 28, 28), (100, 100), label=False)
    flat = net.add("flatdata", L.Flatten(x))
    x, sizes = flat, (1000, 500, 250, 30)
    sparse = dict(type="gaussian", std=1, sparse=15)
    for i, size in enumerate(sizes, 1):
        x = net.fc(f"encode{i}", x, size, weight=sparse)
        if i < len(sizes):
            x = net.add(f"encode{i}neuron", L.Sigmoid(x))
    for i, size in zip((4, 3, 2, 1), (250, 500, 1000, 784), strict=True):
        x = net.fc(f"decode{i}", x, size, weight=sparse)
        if i > 1:
            x = net.add(f"decode{i}neuron", L.Sigmoid(x))
    out = net.add("decode1neuron", L.Sigmoid(x))
    if training:
        loss = L.SigmoidCrossEntropyLoss(x, flat, loss_weight=1)
        net.add("cross_entropy_loss", loss)
        net.add("l2_error", L.EuclideanLoss(out, flat, loss_weight=0))
    return net
