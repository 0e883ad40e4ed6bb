"""MobileNet v1: convolutions parted into one by channel and one by place (Howard et al. 2017)."""

from zoo.writing.build import Net

# channels of the pointwise convolution, stride of the depthwise one before it (table 1)
PAIRS = {
    "2_1": (64, 1), "2_2": (128, 2), "3_1": (128, 1), "3_2": (256, 2), "4_1": (256, 1),
    "4_2": (512, 2), "5_1": (512, 1), "5_2": (512, 1), "5_3": (512, 1), "5_4": (512, 1),
    "5_5": (512, 1), "5_6": (1024, 2), "6": (1024, 1),
}  # fmt: skip


def mobilenet(training: bool) -> Net:
    net = Net("MobileNet", training)

    def conv(name, x, outputs, kernel, stride=1, group=1):
        x = net.conv(name, x, outputs, kernel, stride, pad=kernel // 2, group=group, bias=False)
        x = net.norm((f"{name}/bn", f"{name}/scale"), x)
        return net.relu(f"relu{name[4:]}", x)

    channels = 32
    x = conv("conv1", net.images(224, (64, 25), scale=0.017), channels, 3, 2)
    for name, (outputs, stride) in PAIRS.items():
        x = conv(f"conv{name}/dw", x, channels, 3, stride, group=channels)
        x = conv(f"conv{name}/sep", x, outputs, 1)
        channels = outputs
    x = net.pool("pool6", x, "AVE")
    net.classes(net.conv("fc7", x, 1000, 1))
    return net
