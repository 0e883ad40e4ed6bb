"""--engine and its like: sizes, and the words that ask for the same again."""

import argparse

import pytest

from minidl.cli import engine_flags, parser_for
from minidl.cli.engine_flags import size


@pytest.mark.parametrize(
    "text, expected",
    [("8MB", 8e6), ("8 mib", 8 << 20), ("512KiB", 512 << 10), ("1.5kB", 1500), ("2GB", 2e9)]
    + [("0", 0), ("64", 64), ("64B", 64)],
)
def test_sizes(text, expected):
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "MB", "-1", "8 TB", "1.2.3", "8MBs", "eight"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a size such as 8MB"):
        size(text)


@pytest.mark.parametrize("command", ["train", "test", "time", "check"])
def test_engine_flags_give_the_words_back(command):
    words = ["--engine", "onednn", "--math", "bf16", "--algorithm", "gemm"]
    words += ["--workspace-limit", "8000000", "--tuning", "cached"]
    assert engine_flags.words(parser_for(command).read(["x", *words])) == words
    assert engine_flags.words(parser_for(command).read(["x", "--workspace-limit=8MB"])) == [
        "--workspace-limit",
        "8000000",
    ]
    assert engine_flags.words(parser_for(command).read(["x"])) == []
