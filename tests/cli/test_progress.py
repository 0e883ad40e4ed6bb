"""Progress where tqdm is not installed."""

import sys
from argparse import Namespace

from minidl.cli.progress import bar, steps


def test_without_tqdm_nothing_is_shown_and_nothing_fails(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert list(steps(3, "timing", Namespace())) == [0, 1, 2]
    with bar(Namespace(), total=2) as progress:
        progress.set_description("conv1")
        assert progress.format_dict["rate"] is None
    progress.close()
