"""Residual nets (He, Zhang, Ren & Sun 2015), with the layer names of the authors' own files."""

from minidl.spec import layers as L
from zoo.writing.build import Net

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}


def resnet(depth: int, training: bool) -> Net:
    net = Net(f"ResNet-{depth}", training)
    bottleneck = depth >= 50

    def conv(suffix, x, outputs, kernel, stride=1):
        """A convolution without biases, normalised: 'res2a_branch1' with 'bn2a_branch1', ..."""
        name = suffix if suffix == "conv1" else f"res{suffix}"
        x = net.conv(name, x, outputs, kernel, stride, pad=kernel // 2, bias=False)
        names = (
            ("bn_conv1", "scale_conv1") if suffix == "conv1" else (f"bn{suffix}", f"scale{suffix}")
        )
        net.norm(names, x)
        return net.spec[names[1]]

    def relu(name, x):
        return net.relu(name, x)

    def block(name, x, channels, stride, projects):
        shortcut = (
            conv(f"{name}_branch1", x, channels * (4 if bottleneck else 1), 1, stride)
            if projects
            else x
        )
        if (
            bottleneck
        ):  # 1 x 1, 3 x 3, 1 x 1; the stride is the first one's, as in the authors' files
            parts = (
                ("2a", channels, 1, stride),
                ("2b", channels, 3, 1),
                ("2c", 4 * channels, 1, 1),
            )
        else:
            parts = (("2a", channels, 3, stride), ("2b", channels, 3, 1))
        for i, (part, outputs, kernel, step) in enumerate(parts):
            x = conv(f"{name}_branch{part}", x, outputs, kernel, step)
            if i < len(parts) - 1:
                x = relu(f"res{name}_branch{part}_relu", x)
        total = net.add(f"res{name}", L.Eltwise(shortcut, x))
        return relu(f"res{name}_relu", total)

    x = relu("conv1_relu", conv("conv1", net.images(224, (32, 25)), 64, 7, 2))
    x = net.pool("pool1", x, "MAX", 3, 2)
    for stage, count in enumerate(BLOCKS[depth], 2):
        for i in range(count):
            stride = 2 if stage > 2 and i == 0 else 1
            projects = i == 0 and (bottleneck or stage > 2)
            x = block(f"{stage}{chr(ord('a') + i)}", x, 64 << (stage - 2), stride, projects)
    net.classes(net.fc("fc1000", net.pool("pool5", x, "AVE"), 1000))
    return net
