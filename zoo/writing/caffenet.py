"""CaffeNet: AlexNet with pooling before normalisation (BVLC's reference model)."""

from minidl.spec import layers as L
from zoo.writing.build import Net


def caffenet(training: bool) -> Net:
    net = Net("CaffeNet", training)
    x = net.images(227, (256, 50))

    def conv(number, x, outputs, kernel, start, **geometry):
        weight = dict(type="gaussian", std=0.01)
        x = net.conv(f"conv{number}", x, outputs, kernel, weight=weight, start=start, **geometry)
        net.relu(f"relu{number}", x)
        return x

    def pooled_and_normalised(number, x):
        x = net.pool(f"pool{number}", x, "MAX", 3, 2)
        return net.add(f"norm{number}", L.LRN(x, local_size=5, alpha=1e-4, beta=0.75))

    x = pooled_and_normalised(1, conv(1, x, 96, 11, 0, stride=4))
    x = pooled_and_normalised(2, conv(2, x, 256, 5, 1, pad=2, group=2))
    x = conv(3, x, 384, 3, 0, pad=1)
    x = conv(4, x, 384, 3, 1, pad=1, group=2)
    x = net.pool("pool5", conv(5, x, 256, 3, 1, pad=1, group=2), "MAX", 3, 2)
    for number in (6, 7):
        x = net.fc(f"fc{number}", x, 4096, weight=dict(type="gaussian", std=0.005), start=1)
        net.relu(f"relu{number}", x)
        net.dropout(f"drop{number}", x)
    net.classes(net.fc("fc8", x, 1000, weight=dict(type="gaussian", std=0.01)))
    return net
