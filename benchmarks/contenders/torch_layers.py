"""A net in PyTorch, layer by layer from its prototxt: what somebody who ports it would write.

BatchNorm and the Scale behind it are one nn.BatchNorm2d. What no layer needs any more is let go of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LEFT_OUT = ("Input", "Data", "Softmax", "SoftmaxWithLoss", "Accuracy", "Dropout")


class Layers(nn.Module):
    """Images to scores.

    names   from a module's name to the layer that has its parameters
    """

    def __init__(self, message: Any) -> None:
        super().__init__()
        layers = [layer for layer in message.layer if layer.type not in LEFT_OUT]
        self.names: dict[str, str] = {}
        self.steps: list[tuple[Callable[..., Tensor], list[str], str]] = []
        channels = {"data": int(message.layer[0].input_param.shape[0].dim[1])}
        following = {id(a): b for a, b in zip(layers, layers[1:], strict=False)}
        for layer in layers:
            if layer.type == "Scale":
                continue  # of the BatchNorm before it
            bottoms, (top,) = list(layer.bottom), layer.top
            inputs = channels[bottoms[0]]
            step = getattr(self, f"_{layer.type.lower()}")(layer, inputs, following.get(id(layer)))
            channels[top] = inputs
            if layer.type in ("Convolution", "InnerProduct"):
                p = getattr(
                    layer, "convolution_param" if layer.type[0] == "C" else "inner_product_param"
                )
                channels[top] = int(p.num_output)
            self.steps.append((step, bottoms, top))
        last: dict[str, int] = {}
        for i, (_, bottoms, _) in enumerate(self.steps):
            last |= dict.fromkeys(bottoms, i)
        self.over = [
            [name for name, at in last.items() if at == i and name != top]
            for i, (_, _, top) in enumerate(self.steps)
        ]

    def forward(self, x: Tensor) -> Tensor:
        blobs = {"data": x}
        for (step, bottoms, top), over in zip(self.steps, self.over, strict=True):
            blobs[top] = step(*(blobs[name] for name in bottoms))
            for name in over:
                del blobs[name]
        return torch.flatten(blobs[self.steps[-1][2]], 1)

    # ------------------------------------------------------------------ by type

    def _named(self, module: nn.Module, layer: str) -> nn.Module:
        name = f"m{len(self.names)}"
        self.names[name] = layer
        self.add_module(name, module)
        return module

    def _convolution(self, layer: Any, inputs: int, _: Any) -> Callable[..., Tensor]:
        p = layer.convolution_param
        made = nn.Conv2d(
            inputs,
            p.num_output,
            p.kernel_size[0],
            p.stride[0] if p.stride else 1,
            p.pad[0] if p.pad else 0,
            groups=p.group,
            bias=p.bias_term,
        )
        return self._named(made, layer.name)

    def _innerproduct(self, layer: Any, inputs: int, _: Any) -> Callable[..., Tensor]:
        made = self._named(nn.Linear(inputs, layer.inner_product_param.num_output), layer.name)
        return lambda x: made(torch.flatten(x, 1))

    def _batchnorm(self, layer: Any, inputs: int, after: Any) -> Callable[..., Tensor]:
        assert after.type == "Scale" and after.scale_param.bias_term, layer.name
        return self._named(nn.BatchNorm2d(inputs, layer.batch_norm_param.eps), after.name)

    def _relu(self, layer: Any, inputs: int, _: Any) -> Callable[..., Tensor]:
        return nn.ReLU(inplace=True)

    def _eltwise(self, layer: Any, inputs: int, _: Any) -> Callable[..., Tensor]:
        return torch.add

    def _pooling(self, layer: Any, inputs: int, _: Any) -> Callable[..., Tensor]:
        p = layer.pooling_param
        if p.global_pooling:
            return lambda x: functional.adaptive_avg_pool2d(x, 1)
        assert p.pool == p.MAX, layer.name
        return nn.MaxPool2d(p.kernel_size, p.stride, p.pad, ceil_mode=True)
