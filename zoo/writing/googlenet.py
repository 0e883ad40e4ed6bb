"""GoogLeNet: nine inception modules, two side losses (Szegedy et al. 2014)."""

from minidl import schema
from minidl.spec import layers as L
from zoo.writing.build import Net

XAVIER = dict(type="xavier")

# 1 x 1; 3 x 3 after 1 x 1; 5 x 5 after 1 x 1; 1 x 1 after pooling: their channels (table 1)
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
SIDE = {"4a": "loss1", "4d": "loss2"}


def googlenet(training: bool) -> Net:
    net = Net("GoogLeNet", training)

    def conv(name, x, outputs, kernel, **geometry):
        x = net.conv(name, x, outputs, kernel, weight=XAVIER, start=0.2, **geometry)
        head, _, last = name.rpartition("/")
        net.relu(f"{head}/relu_{last}", x)
        return x

    def lrn(name, x):
        return net.add(name, L.LRN(x, local_size=5, alpha=1e-4, beta=0.75))

    x = conv("conv1/7x7_s2", net.images(224, (32, 50)), 64, 7, stride=2, pad=3)
    x = lrn("pool1/norm1", net.pool("pool1/3x3_s2", x, "MAX", 3, 2))
    x = conv("conv2/3x3", conv("conv2/3x3_reduce", x, 64, 1), 192, 3, pad=1)
    x = net.pool("pool2/3x3_s2", lrn("conv2/norm2", x), "MAX", 3, 2)
    for name, (one, reduce3, three, reduce5, five, pooled) in MODULES.items():
        head = f"inception_{name}"
        by_one = conv(f"{head}/1x1", x, one, 1)
        by_three = conv(f"{head}/3x3", conv(f"{head}/3x3_reduce", x, reduce3, 1), three, 3, pad=1)
        by_five = conv(f"{head}/5x5", conv(f"{head}/5x5_reduce", x, reduce5, 1), five, 5, pad=2)
        maximum = net.pool(f"{head}/pool", x, "MAX", 3, 1, pad=1)
        by_pool = conv(f"{head}/pool_proj", maximum, pooled, 1)
        x = net.add(f"{head}/output", L.Concat(by_one, by_three, by_five, by_pool))
        if training and name in SIDE:
            _side_loss(net, SIDE[name], x, conv)
        if name in ("3b", "4e"):
            x = net.pool(f"pool{name[0]}/3x3_s2", x, "MAX", 3, 2)
    x = net.pool("pool5/7x7_s1", x, "AVE", 7, 1)
    net.dropout("pool5/drop_7x7_s1", x, 0.4)
    scores = net.fc("loss3/classifier", x, 1000, weight=XAVIER)
    if not training:
        net.add("prob", L.Softmax(scores))
        return net
    _losses(net, "loss3", "loss3/loss3", scores, 1.0)
    return net


def _side_loss(net, name, x, conv):
    x = conv(f"{name}/conv", net.pool(f"{name}/ave_pool", x, "AVE", 5, 3), 128, 1)
    x = net.fc(f"{name}/fc", x, 1024, weight=XAVIER, start=0.2)
    net.relu(f"{name}/relu_fc", x)
    net.dropout(f"{name}/drop_fc", x, 0.7)
    scores = net.fc(f"{name}/classifier", x, 1000, weight=XAVIER)
    _losses(net, name, f"{name}/{name}", scores, 0.3)


def _losses(net, name, top, scores, weight):
    label, test = net.spec["label"], dict(phase=schema.TEST)
    net.add(f"{top}", L.SoftmaxWithLoss(scores, label, loss_weight=weight))
    net.add(f"{name}/top-1", L.Accuracy(scores, label, include=test))
    net.add(f"{name}/top-5", L.Accuracy(scores, label, top_k=5, include=test))
