"""VGG-16: thirteen convolutions of 3 x 3, three inner products (Simonyan & Zisserman 2014, D)."""

from zoo.writing.build import Net

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def vgg16(training: bool) -> Net:
    net = Net("VGG-16", training)
    small = dict(type="gaussian", std=0.005)
    x = net.images(224, (64, 25))
    for i, (channels, count) in enumerate(STAGES, 1):
        for j in range(1, count + 1):
            x = net.conv(f"conv{i}_{j}", x, channels, 3, pad=1)
            net.relu(f"relu{i}_{j}", x)
        x = net.pool(f"pool{i}", x, "MAX", 2, 2)
    for i in (6, 7):
        x = net.fc(f"fc{i}", x, 4096, weight=small, start=0.1)
        net.relu(f"relu{i}", x)
        net.dropout(f"drop{i}", x)
    net.classes(net.fc("fc8", x, 1000, weight=dict(type="gaussian", std=0.01)))
    return net
