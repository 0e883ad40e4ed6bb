"""A run's folder around a net, without training it."""

import json

import minidl
from minidl import evaluation


def make_run(folder, net, labels=(), description=True):
    """run/ in `folder` with the net, its weights after iteration 7 and preprocess.json."""
    run = folder / "run"
    run.mkdir()
    (run / "trained_net.prototxt").write_text(net)
    with minidl.Net(net, minidl.TEST, seed=3) as made:
        made.save(run / "x_iter_7.caffemodel")
    found = minidl.preprocess.of_net(minidl.prototxt.read_net(net)) if description else None
    if found is not None:
        minidl.preprocess.Preprocess(found.transform, found.channels, tuple(labels)).write(
            run / "preprocess.json"
        )
    return run


def evaluated(run, out, **options):
    """evaluation.json of a run."""
    with evaluation.opened(run, **options) as subject:
        evaluation.evaluate(subject, out)
    return json.loads((out / "evaluation.json").read_text())
