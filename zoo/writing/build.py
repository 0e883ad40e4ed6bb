"""What the families share: layers with the settings of training, or without them for use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from minidl import schema
from minidl.layers.context import Context
from minidl.net.blueprint import Blueprint
from minidl.prototxt import to_text
from minidl.spec import NetSpec, Top
from minidl.spec import layers as L

TWICE_FOR_BIASES = [dict(lr_mult=1, decay_mult=1), dict(lr_mult=2, decay_mult=0)]
FROZEN = [dict(lr_mult=0, decay_mult=0)] * 3
BGR_MEAN = [104, 117, 123]
LINE = 88  # characters that a message may take on one line


class Net:
    """A net being written: `training` with fillers, multipliers and data, or for use.

    Methods add a layer under a name and return its top.
    """

    record = (3, 256, 256)  # the shape of a record of its data set

    def __init__(self, title: str, training: bool) -> None:
        self.title, self.training, self.spec = title, training, NetSpec()

    def add(self, name: str, top: Any) -> Any:
        self.spec[name] = top
        return top

    # ------------------------------------------------------------------ layers

    def conv(
        self,
        name: str,
        x: Top,
        outputs: int,
        kernel: int,
        stride: int = 1,
        pad: int = 0,
        group: int = 1,
        bias: bool = True,
        weight: dict[str, Any] | None = None,
        start: float = 0.0,
    ) -> Top:
        """A convolution. weight: its filler (MSRA by default); start: of the biases."""
        settings: dict[str, Any] = dict(num_output=outputs, kernel_size=kernel)
        settings |= {k: v for k, v in (("stride", stride), ("group", group)) if v != 1}
        settings |= {"pad": pad} if pad else {}
        settings |= {} if bias else {"bias_term": False}
        return self.add(name, L.Convolution(x, **settings, **self._learning(bias, weight, start)))

    def fc(
        self,
        name: str,
        x: Top,
        outputs: int,
        weight: dict[str, Any] | None = None,
        start: float = 0.0,
    ) -> Top:
        learning = self._learning(True, weight, start)
        return self.add(name, L.InnerProduct(x, num_output=outputs, **learning))

    def _learning(self, bias: bool, weight: dict[str, Any] | None, start: float) -> dict[str, Any]:
        if not self.training:
            return {}
        settings: dict[str, Any] = {"weight_filler": weight or dict(type="msra")}
        settings["param"] = TWICE_FOR_BIASES if bias else TWICE_FOR_BIASES[:1]
        if bias:
            settings["bias_filler"] = dict(type="constant", value=start)
        return settings

    def relu(self, name: str, x: Top) -> Top:
        return self.add(name, L.ReLU(x, in_place=True))

    def dropout(self, name: str, x: Top, ratio: float = 0.5) -> Top:
        return self.add(name, L.Dropout(x, dropout_ratio=ratio, in_place=True))

    def norm(self, names: tuple[str, str], x: Top) -> Top:
        """Caffe's batch normalisation: BatchNorm has the statistics, Scale what is learned."""
        keywords = {"param": FROZEN} if self.training else {}
        self.add(names[0], L.BatchNorm(x, in_place=True, **keywords))
        no_decay = [dict(lr_mult=1, decay_mult=0)] * 2
        keywords = {"param": no_decay} if self.training else {}
        return self.add(
            names[1], L.Scale(self.spec[names[0]], bias_term=True, in_place=True, **keywords)
        )

    def pool(
        self, name: str, x: Top, kind: str, kernel: int = 0, stride: int = 1, pad: int = 0
    ) -> Top:
        settings: dict[str, Any] = dict(pool=kind)
        if not kernel:
            settings["global_pooling"] = True
        else:
            settings["kernel_size"] = kernel
            settings |= {"stride": stride} if stride != 1 else {}
            settings |= {"pad": pad} if pad else {}
        return self.add(name, L.Pooling(x, **settings))

    # ------------------------------------------------------------------ beginning and end

    def images(self, crop: int, batches: tuple[int, int], deploy: int = 10, **options: Any) -> Top:
        """ImageNet's records, or an Input of `deploy` images."""
        if not self.training:
            return self.add("data", L.Input(shape=dict(dim=[deploy, 3, crop, crop])))
        mean = dict(mean_value=BGR_MEAN, **options)
        for phase, batch, folder in zip(("TRAIN", "TEST"), batches, ("train", "val"), strict=True):
            source = dict(source=f"data/imagenet/{folder}_lmdb", backend=1, batch_size=batch)
            mirror = {"mirror": True} if phase == "TRAIN" else {}
            layer = L.Data(
                ntop=2 if phase == "TRAIN" else 0,
                name="data",
                include=dict(phase=getattr(schema, phase)),
                transform_param=dict(crop_size=crop, **mirror, **mean),
                data_param=source,
                **({} if phase == "TRAIN" else {"top": ["data", "label"]}),
            )
            if phase == "TRAIN":
                data, label = layer
                self.add("data", data)
                self.add("label", label)
            else:
                self.add("data (test)", layer)
        return self.spec["data"]

    def classes(
        self, scores: Top, top_5: bool = True, loss: str = "loss", prob: str = "prob"
    ) -> None:
        """Loss and accuracies in training, probabilities in use."""
        if not self.training:
            self.add(prob, L.Softmax(scores))
            return
        label = self.spec["label"]
        test = dict(include=dict(phase=schema.TEST))
        self.add("accuracy", L.Accuracy(scores, label, **test))
        if top_5:
            self.add("accuracy_top5", L.Accuracy(scores, label, top_k=5, **test))
        self.add(loss, L.SoftmaxWithLoss(scores, label))

    # ------------------------------------------------------------------ as text

    def text(self, comments: Sequence[str]) -> str:
        """The prototxt: short messages on one line, the shape of each new top beside its name."""
        net = self.spec.to_proto()
        net.name = self.title
        for layer in net.layer:
            if layer.name == "data (test)":
                layer.name = "data"
        lines = "".join(f"# {line}\n" for line in comments)
        return lines + _with_shapes(_folded(to_text(net)), net, self.record)


def _folded(text: str) -> str:
    """Messages without messages in them on one line, where that is not too long."""
    block = re.compile(r"^( +)(\w+) \{\n((?:\1  \w+: [^\n]*\n)+)\1\}$", re.MULTILINE)

    def fold(match: re.Match[str]) -> str:
        fields = " ".join(line.strip() for line in match[3].splitlines())
        line = f"{match[1]}{match[2]} {{ {fields} }}"
        return line if len(line) <= LINE else match[0]

    return block.sub(fold, text)


def _with_shapes(text: str, net: Any, record: tuple[int, ...]) -> str:
    """'top: "conv1"  # 96 x 55 x 55', the first time that a top is named."""
    blueprint = Blueprint(net, Context(phase=schema.TEST, absent_data=record))
    shapes = blueprint.blob_shapes
    seen: set[str] = set()

    def add(match: re.Match[str]) -> str:
        name = match[1]
        shape = shapes.get(name, ())
        if name in seen or name in ("data", "label") or len(shape) < 2:
            return match[0]
        seen.add(name)
        return f"{match[0]}  # {' x '.join(map(str, shape[1:]))}"

    return re.sub(r'^  top: "([^"]+)"$', add, text, flags=re.MULTILINE)
