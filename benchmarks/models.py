"""Write what the contenders read: weights in two formats, prototxts, records.

    <net>.caffemodel          for minidl and OpenCV
    <net>.npz                 for PyTorch: "conv1/0" is the first parameter of layer conv1, and
                              <net>.json has its lr_mult and decay_mult
    <net>.prototxt            the net for use, for OpenCV, which takes the batch from the images
    raw_lmdb, jpeg_lmdb       images of 3 x 256 x 256 as Datums, raw and as JPEG

`python benchmarks/models.py FOLDER weights alexnet lenet` and `... FOLDER records raw jpeg`;
run.py calls it in a process of its own.
"""

from __future__ import annotations

import io
import json
import math
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

import minidl  # noqa: E402
from benchmarks import nets  # noqa: E402
from benchmarks.inputs import SEED  # noqa: E402
from minidl import prototxt  # noqa: E402

SHARED = Path(os.environ.get("MINIDL_SHARED", ROOT.parent / "shared"))
TRAINED = {"squeezenet": SHARED / "models" / "squeezenet_v1.0" / "weights.caffemodel"}
RECORDS = 256


def write_weights(folder: Path, name: str) -> dict[str, str]:
    """Trained weights where they are at hand, random ones elsewhere; says which."""
    net = minidl.Net(nets.deploy_net(name, 1), minidl.TEST)
    trained = TRAINED.get(name)
    if trained and trained.exists():
        net.copy_from(trained)
    else:
        trained = None
        fill(net)
    net.save(folder / f"{name}.caffemodel")
    named = {f"{layer}/{i}": p for layer in net.params for i, p in enumerate(net.params[layer])}
    np.savez(folder / f"{name}.npz", **{key: p.data for key, p in named.items()})
    (folder / f"{name}.prototxt").write_text(prototxt.to_text(nets.deploy_net(name, 1)))
    if name in nets.TRAIN:
        write_multipliers(folder, name)
    return {name: "trained" if trained else "random"}


def fill(net: minidl.Net) -> None:
    """Weights that keep the variance of what passes them (He et al. 2015); biases zero.

    Not the zoo's fillers: under them the first losses of two nets agree whatever they compute.
    """
    random = np.random.default_rng(SEED)
    for params in net.params.values():
        weight, *rest = (param.data for param in params)
        if weight.ndim == 1:
            # Statistics of mean 0 and variance 1; a scale that keeps sums over branches in bounds.
            statistics = len(rest) == 2
            weight[...] = 0 if statistics else 0.5
            for other in rest:
                other[...] = 1 if statistics else 0
            continue
        std = math.sqrt(2 / math.prod(weight.shape[1:]))
        weight[...] = std * random.standard_normal(weight.shape, np.float32)
        for bias in rest:
            bias[...] = 0


def write_multipliers(folder: Path, name: str) -> None:
    found = {}
    for layer in nets.train_net(name, 1).layer:
        for i, param in enumerate(layer.param):
            mults = {"lr_mult": param.lr_mult, "decay_mult": param.decay_mult}
            found[f"{layer.name}/{i}"] = mults
    (folder / f"{name}.json").write_text(json.dumps(found))


def write_records(folder: Path, kind: str) -> None:
    """`RECORDS` images of 3 x 256 x 256 with the smoothness of photographs, labels 0 to 999."""
    from minidl.data import lmdb_writer

    random = np.random.default_rng(SEED)
    coarse = random.integers(0, 256, (RECORDS, 3, 32, 32))
    images = np.kron(coarse, np.ones((1, 1, 8, 8))) + random.normal(0, 8, (RECORDS, 3, 256, 256))
    images, labels = images.clip(0, 255).astype(np.uint8), random.integers(0, 1000, RECORDS)
    if kind == "raw":
        lmdb_writer.write(folder / "raw_lmdb", images, labels)
    else:
        write_jpegs(folder / "jpeg_lmdb", images, labels)


def write_jpegs(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """The same images as encoded Datums, as `convert_imageset -encoded` makes them."""
    import lmdb
    from PIL import Image

    from minidl import schema

    with lmdb.open(str(folder), map_size=4 * images.nbytes) as env, env.begin(write=True) as txn:
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            file = io.BytesIO()
            Image.fromarray(image.transpose(1, 2, 0)).save(file, "JPEG", quality=90)
            datum = schema.Datum(data=file.getvalue(), encoded=True, label=int(label))
            txn.put(b"%08d" % i, datum.SerializeToString())


def main() -> None:
    folder, what, *names = sys.argv[1:]
    if what == "weights":
        print(json.dumps({k: v for n in names for k, v in write_weights(Path(folder), n).items()}))
    else:
        for kind in names:
            write_records(Path(folder), kind)


if __name__ == "__main__":
    main()
