"""The nets in PyTorch, as one writes them there. Modules bear the layer names of the prototxt.

Caffe's conventions, so that these are the same nets: pooled sizes are rounded up (`ceil_mode`),
and LRN divides alpha by the size of its window, as `nn.LocalResponseNorm` does, too.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from benchmarks import nets
from benchmarks.contenders import torch_layers


def made(name: str) -> nn.Module:
    """The net of this name; those with BatchNorm from their layers."""
    if name in nets.NORMALISED:
        return torch_layers.Layers(nets.deploy_net(name, 1))
    return globals()[name]()


def lenet() -> nn.Module:
    """1 x 28 x 28 to 10 scores."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 20, 5),
            pool1=nn.MaxPool2d(2, 2),
            conv2=nn.Conv2d(20, 50, 5),
            pool2=nn.MaxPool2d(2, 2),
            flat=nn.Flatten(),
            ip1=nn.Linear(800, 500),
            relu1=nn.ReLU(inplace=True),
            ip2=nn.Linear(500, 10),
        )
    )


def alexnet(dropout: float = 0.5) -> nn.Module:
    """3 x 227 x 227 to 1000 scores."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 96, 11, stride=4),
            relu1=nn.ReLU(inplace=True),
            norm1=nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0),
            pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
            conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2),
            relu2=nn.ReLU(inplace=True),
            norm2=nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0),
            pool2=nn.MaxPool2d(3, 2, ceil_mode=True),
            conv3=nn.Conv2d(256, 384, 3, padding=1),
            relu3=nn.ReLU(inplace=True),
            conv4=nn.Conv2d(384, 384, 3, padding=1, groups=2),
            relu4=nn.ReLU(inplace=True),
            conv5=nn.Conv2d(384, 256, 3, padding=1, groups=2),
            relu5=nn.ReLU(inplace=True),
            pool5=nn.MaxPool2d(3, 2, ceil_mode=True),
            flat=nn.Flatten(),
            fc6=nn.Linear(9216, 4096),
            relu6=nn.ReLU(inplace=True),
            drop6=nn.Dropout(dropout),
            fc7=nn.Linear(4096, 4096),
            relu7=nn.ReLU(inplace=True),
            drop7=nn.Dropout(dropout),
            fc8=nn.Linear(4096, 1000),
        )
    )


class Fire(nn.Module):
    """SqueezeNet's block: few 1 x 1 filters, then 1 x 1 and 3 x 3 filters side by side."""

    def __init__(self, channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.conv1x1_1 = nn.Conv2d(channels, squeeze, 1)
        self.conv1x1_2 = nn.Conv2d(squeeze, expand, 1)
        self.conv3x3_2 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv1x1_1(x))
        return torch.cat([self.relu(self.conv1x1_2(x)), self.relu(self.conv3x3_2(x))], 1)


def squeezenet() -> nn.Module:
    """SqueezeNet 1.0: 3 x 227 x 227 to 1000 scores."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 96, 7, stride=2),
            relu_conv1=nn.ReLU(inplace=True),
            pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
            fire2=Fire(96, 16, 64),
            fire3=Fire(128, 16, 64),
            fire4=Fire(128, 32, 128),
            pool4=nn.MaxPool2d(3, 2, ceil_mode=True),
            fire5=Fire(256, 32, 128),
            fire6=Fire(256, 48, 192),
            fire7=Fire(384, 48, 192),
            fire8=Fire(384, 64, 256),
            pool8=nn.MaxPool2d(3, 2, ceil_mode=True),
            fire9=Fire(512, 64, 256),
            drop9=nn.Dropout(0.5),
            conv_final=nn.Conv2d(512, 1000, 1, padding=1),
            relu_conv_final=nn.ReLU(inplace=True),
            pool_final=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
        )
    )
