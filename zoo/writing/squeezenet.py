"""SqueezeNet 1.0: eight fire modules and no inner product (Iandola et al. 2016)."""

from minidl.spec import layers as L
from zoo.writing.build import Net

# squeeze, expand (as many by 1 x 1 as by 3 x 3); pooling after modules 4 and 8
FIRES = {
    2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128),
    6: (48, 192), 7: (48, 192), 8: (64, 256), 9: (64, 256),
}  # fmt: skip
XAVIER = dict(type="xavier")


def squeezenet(training: bool) -> Net:
    net = Net("SqueezeNet 1.0", training)

    def conv(name, relu, x, outputs, kernel, weight=XAVIER, **geometry):
        x = net.conv(name, x, outputs, kernel, weight=weight, **geometry)
        net.relu(relu, x)
        return x

    x = conv("conv1", "relu_conv1", net.images(227, (32, 25)), 96, 7, stride=2)
    x = net.pool("pool1", x, "MAX", 3, 2)
    for i, (squeeze, expand) in FIRES.items():
        head = f"fire{i}"
        x = conv(f"{head}/squeeze1x1", f"{head}/relu_squeeze1x1", x, squeeze, 1)
        sides = [
            conv(f"{head}/expand{k}x{k}", f"{head}/relu_expand{k}x{k}", x, expand, k, pad=k // 2)
            for k in (1, 3)
        ]
        x = net.add(f"{head}/concat", L.Concat(*sides))
        if i in (4, 8):
            x = net.pool(f"pool{i}", x, "MAX", 3, 2)
    net.dropout("drop9", x)
    x = conv("conv10", "relu_conv10", x, 1000, 1, weight=dict(type="gaussian", std=0.01), pad=1)
    net.classes(net.pool("pool10", x, "AVE"))
    return net
